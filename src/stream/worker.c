/* The worker's loop, and what a rebalance does to it. */
#include "stream/worker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "stream/clients.h"
#include "stream/heap.h"

#define MAX_RESTARTS_IN_A_ROW 20 /* sessions that end without a commit between them */

void ms_worker_break(struct ms_worker *worker, enum ms_status status, const struct ms_error *error)
{
    if (!worker->broken) {
        worker->broken = true;
        worker->session = status;
        worker->session_error = *error;
    }
}

static bool stopping(const struct ms_worker *worker)
{
    return atomic_load_explicit(worker->stop, memory_order_relaxed) != 0;
}

/* ---- flush and commit ---- */

/* Hears what came of the flush on its way, if there is one; waits for it where |wait|. */
static void flush_end(struct ms_worker *worker, bool wait)
{
    struct ms_error error;
    bool lost;
    if (!worker->flushing || (!wait && !ms_engine_flush_arrived(worker->engine)))
        return;
    enum ms_status status = ms_engine_flush_end(worker->engine, &lost, &error);
    if (status != MS_OK) {
        ms_worker_break(worker, status, &error);
    } else if (lost) {
        ms_fail(&error, MS_KAFKA_ABORT, "another worker has taken a partition");
        ms_worker_break(worker, MS_KAFKA_ABORT, &error);
    }
    worker->flushing = false;
    worker->flushed_s = ms_monotonic_s();
    ms_count(&worker->stats.flushes, 1);
    ms_count(&worker->stats.flush_us, (uint64_t)((worker->flushed_s - worker->flush_began_s) * 1e6));
}

static void flush_begin(struct ms_worker *worker)
{
    struct ms_error error;
    flush_end(worker, true);
    if (worker->broken || !ms_engine_dirty(worker->engine))
        return;
    worker->flush_began_s = ms_monotonic_s();
    enum ms_status status = ms_engine_flush_begin(worker->engine, &error);
    if (status != MS_OK)
        ms_worker_break(worker, status, &error);
    else
        worker->flushing = true;
}

static void commit(struct ms_worker *worker)
{
    struct ms_error error;
    if (worker->broken)
        return;
    enum ms_status status = ms_transaction_commit(worker, &error);
    if (status != MS_OK)
        ms_worker_break(worker, status, &error);
}

/* While events wait in line a flush takes CPU from catching up, and most users it would write change again
 * soon: it comes more rarely then. */
static double flush_interval_s(const struct ms_worker *worker, double now_s)
{
    double interval_s = (double)worker->config->state_flush_interval_ms / 1000;
    return ms_fetch_behind(&worker->fetch, now_s, 1) ? MS_BEHIND * interval_s : interval_s;
}

/* Commits when it is time or nothing else is to do, and flushes after a commit when that is due. */
static void commit_and_flush(struct ms_worker *worker, bool idle)
{
    double now_s = ms_monotonic_s();
    bool pending = ms_engine_pending(worker->engine);
    bool full = ms_engine_flush_due(worker->engine);
    flush_end(worker, false);
    if (pending && worker->pending_since_s <= 0)
        worker->pending_since_s = now_s;
    if (pending && (idle || full ||
                    (now_s - worker->pending_since_s) * 1000 >= (double)worker->config->commit_interval_ms)) {
        commit(worker);
        pending = false;
    }
    if (!pending &&
        (full || (!worker->flushing && now_s - worker->flushed_s >= flush_interval_s(worker, now_s))))
        flush_begin(worker);
}

/* Has the consumer stop fetching a part, or go on with it: from |folded| where records were passed over. */
static rd_kafka_resp_err_t rest_or_go_on(struct ms_worker *worker, struct ms_part *part, bool rests)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(
        list, part->profile ? worker->config->profile_topic : worker->config->input_topic, part->partition);
    rd_kafka_error_t *failure = NULL;
    rd_kafka_resp_err_t code = rests ? rd_kafka_pause_partitions(worker->consumer, list)
                                     : rd_kafka_resume_partitions(worker->consumer, list);
    if (!code && !at->err && !rests && part->passed_over) {
        at->offset = part->folded;
        failure = rd_kafka_seek_partitions(worker->consumer, list, 10000);
    }
    if (failure)
        code = rd_kafka_error_code(failure);
    else if (!code)
        code = at->err;
    rd_kafka_error_destroy(failure);
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* Lets parts rest and go on as the engine asks (profiles and clicks of a partition wait for each other).
 * |all| tells the consumer even what it should know: whether a partition that came back is still paused is
 * its own affair. */
