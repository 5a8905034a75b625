/* The plan of a replay, its workers, and what they have done. */
#include "stream/kafka/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "state/dir.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

#define FIRST_OWNER 1

/* ---- opening ---- */

static enum ms_status open_store(struct ms_replay *replay, struct ms_error *error)
{
    const struct ms_config *config = replay->options.config;
    const struct ms_store_options options = {.dir = config->state_dir,
                                             .application_id = config->application_id,
                                             .input_topic = config->input_topic,
                                             .instance_id = config->instance_id,
                                             .block_cache_bytes = MS_REPLAY_BLOCK_CACHE};
    return ms_store_open(&replay->store, &options, error);
}

/* Where each part stands, from the rows of the state. */
static enum ms_status read_rows(struct ms_replay *replay, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < replay->plan.count; i++) {
        const struct ms_replay_part *part = &replay->plan.parts[i];
        struct ms_partition_row row = MS_EMPTY_ROW;
        bool found = false;
        if (replay->store)
            status = ms_store_partition(replay->store, (uint16_t)part->partition, &row, &found, error);
        int64_t applied = found ? row.sources[part->source].applied : -1;
        atomic_init(&replay->next[i], applied >= 0 ? applied : part->from);
    }
    return status;
}

static bool nothing_stored(struct ms_replay *replay, struct ms_error *error)
{
    for (unsigned p = 0; p < MS_MAX_PARTITIONS; p++) {
        struct ms_partition_row row;
        bool found = false;
        if (ms_store_partition(replay->store, (uint16_t)p, &row, &found, error) != MS_OK || found)
            return false;
    }
    return true;
}

/* Records that are published go where, and in the way in which, the first of them went. */
static enum ms_status check_publishes(const struct ms_replay *replay, struct ms_error *error)
{
    const struct ms_replay_plan *plan = &replay->plan;
    const char *dir = replay->options.config->state_dir;
    bool every = replay->options.publish == MS_REPLAY_PUBLISH_EVERY;
    if (plan->every != every)
        return ms_fail(error, MS_USAGE,
                       "%s: a replay %s --publish every was begun here; go on %s it, or begin again with "
                       "--restart",
                       dir, plan->every ? "with" : "without", plan->every ? "with" : "without");
    if (replay->options.publish != MS_REPLAY_PUBLISH_NONE && plan->output[0] &&
        strcmp(plan->output, replay->config.output_topic) != 0)
        return ms_fail(
            error, MS_USAGE,
            "%s: a replay that publishes to topic %s was begun here; go on with that one, or begin "
            "again with --restart",
            dir, plan->output);
    return MS_OK;
}

static bool same_bounds(const struct ms_replay *replay)
{
    const struct ms_replay_options *options = &replay->options;
    return ms_replay_of_files(replay) ||
           (strcmp(replay->plan.from, options->from) == 0 && strcmp(replay->plan.to, options->to) == 0);
}

/* A replay that was begun here goes on only as it was begun. */
static enum ms_status check_same(const struct ms_replay *replay, uint64_t fold_id, struct ms_error *error)
{
    const struct ms_replay_options *options = &replay->options;
    const char *dir = options->config->state_dir;
    const struct ms_replay_plan *plan = &replay->plan;
    if (plan->stage == MS_REPLAY_HANDED)
        return ms_fail(error, MS_USAGE, "%s: was handed over to the service; give another state directory",
                       dir);
    enum ms_status status = ms_replay_files_same(replay, error);
    if (status != MS_OK)
        return status;
    if (!same_bounds(replay))
        return ms_fail(
            error, MS_USAGE,
            "%s: a replay from %s to %s was begun here; go on with these, or begin again with --restart", dir,
            plan->from, plan->to);
    if (plan->fold_id != fold_id || plan->decode_id != ms_sources_decode_id(&replay->config))
        return ms_fail(
            error, MS_USAGE,
            "%s: a replay under another model or other settings was begun here; go on with those, or begin "
            "again with --restart",
            dir);
    return check_publishes(replay, error);
}

