/* Taking partitions: asks the group for C, the log for its ends and the state for L, lets ms_decide
 * (offsets.h) say where each begins, and tells the operator what to do where they do not fit together. */
#include "stream/kafka/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "base/log.h"
#include "stream/kafka/clients.h"
#include "stream/source.h"

#define NO_COMMIT_TRIES 5
#define TRY_MS          2000
#define CONFIG_TRIES    3  /* at the settings of a topic */
#define UNKNOWN_LOOKS   15 /* at a topic that is gone, in 3 s */

static const char *topic_of(const struct ms_worker *worker, int source)
{
    return ms_source_topic(source, worker->config);
}

static enum ms_status committed_once(struct ms_worker *worker, rd_kafka_topic_partition_list_t *list,
                                     struct ms_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_committed(worker->consumer, list, 5000);
    for (int i = 0; !code && i < list->cnt; i++)
        code = list->elems[i].err;
    return code ? ms_kafka_failed_code(code, error, "committed offsets") : MS_OK;
}

/* The group's offsets, asked until the coordinator answers. */
static enum ms_status read_committed(struct ms_worker *worker, rd_kafka_topic_partition_list_t *list,
                                     struct ms_error *error)
{
    double told_s = ms_monotonic_s();
    for (;;) {
        enum ms_status status = committed_once(worker, list, error);
        if (status != MS_KAFKA_RETRY || atomic_load(worker->stop))
            return status;
        if (ms_monotonic_s() - told_s > 10) {
            told_s = ms_monotonic_s();
            ms_log(MS_LOG_INFO, "waiting", "for=committed_offsets worker=%d reason=\"%s\"", worker->number,
                   error->text);
        }
        usleep(100000);
    }
}

static enum ms_status read_ends(struct ms_worker *worker, struct ms_known *known, struct ms_error *error)
{
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            worker->consumer, topic_of(worker, known->source), known->partition, &known->low, &known->high,
            5000);
        if (!code)
            return MS_OK;
        enum ms_status status = ms_kafka_failed_code(code, error, "ends of the partition");
        if (status != MS_KAFKA_RETRY || atomic_load(worker->stop))
            return status;
        usleep(100000);
    }
}

/* How many partitions a topic has. */
static enum ms_status count_partitions(struct ms_worker *worker, const char *topic, int *count,
                                       struct ms_error *error)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(worker->consumer, topic, NULL);
    enum ms_status status = MS_KAFKA_RETRY;
    for (*count = 0; handle && *count == 0;) {
        const struct rd_kafka_metadata *metadata;
        rd_kafka_resp_err_t code = rd_kafka_metadata(worker->consumer, 0, handle, &metadata, 5000);
        if (!code) {
            *count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
            rd_kafka_metadata_destroy(metadata);
        }
        status = *count ? MS_OK
                        : ms_kafka_failed_code(code ? code : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, error,
                                               "partitions of the topic");
        if (status != MS_KAFKA_RETRY || atomic_load(worker->stop))
            break;
        usleep(100000);
    }
    if (!handle)
        return ms_fail(error, MS_KAFKA, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_topic_destroy(handle);
    return status;
}

/* How many partitions the topic had when the group was new: it is new now, or one of its notes tells. 0 where
 * none does. Another member may have committed its first offsets already, so whether this partition alone has
 * an offset tells nothing. */
static enum ms_status read_began(struct ms_worker *worker, const char *topic, int *began,
                                 struct ms_error *error)
{
    int count;
    bool new_group = true;
    enum ms_status status = count_partitions(worker, topic, &count, error);
    if (status != MS_OK)
        return status;
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(count);
    rd_kafka_topic_partition_list_add_range(all, topic, 0, count - 1);
    status = read_committed(worker, all, error);
    *began = 0;
    for (int i = 0; status == MS_OK && i < all->cnt; i++) {
        struct ms_offset_note note;
        const rd_kafka_topic_partition_t *at = &all->elems[i];
        new_group &= at->offset < 0;
        if (at->offset >= 0 && ms_offset_note_read(at->metadata, at->metadata_size, &note) &&
            note.began > *began)
            *began = note.began;
    }
    if (new_group)
        *began = count;
    rd_kafka_topic_partition_list_destroy(all);
    return status;
}