static void pause_and_resume(struct ms_worker *worker, bool all)
{
    size_t count;
    struct ms_part *parts = ms_engine_parts(worker->engine, &count);
    for (size_t i = 0; i < count && !worker->broken; i++) {
        struct ms_part *part = &parts[i];
        bool rests = part->open && ms_engine_rests(worker->engine, part);
        if (!part->open || (!all && rests == part->paused && (rests || !part->passed_over)))
            continue;
        rd_kafka_resp_err_t code = rest_or_go_on(worker, part, rests);
        if (code) { /* passed-over records could be missed: begin anew */
            struct ms_error error;
            ms_fail(&error, MS_KAFKA_ABORT, "%s of partition %d: %s", rests ? "pause" : "resume",
                    part->partition, rd_kafka_err2str(code));
            ms_worker_break(worker, MS_KAFKA_ABORT, &error);
            return;
        }
        part->paused = rests;
        part->passed_over &= rests;
    }
}

/* ---- rebalance: called from within polls and the consumer's close ---- */

static void on_assign(struct ms_worker *worker, rd_kafka_topic_partition_list_t *partitions)
{
    struct ms_error error;
    enum ms_status status = worker->broken ? MS_KAFKA_RETRY : ms_assignment_start(worker, partitions, &error);
    if (status != MS_OK) {
        if (!worker->broken)
            ms_worker_break(worker, status, &error);
        rd_kafka_assign(worker->consumer, NULL);
        return;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(worker->consumer, partitions);
    if (!code && worker->config->profile_topic[0])
        pause_and_resume(worker, true); /* before the first record can come */
    if (code) {
        ms_fail(&error, MS_KAFKA_ABORT, "assign: %s", rd_kafka_err2str(code));
        ms_worker_break(worker, MS_KAFKA_ABORT, &error);
    }
}

/* What was polled and is not folded yet will be read again by whoever comes next. */
static void drop_batch(struct ms_worker *worker)
{
    for (size_t i = 0; i < worker->batch; i++)
        rd_kafka_message_destroy(worker->messages[i]);
    worker->batch = 0;
}

/* A transaction never outlives an assignment: committed and flushed while the partitions are still ours, else
 * dropped. */
static void on_revoke(struct ms_worker *worker)
{
    bool lost = rd_kafka_assignment_lost(worker->consumer);
    size_t count;
    drop_batch(worker);
    if (lost && worker->in_transaction) {
        struct ms_error error;
        ms_fail(&error, MS_KAFKA_ABORT, "the partitions were lost within a transaction");
        ms_worker_break(worker, MS_KAFKA_ABORT,
                        &error); /* the session's end aborts it and drops the overlay */
    }
    if (!lost) {
        commit(worker);
        flush_begin(worker);
    }
    flush_end(worker, true);
    struct ms_part *parts = ms_engine_parts(worker->engine, &count);
    for (size_t i = 0; i < count; i++)
        ms_engine_close_part(worker->engine, parts[i].partition);
    worker->pending_since_s = 0;
    ms_log(MS_LOG_INFO, "revoked", "worker=%d lost=%d", worker->number, lost);
    rd_kafka_assign(worker->consumer, NULL);
}

static void rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                      void *opaque)
{
    struct ms_worker *worker = opaque;
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assign(worker, partitions);
    else
        on_revoke(worker);
}

/* ---- reading ---- */

static bool is_profile(const struct ms_worker *worker, const rd_kafka_message_t *message)
{
    return worker->config->profile_topic[0] && message->rkt &&
           strcmp(rd_kafka_topic_name(message->rkt), worker->config->profile_topic) == 0;
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
            ms_fail(&error, MS_KAFKA,
                    "another process runs with instance.id %s (its member %s has taken over)",
                    worker->instance_id, worker->member_id);
        else
            ms_fail(&error, MS_KAFKA_ABORT, "consumer: %s", text);
        ms_worker_break(worker, error.status, &error);
        break;
    }
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        ms_fail(&error, MS_OFFSETS, "topic %s partition %d: %s",
                is_profile(worker, message) ? worker->config->profile_topic : worker->config->input_topic,
                message->partition, rd_kafka_message_errstr(message));
        ms_worker_break(worker, MS_OFFSETS, &error);
        break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        ms_fail(&error, MS_KAFKA, "consumer: %s", rd_kafka_message_errstr(message));
        ms_worker_break(worker, MS_KAFKA, &error);
        break;
    default:
        ms_log(MS_LOG_WARN, "consumer", "worker=%d error=\"%s\"", worker->number,
               rd_kafka_message_errstr(message));
    }
}

