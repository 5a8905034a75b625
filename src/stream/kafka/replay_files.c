/* What a replay of files has of its own: which files they are, into how many partitions their users go, the feeds that fold
 * them, and the seam where the service takes over. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "state/bulk.h"
#include "stream/feed.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/log_ends.h"
#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

#define BULK_BYTES ((size_t)1 << 20)
#define ASK_MS     500
#define TRIES      20 /* half seconds in which the brokers may answer */
#define READ_MS    3000
#define SAMPLE     8  /* records at the end of a partition whose keys are looked at */
#define SAMPLED    64 /* partitions */

/* ---- which files ---- */

static uint64_t reading_of(const struct ms_replay_files *files)
{
    uint64_t partitioner = (uint64_t)files->partitioner;
    return ms_digest_next(files->reading, &partitioner, sizeof partitioner);
}

enum ms_status ms_replay_files_note(struct ms_replay *replay, struct ms_error *error)
{
    const struct ms_replay_files *files = replay->options.files;
    if (!files)
        return MS_OK;
    replay->plan.files = files->sources;
    replay->plan.reading = reading_of(files);
    for (size_t i = 0; i < files->count; i++) {
        if (!ms_replay_plan_add_file(&replay->plan, &files->list[i]))
            return ms_fail(error, MS_MEMORY, "no memory for the plan of a replay");
    }
    return MS_OK;
}

static enum ms_status same_file(const struct ms_replay *replay, size_t i, struct ms_error *error)
{
    const struct ms_replay_file *begun = &replay->plan.file[i], *now = &replay->options.files->list[i];
    if (begun->size == now->size && begun->digest == now->digest &&
        (begun->digest || strcmp(begun->path, now->path) == 0))
        return MS_OK;
    return ms_fail(error, MS_USAGE,
                   "%s: %s is not the file with which the replay here was begun (%s, %" PRIu64
                   " bytes); bring that one back, or begin again with --restart",
                   replay->config.state_dir, now->path, begun->path, begun->size);
}

/* Nothing can be read twice from a pipe. */
static enum ms_status check_streams(const struct ms_replay *replay, struct ms_error *error)
{
    for (size_t i = 0; i < replay->plan.file_count; i++) {
        if (!replay->plan.file[i].digest && replay->plan.files_done != replay->plan.files)
            return ms_fail(
                error, MS_USAGE,
                "%s: a replay of %s was begun here and did not reach its end; what comes through a "
                "pipe cannot be read twice: begin again with --restart",
                replay->config.state_dir,
                strcmp(replay->plan.file[i].path, "-") == 0 ? "standard input" : replay->plan.file[i].path);
    }
    return MS_OK;
}

enum ms_status ms_replay_files_same(const struct ms_replay *replay, struct ms_error *error)
{
    static const struct ms_replay_files none = {0};
    const struct ms_replay_files *files = replay->options.files ? replay->options.files : &none;
    const struct ms_replay_plan *plan = &replay->plan;
    const char *dir = replay->config.state_dir;
    enum ms_status status = MS_OK;
    if (plan->files != files->sources || plan->file_count != files->count)
        return ms_fail(
            error, MS_USAGE,
            "%s: a replay of %zu files was begun here, and now there are %zu; go on as it was begun, "
            "or begin again with --restart",
            dir, plan->file_count, files->count);
    for (size_t i = 0; status == MS_OK && i < plan->file_count; i++)
        status = same_file(replay, i, error);
    if (status == MS_OK && plan->files && plan->reading != reading_of(files))
        status = ms_fail(
            error, MS_USAGE,
            "%s: a replay that reads its files otherwise (format, columns, fields, partitioner) was "
            "begun here; go on as it was begun, or begin again with --restart",
            dir);
    int partitions = ms_replay_partitions(plan, MS_SOURCE_CLICKS);
    if (status == MS_OK && files->partitions && files->partitions != partitions)
        status = ms_fail(error, MS_USAGE,
                         "%s: a replay into %d partitions was begun here, not %" PRId32
                         "; begin again with --restart",
                         dir, partitions, files->partitions);
    return status == MS_OK ? check_streams(replay, error) : status;
}

/* ---- the partitions ---- */

/* Hears that no broker can be connected to, so that nobody waits for them. */
static void hear(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    if (strstr(text, "brokers are down"))
        atomic_store((atomic_bool *)ms_client_owner(rd_kafka_opaque(client)), true);
    else {
        ms_client_said(client, facility, text);
        ms_kafka_log(client, level, facility, text);
    }
}

