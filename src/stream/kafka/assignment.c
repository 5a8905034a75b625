/* Taking partitions: reads L from the state, has the asker ask the group for C and the log for its ends, lets
 * ms_decide (offsets.h) say where each begins, and tells the operator what to do where they do not fit
 * together. */
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

#define UNKNOWN_LOOKS 15 /* at a topic that is gone, in 3 s */
#define FEWER_TRIES   5  /* at a topic with fewer partitions than it had, in 3 s */
#define LOOK_S        3  /* between two looks whether the logs are still the same */
#define RANGE_TRIES   5  /* to learn the ends of a log that has not what comes next */

static const char *topic_of(const struct ms_worker *worker, int source)
{
    return ms_source_topic(source, worker->config);
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
    [MS_MISFIT_ANEW] = {NULL, false}, /* its own text */
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
    [MS_MISFIT_BEFORE] =
        {"there is no local state, and it held events that were replayed from files, which no log has; bring the "
         "state.dir back, or go on with what the log has by `mindstream run --accept-gap`, or delete the group and "
         "replay the files again; to publish again what the log has:",
         true},
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

/* All partitions are another topic's. */
static enum ms_status made_anew(const struct ms_worker *worker, const struct ms_known *known,
                                struct ms_error *error)
{
    const char *topic = topic_of(worker, known->source);
    return ms_fail(error, MS_OFFSETS,
                   "topic %s was made anew: what is at offset %" PRId64
                   " of partition %d is not the record that "
                   "was read there. To read the new topic from its beginning, start with an empty state.dir, "
                   "after: kafka-consumer-groups.sh --bootstrap-server %s --group %s --topic %s "
                   "--reset-offsets --to-earliest --execute",
                   topic, known->mark.upto - 1, known->partition, worker->config->bootstrap_servers,
                   worker->config->application_id, topic);
}

static enum ms_status misfit(const struct ms_worker *worker, const struct ms_known *known,
                             enum ms_misfit misfit, struct ms_error *error)
{
    if (misfit == MS_MISFIT_ANEW)
        return made_anew(worker, known, error);
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

/* ---- the assignment ---- */

/* A partition of one source without that of another: topics that have grown apart. */
static enum ms_status check_partitions(const struct ms_worker *worker,
                                       const rd_kafka_topic_partition_list_t *partitions,
                                       struct ms_error *error)
{
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &partitions->elems[i];
        for (int source = 0; source < MS_SOURCES; source++) {
            const char *topic = topic_of(worker, source);
            if (topic[0] &&
                !rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)(uintptr_t)partitions,
                                                    topic, at->partition))
                return ms_fail(error, MS_OFFSETS,
                               "partition %d of topic %s was assigned without that of topic %s: both need "
                               "the same number of partitions",
                               at->partition, at->topic, topic);
        }
    }
    return MS_OK;
}

enum ms_status ms_assignment_start(struct ms_worker *worker,
                                   const rd_kafka_topic_partition_list_t *partitions, struct ms_error *error)
{
    struct ms_partition_row row;
    enum ms_status status = check_partitions(worker, partitions, error);
    for (int i = 0; status == MS_OK && i < partitions->cnt; i++) {
        int32_t number = partitions->elems[i].partition;
        if (ms_openings_find(&worker->openings, number))
            continue;
        status = ms_engine_claim(worker->session.engine, number, &row, error);
        if (status == MS_OK && !ms_openings_assign(&worker->openings, number, ms_monotonic_s()))
            status = ms_fail(error, MS_MEMORY, "no memory for an assignment");
    }
    return status;
}

void ms_assignment_revoke(struct ms_worker *worker)
{
    ms_openings_revoke(&worker->openings);
    ms_asker_drop(worker->asker);
}

/* ---- opening partitions ---- */

