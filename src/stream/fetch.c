/* How full the consumer's queue is, and waking who fills it. */
#include "stream/fetch.h"

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

enum ms_status ms_fetch_open(struct ms_fetch *fetch, rd_kafka_t *consumer, struct ms_error *error)
{
    size_t records, kbytes;
    *fetch = (struct ms_fetch){.consumer = consumer,
                               .queue = rd_kafka_queue_get_consumer(consumer),
                               .username = setting(consumer, "sasl.username"),
                               .password = setting(consumer, "sasl.password")};
    if (!fetch->queue || !fetch->username || !fetch->password ||
        !number(consumer, "queued.min.messages", &records) ||
        !number(consumer, "queued.max.messages.kbytes", &kbytes)) {
        ms_fetch_close(fetch);
        return ms_fail(error, MS_MEMORY, "no memory for a consumer");
    }
    fetch->half_records = records / 2;
    fetch->half_bytes = kbytes * 1024 / 2;
    return MS_OK;
}

void ms_fetch_close(struct ms_fetch *fetch)
{
    if (fetch->queue)
        rd_kafka_queue_destroy(fetch->queue);
    free(fetch->username);
    if (fetch->password)
        explicit_bzero(fetch->password, strlen(fetch->password));
    free(fetch->password);
    *fetch = (struct ms_fetch){.consumer = NULL};
}

/* Telling the client its own credentials again changes nothing, whether it uses them or not, and wakes the
 * threads of all its brokers. No other call does that much and no more. */
static void wake(struct ms_fetch *fetch)
{
    rd_kafka_error_destroy(rd_kafka_sasl_set_credentials(fetch->consumer, fetch->username, fetch->password));
}

void ms_fetch_look(struct ms_fetch *fetch, size_t records, size_t bytes, double now_s)
{
    if (records)
        fetch->record_bytes = (double)bytes / (double)records;
    size_t left = rd_kafka_queue_length(fetch->queue);
    double waited = (double)(left + records);
    /* What was taken counts: the queue may have been full, and its fetcher gone to sleep, since the last
     * look. */
    if (waited >= (double)fetch->half_records || waited * fetch->record_bytes >= (double)fetch->half_bytes) {
        fetch->filled = true;
        fetch->filled_s = now_s;
    }
    if (fetch->filled && left < fetch->half_records &&
        (double)left * fetch->record_bytes < (double)fetch->half_bytes) {
        fetch->filled = false;
        wake(fetch);
    }
}

bool ms_fetch_behind(const struct ms_fetch *fetch, double now_s, double within_s)
{
    return fetch->filled_s > 0 && now_s - fetch->filled_s <= within_s;
}
