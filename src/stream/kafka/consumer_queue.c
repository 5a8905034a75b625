/* How full the consumer's queue is, and waking who fills it. */
#include "stream/kafka/consumer_queue.h"

#include <stdlib.h>
#include <string.h>

/* A setting of the client, to be freed; "" where it has none. */
static char *setting(rd_kafka_t *rk, const char *key)
{
    size_t size = 0;
    if (rd_kafka_conf_get(rd_kafka_conf(rk), key, NULL, &size) != RD_KAFKA_CONF_OK)
        return calloc(1, 1);
    char *text = calloc(1, size + 1);
    if (text && rd_kafka_conf_get(rd_kafka_conf(rk), key, text, &size) != RD_KAFKA_CONF_OK)
        text[0] = '\0';
    return text;
}

static bool number(rd_kafka_t *rk, const char *key, size_t *value)
{
    char *text = setting(rk, key);
    if (text)
        *value = strtoull(text, NULL, 10);
    free(text);
    return text != NULL;
}

enum ms_status ms_consumer_queue_open(struct ms_consumer_queue *queue, rd_kafka_t *consumer,
                                      struct ms_error *error)
{
    size_t records, kbytes;
    *queue = (struct ms_consumer_queue){.consumer = consumer,
                                        .handle = rd_kafka_queue_get_consumer(consumer),
                                        .username = setting(consumer, "sasl.username"),
                                        .password = setting(consumer, "sasl.password")};
    if (!queue->handle || !queue->username || !queue->password ||
        !number(consumer, "queued.min.messages", &records) ||
        !number(consumer, "queued.max.messages.kbytes", &kbytes)) {
        ms_consumer_queue_close(queue);
        return ms_fail(error, MS_MEMORY, "no memory for a consumer");
    }
    queue->half_records = records / 2;
    queue->half_bytes = kbytes * 1024 / 2;
    return MS_OK;
}

void ms_consumer_queue_close(struct ms_consumer_queue *queue)
{
    if (queue->handle)
        rd_kafka_queue_destroy(queue->handle);
    free(queue->username);
    if (queue->password)
        explicit_bzero(queue->password, strlen(queue->password));
    free(queue->password);
    *queue = (struct ms_consumer_queue){.consumer = NULL};
}

/* Telling the client its own credentials again changes nothing, whether it uses them or not, and wakes the
 * threads of all its brokers. No other call does that much and no more. */
static void wake(struct ms_consumer_queue *queue)
{
    rd_kafka_error_destroy(rd_kafka_sasl_set_credentials(queue->consumer, queue->username, queue->password));
}

void ms_consumer_queue_watch(struct ms_consumer_queue *queue, size_t records, size_t bytes, double now_s)
{
    if (records)
        queue->record_bytes = (double)bytes / (double)records;
    size_t left = rd_kafka_queue_length(queue->handle);
    double waited = (double)(left + records);
    /* What was taken counts: the queue may have been full, and its fetcher gone to sleep, since the last
     * look. */
    if (waited >= (double)queue->half_records || waited * queue->record_bytes >= (double)queue->half_bytes) {
        queue->filled = true;
        queue->filled_s = now_s;
    }
    if (queue->filled && left < queue->half_records &&
        (double)left * queue->record_bytes < (double)queue->half_bytes) {
        queue->filled = false;
        wake(queue);
    }
}

bool ms_consumer_queue_lags(const struct ms_consumer_queue *queue, double now_s, double within_s)
{
    return queue->filled_s > 0 && now_s - queue->filled_s <= within_s;
}