static enum ms_status fold_id_of(struct ms_replay *replay, uint64_t *fold_id, struct ms_error *error)
{
    struct ms_extractor *extractor = NULL;
    struct ms_fold_context context = {0};
    enum ms_status status = ms_extractor_new(&extractor, replay->options.model, error);
    if (status == MS_OK)
        status = ms_fold_context_init(&context, replay->options.model, extractor, replay->options.incremental,
                                      &replay->options.decay, (uint32_t)replay->config.state_behaviors_max,
                                      error);
    if (status == MS_OK) {
        *fold_id = context.fold_id;
        ms_fold_context_free(&context);
    }
    ms_extractor_destroy(extractor);
    return status;
}

static enum ms_status take_given(struct ms_replay *replay, uint64_t fold_id, struct ms_error *error)
{
    const struct ms_replay_plan *given = replay->options.given;
    replay->plan = (struct ms_replay_plan){.fold_id = fold_id,
                                           .decode_id = ms_sources_decode_id(&replay->config)};
    snprintf(replay->plan.from, sizeof replay->plan.from, "%s", replay->options.from);
    snprintf(replay->plan.to, sizeof replay->plan.to, "%s", replay->options.to);
    for (size_t i = 0; i < given->count; i++) {
        if (!ms_replay_plan_add(&replay->plan, &given->parts[i]))
            return ms_fail(error, MS_MEMORY, "no memory for the plan of a replay");
    }
    return MS_OK;
}

static enum ms_status make_plan(struct ms_replay *replay, uint64_t fold_id, struct ms_error *error)
{
    struct ms_bound from, to;
    struct ms_replay_plan *plan = &replay->plan;
    const struct ms_replay_files *files = replay->options.files;
    bool of_files = files && files->sources & 1u << MS_SOURCE_CLICKS;
    if (replay->options.given)
        return take_given(replay, fold_id, error);
    enum ms_status status = ms_bound_parse(&from, "--from", replay->options.from, error);
    if (status == MS_OK)
        status = ms_bound_parse(&to, "--to", replay->options.to, error);
    if (status != MS_OK)
        return status;
    *plan = (struct ms_replay_plan){.fold_id = fold_id,
                                    .decode_id = ms_sources_decode_id(&replay->config),
                                    .every = replay->options.publish == MS_REPLAY_PUBLISH_EVERY};
    if (getrandom(&plan->id, sizeof plan->id, 0) != (ssize_t)sizeof plan->id)
        return ms_fail(error, MS_IO, "no random bytes: %s", strerror(errno));
    if (plan->every)
        snprintf(plan->output, sizeof plan->output, "%s", replay->config.output_topic);
    snprintf(plan->from, sizeof plan->from, "%s", replay->options.from);
    snprintf(plan->to, sizeof plan->to, "%s", replay->options.to);
    status = ms_replay_files_note(replay, error);
    if (status == MS_OK)
        status = of_files ? ms_replay_files_plan(replay, error)
                          : ms_replay_resolve(replay, &from, &to, error);
    return status;
}

/* For --restart. What was handed over is the service's: a person may remove it, no replay does. */
static enum ms_status forget_plan(struct ms_replay *replay, struct ms_error *error)
{
    bool handed = replay->resumes && replay->plan.stage == MS_REPLAY_HANDED;
    ms_replay_plan_free(&replay->plan);
    replay->resumes = false;
    return handed ? ms_fail(error, MS_STATE,
                            "%s: was handed over to the service, so --restart does not drop it; give another "
                            "state directory, or remove this one",
                            replay->options.config->state_dir)
                  : MS_OK;
}

/* Fixes the plan, or takes up the one that is there. Makes nothing. */
static enum ms_status settle_plan(struct ms_replay *replay, bool dry, struct ms_error *error)
{
    const char *dir = replay->options.config->state_dir;
    uint64_t fold_id;
    enum ms_status status = fold_id_of(replay, &fold_id, error);
    if (status == MS_OK && !dry)
        status = ms_replay_plan_read(&replay->plan, dir, &replay->resumes, error);
    if (status == MS_OK && replay->options.restart)
        status = forget_plan(replay, error);
    if (status != MS_OK)
        return status;
    return replay->resumes ? check_same(replay, fold_id, error) : make_plan(replay, fold_id, error);
}