/* Reads what a partition without C has to know of its group's beginning. */
static enum ms_status know_beginning(struct ms_worker *worker, struct ms_known *known, struct ms_error *error)
{
    if (known->committed >= 0 || known->row.applied >= 0 || !ms_sources[known->source]->input_start ||
        worker->config->input_start != MS_START_LATEST)
        return MS_OK;
    return read_began(worker, topic_of(worker, known->source), &known->began, error);
}

static void note_committed(struct ms_known *known, const rd_kafka_topic_partition_t *at)
{
    known->committed = at->offset >= 0 ? at->offset : -1;
    known->ours = ms_offset_note_read(at->metadata, at->metadata_size, &known->note);
}

/* A group that has state here but no offset there: a coordinator that moves answers so for a moment. */
static enum ms_status ask_again(struct ms_worker *worker, struct ms_known *known, struct ms_error *error)
{
    for (int i = 0; i < NO_COMMIT_TRIES && known->committed < 0 && !atomic_load(worker->stop); i++) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(list, topic_of(worker, known->source), known->partition);
        usleep(TRY_MS * 1000);
        enum ms_status status = read_committed(worker, list, error);
        if (status == MS_OK)
            note_committed(known, &list->elems[0]);
        rd_kafka_topic_partition_list_destroy(list);
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

/* What does not fit, and how to mend it; a command follows, which sets the offset to |to|, L by default. */
struct remedy {
    const char *what;
    bool to_earliest;
};

static const struct remedy remedies[] = {
    [MS_MISFIT_NO_COMMIT] = {"the group has no committed offset but there is local state; if the topic was "
                             "made anew, start with an empty state.dir; if only the group was deleted, go on "
                             "from the state by",
                             false},
    [MS_MISFIT_BEHIND] =
        {"the committed offset is behind the local state, as if it had been reset; start with "
         "an empty state.dir to fold again from the committed offset, or go on from the state "
         "by",
         false},
    [MS_MISFIT_BEYOND_END] =
        {"the offset lies beyond the end of the log, as if the topic had been made anew; "
         "start with an empty state.dir, after",
         true},
    [MS_MISFIT_ORIGIN] =
        {"the committed offset is behind the origin that is noted beside it; set it again, to "
         "where folding should begin, by",
         true},
    [MS_MISFIT_GAP_STATE] = {"the log no longer has the events that come next; go on without them by "
                             "`mindstream run --accept-gap`, or start with an empty state.dir after",
                             true},
    [MS_MISFIT_GAP_ORIGIN] =
        {"there is no local state, and the log no longer has the events from the "
         "partition's origin on; go on with what is left by `mindstream run --accept-gap`, "
         "or publish it again after",
         true},
    [MS_MISFIT_PARTITIONS] = {NULL, false}, /* its own text */
    [MS_MISFIT_HOLES] =
        {"there is no local state, and the topic is compacted: its log lacks events that later ones of the "
         "same user followed, so histories would come out shorter and versions lower than published; bring "
         "the state.dir back, or fold what is left by `mindstream run --accept-holes`, or publish what is "
         "left again after",
         true},
};

/* The topic had another number of partitions. Kafka only adds some, so with less it is another topic. */
static enum ms_status repartitioned(const struct ms_worker *worker, const struct ms_known *known,
                                    struct ms_error *error)
{
    const char *topic = topic_of(worker, known->source);
    int had = ms_other_partitions(known);
    if (had > known->partitions)
        return ms_fail(
            error, MS_OFFSETS,
            "topic %s had %d partitions and has %d, as if it had been made anew: start with an empty "
            "state.dir, after: kafka-consumer-groups.sh --bootstrap-server %s --group %s --topic %s "
            "--reset-offsets --to-earliest --execute",
            topic, had, known->partitions, worker->config->bootstrap_servers, worker->config->application_id,
            topic);
    return ms_fail(
        error, MS_OFFSETS,
        "topic %s had %d partitions and has %d: the hash of a user's key names another partition now, so "
        "users would begin again at version 1 there, and what was kept of them would stay and never be "
        "forgotten. Write the events, keyed by user, to a new topic of %d partitions and replay that with a "
        "new application.id and an empty state.dir; or go on as it is by `mindstream run "
        "--accept-repartition`, once on every instance",
        topic, had, known->partitions, known->partitions);
}

static enum ms_status misfit(const struct ms_worker *worker, const struct ms_known *known,
                             enum ms_misfit misfit, struct ms_error *error)
{
    if (misfit == MS_MISFIT_PARTITIONS)
        return repartitioned(worker, known, error);
    const struct ms_config *config = worker->config;
    const struct remedy *remedy = &remedies[misfit];
    int64_t applied = known->row.applied;
    char where[64] = "--to-earliest";
    if (!remedy->to_earliest)
        snprintf(where, sizeof where, "--to-offset %" PRId64, applied);
    return ms_fail(
        error, MS_OFFSETS,
        "topic %s partition %d: %s (committed offset %" PRId64 ", local state up to %" PRId64
        ", log from %" PRId64 " to %" PRId64
        "): kafka-consumer-groups.sh --bootstrap-server %s --group %s --topic %s:%d --reset-offsets "
        "%s --execute",
        topic_of(worker, known->source), known->partition, remedy->what, known->committed, applied,
        known->low, known->high, config->bootstrap_servers, config->application_id,
        topic_of(worker, known->source), known->partition, where);
}

static void tell(const struct ms_worker *worker, const struct ms_position *position,
                 const struct ms_known *known)
{
    ms_log(MS_LOG_INFO, "assigned",
           "worker=%d topic=%s partition=%d start=%" PRId64 " committed=%" PRId64 " replay=%" PRId64
           " end=%" PRId64 " state=%s republish=%d",
           worker->number, topic_of(worker, position->source), position->partition, position->next,
           position->committed,
           ms_position_replays(position) ? position->replay_until - position->next : (int64_t)0, known->high,
           known->row.applied >= 0 ? "local" : "none", position->republish);
}

/* Asks whether the topic of a partition that has to be replayed is compacted, once an assignment. */
static void know_holes(struct ms_worker *worker, struct ms_known *known)
{
    int64_t start = known->row.applied >= 0 ? known->row.applied
                    : known->ours           ? known->note.origin
                                            : known->committed;
    int *holed = &worker->holed[known->source];
    if (start >= known->committed)
        return;
    if (*holed < 0)
        *holed = ms_input_log_holed(worker->logs, worker->consumer, worker->config, known->source);
    known->holed = *holed > 0;
}

/* Opens one source of a partition, and says where to read from. */
static enum ms_status start_one(struct ms_worker *worker, struct ms_known *known, int64_t *offset,
                                struct ms_error *error)
{
    const struct ms_source *source = ms_sources[known->source];
    struct ms_engine *engine = worker->session.engine;
    struct ms_partition_row row;
    enum ms_status status = ms_engine_claim(engine, known->partition, &row, error);
    if (status == MS_OK) {
        known->row = row.sources[known->source];
        status = read_ends(worker, known, error);
    }
    if (status == MS_OK && known->row.applied >= 0 && known->committed < 0)
        status = ask_again(worker, known, error);
    if (status == MS_OK)
        status = know_beginning(worker, known, error);
    if (status != MS_OK)
        return status;
    know_holes(worker, known);
    const struct ms_begin_rule rule = {.fold_id = ms_engine_fold_id(engine),
                                       .decode_id = ms_engine_decode_id(engine),
                                       .start_latest = source->input_start &&
                                                       worker->config->input_start == MS_START_LATEST,
                                       .accept_gap = worker->config->accept_gap || source->compacted,
                                       .accept_holes = worker->config->accept_holes,
                                       .accept_repartition = worker->config->accept_repartition};
    struct ms_position position;
    int64_t gap_from;
    enum ms_misfit why = ms_decide(known, &rule, &position, &gap_from);
    if (why != MS_FITS)
        return misfit(worker, known, why, error);
    if (gap_from >= 0 && !source->compacted)
        ms_log(MS_LOG_WARN, "gap_accepted", "topic=%s partition=%d from=%" PRId64 " to=%" PRId64,
               topic_of(worker, known->source), known->partition, gap_from, position.next);
    ms_engine_open(engine, &position);
    *offset = position.next;
    tell(worker, &position, known);
    return MS_OK;
}

/* A partition of one source without that of another: topics that have grown apart. */
static enum ms_status check_partitions(struct ms_worker *worker, struct ms_error *error)
{
    const struct ms_position *position;
    const struct ms_positions *positions = ms_engine_positions(worker->session.engine);
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        for (int source = 0; source < MS_SOURCES; source++) {
            if (topic_of(worker, source)[0] && !ms_positions_find(positions, position->partition, source))
                return ms_fail(error, MS_OFFSETS,
                               "partition %d of topic %s was assigned without that of topic %s: both need "
                               "the same number of partitions",
                               position->partition, topic_of(worker, position->source),
                               topic_of(worker, source));
        }
    }
    return MS_OK;
}