static void question_of(const struct ms_worker *worker, int32_t number, struct ms_inquiry *question)
{
    const struct ms_partition *partition = ms_positions_partition(ms_engine_positions(worker->session.engine),
                                                                  number);
    const struct ms_partition_row row = partition ? partition->row : MS_EMPTY_ROW;
    *question = (struct ms_inquiry){.partition = number, .assignment = worker->openings.assignment};
    for (int source = 0; source < MS_SOURCES; source++)
        question->known[source] = (struct ms_known){
            .source = source, .partition = number, .committed = -1, .row = row.sources[source]};
    question->known[MS_SOURCE_CLICKS].row_partitions = (int)row.partitions_count;
    question->known[MS_SOURCE_CLICKS].mark = (struct ms_landmark){.upto = (int64_t)row.mark_upto,
                                                                  .digest = row.mark_digest};
}

/* Has all that is due asked for. */
static void ask(struct ms_worker *worker, double now_s)
{
    struct ms_opening *opening;
    struct ms_inquiry *questions = NULL;
    size_t count = 0, cursor = 0;
    if (ms_asker_busy(worker->asker))
        return;
    while ((opening = ms_openings_due(&worker->openings, &cursor, now_s))) {
        if (!questions)
            questions = malloc(worker->openings.count * sizeof *questions);
        if (!questions)
            return; /* another time */
        question_of(worker, opening->partition, &questions[count++]);
        opening->asked = true;
    }
    if (count)
        ms_asker_ask(worker->asker, questions, count);
}

/* Has ms_decide say where a source of a partition begins. */
static enum ms_status decide(struct ms_worker *worker, const struct ms_known *known,
                             struct ms_position *position, struct ms_error *error)
{
    const struct ms_source *source = ms_sources[known->source];
    const struct ms_begin_rule rule = {.fold_id = ms_engine_fold_id(worker->session.engine),
                                       .decode_id = ms_engine_decode_id(worker->session.engine),
                                       .start_latest = source->input_start &&
                                                       worker->config->input_start == MS_START_LATEST,
                                       .accept_gap = worker->config->accept_gap || source->compacted,
                                       .accept_holes = worker->config->accept_holes,
                                       .accept_repartition = worker->config->accept_repartition};
    int64_t gap_from;
    enum ms_misfit why = ms_decide(known, &rule, position, &gap_from);
    if (why != MS_FITS)
        return misfit(worker, known, why, error);
    if (gap_from >= 0 && !source->compacted)
        ms_log(MS_LOG_WARN, "gap_accepted", "topic=%s partition=%d from=%" PRId64 " to=%" PRId64,
               topic_of(worker, known->source), known->partition, gap_from, position->next);
    if (ms_other_partitions(known))
        ms_log(MS_LOG_WARN, "repartition_accepted", "topic=%s partition=%d had=%d has=%d",
               topic_of(worker, known->source), known->partition, ms_other_partitions(known),
               known->partitions);
    return MS_OK;
}

/* Opens all sources of a partition, of which all is known. The consumer still is where it was assigned: as if it
 * had passed over what comes next. */
static enum ms_status open_partition(struct ms_worker *worker, struct ms_opening *opening,
                                     const struct ms_inquiry *answer, struct ms_error *error)
{
    struct ms_engine *engine = worker->session.engine;
    struct ms_position positions[MS_SOURCES];
    for (int source = 0; source < MS_SOURCES; source++) {
        enum ms_status status = topic_of(worker, source)[0]
                                    ? decide(worker, &answer->known[source], &positions[source], error)
                                    : MS_OK;
        if (status != MS_OK)
            return status;
    }
    for (int source = 0; source < MS_SOURCES; source++) {
        if (!topic_of(worker, source)[0])
            continue;
        positions[source].paused = positions[source].passed_over = true;
        ms_engine_open(engine, &positions[source]);
        tell(worker, &positions[source], &answer->known[source]);
    }
    ms_openings_opened(
        &worker->openings, opening,
        ms_partition_replays(ms_positions_partition(ms_engine_positions(engine), opening->partition)));
    return MS_OK;
}

