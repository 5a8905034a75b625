/* The worker's loop, and what a rebalance does to it. */
#include "stream/kafka/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/access.h"
#include "stream/kafka/client_context.h"
#include "stream/kafka/observe.h"
#include "stream/kafka/thread_arena.h"
#include "stream/restart.h"
#include "stream/source.h"

#define TOLD_MS    50 /* that a refused record may be told of late */
#define TOLD_TRIES 40

#define NOT_SOUGHT_S 10   /* that the client may need until a partition it was assigned can be sought */
#define REPORT_S     0.25 /* between two looks at where the partitions stand */
#define ASKED_MS     10   /* the longest wait for records while an answer may come */

#define REPLACED_AGAIN_S 60 /* within which a member that is replaced twice has a rival */

static bool stopping(const struct ms_worker *worker)
{
    return atomic_load_explicit(worker->stop, memory_order_relaxed) != 0;
}

/* Whether its clients are to be made anew: certificates have changed. */
static bool outdated(const struct ms_worker *worker)
{
    return atomic_load_explicit(worker->renewals, memory_order_relaxed) != worker->renewal;
}

/* Whether more records wait than are taken at once. */
static bool lagging(const struct ms_worker *worker)
{
    return ms_consumer_queue_lags(&worker->queue, ms_monotonic_s(), 1);
}

/* ---- sources that wait for others ---- */

/* Makes the consumer stop fetching a source of a partition, or go on with it. Where records were passed over, or
 * nothing was read yet, it goes on at the next offset to fold. */
static rd_kafka_resp_err_t pause_or_resume(struct ms_worker *worker, const struct ms_position *position,
                                           bool waits)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(
        list, ms_source_topic(position->source, worker->config), position->partition);
    rd_kafka_resp_err_t code = 0;
    if (!waits && position->passed_over) { /* before it is resumed: nothing is fetched from elsewhere */
        at->offset = position->next;
        rd_kafka_error_t *failure = rd_kafka_seek_partitions(
            worker->consumer, list, ms_kafka_seek_timeout(rd_kafka_version(), 10000));
        code = failure ? rd_kafka_error_code(failure) : at->err;
        rd_kafka_error_destroy(failure);
    }
    if (!code)
        code = waits ? rd_kafka_pause_partitions(worker->consumer, list)
                     : rd_kafka_resume_partitions(worker->consumer, list);
    if (!code)
        code = at->err;
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* Whether there is more than one source, so that one may wait for another. */
static bool several_sources(const struct ms_worker *worker)
{
    int used = 0;
    for (int source = 0; source < MS_SOURCES; source++)
        used += ms_source_topic(source, worker->config)[0] != '\0';
    return used > 1;
}

/* The client may need a moment after an assignment until a partition can be sought. Whether it has had it. */
static bool takes_too_long(struct ms_worker *worker, rd_kafka_resp_err_t code)
{
    double now_s = ms_monotonic_s();
    if (code != RD_KAFKA_RESP_ERR__STATE && code != RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS)
        return true;
    if (worker->not_sought_s == 0)
        worker->not_sought_s = now_s;
    return now_s - worker->not_sought_s > NOT_SOUGHT_S;
}

/* Pauses the sources that have to wait for others, and resumes those that no longer have to, or that have just
 * been opened. */
static void pause_and_resume(struct ms_worker *worker)
{
    struct ms_position *position;
    struct ms_session *session = &worker->session;
    const struct ms_positions *positions = ms_engine_positions(session->engine);
    bool sought = true;
    for (size_t cursor = 0; !session->broken && (position = ms_positions_next(positions, &cursor));) {
        bool waits = ms_engine_waits(session->engine, position);
        if (waits == position->paused && (waits || !position->passed_over))
            continue;
        rd_kafka_resp_err_t code = pause_or_resume(worker, position, waits);
        if (code && !takes_too_long(worker, code)) {
            sought = false;
            continue;
        }
        if (code) { /* passed-over records could be missed: begin anew */
            struct ms_error error;
            ms_fail(&error, MS_KAFKA_ABORT, "%s of partition %d: %s", waits ? "pause" : "resume",
                    position->partition, rd_kafka_err2str(code));
            ms_session_break(session, MS_KAFKA_ABORT, &error);
            return;
        }
        position->paused = waits;
        position->passed_over &= waits;
    }
    if (sought)
        worker->not_sought_s = 0;
}

/* ---- rebalance: called from within polls and the consumer's close ---- */