enum ms_status ms_assignment_start(struct ms_worker *worker, rd_kafka_topic_partition_list_t *partitions,
                                   struct ms_error *error)
{
    if (partitions->cnt == 0)
        return MS_OK;
    for (int source = 0; source < MS_SOURCES; source++)
        worker->holed[source] = -1;
    rd_kafka_topic_partition_list_t *committed = rd_kafka_topic_partition_list_copy(partitions);
    enum ms_status status = read_committed(worker, committed, error);
    for (int i = 0; status == MS_OK && i < committed->cnt; i++) {
        rd_kafka_topic_partition_t *at = &committed->elems[i];
        struct ms_known known = {.partition = at->partition,
                                 .source = ms_source_of_topic(at->topic, worker->config)};
        int64_t offset = 0;
        note_committed(&known, at);
        status = start_one(worker, &known, &offset, error);
        rd_kafka_topic_partition_t *assign = rd_kafka_topic_partition_list_find(partitions, at->topic,
                                                                                at->partition);
        assign->offset = offset;
    }
    rd_kafka_topic_partition_list_destroy(committed);
    if (status == MS_OK)
        status = check_partitions(worker, error);
    if (status == MS_OK && ms_engine_pending(worker->session.engine))
        ms_pace_pending(&worker->session.pace, ms_monotonic_s()); /* pin the first offsets soon */
    return status;
}

