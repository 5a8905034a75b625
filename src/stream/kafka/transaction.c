/* Publishing and committing.
 *
 * exactly_once: records, dead letters and offsets are one transaction. A position for which something was
 * emitted is marked, so that the transaction carries its offset even where that has not moved: the broker
 * checks group membership only for transactions with offsets. Every send asks for the group's metadata
 * again, because the generation changes. at_least_once: first all records are delivered, then offsets are
 * committed. */
#include "stream/kafka/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/progress.h"
#include "stream/kafka/client_context.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/observe.h"
#include "stream/kafka/owner.h"
#include "stream/source.h"

#define COMMIT_SLICE_MS                                                                                      \
    1000 /* a commit that takes longer is resumed: the client (2.0.2) would wait for a silent coordinator without end */
#define LAST_COMMIT_S 20 /* of a service that was asked to stop */
#define SEND_OFFSETS  "send_offsets_to_transaction"
#define MOST_WAIT_MS  500 /* for batches on their way before a commit flushes whatever is left */

/* ms_kafka_failed_access. A record that was refused tells of which topic; without one it may be either that is written to. */
static enum ms_status failed(struct ms_worker *worker, rd_kafka_error_t *failure, struct ms_error *error,
                             const char *what)
{
    char written[600];
    const struct ms_config *config = worker->config;
    rd_kafka_poll(worker->producer, 0);
    bool reads = strcmp(what, SEND_OFFSETS) == 0 &&
                 !strstr(rd_kafka_error_string(failure), "add partition(s)");
    snprintf(written, sizeof written, "%s%s%s", config->output_topic,
             worker->dead_in_transaction ? "\" or topic \"" : "",
             worker->dead_in_transaction ? config->dead_letter_topic : "");
    const char *topic = worker->denied ? worker->denied : reads ? config->input_topic : written;
    return ms_kafka_failed_access(failure, error, what, config, reads && !worker->denied ? "READ" : "WRITE",
                                  topic);
}

/* ---- emitting ---- */

static enum ms_status begin(struct ms_worker *worker, struct ms_error *error)
{
    if (worker->in_transaction || worker->config->processing_guarantee != MS_EXACTLY_ONCE)
        return MS_OK;
    ms_in_flight_reset(&worker->in_flight);
    rd_kafka_error_t *failure = rd_kafka_begin_transaction(worker->producer);
    if (failure)
        return failed(worker, failure, error, "begin_transaction");
    worker->in_transaction = true;
    worker->dead_in_transaction = false;
    return MS_OK;
}

static size_t put_decimal(char *out, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    return n;
}

static enum ms_status emit_record(struct ms_worker *worker, const struct ms_output *output,
                                  struct ms_error *error)
{
    char version[20];
    const char *model = ms_model_config(worker->engine_options.model)->id;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    rd_kafka_header_add(headers, "mindstream-version", 18, version,
                        (ssize_t)put_decimal(version, output->version));
    rd_kafka_header_add(headers, "mindstream-model", 16, model, (ssize_t)strlen(model));
    return ms_produce(worker, worker->output, output->key, output->value, 0, headers, error);
}

enum ms_status ms_transaction_emit(void *context, const struct ms_output *output, struct ms_error *error)
{
    struct ms_worker *worker = context;
    enum ms_status status = begin(worker, error);
    if (status != MS_OK)
        return status;
    worker->dead_in_transaction |= output->kind != MS_OUTPUT_RECORD;
    return output->kind == MS_OUTPUT_RECORD ? emit_record(worker, output, error)
                                            : ms_dead_letters_emit(worker, output, error);
}

void ms_transaction_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct ms_worker *worker = ms_client_owner(opaque);
    (void)rk;
    if (message->err) {
        atomic_fetch_add(&worker->delivery_failures, 1);
        if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            worker->denied = strcmp(rd_kafka_topic_name(message->rkt), worker->config->dead_letter_topic) == 0
                                 ? worker->config->dead_letter_topic
                                 : worker->config->output_topic;
        ms_limits_refused(&worker->limits, worker->config, message);
        bool dropped = message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                       message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
        ms_log(dropped ? MS_LOG_DEBUG : MS_LOG_WARN, "not_delivered", "topic=%s error=\"%s\"",
               rd_kafka_topic_name(message->rkt), rd_kafka_err2str(message->err));
    }
}

