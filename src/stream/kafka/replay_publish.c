/* One record of each user, at the end of a replay, in transactions of bounded size. How many users of a partition are
 * published is committed with their records, as the replay's group's offset of that partition; beside it stands which
 * replay that was. So a replay that was killed goes on where its last transaction ended. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/record.h"
#include "state/user_walk.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

#define TRANSACTION_RECORDS 10000
#define TRANSACTION_BYTES   ((size_t)8 << 20)
#define CALL_MS             60000

struct publication {
    struct ms_replay *replay;
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    struct ms_encoder *encoder;
    struct ms_extractor *extractor;
    struct ms_fold_context context;
    rd_kafka_consumer_group_metadata_t *group;
    char mark[64];     /* which replay this is, beside the offsets */
    uint64_t *already; /* [partition] users that are published */
    size_t partitions;
    bool in_transaction;
    int32_t partition; /* of the users in the transaction */
    uint64_t users;    /* of that partition so far, those of earlier transactions included */
    size_t records, bytes;
};

/* ---- what is published already ---- */

static enum ms_status read_already(struct publication *publication, struct ms_error *error)
{
    const char *topic = publication->replay->config.input_topic;
    rd_kafka_t *client = NULL;
    enum ms_status status = ms_replay_consumer(&client, &publication->replay->config, "mindstream-replay",
                                               error);
    if (status != MS_OK)
        return status;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)publication->partitions);
    for (size_t p = 0; p < publication->partitions; p++)
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)p);
    rd_kafka_resp_err_t code = rd_kafka_committed(client, list, CALL_MS);
    for (int i = 0; !code && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &list->elems[i];
        bool ours = at->offset >= 0 && at->metadata_size == strlen(publication->mark) &&
                    memcmp(at->metadata, publication->mark, at->metadata_size) == 0;
        publication->already[at->partition] = ours ? (uint64_t)at->offset : 0;
        code = at->err;
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(client);
    return code ? ms_kafka_failed_code(code, error, "offsets of the replay's group") : MS_OK;
}

/* ---- transactions ---- */

static enum ms_status send_progress(struct publication *publication, struct ms_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(
        list, publication->replay->config.input_topic, publication->partition);
    at->offset = (int64_t)publication->users;
    at->metadata = strdup(publication->mark); /* the list frees it */
    at->metadata_size = strlen(publication->mark);
    rd_kafka_error_t *failure = rd_kafka_send_offsets_to_transaction(publication->producer, list,
                                                                     publication->group, CALL_MS);
    rd_kafka_topic_partition_list_destroy(list);
    return failure ? ms_kafka_failed(failure, error, "send_offsets_to_transaction") : MS_OK;
}

static enum ms_status commit(struct publication *publication, struct ms_error *error)
{
    if (!publication->in_transaction)
        return MS_OK;
    enum ms_status status = send_progress(publication, error);
    while (status == MS_OK) {
        rd_kafka_error_t *failure = rd_kafka_commit_transaction(publication->producer, -1);
        if (!failure)
            break;
        if (!rd_kafka_error_is_retriable(failure) || rd_kafka_error_txn_requires_abort(failure))
            return ms_kafka_failed(failure, error, "commit_transaction");
        rd_kafka_error_destroy(failure);
    }
    if (status == MS_OK) {
        publication->in_transaction = false;
        atomic_fetch_add(&publication->replay->published, publication->records);
        publication->records = publication->bytes = 0;
    }
    return status;
}

static enum ms_status begin(struct publication *publication, struct ms_error *error)
{
    if (publication->in_transaction)
        return MS_OK;
    rd_kafka_error_t *failure = rd_kafka_begin_transaction(publication->producer);
    if (failure)
        return ms_kafka_failed(failure, error, "begin_transaction");
    publication->in_transaction = true;
    return MS_OK;
}

static enum ms_status produce(struct publication *publication, struct ms_bytes key, struct ms_bytes value,
                              uint64_t version, struct ms_error *error)
{
    char number[24];
    const char *model = ms_model_config(publication->replay->options.model)->id;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    int digits = snprintf(number, sizeof number, "%" PRIu64, version);
    rd_kafka_header_add(headers, "mindstream-version", -1, number, digits);
    rd_kafka_header_add(headers, "mindstream-model", -1, model, -1);
    publication->records++;
    publication->bytes += key.size + value.size;
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_producev(
            publication->producer, RD_KAFKA_V_RKT(publication->topic),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.size),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size), RD_KAFKA_V_HEADERS(headers),
            RD_KAFKA_V_END);
        if (!code)
            return MS_OK;
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_headers_destroy(headers);
            return ms_kafka_failed_code(code, error, "producing");
        }
        rd_kafka_poll(publication->producer, 5);
    }
}

/* ---- users ---- */

static enum ms_status produce_interests(struct publication *publication, const struct ms_record *record,
                                        struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int slot = 0; status == MS_OK && slot < record->interests.count; slot++) {
        struct ms_bytes value = ms_encode_interest(publication->encoder, record, slot);
        struct ms_bytes key = ms_encode_interest_key(publication->encoder, record->user_id, slot);
        if (!value.data || !key.data)
            return ms_fail(error, MS_MEMORY, "no memory for a record");
        status = produce(publication, key, value, record->version, error);
    }
    return status;
}