/* Assigns everything paused, at an offset that says nothing: nothing is fetched, and the client asks nobody, until
 * a partition is opened. It has to know the partitions (rd_kafka_position makes it so) before it can pause them,
 * and a version may forget a pause when it assigns. */
static rd_kafka_resp_err_t assign_paused(struct ms_worker *worker,
                                         rd_kafka_topic_partition_list_t *partitions)
{
    (void)rd_kafka_position(worker->consumer, partitions);
    (void)rd_kafka_pause_partitions(worker->consumer, partitions);
    for (int i = 0; i < partitions->cnt; i++) {
        partitions->elems[i].offset = 0;
        partitions->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(worker->consumer, partitions);
    return code ? code : rd_kafka_pause_partitions(worker->consumer, partitions);
}

/* Says how many partitions are open, for others to read. */
static void tell_standing(struct ms_worker *worker)
{
    const struct ms_openings *openings = &worker->openings;
    uint32_t replaying = 0;
    for (size_t i = 0; openings->moving > 0 && i < openings->count; i++)
        replaying += openings->list[i].state == MS_PARTITION_REPLAYING;
    atomic_store_explicit(&worker->partitions, (uint32_t)openings->count, memory_order_relaxed);
    atomic_store_explicit(&worker->unopened, (uint32_t)openings->moving - replaying, memory_order_relaxed);
    atomic_store_explicit(&worker->replaying, replaying, memory_order_relaxed);
}

static void on_assign(struct ms_worker *worker, rd_kafka_topic_partition_list_t *partitions)
{
    struct ms_error error;
    enum ms_status status = worker->session.broken ? MS_KAFKA_RETRY
                                                   : ms_assignment_start(worker, partitions, &error);
    if (status != MS_OK) {
        if (!worker->session.broken)
            ms_session_break(&worker->session, status, &error);
        rd_kafka_assign(worker->consumer, NULL);
        return;
    }
    ms_report_assigned(worker);
    rd_kafka_resp_err_t code = assign_paused(worker, partitions);
    if (code) {
        ms_fail(&error, MS_KAFKA_ABORT, "assign: %s", rd_kafka_err2str(code));
        ms_session_break(&worker->session, MS_KAFKA_ABORT, &error);
    }
    tell_standing(worker);
    atomic_store(&worker->assigned, true);
}

/* What was polled and is not folded yet will be read again by whoever comes next. */
static void drop_batch(struct ms_worker *worker)
{
    for (size_t i = 0; i < worker->batch; i++)
        rd_kafka_message_destroy(worker->messages[i]);
    worker->batch = 0;
}

static void on_revoke(struct ms_worker *worker)
{
    bool lost = rd_kafka_assignment_lost(worker->consumer);
    drop_batch(worker);
    if (lost && worker->in_transaction) { /* the session's end aborts it and drops the overlay */
        struct ms_error error;
        ms_fail(&error, MS_KAFKA_ABORT, "the partitions were lost within a transaction");
        ms_session_break(&worker->session, MS_KAFKA_ABORT, &error);
    }
    ms_assignment_revoke(worker);
    atomic_store(&worker->assigned, false);
    tell_standing(worker);
    ms_session_release(&worker->session, lost);
    ms_report_clear(worker);
    ms_log(MS_LOG_INFO, "revoked", "worker=%d lost=%d", worker->number, lost);
    rd_kafka_assign(worker->consumer, NULL);
}

static void rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                      void *opaque)
{
    struct ms_worker *worker = ms_client_owner(opaque);
    bool was_shut = ms_gate_shut(&worker->gate);
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assign(worker, partitions);
    else
        on_revoke(worker);
    if (!was_shut)
        ms_gate_open(&worker->gate);
}

/* ---- reading ---- */

static int source_of(const struct ms_worker *worker, const rd_kafka_message_t *message)
{
    return message->rkt ? ms_source_of_topic(rd_kafka_topic_name(message->rkt), worker->config) : 0;
}

/* The group has given this member's place to another with the same group.instance.id. That may have been this one itself: where
 * the coordinator moves, the answer to a join can be lost, and the join that follows replaces the one before. A new session
 * tells: where another process has the name, the place is soon taken again. */