/* Opens the directory for the plan: a new one, or that of the replay that goes on. */
static enum ms_status settle_state(struct ms_replay *replay, struct ms_error *error)
{
    const char *dir = replay->options.config->state_dir;
    enum ms_status status = MS_OK;
    if (replay->options.restart)
        status = ms_dir_remove_state(dir, "replay", error);
    if (status == MS_OK)
        status = open_store(replay, error);
    if (status != MS_OK || replay->resumes)
        return status;
    if (!nothing_stored(replay, error))
        return ms_fail(error, MS_STATE,
                       "%s: holds the state of a service, and no replay; give a new or empty --state-dir",
                       dir);
    return ms_replay_plan_write(&replay->plan, dir, error);
}

/* The group that says how far is published belongs to this replay alone: another one begins with nothing. */
static void name_group(struct ms_replay *replay)
{
    snprintf(replay->group, sizeof replay->group, "%s-replay-%016" PRIx64,
             replay->options.config->application_id, replay->plan.id);
    snprintf(replay->mark, sizeof replay->mark, "mindstream-replay/2 plan=%016" PRIx64, replay->plan.id);
}

enum ms_status ms_replay_open(struct ms_replay **out, const struct ms_replay_options *options, bool dry,
                              struct ms_error *error)
{
    struct ms_replay *replay = calloc(1, sizeof *replay);
    if (!replay)
        return ms_fail(error, MS_MEMORY, "no memory for a replay");
    replay->options = *options;
    replay->stop_publishing = options->follow ? &replay->never : options->stop;
    replay->config = *options->config;
    snprintf(replay->group, sizeof replay->group, "%s-replay", options->config->application_id);
    replay->config.application_id = replay->group;
    if (options->publish == MS_REPLAY_PUBLISH_EVERY)
        replay->config.publish_mode = MS_PUBLISH_EVERY;
    enum ms_status status = settle_plan(replay, dry, error);
    name_group(replay);
    if (status == MS_OK && !dry && options->publish != MS_REPLAY_PUBLISH_NONE)
        status = ms_replay_check_output(replay, error);
    if (status == MS_OK && !dry)
        status = settle_state(replay, error);
    if (status == MS_OK && !(replay->next = calloc(replay->plan.count + 1, sizeof *replay->next)))
        status = ms_fail(error, MS_MEMORY, "no memory for a replay");
    if (status == MS_OK)
        status = read_rows(replay, error);
    if (status == MS_OK && replay->resumes && !ms_replay_of_files(replay))
        status = ms_replay_check_logs(replay, error);
    if (status != MS_OK) {
        ms_replay_close(replay);
        return status;
    }
    *out = replay;
    return MS_OK;
}

void ms_replay_close(struct ms_replay *replay)
{
    if (!replay)
        return;
    for (int i = 0; i < replay->reader_count; i++) {
        pthread_mutex_destroy(&replay->readers[i].stats.lock);
        ms_engine_destroy(replay->readers[i].engine);
        ms_replay_sender_close(&replay->readers[i].sender);
        free(replay->readers[i].ends);
    }
    free(replay->readers);
    free(replay->committed);
    free(replay->next);
    ms_replay_plan_free(&replay->plan);
    ms_store_close(replay->store);
    free(replay);
}

const struct ms_replay_plan *ms_replay_plan_of(const struct ms_replay *replay)
{
    return &replay->plan;
}

bool ms_replay_resumes(const struct ms_replay *replay)
{
    return replay->resumes;
}

/* ---- the workers ---- */

/* No more workers than partitions: a partition is folded in its order. */
int ms_replay_workers(const struct ms_replay *replay)
{
    int partitions = ms_replay_partitions(&replay->plan, MS_SOURCE_CLICKS);
    int workers = (int)replay->config.workers;
    return workers < partitions ? workers : partitions > 0 ? partitions : 1;
}

/* What the group says has to fit what the state says: L <= C. */
static enum ms_status check_committed(const struct ms_replay *replay, struct ms_error *error)
{
    for (size_t i = 0; i < replay->plan.count; i++) {
        const struct ms_replay_part *part = &replay->plan.parts[i];
        struct ms_partition_row row = MS_EMPTY_ROW;
        bool found;
        enum ms_status status = ms_store_partition(replay->store, (uint16_t)part->partition, &row, &found,
                                                   error);
        if (status != MS_OK)
            return status;
        int64_t committed = replay->committed[part->partition];
        if (part->source == MS_SOURCE_CLICKS && row.sources[part->source].applied > committed)
            return ms_fail(error, MS_OFFSETS,
                           "group %s, which says what this replay has published, has offset %" PRId64
                           " of partition %" PRId32 ", and the state has %" PRId64
                           ": the group was deleted, or its offsets have expired; begin again with --restart",
                           replay->group, committed, part->partition, row.sources[part->source].applied);
    }
    return MS_OK;
}