/* Whether there is local state of a source, but the group has no offset. */
static bool no_commit(const struct ms_inquiry *answer)
{
    for (int source = 0; source < MS_SOURCES; source++) {
        const struct ms_known *known = &answer->known[source];
        if (known->row.applied >= 0 && known->committed < 0 && !known->anew)
            return true;
    }
    return false;
}

/* Whether a topic has fewer partitions than it had. A broker that has not heard yet of those that were added says so
 * for a moment. */
static bool fewer_partitions(const struct ms_inquiry *answer)
{
    for (int source = 0; source < MS_SOURCES; source++) {
        if (ms_other_partitions(&answer->known[source]) > answer->known[source].partitions)
            return true;
    }
    return false;
}

/* Whether the logs of a partition that is read are still the same. */
static enum ms_status take_look(struct ms_worker *worker, const struct ms_inquiry *answer,
                                struct ms_error *error)
{
    const struct ms_positions *positions = ms_engine_positions(worker->session.engine);
    for (int source = 0; source < MS_SOURCES; source++) {
        struct ms_position *position = ms_positions_find(positions, answer->partition, source);
        if (!position || !answer->targets[source].known)
            continue;
        if (answer->known[source].anew)
            return made_anew(worker, &answer->known[source], error);
        position->anchor = position->mark;
    }
    return MS_OK;
}

static enum ms_status take_answer(struct ms_worker *worker, const struct ms_inquiry *answer, double now_s,
                                  struct ms_error *error)
{
    struct ms_opening *opening = ms_openings_find(&worker->openings, answer->partition);
    if (answer->assignment != worker->openings.assignment || !opening)
        return MS_OK;
    if (answer->only_mark)
        return take_look(worker, answer, error);
    if (!opening->asked)
        return MS_OK;
    if (answer->status == MS_KAFKA_RETRY) {
        ms_opening_held(opening, answer->error.text, now_s);
        return MS_OK;
    }
    if (answer->status != MS_OK) {
        *error = answer->error;
        return answer->status;
    }
    if (fewer_partitions(answer) && opening->held < FEWER_TRIES) {
        ms_opening_held(opening, "the brokers tell of fewer partitions than the topic had", now_s);
        return MS_OK;
    }
    if (no_commit(answer) && ms_opening_no_commit(opening, now_s))
        return MS_OK;
    return open_partition(worker, opening, answer, error);
}

static void tell_waiting(void *context, const struct ms_opening *opening, size_t waiting)
{
    const struct ms_worker *worker = context;
    ms_log(MS_LOG_WARN, "waiting", "for=partition worker=%d partition=%d of=%zu waited_s=%.0f reason=\"%s\"",
           worker->number, opening->partition, waiting, ms_monotonic_s() - opening->since_s, opening->reason);
}

/* Partitions that have replayed are live. */
static void look_at_replays(struct ms_worker *worker)
{
    const struct ms_positions *positions = ms_engine_positions(worker->session.engine);
    for (size_t i = 0; i < worker->openings.count; i++) {
        struct ms_opening *opening = &worker->openings.list[i];
        if (opening->state == MS_PARTITION_REPLAYING &&
            !ms_partition_replays(ms_positions_partition(positions, opening->partition))) {
            ms_openings_replayed(&worker->openings, opening);
            ms_buckets_add(&worker->stats.replay_seconds, &ms_bounds_latency,
                           ms_monotonic_s() - opening->since_s, 1);
        }
    }
}

static void take_answers(struct ms_worker *worker, double now_s)
{
    struct ms_error error;
    struct ms_inquiry answer;
    while (!worker->session.broken && ms_asker_take(worker->asker, &answer)) {
        enum ms_status status = take_answer(worker, &answer, now_s, &error);
        if (status != MS_OK)
            ms_session_break(&worker->session, status, &error);
    }
}

void ms_assignment_step(struct ms_worker *worker)
{
    double now_s = ms_monotonic_s();
    take_answers(worker, now_s);
    if (worker->session.broken)
        return;
    look_at_replays(worker);
    ask(worker, now_s);
    ms_openings_tell(&worker->openings, now_s, tell_waiting, worker);
}