static void member_replaced(struct ms_worker *worker, struct ms_error *error)
{
    double now_s = ms_monotonic_s();
    bool again = worker->replaced_s > 0 && now_s - worker->replaced_s < REPLACED_AGAIN_S;
    worker->replaced_s = now_s;
    if (again)
        ms_fail(error, MS_KAFKA_REFUSED,
                "another process runs with instance.id %s (its member %s has taken over)",
                worker->instance_id, worker->member_id);
    else
        ms_fail(error, MS_KAFKA_ABORT,
                "the group has given the place of member %s to another join: its own, or that of another "
                "process with instance.id %s",
                worker->member_id, worker->instance_id);
}

/* A message that is no record: the end of a partition, or an error of the consumer. */
static void consumer_event(struct ms_worker *worker, const rd_kafka_message_t *message)
{
    struct ms_error error;
    char text[512];
    switch ((int)message->err) {
    case RD_KAFKA_RESP_ERR__FATAL: {
        rd_kafka_resp_err_t code = rd_kafka_fatal_error(worker->consumer, text, sizeof text);
        if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
            member_replaced(worker, &error);
        else
            ms_fail(&error, MS_KAFKA_ABORT, "consumer: %s", text);
        ms_session_break(&worker->session, error.status, &error);
        break;
    }
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        worker->out_of_range = (struct ms_end){
            .source = source_of(worker, message), .partition = message->partition, .offset = message->offset};
        break;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        worker->topic_unknown = true;
        break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        ms_fail(&error, MS_KAFKA_REFUSED, "consumer: %s", rd_kafka_message_errstr(message));
        ms_access_missing(&error, MS_KAFKA_REFUSED, message->err, worker->config, "READ",
                          message->rkt ? rd_kafka_topic_name(message->rkt) : worker->config->input_topic);
        ms_session_break(&worker->session, MS_KAFKA_REFUSED, &error);
        break;
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: /* it waits, which is told */
        break;
    default:
        ms_log(MS_LOG_WARN, "consumer", "worker=%d error=\"%s\"", worker->number,
               rd_kafka_message_errstr(message));
    }
}

static void add_to_batch(struct ms_worker *worker, rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    worker->inputs[worker->batch] = (struct ms_input){
        .source = source_of(worker, message),
        .partition = message->partition,
        .offset = message->offset,
        .time_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms,
        .key = {message->key, message->key_len},
        .value = {message->payload, message->len},
        .message = message};
    worker->messages[worker->batch++] = message;
    worker->batch_bytes += message->key_len + message->len;
}

/* Gathers what is there, up to a batch, waiting only for the first. Ends early at the end of a partition. */
static struct ms_end poll_batch(struct ms_worker *worker, int wait_ms)
{
    struct ms_end end = {.partition = -1};
    worker->batch_bytes = 0;
    ms_gate_open(&worker->gate);
    while (worker->batch < MS_BATCH && !worker->session.broken) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(worker->consumer, worker->batch ? 0 : wait_ms);
        if (!message)
            break;
        if (!message->err) {
            add_to_batch(worker, message);
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            end = (struct ms_end){.source = source_of(worker, message),
                                  .partition = message->partition,
                                  .offset = message->offset};
        else
            consumer_event(worker, message);
        rd_kafka_message_destroy(message);
        break;
    }
    ms_gate_shut(&worker->gate);
    ms_consumer_queue_watch(&worker->queue, worker->batch, worker->batch_bytes, ms_monotonic_s());
    return end;
}

/* Ends the session where the log does not have what comes next. What is folded is committed and written
 * before: it is not in the log any more either. */
static void leave_range(struct ms_worker *worker)
{
    struct ms_error error;
    struct ms_session *session = &worker->session;
    struct ms_end at = worker->out_of_range;
    worker->out_of_range.partition = -1;
    ms_session_commit(session);
    ms_session_flush_now(session);
    if (session->broken)
        return;
    enum ms_status status = ms_assignment_out_of_range(worker, at.source, at.partition, &error);
    if (status != MS_OK)
        ms_session_break(session, status, &error);
}

/* Ends the session where a topic was deleted. Nothing is committed: the offset could be one of a new topic of
 * the same name, whose first records would then be skipped. */
static void leave_topic(struct ms_worker *worker)
{
    struct ms_error error;
    worker->topic_unknown = false;
    ms_session_break(&worker->session, ms_assignment_topic_unknown(worker, &error), &error);
}

/* Ends the session where a topic has more partitions than before. Nothing is committed: what came since may be of users
 * that have moved. */
static void look_at_partitions(struct ms_worker *worker)
{
    struct ms_error error;
    worker->partitions_changed = false;
    enum ms_status status = ms_assignment_partitions(worker, &error);
    if (status != MS_OK)
        ms_session_break(&worker->session, status, &error);
}