static void take_input(struct ms_worker *worker, rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    worker->inputs[worker->batch] = (struct ms_input){
        .partition = message->partition,
        .offset = message->offset,
        .time_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms,
        .key = {message->key, message->key_len},
        .value = {message->payload, message->len},
        .profile = is_profile(worker, message)};
    worker->messages[worker->batch++] = message;
    worker->batch_bytes += message->key_len + message->len;
}

/* Where a partition ended, to be told once the batch before it is folded. */
struct end {
    int32_t partition; /* -1: none */
    int64_t offset;
    bool profile;
};

/* Gathers what is there, up to a batch, waiting only for the first. Ends early at the end of a partition. */
static struct end poll_batch(struct ms_worker *worker, int wait_ms)
{
    struct end end = {.partition = -1};
    worker->batch_bytes = 0;
    while (worker->batch < MS_BATCH && !worker->broken) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(worker->consumer, worker->batch ? 0 : wait_ms);
        if (!message)
            break;
        if (!message->err) {
            take_input(worker, message);
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            end = (struct end){.partition = message->partition,
                               .offset = message->offset,
                               .profile = is_profile(worker, message)};
        else
            consumer_event(worker, message);
        rd_kafka_message_destroy(message);
        break;
    }
    ms_fetch_look(&worker->fetch, worker->batch, worker->batch_bytes, ms_monotonic_s());
    return end;
}

static void process_batch(struct ms_worker *worker, struct end end)
{
    struct ms_error error;
    double now_s = ms_monotonic_s();
    size_t count = worker->batch;
    enum ms_status status = count ? ms_engine_process(worker->engine, worker->inputs, count, &error) : MS_OK;
    if (status == MS_OK && end.partition >= 0)
        status = end.profile ? ms_engine_profile_reached(worker->engine, end.partition, end.offset, &error)
                             : ms_engine_reached(worker->engine, end.partition, end.offset, &error);
    if (status != MS_OK)
        ms_worker_break(worker, status, &error);
    drop_batch(worker);
    if (count) {
        if (worker->reads_count < MS_READS)
            worker->reads[worker->reads_count++] = (struct ms_read){.at_s = now_s, .events = count};
        else
            worker->reads[MS_READS - 1].events += count;
    }
}

/* How long the next poll may wait: a moment when a commit waits for idleness, else until the flush is due. */
static int wait_ms(struct ms_worker *worker)
{
    if (ms_engine_pending(worker->engine))
        return MS_IDLE_MS;
    if (!ms_engine_dirty(worker->engine))
        return MS_WAIT_MS;
    if (worker->flushing)
        return MS_FLUSHING_MS;
    double now_s = ms_monotonic_s();
    double left_ms = (flush_interval_s(worker, now_s) - (now_s - worker->flushed_s)) * 1000;
    return left_ms < 1 ? 1 : left_ms < MS_WAIT_MS ? (int)left_ms : MS_WAIT_MS;
}

/* The service's way: poll, fold and emit, commit, flush. */
static void loop(struct ms_worker *worker)
{
    double lag_s = 0;
    while (!worker->broken && !stopping(worker)) {
        struct end end = poll_batch(worker, wait_ms(worker));
        bool idle = worker->batch == 0 && end.partition < 0;
        process_batch(worker, end);
        if (!worker->broken)
            commit_and_flush(worker, idle);
        if (worker->config->profile_topic[0] && !worker->broken)
            pause_and_resume(worker, false);
        rd_kafka_poll(worker->producer, 0);
        double now_s = ms_monotonic_s();
        if (now_s - lag_s > 0.5) {
            lag_s = now_s;
            ms_assignment_lag(worker);
        }
    }
}

/* ---- a session ---- */