static enum ms_status publish_user(struct publication *publication, struct ms_user **user,
                                   struct ms_error *error)
{
    struct ms_fold_context *context = &publication->context;
    const char *model = ms_model_config(publication->replay->options.model)->id;
    if ((*user)->sums_left_out && !ms_refold(context, user))
        return ms_fail(error, MS_MEMORY, "no memory to fold a user again");
    ms_user_resolve(*user, context->model);
    const struct ms_record record = {.user_id = ms_user_id(*user),
                                     .version = (*user)->version,
                                     .event_time_ms = (*user)->last_time_ms,
                                     .model = {model, strlen(model)},
                                     .interests = ms_user_interests(context, *user)};
    if (publication->replay->config.output_layout != MS_LAYOUT_USER)
        return produce_interests(publication, &record, error);
    struct ms_bytes value = ms_encode_user(publication->encoder, &record);
    return value.data ? produce(publication, record.user_id, value, record.version, error)
                      : ms_fail(error, MS_MEMORY, "no memory for a record");
}

/* Commits what came before, where this user is of another partition. */
static enum ms_status turn_to(struct publication *publication, const struct ms_user *user,
                              struct ms_error *error)
{
    if (user->partition == publication->partition)
        return MS_OK;
    enum ms_status status = commit(publication, error);
    publication->partition = user->partition;
    publication->users = 0;
    return status;
}

static enum ms_status take_user(struct publication *publication, struct ms_user **user,
                                struct ms_error *error)
{
    enum ms_status status = turn_to(publication, *user, error);
    if (status != MS_OK || (*user)->version == 0) /* a profile alone is no user yet */
        return status;
    publication->users++;
    if ((*user)->partition >= publication->partitions ||
        publication->users <= publication->already[(*user)->partition])
        return MS_OK;
    status = begin(publication, error);
    if (status == MS_OK)
        status = publish_user(publication, user, error);
    bool full = publication->records >= TRANSACTION_RECORDS || publication->bytes >= TRANSACTION_BYTES;
    return status == MS_OK && full ? commit(publication, error) : status;
}

static enum ms_status publish_all(struct publication *publication, struct ms_error *error)
{
    struct ms_user_walk *walk = NULL;
    struct ms_user *user = NULL;
    enum ms_status status = ms_user_walk_begin(&walk, publication->replay->store, error);
    while (status == MS_OK && (status = ms_user_walk_next(walk, &user, NULL, error)) == MS_OK && user) {
        if (atomic_load(publication->replay->stop_publishing))
            status = ms_fail(error, MS_KAFKA_RETRY, "asked to stop; the same command goes on");
        else
            status = take_user(publication, &user, error);
        free(user);
    }
    ms_user_walk_end(walk);
    return status == MS_OK ? commit(publication, error) : status;
}

/* ---- the whole ---- */

static enum ms_status open_folding(struct publication *publication, struct ms_error *error)
{
    const struct ms_replay_options *options = &publication->replay->options;
    const struct ms_config *config = &publication->replay->config;
    enum ms_status status = ms_encoder_new(&publication->encoder,
                                           (enum ms_record_format)config->output_format, error);
    if (status == MS_OK)
        status = ms_extractor_new(&publication->extractor, options->model, error);
    if (status == MS_OK)
        status = ms_fold_context_init(&publication->context, options->model, publication->extractor,
                                      options->incremental, &options->decay,
                                      (uint32_t)config->state_behaviors_max, error);
    return status;
}

static enum ms_status open_producer(struct publication *publication, struct ms_error *error)
{
    const struct ms_replay *replay = publication->replay;
    enum ms_status status = ms_producer_new(&publication->producer, &replay->config, "mindstream-replay",
                                            replay->group, NULL, NULL, NULL, 0, error);
    if (status == MS_OK)
        status = ms_producer_begin(publication->producer, replay->group, replay->stop_publishing, error);
    if (status != MS_OK)
        return status;
    publication->topic = rd_kafka_topic_new(publication->producer, replay->config.output_topic, NULL);
    publication->group = rd_kafka_consumer_group_metadata_new(replay->group);
    return publication->topic ? MS_OK
                              : ms_fail(error, MS_KAFKA, "topic %s: %s", replay->config.output_topic,
                                        rd_kafka_err2str(rd_kafka_last_error()));
}

static void close_all(struct publication *publication)
{
    if (publication->in_transaction)
        rd_kafka_error_destroy(rd_kafka_abort_transaction(publication->producer, 5000));
    if (publication->group)
        rd_kafka_consumer_group_metadata_destroy(publication->group);
    if (publication->topic)
        rd_kafka_topic_destroy(publication->topic);
    if (publication->producer) {
        rd_kafka_purge(publication->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(publication->producer);
    }
    ms_fold_context_free(&publication->context);
    ms_extractor_destroy(publication->extractor);
    ms_encoder_destroy(publication->encoder);
    free(publication->already);
}

enum ms_status ms_replay_publish(struct ms_replay *replay, struct ms_error *error)
{
    struct publication publication = {
        .replay = replay,
        .partition = -1,
        .partitions = (size_t)ms_replay_partitions(&replay->plan, MS_SOURCE_CLICKS)};
    if (replay->plan.stage != MS_REPLAY_READ)
        return MS_OK;
    snprintf(publication.mark, sizeof publication.mark, "mindstream-replay/1 plan=%016" PRIx64,
             ms_replay_plan_id(&replay->plan));
    publication.already = calloc(publication.partitions + 1, sizeof *publication.already);
    enum ms_status status = publication.already ? open_folding(&publication, error)
                                                : ms_fail(error, MS_MEMORY, "no memory for a replay");
    if (status == MS_OK)
        status = open_producer(&publication,
                               error); /* settles what was in doubt, before it is asked what is committed */
    if (status == MS_OK)
        status = read_already(&publication, error);
    if (status == MS_OK)
        status = publish_all(&publication, error);
    close_all(&publication);
    if (status != MS_OK)
        return status;
    replay->plan.stage = MS_REPLAY_PUBLISHED;
    return ms_replay_plan_write(&replay->plan, replay->config.state_dir, error);
}