/* How long the next poll may wait. */
static int wait_ms(const struct ms_worker *worker)
{
    int wait_ms = ms_session_wait_ms(&worker->session, lagging(worker));
    return ms_openings_asked(&worker->openings) && wait_ms > ASKED_MS ? ASKED_MS : wait_ms;
}

/* Takes over settings that have changed, between two transactions. */
static void take_changes(struct ms_worker *worker)
{
    struct ms_changes *changes = worker->changes;
    uint32_t number = atomic_load_explicit(&changes->number, memory_order_relaxed);
    if (number == worker->changes_seen || ms_engine_pending(worker->session.engine))
        return;
    pthread_mutex_lock(&changes->lock);
    ms_config_reload(&worker->own, &changes->config);
    worker->engine_options.memory_bytes = changes->memory_bytes;
    worker->changes_seen = number;
    pthread_mutex_unlock(&changes->lock);
    ms_session_reload(&worker->session, &worker->own, worker->engine_options.memory_bytes);
    ms_log(MS_LOG_DEBUG, "settings_taken", "worker=%d", worker->number);
}

/* Poll, fold and publish, commit and flush when due, until asked to stop, broken, or with outdated clients. */
static void loop(struct ms_worker *worker)
{
    double lag_s = 0;
    struct ms_session *session = &worker->session;
    bool several = several_sources(worker);
    atomic_store(&worker->turned_ms, (int64_t)(ms_monotonic_s() * 1000));
    atomic_store(&worker->phase, MS_WORKER_TURNING);
    ms_gate_shut(&worker->gate);
    ms_gate_engine(&worker->gate, session->engine);
    while (!session->broken && !stopping(worker) && !outdated(worker)) {
        ms_worker_turns(worker);
        struct ms_end end = poll_batch(worker, wait_ms(worker));
        bool idle = worker->batch == 0 && end.partition < 0;
        ms_session_process(session, worker->inputs, worker->batch, end);
        drop_batch(worker);
        if (!session->broken && worker->topic_unknown)
            leave_topic(worker);
        if (!session->broken && worker->partitions_changed)
            look_at_partitions(worker);
        if (!session->broken && worker->out_of_range.partition >= 0)
            leave_range(worker);
        bool owes = ms_engine_positions(session->engine)->debts > 0;
        if (!session->broken)
            ms_session_maintain(session, idle, lagging(worker));
        if (!session->broken)
            take_changes(worker);
        bool moving = worker->openings.moving > 0;
        if (moving && !session->broken) {
            ms_assignment_step(worker);
            tell_standing(worker);
        }
        if ((several || moving || owes || worker->not_sought_s > 0) && !session->broken)
            pause_and_resume(worker);
        rd_kafka_poll(worker->producer, 0);
        double now_s = ms_monotonic_s();
        atomic_store_explicit(&worker->turned_ms, (int64_t)(now_s * 1000), memory_order_relaxed);
        if (now_s - lag_s > REPORT_S || moving) {
            lag_s = now_s;
            ms_report_write(worker);
            if (!session->broken)
                ms_assignment_look(worker);
        }
    }
}

/* ---- a session ---- */

static enum ms_status subscribe(struct ms_worker *worker, struct ms_error *error)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(MS_SOURCES);
    for (int source = 0; source < MS_SOURCES; source++) {
        const char *topic = ms_source_topic(source, worker->config);
        if (topic[0])
            rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(worker->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code ? ms_kafka_failed_code(code, error, "subscribe") : MS_OK;
}

/* The client tells of brokers that it cannot reach in its log alone. A callback of its threads. */
static void client_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct ms_worker *worker = ms_client_owner(rd_kafka_opaque(rk));
    ms_client_said(rk, facility, text);
    if (strcmp(facility, "ERROR") == 0 || strcmp(facility, "FAIL") == 0) {
        char reason[sizeof worker->brokers.reason];
        ms_client_reason(rk, RD_KAFKA_RESP_ERR__TRANSPORT, reason, sizeof reason);
        ms_broker_watch_failed(&worker->brokers, reason);
    }
    if (strcmp(facility, "PARTCNT") == 0) /* 2.0.2 tells of it nowhere else */
        atomic_store(strstr(text, " to 0") ? &worker->topic_unknown : &worker->partitions_changed, true);
    ms_kafka_log(rk, level, facility, text);
}

