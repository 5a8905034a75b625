/* What a replay publishes goes out in transactions. How far it has come is committed in the same transaction, as offsets
 * of a group that this replay alone has. So after a kill the group tells what is published, and nothing is published
 * twice. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "stream/kafka/access.h"
#include "stream/kafka/client_context.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

#define TRANSACTION_RECORDS 20000
#define TRANSACTION_BYTES   ((size_t)16 << 20)
#define CALL_MS             60000
#define ABORT_MS            5000
#define MOST_WAIT_MS        500 /* for batches on their way before a commit flushes whatever is left */

/* Of records that were refused, the first one's reason: the commit fails with their number alone. */
static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct ms_replay_sender *sender = ms_client_owner(opaque);
    int none = 0;
    (void)producer;
    if (message->err)
        atomic_compare_exchange_strong(&sender->refused, &none, message->err);
}

/* The error of a commit, with why records were refused. */
static enum ms_status failed(struct ms_replay_sender *sender, rd_kafka_error_t *failure,
                             struct ms_error *error)
{
    const struct ms_config *config = &sender->replay->config;
    enum ms_status status = ms_kafka_failed_access(failure, error, "commit_transaction", config, "WRITE",
                                                   config->output_topic);
    rd_kafka_resp_err_t code = atomic_load(&sender->refused);
    return code ? ms_fail_in(error, status, "topic %s: %s", sender->replay->config.output_topic,
                             rd_kafka_err2str(code))
                : status;
}

static void transactional_id(const struct ms_replay *replay, int number, char *id, size_t size)
{
    snprintf(id, size, "%s-%d", replay->group, number);
}

enum ms_status ms_replay_sender_open(struct ms_replay_sender *sender, const struct ms_replay *replay,
                                     int number, struct ms_error *error)
{
    char id[700];
    transactional_id(replay, number, id, sizeof id);
    sender->replay = replay;
    sender->number = number;
    enum ms_status status = ms_producer_new(&sender->producer, &replay->config, "mindstream-replay", id,
                                            delivered, sender, &sender->in_flight, NULL, 0, error);
    if (status == MS_OK)
        status = ms_producer_begin(sender->producer, &replay->config, id, replay->stop_publishing, NULL,
                                   error);
    if (status != MS_OK)
        return status;
    sender->topic = rd_kafka_topic_new(sender->producer, replay->config.output_topic, NULL);
    sender->group = rd_kafka_consumer_group_metadata_new(replay->group);
    return sender->topic ? MS_OK
                         : ms_fail(error, MS_KAFKA, "topic %s: %s", replay->config.output_topic,
                                   rd_kafka_err2str(rd_kafka_last_error()));
}

void ms_replay_sender_close(struct ms_replay_sender *sender)
{
    if (sender->in_transaction)
        rd_kafka_error_destroy(rd_kafka_abort_transaction(sender->producer, ABORT_MS));
    if (sender->group)
        rd_kafka_consumer_group_metadata_destroy(sender->group);
    if (sender->topic)
        rd_kafka_topic_destroy(sender->topic);
    if (sender->producer) {
        rd_kafka_purge(sender->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        ms_client_destroy(sender->producer);
    }
    memset(sender, 0, sizeof *sender);
}

static enum ms_status begin(struct ms_replay_sender *sender, struct ms_error *error)
{
    if (sender->in_transaction)
        return MS_OK;
    ms_in_flight_reset(&sender->in_flight);
    rd_kafka_error_t *failure = rd_kafka_begin_transaction(sender->producer);
    if (failure)
        return ms_kafka_failed(failure, error, "begin_transaction");
    sender->in_transaction = true;
    sender->began_s = ms_monotonic_s();
    return MS_OK;
}

bool ms_replay_sender_full(const struct ms_replay_sender *sender)
{
    return sender->records >= TRANSACTION_RECORDS || sender->bytes >= TRANSACTION_BYTES;
}

/* The headers of a record. The record takes them. */
static rd_kafka_headers_t *headers_of(const struct ms_replay *replay, uint64_t version)
{
    char number[24];
    const char *model = ms_model_config(replay->options.model)->id;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    int digits = snprintf(number, sizeof number, "%" PRIu64, version);
    rd_kafka_header_add(headers, "mindstream-version", -1, number, digits);
    rd_kafka_header_add(headers, "mindstream-model", -1, model, -1);
    return headers;
}

enum ms_status ms_replay_send(struct ms_replay_sender *sender, struct ms_bytes key, struct ms_bytes value,
                              uint64_t version, struct ms_error *error)
{
    enum ms_status status = begin(sender, error);
    if (status != MS_OK)
        return status;
    rd_kafka_headers_t *headers = headers_of(sender->replay, version);
    sender->records++;
    sender->bytes += key.size + value.size;
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_producev(
            sender->producer, RD_KAFKA_V_RKT(sender->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.size),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size), RD_KAFKA_V_HEADERS(headers),
            RD_KAFKA_V_END);
        if (!code)
            return MS_OK;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_headers_destroy(headers);
            return ms_kafka_failed_code(code, error, "producing");
        }
        rd_kafka_poll(sender->producer, 5);
    }
}