/* How many partitions the input topic has. MS_KAFKA_RETRY where nobody answers, or there is no such topic. */
static enum ms_status ask_partitions(const struct ms_replay *replay, rd_kafka_t *client,
                                     const atomic_bool *down, int *count, struct ms_error *error)
{
    enum ms_status status = MS_KAFKA_RETRY;
    for (int i = 0;
         i < TRIES && status == MS_KAFKA_RETRY && !atomic_load(down) && !atomic_load(replay->options.stop);
         i++)
        status = ms_log_partitions_within(client, &replay->config, replay->config.input_topic, "READ", ASK_MS,
                                          count, error);
    return status;
}

struct sample {
    uint64_t keys, fit[MS_PARTITIONERS];
    char key[MS_KEY_SHOWN]; /* the first that the chosen one does not fit */
    int32_t is_in, would_be_in;
};

static void look_at(struct sample *sample, enum ms_partitioner chosen, const rd_kafka_message_t *message,
                    int32_t partitions)
{
    struct ms_bytes key = {message->key, message->key_len};
    if (!key.data || !key.size)
        return;
    for (int p = 0; p < MS_PARTITIONERS; p++) {
        int32_t partition = ms_partition_of_key((enum ms_partitioner)p, key, partitions);
        bool fits = partition == message->partition;
        sample->fit[p] += fits;
        if (fits || p != (int)chosen || sample->fit[p] < sample->keys)
            continue;
        ms_key_show(sample->key, key);
        sample->is_in = message->partition;
        sample->would_be_in = partition;
    }
    sample->keys++;
}

