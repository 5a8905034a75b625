/* A scratch state from the input topic: each partition from its origin to L, as a replay folds it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/inspect/verify.h"
#include "app/inspector.h"
#include "base/log.h"
#include "stream/kafka/replay.h"
#include "stream/source.h"

#define MEMORY_MOST  ((int64_t)512 << 20) /* beside a service that has its own */
#define CHECKPOINT_S 3600.0               /* nobody goes on with a scratch state */

/* ---- what is read ---- */

/* Why the partition cannot be folded again, whatever the log has. |files|: the state was replayed from files. */
static bool told_by_row(struct ms_verify *verify, struct ms_verify_partition *partition, bool files)
{
    const struct ms_row_source *clicks = &partition->row.sources[MS_SOURCE_CLICKS];
    uint64_t decode_id = ms_sources_decode_id(verify->config);
    partition->why = MS_VERIFY_OFFSETS;
    if (!partition->has_row || clicks->applied < 0 || clicks->origin < 0)
        return false;
    partition->why = MS_VERIFY_FILES;
    if (files)
        return false;
    partition->why = MS_VERIFY_DECODER;
    return !partition->row.decode_id || partition->row.decode_id == decode_id;
}

static enum ms_status find_files(const char *dir, bool *files, struct ms_error *error)
{
    struct ms_replay_plan plan = {.count = 0};
    bool found = false;
    enum ms_status status = ms_replay_plan_read(&plan, dir, &found, error);
    *files = found && plan.files;
    ms_replay_plan_free(&plan);
    return status;
}

static enum ms_status add_parts(struct ms_verify *verify, struct ms_replay_plan *plan, struct ms_error *error)
{
    bool files = false;
    enum ms_status status = find_files(verify->config->state_dir, &files, error);
    if (status != MS_OK)
        return status;
    for (int source = 0; source < MS_SOURCES; source++) {
        for (int p = 0; ms_source_topic(source, verify->config)[0] && p < MS_MAX_PARTITIONS; p++) {
            struct ms_verify_partition *partition = &verify->partitions[p];
            const struct ms_row_source *row = &partition->row.sources[source];
            const struct ms_replay_part part = {source, p, row->origin, row->applied};
            if (!told_by_row(verify, partition, files) || row->applied < 0 || row->origin < 0)
                continue;
            if (!ms_replay_plan_add(plan, &part))
                return ms_fail(error, MS_MEMORY, "no memory for a plan");
        }
    }
    return MS_OK;
}

static bool is_lacking(const struct ms_replay_plan *plan, const enum ms_replay_lack *lacks, int32_t partition,
                       enum ms_replay_lack *lack)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->parts[i].partition == partition && lacks[i] != MS_REPLAY_WHOLE) {
            *lack = lacks[i];
            return true;
        }
    }
    return false;
}

/* Keeps the parts of partitions of which nothing is lacking. */
static void keep_whole(struct ms_verify *verify, struct ms_replay_plan *plan,
                       const enum ms_replay_lack *lacks)
{
    static const enum ms_verify_reason reasons[] = {[MS_REPLAY_LACKS_BEGINNING] = MS_VERIFY_INPUT_GONE,
                                                    [MS_REPLAY_LACKS_END] = MS_VERIFY_INPUT_ANEW,
                                                    [MS_REPLAY_LACKS_SOME] = MS_VERIFY_INPUT_HOLES};
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++) {
        struct ms_verify_partition *partition = &verify->partitions[plan->parts[i].partition];
        enum ms_replay_lack lack = MS_REPLAY_WHOLE;
        if (plan->parts[i].source == MS_SOURCE_CLICKS) {
            partition->again = !is_lacking(plan, lacks, plan->parts[i].partition, &lack);
            partition->why = reasons[lack];
        }
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (verify->partitions[plan->parts[i].partition].again)
            plan->parts[kept++] = plan->parts[i];
    }
    plan->count = kept;
}