/* ---- offsets ---- */

/* Puts where this instance answers over HTTP behind the note, where there is room: other instances send clients there (owner.h). */
static size_t announce(char note[MS_NOTE_BYTES], size_t size, const char *url)
{
    size_t more = url && url[0] ? strlen(MS_OWNER_NOTE) + strlen(url) : 0;
    if (more == 0 || size + more >= MS_NOTE_BYTES)
        return size;
    snprintf(note + size, MS_NOTE_BYTES - size, "%s%s", MS_OWNER_NOTE, url);
    return size + more;
}

/* The offsets that this commit carries, each with its note. */
static rd_kafka_topic_partition_list_t *offsets_to_send(struct ms_worker *worker)
{
    const struct ms_engine *engine = worker->session.engine;
    const struct ms_position *position;
    const struct ms_positions *positions = ms_engine_positions(worker->session.engine);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)positions->count);
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        char note[MS_NOTE_BYTES];
        if (!ms_position_to_send(position))
            continue;
        rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(
            list, ms_source_topic(position->source, worker->config), position->partition);
        at->offset = position->next;
        at->metadata_size = announce(note, ms_engine_note(engine, position, note),
                                     worker->config->http_advertise);
        at->metadata = strdup(note); /* the list frees it */
    }
    return list;
}

/* When a commit that begins now is given up: the coordinator aborts a transaction after this time. */
static double commit_deadline_s(const struct ms_worker *worker)
{
    char text[32] = "";
    size_t size = sizeof text;
    rd_kafka_conf_res_t known = rd_kafka_conf_get(rd_kafka_conf(worker->producer), "transaction.timeout.ms",
                                                  text, &size);
    return ms_monotonic_s() + (known == RD_KAFKA_CONF_OK ? atof(text) / 1e3 : 60.0);
}

/* Whether the same call may do it yet. */
static bool may_resume(const rd_kafka_error_t *failure)
{
    return rd_kafka_error_is_retriable(failure) && !rd_kafka_error_txn_requires_abort(failure) &&
           !rd_kafka_error_is_fatal(failure);
}

/* Whether the same call may be made again. */
static bool goes_on(const struct ms_worker *worker, const rd_kafka_error_t *failure, double deadline_s)
{
    return may_resume(failure) && !atomic_load(worker->stop) && ms_monotonic_s() < deadline_s;
}

static enum ms_status send_offsets(struct ms_worker *worker, const rd_kafka_topic_partition_list_t *offsets,
                                   double deadline_s, struct ms_error *error)
{
    for (;;) {
        rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(worker->consumer);
        if (!group)
            return ms_fail(error, MS_KAFKA_ABORT, "the consumer is not a member of its group");
        rd_kafka_error_t *failure = rd_kafka_send_offsets_to_transaction(worker->producer, offsets, group,
                                                                         10000);
        rd_kafka_consumer_group_metadata_destroy(group);
        if (!failure)
            return MS_OK;
        if (!goes_on(worker, failure, deadline_s))
            return failed(worker, failure, error, SEND_OFFSETS);
        ms_log(MS_LOG_DEBUG, "retry", "call=send_offsets_to_transaction error=\"%s\"",
               rd_kafka_error_string(failure));
        rd_kafka_error_destroy(failure);
        ms_worker_turns(worker);
        rd_kafka_poll(worker->producer, 50);
    }
}

/* Whether the worker was asked to stop longer ago than a last commit may take; *stop_s is when that was first seen, 0: not yet. */
static bool stopped_for_long(const struct ms_worker *worker, double *stop_s)
{
    if (*stop_s == 0 && atomic_load(worker->stop))
        *stop_s = ms_monotonic_s();
    return *stop_s != 0 && ms_monotonic_s() - *stop_s > LAST_COMMIT_S;
}