/* Producers of all workers. Each settles what a run before left in doubt with its id; only then the group tells what is
 * published. */
static enum ms_status open_senders(struct ms_replay *replay, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    size_t partitions = (size_t)ms_replay_partitions(&replay->plan, MS_SOURCE_CLICKS);
    for (int i = 0; status == MS_OK && i < replay->reader_count; i++)
        status = ms_replay_sender_open(&replay->readers[i].sender, replay, i, error);
    if (status == MS_OK)
        status = ms_replay_settle(replay, replay->reader_count, ms_store_workers(replay->store), error);
    if (status == MS_OK && ms_store_workers(replay->store) < replay->reader_count)
        status = ms_store_set_workers(replay->store, replay->reader_count, error);
    if (status == MS_OK && !(replay->committed = calloc(partitions + 1, sizeof *replay->committed)))
        status = ms_fail(error, MS_MEMORY, "no memory for a replay");
    if (status == MS_OK)
        status = ms_replay_committed(replay, partitions, replay->committed, error);
    return status == MS_OK ? check_committed(replay, error) : status;
}

static enum ms_status make_readers(struct ms_replay *replay, int count, struct ms_error *error)
{
    size_t partitions = (size_t)ms_replay_partitions(&replay->plan, MS_SOURCE_CLICKS);
    replay->readers = calloc((size_t)count, sizeof *replay->readers);
    if (!replay->readers)
        return ms_fail(error, MS_MEMORY, "no memory for the workers of a replay");
    for (int i = 0; i < count; i++) {
        struct ms_replay_reader *reader = &replay->readers[i];
        reader->replay = replay;
        reader->number = i;
        reader->of = count;
        pthread_mutex_init(&reader->stats.lock, NULL);
        replay->reader_count = i + 1;
        if (!(reader->ends = calloc(partitions + 1, sizeof *reader->ends)))
            return ms_fail(error, MS_MEMORY, "no memory for the workers of a replay");
    }
    return ms_replay_publishes_every(replay) ? open_senders(replay, error) : MS_OK;
}

static enum ms_status start_reader(struct ms_replay *replay, struct ms_replay_reader *reader,
                                   size_t memory_bytes, struct ms_error *error)
{
    enum ms_status status = ms_replay_engine(replay, &reader->engine, &reader->stats, memory_bytes,
                                             FIRST_OWNER + (uint32_t)reader->number, reader, error);
    if (status == MS_OK && pthread_create(&reader->thread, NULL, ms_replay_reader_main, reader) != 0)
        status = ms_fail(error, MS_MEMORY, "no thread for a worker");
    reader->started = status == MS_OK;
    return status;
}

enum ms_status ms_replay_start(struct ms_replay *replay, struct ms_error *error)
{
    int count = ms_replay_workers(replay);
    size_t memory = ms_replay_memory(replay) / (size_t)count;
    if (replay->plan.stage != MS_REPLAY_READING || ms_replay_of_files(replay))
        return MS_OK;
    enum ms_status status = make_readers(replay, count, error);
    for (int i = 0; status == MS_OK && i < count; i++)
        status = start_reader(replay, &replay->readers[i], memory, error);
    if (status != MS_OK)
        atomic_store(&replay->failed, true);
    return status;
}

bool ms_replay_done(const struct ms_replay *replay)
{
    for (int i = 0; i < replay->reader_count; i++) {
        if (replay->readers[i].started && !atomic_load(&replay->readers[i].done))
            return false;
    }
    return true;
}

bool ms_replay_where(const struct ms_replay *replay, size_t i, struct ms_replay_at *at)
{
    if (i >= replay->plan.count)
        return false;
    *at = (struct ms_replay_at){.part = replay->plan.parts[i],
                                .next = atomic_load_explicit(&replay->next[i], memory_order_relaxed)};
    return true;
}

