/* A consumer that is assigned an offset of each partition and waits for what comes first. */
#include "stream/kafka/record_reader.h"

#include <string.h>

#include "base/progress.h"
#include "stream/kafka/clients.h"
#include "stream/landmark.h"

static void no_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    (void)rk, (void)code, (void)partitions, (void)opaque;
}

enum ms_status ms_record_reader_new(rd_kafka_t **reader, const struct ms_config *config,
                                    struct ms_error *error)
{
    const struct ms_consumer_callbacks callbacks = {.rebalance = no_rebalance, .single_records = true};
    return ms_consumer_new(reader, config, "mindstream-look", NULL, &callbacks, error);
}

static struct ms_spot *spot_of(struct ms_spot *spots, size_t count, const rd_kafka_message_t *message)
{
    for (size_t i = 0; message->rkt && i < count; i++) {
        if (spots[i].partition == message->partition &&
            strcmp(spots[i].topic, rd_kafka_topic_name(message->rkt)) == 0)
            return &spots[i];
    }
    return NULL;
}

/* What comes first of a partition says what is at the offset that it was assigned. */
static bool look(struct ms_spot *spot, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    if (!spot || spot->found != MS_SPOT_UNREAD)
        return false;
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        spot->found = MS_SPOT_NOT_IN_LOG;
    else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        spot->found = MS_SPOT_END;
    else if (!message->err && message->offset != spot->offset)
        spot->found = MS_SPOT_NO_RECORD;
    else if (message->err)
        return false; /* it may pass */
    else {
        spot->found = MS_SPOT_RECORD;
        spot->digest = ms_landmark_digest(type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms,
                                          (struct ms_bytes){message->key, message->key_len},
                                          (struct ms_bytes){message->payload, message->len});
    }
    return true;
}

void ms_record_reader_read(rd_kafka_t *reader, struct ms_spot *spots, size_t count, int most_ms,
                           bool (*goes_on)(void *context), void *context)
{
    size_t found = 0;
    double until_s = ms_monotonic_s() + most_ms / 1e3;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, spots[i].topic, spots[i].partition)->offset = spots[i].offset;
        spots[i].found = MS_SPOT_UNREAD;
    }
    if (rd_kafka_assign(reader, list) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        while (found < count && ms_monotonic_s() < until_s && goes_on(context)) {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(reader, 100);
            if (!message)
                continue;
            found += look(spot_of(spots, count, message), message);
            rd_kafka_message_destroy(message);
        }
    }
    rd_kafka_assign(reader, NULL);
    rd_kafka_topic_partition_list_destroy(list);
}