/* ---- what is not as it was ---- */

/* The questions whether the logs of a partition are still the same. False: it is not read. */
static bool look_at(const struct ms_worker *worker, const struct ms_partition *partition,
                    struct ms_inquiry *question)
{
    *question = (struct ms_inquiry){
        .partition = partition->number, .assignment = worker->openings.assignment, .only_mark = true};
    for (int source = 0; source < MS_SOURCES; source++) {
        const struct ms_position *position = &partition->positions[source];
        question->known[source] = (struct ms_known){.source = source, .partition = partition->number};
        if (partition->open & 1u << source)
            question->known[source].mark = position->anchor;
    }
    return partition->open;
}

void ms_assignment_look(struct ms_worker *worker)
{
    double now_s = ms_monotonic_s();
    const struct ms_positions *positions = ms_engine_positions(worker->session.engine);
    size_t count = 0;
    take_answers(worker, now_s);
    if (worker->session.broken || now_s - worker->looked_s < LOOK_S || ms_asker_busy(worker->asker) ||
        !atomic_exchange(&worker->brokers.looked, false))
        return;
    worker->looked_s = now_s;
    struct ms_inquiry *questions = malloc((positions->count + 1) * sizeof *questions);
    for (size_t i = 0; questions && i < positions->count; i++)
        count += look_at(worker, &positions->partitions[i], &questions[count]);
    if (count)
        ms_asker_ask(worker->asker, questions, count);
    else
        free(questions);
}

/* The ends of the log that a partition has now. */
static enum ms_status read_ends(struct ms_worker *worker, struct ms_known *known, struct ms_error *error)
{
    enum ms_status status = MS_KAFKA_RETRY;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic_of(worker, known->source), known->partition);
    for (int i = 0; i < RANGE_TRIES && status == MS_KAFKA_RETRY && !atomic_load(worker->stop); i++) {
        rd_kafka_resp_err_t code = ms_ask_ends(worker->consumer, list, &known->low, &known->high, MS_ASK_MS);
        status = code ? ms_kafka_failed_code(code, error, "ends of the partition") : MS_OK;
    }
    rd_kafka_topic_partition_list_destroy(list);
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

/* How many partitions a topic has; 0 where the brokers do not know it, -1 where they do not tell. */
static int count_partitions(struct ms_worker *worker, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(worker->consumer, topic, NULL);
    rd_kafka_resp_err_t code = handle ? rd_kafka_metadata(worker->consumer, 0, handle, &metadata, 2000)
                                      : RD_KAFKA_RESP_ERR__FAIL;
    if (handle)
        rd_kafka_topic_destroy(handle);
    if (code)
        return -1;
    int count = 0;
    if (metadata->topic_cnt == 1 && metadata->topics[0].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        count = metadata->topics[0].err ? -1 : metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    return count;
}

enum ms_status ms_assignment_partitions(struct ms_worker *worker, struct ms_error *error)
{
    const struct ms_position *position;
    const struct ms_positions *positions = ms_engine_positions(worker->session.engine);
    for (int source = 0; source < MS_SOURCES && !worker->config->accept_repartition; source++) {
        int count = topic_of(worker, source)[0] ? count_partitions(worker, topic_of(worker, source)) : 0;
        for (size_t cursor = 0; count > 0 && (position = ms_positions_next(positions, &cursor));) {
            const struct ms_known known = {.source = source,
                                           .partition = position->partition,
                                           .partitions = count,
                                           .ours = true,
                                           .note = {.partitions = position->partitions}};
            if (position->source == source && position->partitions && ms_other_partitions(&known))
                return repartitioned(worker, &known, error);
        }
    }
    return MS_OK;
}

enum ms_status ms_assignment_topic_unknown(struct ms_worker *worker, struct ms_error *error)
{
    for (int source = 0; source < MS_SOURCES; source++) {
        const char *topic = topic_of(worker, source);
        int looks = 0;
        while (topic[0] && looks < UNKNOWN_LOOKS && count_partitions(worker, topic) == 0 &&
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