static enum ms_status make_plan(struct ms_verify *verify, struct ms_replay_plan *plan, struct ms_error *error)
{
    enum ms_status status = add_parts(verify, plan, error);
    enum ms_replay_lack *lacks = calloc(plan->count + 1, sizeof *lacks);
    if (status == MS_OK && !lacks)
        status = ms_fail(error, MS_MEMORY, "no memory for a plan");
    if (status == MS_OK)
        status = ms_replay_lacks(verify->config, plan->parts, plan->count, lacks, error);
    if (status == MS_OK)
        keep_whole(verify, plan, lacks);
    free(lacks);
    return status;
}

/* ---- reading it ---- */

static bool wants(const void *verify, struct ms_bytes user)
{
    return ms_verify_samples(verify, user);
}

static void watch(struct ms_replay *replay)
{
    struct ms_progress progress;
    uint64_t total = ms_replay_counted(replay).left;
    ms_progress_start(&progress, "offsets of the input topic", total);
    while (!ms_replay_done(replay)) {
        uint64_t left = ms_replay_counted(replay).left;
        usleep(20000);
        ms_progress_update(&progress, left < total ? total - left : 0);
    }
    if (progress.terminal)
        ms_progress_end(&progress, total);
}

static enum ms_status read_plan(const struct ms_config *config, struct ms_verify *verify,
                                const struct ms_replay_plan *plan, struct ms_error *error)
{
    const struct ms_replay_options options = {.config = config,
                                              .model = verify->model,
                                              .decay = verify->setup.service.decay,
                                              .incremental = verify->setup.service.incremental,
                                              .stop = verify->setup.service.stop,
                                              .from = "origin",
                                              .to = "state",
                                              .checkpoint_s = CHECKPOINT_S,
                                              .given = plan,
                                              .wants = verify->arguments->sample ? wants : NULL,
                                              .wants_context = verify};
    struct ms_replay *replay = NULL;
    struct ms_error ended = {0};
    bool whole = false;
    enum ms_status status = ms_replay_open(&replay, &options, false, error);
    if (status != MS_OK)
        return status;
    status = ms_replay_start(replay, error);
    if (status == MS_OK)
        watch(replay);
    enum ms_status finished = ms_replay_finish(replay, &whole, &ended);
    if (status == MS_OK && finished != MS_OK) {
        *error = ended;
        status = finished;
    }
    ms_replay_close(replay);
    if (status == MS_OK && !whole)
        status = ms_fail(error, MS_KAFKA_RETRY, "stopped before the input topic was read");
    return status;
}

static enum ms_status make_dir(struct ms_verify *verify, struct ms_error *error)
{
    const char *parent = verify->arguments->scratch;
    char prefix[PATH_MAX];
    if (!parent && (!(parent = getenv("TMPDIR")) || !*parent))
        parent = "/var/tmp";
    if ((size_t)snprintf(prefix, sizeof prefix, "%s/mindstream", parent) >= sizeof prefix)
        return ms_fail(error, MS_IO, "%.200s...: the name is too long", parent);
    return ms_scratch_make(&verify->scratch_dir, prefix, "-verify", ms_scratch_remove_all, error);
}

enum ms_status ms_verify_read_input(struct ms_verify *verify, struct ms_error *error)
{
    struct ms_config config = *verify->config;
    struct ms_replay_plan plan = {.count = 0};
    enum ms_status status = make_plan(verify, &plan, error);
    if (status == MS_OK)
        status = make_dir(verify, error);
    config.state_dir = verify->scratch_dir.path;
    config.instance_id = "verify";
    if (config.state_memory_bytes > MEMORY_MOST)
        config.state_memory_bytes = MEMORY_MOST;
    if (status == MS_OK)
        status = read_plan(&config, verify, &plan, error);
    if (status == MS_OK)
        status = ms_inspect_open(&verify->scratch, &config, error);
    ms_replay_plan_free(&plan);
    return status;
}