static enum ms_status send_offsets(struct ms_replay_sender *sender, rd_kafka_topic_partition_list_t *list,
                                   struct ms_error *error)
{
    const struct ms_replay *replay = sender->replay;
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].metadata = strdup(replay->mark); /* the list frees it */
        list->elems[i].metadata_size = strlen(replay->mark);
    }
    rd_kafka_error_t *failure = rd_kafka_send_offsets_to_transaction(sender->producer, list, sender->group,
                                                                     CALL_MS);
    if (!failure)
        return MS_OK;
    bool writes = strstr(rd_kafka_error_string(failure), "add partition(s)") != NULL;
    return ms_kafka_failed_access(failure, error, "send_offsets_to_transaction", &replay->config,
                                  writes ? "WRITE" : "READ",
                                  writes ? replay->config.output_topic : replay->config.input_topic);
}

/* A transaction whose end was asked for twice: a late copy of the request could end the next one, which a new producer's epoch
 * refuses (in_flight.h). */
static enum ms_status renew(struct ms_replay_sender *sender, struct ms_error *error)
{
    const struct ms_replay *replay = sender->replay;
    int number = sender->number;
    if (!ms_in_flight_end_repeated(&sender->in_flight))
        return MS_OK;
    uint64_t published = atomic_load(&sender->published);
    ms_replay_sender_close(sender);
    atomic_store(&sender->published, published);
    return ms_replay_sender_open(sender, replay, number, error);
}

enum ms_status ms_replay_sender_commit(struct ms_replay_sender *sender, rd_kafka_topic_partition_list_t *list,
                                       struct ms_error *error)
{
    enum ms_status status = begin(sender, error);
    if (status == MS_OK)
        status = send_offsets(sender, list, error);
    if (status == MS_OK)
        ms_in_flight_wait(&sender->in_flight, MOST_WAIT_MS);
    while (status == MS_OK) {
        rd_kafka_error_t *failure = rd_kafka_commit_transaction(sender->producer, -1);
        if (!failure)
            break;
        if (!rd_kafka_error_is_retriable(failure) || rd_kafka_error_txn_requires_abort(failure))
            return failed(sender, failure, error);
        rd_kafka_error_destroy(failure);
    }
    if (status == MS_OK) {
        sender->in_transaction = false;
        atomic_fetch_add(&sender->published, sender->records);
        sender->records = sender->bytes = 0;
        status = renew(sender, error);
    }
    return status;
}

enum ms_status ms_replay_committed(const struct ms_replay *replay, size_t partitions, int64_t *offsets,
                                   struct ms_error *error)
{
    rd_kafka_t *client = NULL;
    enum ms_status status = ms_replay_consumer(&client, &replay->config, "mindstream-replay", error);
    if (status != MS_OK)
        return status;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)partitions);
    for (size_t p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, replay->config.input_topic, (int32_t)p);
    rd_kafka_resp_err_t code = rd_kafka_committed(client, list, CALL_MS);
    for (int i = 0; !code && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &list->elems[i];
        bool ours = at->offset >= 0 && at->metadata_size == strlen(replay->mark) &&
                    memcmp(at->metadata, replay->mark, at->metadata_size) == 0;
        offsets[at->partition] = ours ? at->offset : -1;
        code = at->err;
    }
    rd_kafka_topic_partition_list_destroy(list);
    ms_client_destroy(client);
    if (!code)
        return MS_OK;
    enum ms_status failed = ms_kafka_failed_code(code, error, "offsets of the replay's group");
    return ms_access_missing(error, failed, code, &replay->config, "READ", replay->config.input_topic);
}

enum ms_status ms_replay_settle(const struct ms_replay *replay, int from, int to, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int number = from; status == MS_OK && number < to; number++) {
        struct ms_replay_sender sender = {0};
        status = ms_replay_sender_open(&sender, replay, number, error);
        ms_replay_sender_close(&sender);
    }
    return status;
}