static enum ms_status commit_exactly_once(struct ms_worker *worker,
                                          const rd_kafka_topic_partition_list_t *offsets,
                                          struct ms_error *error)
{
    enum ms_status status = begin(worker, error);
    double deadline_s = commit_deadline_s(worker);
    if (status == MS_OK)
        status = send_offsets(worker, offsets, deadline_s, error);
    if (status == MS_OK)
        ms_in_flight_wait(&worker->in_flight, MOST_WAIT_MS);
    double stop_s = 0;
    while (status == MS_OK) {
        rd_kafka_error_t *failure = rd_kafka_commit_transaction(worker->producer, COMMIT_SLICE_MS);
        if (!failure)
            break;
        if (!may_resume(failure) || ms_monotonic_s() >= deadline_s || stopped_for_long(worker, &stop_s))
            return failed(worker, failure, error, "commit_transaction");
        rd_kafka_error_destroy(failure); /* the same call resumes */
        ms_worker_turns(worker);
        rd_kafka_poll(worker->producer, 50);
    }
    if (status == MS_OK)
        worker->in_transaction = false;
    return status;
}

/* What became of a commit: 0 when every partition was taken. */
static void commit_done(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *offsets,
                        void *opaque)
{
    rd_kafka_resp_err_t *first = opaque;
    (void)rk;
    *first = code;
    for (int i = 0; offsets && !*first && i < offsets->cnt; i++)
        *first = offsets->elems[i].err;
}

/* rd_kafka_commit would succeed where only some partitions were taken. */
static enum ms_status commit_offsets(struct ms_worker *worker, const rd_kafka_topic_partition_list_t *offsets,
                                     struct ms_error *error)
{
    rd_kafka_resp_err_t outcome = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(worker->consumer);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(worker->consumer, offsets, queue, commit_done, &outcome);
    while (!code && outcome == RD_KAFKA_RESP_ERR__IN_PROGRESS) {
        rd_kafka_queue_poll_callback(queue, 1000);
        ms_worker_turns(worker);
    }
    rd_kafka_queue_destroy(queue);
    if (!code)
        code = outcome;
    return code ? ms_fail(error, MS_KAFKA_ABORT, "commit: %s", rd_kafka_err2str(code)) : MS_OK;
}

static enum ms_status commit_at_least_once(struct ms_worker *worker,
                                           const rd_kafka_topic_partition_list_t *offsets,
                                           struct ms_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_flush(worker->producer, 60000);
    if (code)
        return ms_fail(error, MS_KAFKA_ABORT, "flush: %s", rd_kafka_err2str(code));
    if (atomic_load(&worker->delivery_failures))
        return ms_fail(error, MS_KAFKA_ABORT, "%llu records were not delivered",
                       (unsigned long long)atomic_load(&worker->delivery_failures));
    return commit_offsets(worker, offsets, error);
}

/* ---- the commit ---- */

/* A transaction that is committed for certain, but whose end was asked for twice: the second request may come
 * late and would end the next transaction. A new session has a new epoch, which refuses it. */
static void renew(struct ms_worker *worker)
{
    struct ms_error why;
    if (atomic_load(worker->stop) || !ms_in_flight_end_repeated(&worker->in_flight))
        return;
    ms_fail(&why, MS_KAFKA_ABORT, "the commit was sent again: a late copy could end the next transaction");
    ms_session_break(&worker->session, MS_KAFKA_ABORT, &why);
}

enum ms_status ms_transaction_commit(void *context, struct ms_error *error)
{
    struct ms_worker *worker = context;
    rd_kafka_topic_partition_list_t *offsets = offsets_to_send(worker);
    int phase = atomic_exchange(&worker->phase, MS_WORKER_WAITING);
    ms_gate_open(&worker->gate);
    enum ms_status status = worker->config->processing_guarantee == MS_EXACTLY_ONCE
                                ? commit_exactly_once(worker, offsets, error)
                                : commit_at_least_once(worker, offsets, error);
    atomic_store(&worker->turned_ms, (int64_t)(ms_monotonic_s() * 1000));
    atomic_store(&worker->phase, phase);
    ms_gate_shut(&worker->gate);
    rd_kafka_topic_partition_list_destroy(offsets);
    if (status == MS_OK)
        renew(worker);
    return status;
}