static enum ms_status open_session(struct ms_worker *worker, struct ms_error *error)
{
    const struct ms_config *config = worker->config;
    bool exactly_once = config->processing_guarantee == MS_EXACTLY_ONCE;
    struct ms_engine_options options = worker->engine_options;
    options.sink = (struct ms_sink){.context = worker, .emit = ms_transaction_emit};
    options.stats = &worker->stats;
    /* Stable over restarts: init_transactions then settles what the last run of this worker left in doubt,
     * before C is read. */
    snprintf(worker->transactional_id, sizeof worker->transactional_id, "%s-%s-%d", config->application_id,
             worker->instance_id, worker->number);
    snprintf(worker->member_id, sizeof worker->member_id, "%s-%d", worker->instance_id, worker->number);
    enum ms_status status = ms_engine_new(&worker->engine, &options, error);
    if (status == MS_OK)
        status = ms_producer_new(&worker->producer, config, worker->transactional_id,
                                 exactly_once ? worker->transactional_id : NULL,
                                 exactly_once ? NULL : ms_transaction_delivered, worker, &worker->in_flight,
                                 error);
    if (status == MS_OK && exactly_once)
        status = ms_producer_begin(worker->producer, worker->transactional_id, worker->stop, error);
    if (status == MS_OK) {
        worker->output = rd_kafka_topic_new(worker->producer, config->output_topic, NULL);
        if (config->dead_letter_topic[0])
            worker->dead_letters = rd_kafka_topic_new(worker->producer, config->dead_letter_topic, NULL);
        status = ms_consumer_new(&worker->consumer, config, worker->transactional_id,
                                 config->group_static ? worker->member_id : NULL, rebalance, worker, error);
    }
    if (status == MS_OK)
        status = ms_fetch_open(&worker->fetch, worker->consumer, error);
    if (status != MS_OK)
        return status;
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, config->input_topic, RD_KAFKA_PARTITION_UA);
    if (config->profile_topic[0])
        rd_kafka_topic_partition_list_add(topics, config->profile_topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(worker->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code ? ms_kafka_failed_code(code, error, "subscribe") : MS_OK;
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
    ms_fetch_close(&worker->fetch);
    if (worker->consumer) {
        worker->broken = true; /* the close revokes: nothing is left to commit */
        rd_kafka_consumer_close(worker->consumer);
        rd_kafka_destroy(worker->consumer);
    }
    if (worker->output)
        rd_kafka_topic_destroy(worker->output);
    if (worker->dead_letters)
        rd_kafka_topic_destroy(worker->dead_letters);
    if (worker->producer) {
        rd_kafka_purge(worker->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(worker->producer);
    }
    ms_engine_destroy(worker->engine);
    worker->consumer = worker->producer = NULL;
    worker->output = worker->dead_letters = NULL;
    worker->engine = NULL;
    worker->in_transaction = false;
}

/* From clients made to clients closed. MS_OK when it was asked to stop and has committed and flushed. */
static enum ms_status session(struct ms_worker *worker, struct ms_error *error)
{
    worker->broken = false;
    worker->session = MS_OK;
    worker->pending_since_s = 0;
    worker->flushing = false;
    worker->flushed_s = ms_monotonic_s();
    worker->reads_count = 0;
    atomic_store(&worker->delivery_failures, 0);
    enum ms_status status = open_session(worker, error);
    if (status != MS_OK) {
        close_session(worker);
        return status;
    }
    loop(worker);
    commit(worker);
    flush_begin(worker);
    flush_end(worker, true);
    status = worker->session;
    if (status != MS_OK)
        *error = worker->session_error;
    close_session(worker);
    return status;
}

void *ms_worker_main(void *context)
{
    struct ms_worker *worker = context;
    struct ms_error error = {0};
    enum ms_status status = MS_OK;
    int in_a_row = 0;
    ms_heap_own();
    while (!stopping(worker)) {
        uint64_t commits = ms_counted(&worker->stats.commits);
        status = session(worker, &error);
        if (status == MS_OK ||
            (ms_status_action(status) != MS_ACTION_ABORT && ms_status_action(status) != MS_ACTION_RETRY))
            break;
        if (stopping(worker) && ms_status_action(status) == MS_ACTION_RETRY) {
            status = MS_OK; /* asked to stop while waiting: there was nothing to lose */
            break;
        }
        in_a_row = ms_counted(&worker->stats.commits) == commits ? in_a_row + 1 : 0;
        if (in_a_row >= MAX_RESTARTS_IN_A_ROW) {
            status = ms_fail_in(&error, MS_KAFKA, "gave up after %d tries in a row", in_a_row);
            break;
        }
        ms_count(&worker->stats.restarts, 1);
        ms_log(MS_LOG_WARN, "restart", "worker=%d try=%d reason=\"%s\"", worker->number, in_a_row + 1,
               error.text);
        for (int i = 0; i < (in_a_row < 10 ? in_a_row + 1 : 10) * 2 && !stopping(worker); i++)
            usleep(100000);
        status = MS_OK;
    }
    worker->status = status;
    worker->error = error;
    atomic_store(&worker->done, true);
    return NULL;
}