static int take_statistics(rd_kafka_t *rk, char *text, size_t size, void *opaque)
{
    struct ms_worker *worker = ms_client_owner(opaque);
    (void)size;
    char *before = ms_report_statistics(
        &worker->report, rd_kafka_type(rk) == RD_KAFKA_CONSUMER ? MS_CLIENT_CONSUMER : MS_CLIENT_PRODUCER,
        text);
    if (before)
        rd_kafka_mem_free(NULL, before);
    return 1;
}

static enum ms_status open_session(struct ms_worker *worker, struct ms_error *error)
{
    const struct ms_config *config = worker->config;
    bool exactly_once = config->processing_guarantee == MS_EXACTLY_ONCE;
    const struct ms_consumer_callbacks callbacks = {.rebalance = rebalance,
                                                    .log = client_log,
                                                    .watch = &worker->brokers,
                                                    .statistics = take_statistics,
                                                    .opaque = worker};
    struct ms_engine_options options = worker->engine_options;
    options.sink = (struct ms_sink){.context = worker, .emit = ms_transaction_emit};
    options.stats = &worker->stats;
    /* Stable over restarts: init_transactions then settles what the last run of this worker left in doubt,
     * before C is read. */
    snprintf(worker->transactional_id, sizeof worker->transactional_id, "%s-%s-%d", config->application_id,
             worker->instance_id, worker->number);
    snprintf(worker->member_id, sizeof worker->member_id, "%s-%d", worker->instance_id, worker->number);
    enum ms_status status = ms_engine_new(&worker->session.engine, &options, error);
    if (status == MS_OK)
        status = ms_producer_new(&worker->producer, config, worker->transactional_id,
                                 exactly_once ? worker->transactional_id : NULL, ms_transaction_delivered,
                                 worker, &worker->in_flight, take_statistics, worker->limits.batch_bytes,
                                 error);
    if (status == MS_OK && exactly_once)
        status = ms_producer_begin(worker->producer, config, worker->transactional_id, worker->stop,
                                   &worker->turns, error);
    if (status == MS_OK) {
        worker->output = rd_kafka_topic_new(worker->producer, config->output_topic, NULL);
        if (config->dead_letter_topic[0])
            worker->dead_letters = rd_kafka_topic_new(worker->producer, config->dead_letter_topic, NULL);
        status = ms_consumer_new(&worker->consumer, config, worker->transactional_id,
                                 config->group_static ? worker->member_id : NULL, &callbacks, error);
    }
    if (status == MS_OK)
        status = ms_consumer_queue_open(&worker->queue, worker->consumer, error);
    if (status == MS_OK)
        status = ms_asker_new(&worker->asker, worker->consumer, config, worker->logs, error);
    if (status != MS_OK)
        return status;
    return subscribe(worker, error);
}