/* Looks at the keys of the last records of the topic. */
static void take_sample(const struct ms_replay *replay, rd_kafka_t *client, int32_t partitions,
                        struct sample *sample)
{
    int32_t left = partitions < SAMPLED ? partitions : SAMPLED;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(left);
    for (int32_t p = 0; p < left; p++)
        rd_kafka_topic_partition_list_add(list, replay->config.input_topic, p)->offset = RD_KAFKA_OFFSET_TAIL(
            SAMPLE);
    rd_kafka_assign(client, list);
    for (int waited_ms = 0; left > 0 && waited_ms < READ_MS;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
        if (!message) {
            waited_ms += 100;
            continue;
        }
        if (!message->err)
            look_at(sample, replay->options.files->partitioner, message, partitions);
        left -= message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        rd_kafka_message_destroy(message);
    }
    rd_kafka_assign(client, NULL);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Users have to be where the producers of the topic put them. */
static enum ms_status check_partitioner(const struct ms_replay *replay, rd_kafka_t *client,
                                        int32_t partitions, struct ms_error *error)
{
    enum ms_partitioner chosen = replay->options.files->partitioner;
    struct sample sample = {0};
    take_sample(replay, client, partitions, &sample);
    if (sample.fit[chosen] == sample.keys)
        return MS_OK;
    for (int p = 0; p < MS_PARTITIONERS; p++) {
        if (sample.fit[p] == sample.keys)
            return ms_fail(error, MS_USAGE,
                           "topic %s has key \"%s\" in partition %" PRId32
                           ", where --partitioner %s would put it into %" PRId32
                           ": --partitioner %s fits the last %" PRIu64 " records",
                           replay->config.input_topic, sample.key, sample.is_in, ms_partitioner_name(chosen),
                           sample.would_be_in, ms_partitioner_name((enum ms_partitioner)p), sample.keys);
    }
    ms_log(
        MS_LOG_WARN, "partitioner",
        "topic=%s key=\"%s\" partition=%" PRId32 " expected=%" PRId32
        " text=\"no partitioner fits the last records of the topic: the service may not find the users of the "
        "files where it looks\"",
        replay->config.input_topic, sample.key, sample.is_in, sample.would_be_in);
    return MS_OK;
}

/* The number of partitions: that of the topic; where that is not to be had, what was given. */
static enum ms_status settle_partitions(const struct ms_replay *replay, int *count, struct ms_error *error)
{
    const char *topic = replay->config.input_topic;
    int32_t given = replay->options.files->partitions;
    rd_kafka_t *client = NULL;
    atomic_bool down = false;
    const struct ms_consumer_callbacks callbacks = {.log = hear, .opaque = &down};
    enum ms_status status = ms_consumer_new(&client, &replay->config, "mindstream-replay", NULL, &callbacks,
                                            error);
    if (status != MS_OK)
        return status;
    status = ask_partitions(replay, client, &down, count, error);
    if (status == MS_OK && given && given != *count)
        status = ms_fail(error, MS_USAGE, "--partitions %" PRId32 ": topic %s has %d partitions", given,
                         topic, *count);
    else if (status == MS_OK)
        status = check_partitioner(replay, client, *count, error);
    else if ((status == MS_KAFKA_RETRY || status == MS_KAFKA) && given) {
        ms_log(MS_LOG_WARN, "partitions_unchecked",
               "topic=%s partitions=%" PRId32 " text=\"the topic cannot be asked; --handoff will compare\"",
               topic, given);
        *count = given;
        status = MS_OK;
    } else if (status == MS_KAFKA_RETRY || status == MS_KAFKA) {
        struct ms_error why = error && !atomic_load(&down) ? *error
                                                           : (struct ms_error){.text = "no broker answers"};
        status = ms_fail(
            error, status,
            "how many partitions topic %s has is not known: %.600s; --partitions gives it without a broker",
            topic, why.text);
    }
    ms_client_destroy(client);
    return status;
}

enum ms_status ms_replay_files_plan(struct ms_replay *replay, struct ms_error *error)
{
    int count = 0;
    enum ms_status status = settle_partitions(replay, &count, error);
    if (status == MS_OK && count > MS_MAX_PARTITIONS)
        status = ms_fail(error, MS_OFFSETS, "topic %s: more than %d partitions are not supported",
                         replay->config.input_topic, MS_MAX_PARTITIONS);
    for (int32_t p = 0; status == MS_OK && p < count; p++) {
        const struct ms_replay_part part = {.source = MS_SOURCE_CLICKS, .partition = p, .to = INT64_MAX};
        if (!ms_replay_plan_add(&replay->plan, &part))
            status = ms_fail(error, MS_MEMORY, "no memory for the plan of a replay");
    }
    return status;
}

/* ---- rows without users ---- */

/* Has every partition's row say that |source| is folded as |parts| say, or, without a part, that nothing of it is. */
static enum ms_status write_rows(struct ms_replay *replay, unsigned sources,
                                 const struct ms_replay_part *parts, size_t count, struct ms_error *error)
{
    int partitions = ms_replay_partitions(&replay->plan, MS_SOURCE_CLICKS);
    struct ms_flush_row *rows = calloc((size_t)partitions + 1, sizeof *rows);
    struct ms_bulk *bulk = NULL;
    enum ms_status status = rows ? ms_bulk_begin(&bulk, replay->store, BULK_BYTES, error)
                                 : ms_fail(error, MS_MEMORY, "no memory for the rows of partitions");
    for (int p = 0; status == MS_OK && p < partitions; p++) {
        bool found;
        rows[p] = (struct ms_flush_row){(uint16_t)p, MS_EMPTY_ROW};
        status = ms_store_partition(replay->store, (uint16_t)p, &rows[p].row, &found, error);
        rows[p].row.partitions_count = (uint32_t)partitions;
        for (int source = 0; source < MS_SOURCES; source++) {
            if (sources & 1u << source)
                rows[p].row.sources[source] = (struct ms_row_source){-1, -1};
        }
    }
    for (size_t i = 0; status == MS_OK && i < count; i++)
        rows[parts[i].partition].row.sources[parts[i].source] = (struct ms_row_source){parts[i].to,
                                                                                       parts[i].from};
    if (status == MS_OK)
        status = ms_bulk_finish(bulk, rows, (size_t)partitions, error);
    ms_bulk_end(bulk);
    for (int p = 0; p < partitions; p++) /* the bulk's owner has them all */
        ms_store_release(replay->store, (uint16_t)p, 1);
    free(rows);
    return status;
}

/* ---- folding ---- */

bool ms_replay_waits_for_files(const struct ms_replay *replay, int source)
{
    return replay->plan.stage == MS_REPLAY_READING &&
           replay->plan.files & ~replay->plan.files_done & 1u << source;
}

int32_t ms_replay_partition_count(const struct ms_replay *replay)
{
    return ms_replay_partitions(&replay->plan, MS_SOURCE_CLICKS);
}

enum ms_status ms_replay_feed_begin(struct ms_replay *replay, int source, struct ms_feed **feed,
                                    struct ms_error *error)
{
    const struct ms_feed_options options = {.config = &replay->config,
                                            .model = replay->options.model,
                                            .decay = &replay->options.decay,
                                            .incremental = replay->options.incremental,
                                            .store = replay->store,
                                            .source = source,
                                            .again = source == MS_SOURCE_PROFILES,
                                            .partitions = ms_replay_partition_count(replay),
                                            .workers = (int)replay->config.workers,
                                            .memory_bytes = ms_replay_memory(replay),
                                            .checkpoint_s = replay->options.checkpoint_s};
    return ms_feed_new(feed, &options, error);
}

/* Where the clicks end: as many events as each partition has. */
static void note_ends(struct ms_replay *replay, const struct ms_feed *feed, bool whole)
{
    for (size_t i = 0; i < replay->plan.count; i++) {
        struct ms_replay_part *part = &replay->plan.parts[i];
        int64_t next = ms_feed_next(feed, part->partition);
        atomic_store(&replay->next[i], next);
        if (whole)
            part->to = next;
    }
}

enum ms_status ms_replay_feed_end(struct ms_replay *replay, int source, struct ms_feed *feed, bool whole,
                                  struct ms_feed_counts *counts, struct ms_error *error)
{
    enum ms_status status = ms_feed_end(feed, error);
    *counts = ms_feed_counted(feed);
    if (status == MS_OK && source == MS_SOURCE_CLICKS)
        note_ends(replay, feed, whole);
    ms_feed_free(feed);
    if (status == MS_OK && whole &&
        source == MS_SOURCE_PROFILES) /* the topic of profiles begins with nothing */
        status = write_rows(replay, 1u << source, NULL, 0, error);
    if (status != MS_OK || !whole)
        return status;
    replay->plan.files_done |= 1u << source;
    if (source == MS_SOURCE_CLICKS)
        replay->plan.stage = MS_REPLAY_READ;
    return ms_replay_plan_write(&replay->plan, replay->config.state_dir, error);
}

/* ---- the seam ---- */

/* The parts of the topics where the service begins: the clicks at |to|, profiles at the begin of their log. */
static enum ms_status resolve_seam(struct ms_replay *replay, const struct ms_bound *to,
                                   struct ms_error *error)
{
    struct ms_replay_plan kept = replay->plan, *plan = &replay->plan;
    int partitions = ms_replay_partition_count(replay), topic_has;
    plan->parts = NULL;
    plan->count = plan->capacity = 0;
    enum ms_status status = ms_replay_resolve(replay, to, to, error);
    topic_has = ms_replay_partition_count(replay);
    if (status == MS_OK && topic_has != partitions)
        status = ms_fail(error, MS_OFFSETS,
                         "topic %s has %d partitions, and the files were replayed into %d: replay them again "
                         "with --restart --partitions %d",
                         replay->config.input_topic, topic_has, partitions, topic_has);
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->parts[i].source != MS_SOURCE_CLICKS)
            plan->parts[i].to = plan->parts[i].from;
    }
    free(status == MS_OK ? kept.parts : plan->parts);
    if (status != MS_OK)
        *plan = kept;
    return status;
}