enum ms_status ms_assignment_out_of_range(struct ms_worker *worker, int source, int32_t partition,
                                          struct ms_error *error)
{
    const struct ms_position *position = ms_positions_find(ms_engine_positions(worker->session.engine),
                                                           partition, source);
    if (!position)
        return MS_OK;
    struct ms_known known = {.source = source,
                             .partition = partition,
                             .committed = position->committed,
                             .row = {.applied = position->next, .origin = position->origin}};
    enum ms_status status = read_ends(worker, &known, error);
    if (status != MS_OK)
        return status;
    if (position->next > known.high)
        return misfit(worker, &known, MS_MISFIT_BEYOND_END, error);
    if (position->next < known.low && !worker->config->accept_gap && !ms_sources[source]->compacted)
        return misfit(worker, &known, MS_MISFIT_GAP_STATE, error);
    return ms_fail(error, MS_KAFKA_ABORT,
                   "topic %s partition %d: offset %" PRId64 " is not in the log (from %" PRId64 " to %" PRId64
                   ")",
                   topic_of(worker, source), partition, position->next, known.low, known.high);
}

/* Whether the brokers know a topic now; also where they do not answer. */
static bool topic_known(struct ms_worker *worker, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(worker->consumer, topic, NULL);
    rd_kafka_resp_err_t code = handle ? rd_kafka_metadata(worker->consumer, 0, handle, &metadata, 2000)
                                      : RD_KAFKA_RESP_ERR__FAIL;
    if (handle)
        rd_kafka_topic_destroy(handle);
    if (code)
        return true;
    bool known = metadata->topic_cnt == 1 &&
                 metadata->topics[0].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rd_kafka_metadata_destroy(metadata);
    return known;
}

enum ms_status ms_assignment_topic_unknown(struct ms_worker *worker, struct ms_error *error)
{
    for (int source = 0; source < MS_SOURCES; source++) {
        const char *topic = topic_of(worker, source);
        int looks = 0;
        while (topic[0] && looks < UNKNOWN_LOOKS && !topic_known(worker, topic) &&
               !atomic_load(worker->stop)) {
            looks++;
            usleep(200000);
        }
        if (looks == UNKNOWN_LOOKS)
            return ms_fail(
                error, MS_OFFSETS,
                "topic %s was deleted while it was read: what its users had is in state.dir; to read a "
                "topic made anew under this name, start with an empty state.dir",
                topic);
    }
    return ms_fail(error, MS_KAFKA_ABORT, "a topic was unknown to the brokers for a moment");
}

void ms_assignment_lag(struct ms_worker *worker)
{
    const struct ms_position *position;
    const struct ms_positions *positions = ms_engine_positions(worker->session.engine);
    uint64_t lag = 0;
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        int64_t low, high;
        if (!rd_kafka_get_watermark_offsets(worker->consumer, topic_of(worker, position->source),
                                            position->partition, &low, &high) &&
            high > position->next)
            lag += (uint64_t)(high - position->next);
    }
    ms_gauge(&worker->stats.lag, lag);
}