static void close_session(struct ms_worker *worker)
{
    drop_batch(worker);
    if (worker->in_transaction && worker->producer) { /* broken: what it carried must never be seen */
        rd_kafka_error_t *failure = rd_kafka_abort_transaction(worker->producer, 5000);
        if (failure) {
            ms_log(MS_LOG_DEBUG, "abort", "worker=%d error=\"%s\"", worker->number,
                   rd_kafka_error_string(failure));
            rd_kafka_error_destroy(failure);
        }
    }
    ms_gate_shut(&worker->gate);
    ms_gate_engine(&worker->gate, NULL);
    ms_gate_open(&worker->gate);
    ms_asker_destroy(worker->asker);
    worker->asker = NULL;
    ms_consumer_queue_close(&worker->queue);
    if (worker->consumer) {
        worker->session.broken = true; /* the close revokes: nothing is left to commit */
        rd_kafka_consumer_close(worker->consumer);
        ms_client_destroy(worker->consumer);
    }
    if (worker->output)
        rd_kafka_topic_destroy(worker->output);
    if (worker->dead_letters)
        rd_kafka_topic_destroy(worker->dead_letters);
    if (worker->producer) {
        rd_kafka_purge(worker->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        ms_client_destroy(worker->producer);
    }
    ms_report_clear(worker);
    ms_openings_free(&worker->openings);
    ms_engine_destroy(worker->session.engine);
    worker->consumer = worker->producer = NULL;
    worker->output = worker->dead_letters = NULL;
    worker->denied = NULL;
    worker->session.engine = NULL;
    worker->in_transaction = false;
}

/* Closes a session that ended with |status|. How the worker ends is told before, because the client (2.0.2) may never
 * return from its close once a topic was deleted: as the session did where none follows, else with that. */
static void close_and_tell(struct ms_worker *worker, enum ms_status status, const struct ms_error *error)
{
    bool last = stopping(worker) || ms_status_action(status) == MS_ACTION_STOP;
    worker->status = status;
    if (status != MS_OK)
        worker->error = *error;
    if (!last)
        worker->status = ms_fail_in(&worker->error, MS_KAFKA,
                                    "a Kafka client did not close, so no other session could begin");
    atomic_store(&worker->phase, MS_WORKER_CLOSING);
    atomic_store(last ? &worker->closing_ms : &worker->renewing_ms, (int64_t)(ms_monotonic_s() * 1000) + 1);
    close_session(worker);
    atomic_store(&worker->assigned, false);
    atomic_store(&worker->renewing_ms, 0);
}

/* Where a topic has refused a record, the next session sends what it takes. */
static void learn(struct ms_worker *worker, enum ms_status *status, struct ms_error *error)
{
    if (*status == MS_OK)
        return;
    /* The call that fails may come back before the record is told of. */
    int tries = *status == MS_KAFKA_REFUSED ? TOLD_TRIES : 1;
    while (tries-- > 0 && !ms_limits_refusal(&worker->limits))
        rd_kafka_poll(worker->producer, TOLD_MS);
    if (ms_limits_learn(&worker->limits, worker->config)) {
        worker->learned = true;
        if (*status == MS_KAFKA_REFUSED)
            *status = ms_fail_in(error, MS_KAFKA_ABORT, "a topic has refused a record");
    }
}

/* From clients made to clients closed. MS_OK when it was asked to stop, or its clients are outdated, and it has committed and
 * flushed. */
static enum ms_status run_session(struct ms_worker *worker, struct ms_error *error)
{
    struct ms_session *session = &worker->session;
    ms_session_begin(session, worker->config, &worker->stats,
                     (struct ms_committer){.context = worker, .commit = ms_transaction_commit});
    atomic_store(&worker->phase, MS_WORKER_STARTING);
    atomic_store(&worker->delivery_failures, 0);
    worker->learned = false;
    worker->renewal = atomic_load(worker->renewals);
    worker->out_of_range.partition = -1;
    worker->not_sought_s = 0;
    worker->topic_unknown = worker->partitions_changed = false;
    enum ms_status status = open_session(worker, error);
    worker->opened |= status == MS_OK;
    if (status == MS_CONFIG && worker->opened) /* files with certificates are being exchanged */
        status = ms_fail_in(error, MS_KAFKA_ABORT, "the settings have worked before");
    if (status != MS_OK) {
        close_and_tell(worker, status, error);
        return status;
    }
    loop(worker);
    ms_session_commit_all(session);
    ms_session_flush_now(session);
    status = session->status;
    if (status != MS_OK)
        *error = session->error;
    learn(worker, &status, error);
    close_and_tell(worker, status, error);
    return status;
}

/* As top -H and ps -L show it. */
static void name_thread(const struct ms_worker *worker)
{
    char name[16];
    snprintf(name, sizeof name, "worker-%d", worker->number);
    pthread_setname_np(pthread_self(), name);
}

void *ms_worker_main(void *context)
{
    struct ms_worker *worker = context;
    struct ms_error error = {0};
    struct ms_restarts restarts = {0};
    enum ms_status status = MS_OK;
    ms_thread_arena_own();
    name_thread(worker);
    while (!stopping(worker)) {
        uint64_t commits = ms_counted(&worker->stats.commits);
        status = run_session(worker, &error);
        if (status == MS_OK && !stopping(worker)) {
            ms_log(MS_LOG_INFO, "clients_renewed", "worker=%d", worker->number);
            continue;
        }
        bool committed = ms_counted(&worker->stats.commits) != commits || worker->learned;
        if (!ms_restart_follows(&restarts, &status, &error, committed, stopping(worker)))
            break;
        ms_count(&worker->stats.restarts, 1);
        ms_log(MS_LOG_WARN, "restart", "worker=%d try=%d reason=\"%s\"", worker->number,
               restarts.in_a_row + 1, error.text);
        for (int left_ms = ms_restart_pause_ms(&restarts); left_ms > 0 && !stopping(worker); left_ms -= 100) {
            ms_worker_turns(worker);
            usleep(100000);
        }
        status = MS_OK;
    }
    worker->status = status;
    worker->error = error;
    atomic_store(&worker->done, true);
    return NULL;
}