static enum ms_status remember_seam(struct ms_replay *replay, struct ms_error *error)
{
    _Atomic int64_t *next = calloc(replay->plan.count + 1, sizeof *next);
    if (!next)
        return ms_fail(error, MS_MEMORY, "no memory for a replay");
    for (size_t i = 0; i < replay->plan.count; i++)
        atomic_init(&next[i], replay->plan.parts[i].to);
    free(replay->next);
    replay->next = next;
    replay->plan.seam = true;
    snprintf(replay->plan.to, sizeof replay->plan.to, "%s", replay->options.to);
    return ms_replay_plan_write(&replay->plan, replay->config.state_dir, error);
}

enum ms_status ms_replay_files_seam(struct ms_replay *replay, struct ms_error *error)
{
    struct ms_bound to;
    enum ms_status status = ms_bound_parse(&to, "--to", replay->options.to, error);
    if (status == MS_OK && !(replay->plan.seam && strcmp(replay->plan.to, replay->options.to) == 0)) {
        status = resolve_seam(replay, &to, error);
        if (status == MS_OK)
            status = remember_seam(replay, error);
    }
    return status == MS_OK
               ? write_rows(replay, (1u << MS_SOURCES) - 1, replay->plan.parts, replay->plan.count, error)
               : status;
}