struct ms_replay_counts ms_replay_counted(const struct ms_replay *replay)
{
    struct ms_replay_counts counts = {.published = atomic_load(&replay->published)};
    struct ms_replay_at at;
    for (int i = 0; i < replay->reader_count; i++) {
        const struct ms_stats *stats = &replay->readers[i].stats;
        counts.read += ms_counted(&stats->events);
        counts.folded += ms_counted(&stats->replayed) + ms_counted(&stats->accepted);
        counts.published += atomic_load(&replay->readers[i].sender.published);
        counts.bad += ms_counted(&stats->dead_letters);
    }
    for (size_t i = 0; !ms_replay_of_files(replay) && ms_replay_where(replay, i, &at); i++)
        counts.left += at.next < at.part.to ? (uint64_t)(at.part.to - at.next) : 0;
    return counts;
}

/* The ends of a replay that followed are where it was told to end. */
static bool settle_ends(struct ms_replay *replay)
{
    bool whole = true;
    for (size_t i = 0; i < replay->plan.count; i++) {
        struct ms_replay_part *part = &replay->plan.parts[i];
        int64_t next = atomic_load(&replay->next[i]);
        whole &= next >= part->to;
        if (replay->options.follow && part->source == MS_SOURCE_CLICKS && next > part->to)
            part->to = next;
    }
    return whole;
}

/* What it has published is still counted. */
static void close_sender(struct ms_replay_reader *reader)
{
    uint64_t published = atomic_load(&reader->sender.published);
    ms_replay_sender_close(&reader->sender);
    atomic_store(&reader->sender.published, published);
}

enum ms_status ms_replay_finish(struct ms_replay *replay, bool *whole, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    if (ms_replay_of_files(replay)) {
        *whole = replay->plan.stage != MS_REPLAY_READING;
        return MS_OK;
    }
    for (int i = 0; i < replay->reader_count; i++) {
        struct ms_replay_reader *reader = &replay->readers[i];
        if (!reader->started)
            continue;
        pthread_join(reader->thread, NULL);
        reader->started = false;
        if (status == MS_OK && reader->status != MS_OK) {
            status = reader->status;
            *error = reader->error;
        }
        ms_engine_destroy(reader->engine);
        reader->engine = NULL;
        close_sender(reader);
    }
    *whole = settle_ends(replay);
    if (status == MS_OK && *whole && replay->plan.stage == MS_REPLAY_READING) {
        replay->plan.stage = replay->plan.every ? MS_REPLAY_PUBLISHED : MS_REPLAY_READ;
        status = ms_replay_plan_write(&replay->plan, replay->config.state_dir, error);
    }
    return status;
}

static bool count_one(void *context, struct ms_bytes id, struct ms_bytes value)
{
    uint64_t *users = context;
    (void)id;
    (void)value;
    ++*users;
    return true;
}

enum ms_status ms_replay_users(const struct ms_replay *replay, uint64_t *users, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    uint64_t count = 0;
    for (size_t i = 0; status == MS_OK && i < replay->plan.count; i++) {
        const struct ms_replay_part *part = &replay->plan.parts[i];
        bool ended;
        if (part->source == MS_SOURCE_CLICKS)
            status = ms_store_scan(replay->store, (uint16_t)part->partition, (struct ms_bytes){"", 0}, &count,
                                   count_one, &ended, error);
    }
    if (status == MS_OK)
        *users = count;
    return status;
}

/* The reasons of all workers together. */
static void merge_reasons(const struct ms_replay *replay, struct ms_replay_reason merged[MS_REPLAY_REASONS])
{
    for (int w = 0; w < replay->reader_count; w++) {
        for (size_t i = 0; i < MS_REPLAY_REASONS && replay->readers[w].reasons[i].count; i++) {
            const struct ms_replay_reason *one = &replay->readers[w].reasons[i];
            size_t at = 0;
            while (at + 1 < MS_REPLAY_REASONS && merged[at].count && strcmp(merged[at].what, one->what) != 0)
                at++;
            if (!merged[at].count)
                merged[at] = *one;
            else
                merged[at].count += one->count;
        }
    }
}

bool ms_replay_reason(const struct ms_replay *replay, size_t i, struct ms_replay_reason *reason)
{
    struct ms_replay_reason merged[MS_REPLAY_REASONS] = {{{0}, 0}};
    merge_reasons(replay, merged);
    if (i >= MS_REPLAY_REASONS || !merged[i].count)
        return false;
    *reason = merged[i];
    return true;
}
