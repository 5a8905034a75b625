/* Interceptors that hear a consumer's requests and answers. */
#include "stream/kafka/broker_watch.h"

#include <stdio.h>

#include "base/progress.h"

/* The protocol's keys of requests that are always on their way and answered soon. */
#define FETCH     1
#define METADATA  3
#define HEARTBEAT 12

static int64_t now_ms(void)
{
    return (int64_t)(ms_monotonic_s() * 1000) + 1;
}

static void begin(struct ms_broker_watch *watch)
{
    int64_t none = 0;
    if (atomic_load_explicit(&watch->since_ms, memory_order_relaxed) == 0)
        atomic_compare_exchange_strong(&watch->since_ms, &none, now_ms());
}

static rd_kafka_resp_err_t on_sent(rd_kafka_t *rk, int socket, const char *broker, int32_t broker_id,
                                   int16_t key, int16_t version, int32_t correlation, size_t bytes,
                                   void *context)
{
    (void)rk, (void)socket, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)bytes;
    if (key == FETCH || key == HEARTBEAT)
        begin(context);
    if (key == METADATA)
        atomic_store(&((struct ms_broker_watch *)context)->looked, true);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_answered(rd_kafka_t *rk, int socket, const char *broker, int32_t broker_id,
                                       int16_t key, int16_t version, int32_t correlation, size_t bytes,
                                       int64_t rtt, rd_kafka_resp_err_t code, void *context)
{
    struct ms_broker_watch *watch = context;
    (void)rk, (void)socket, (void)broker, (void)broker_id, (void)key, (void)version, (void)correlation;
    (void)bytes, (void)rtt;
    if (!code)
        atomic_store(&watch->since_ms, 0);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *context, char *text,
                                  size_t text_bytes)
{
    (void)conf, (void)text, (void)text_bytes;
    rd_kafka_resp_err_t code = rd_kafka_interceptor_add_on_request_sent(rk, "broker_watch", on_sent, context);
    return code ? code
                : rd_kafka_interceptor_add_on_response_received(rk, "broker_watch", on_answered, context);
}

void ms_broker_watch_init(struct ms_broker_watch *watch)
{
    pthread_mutex_init(&watch->lock, NULL);
    atomic_store(&watch->since_ms, 0);
    atomic_store(&watch->looked, false);
    watch->reason[0] = '\0';
}

void ms_broker_watch_destroy(struct ms_broker_watch *watch)
{
    pthread_mutex_destroy(&watch->lock);
}

void ms_broker_watch_set(rd_kafka_conf_t *conf, struct ms_broker_watch *watch)
{
    (void)rd_kafka_conf_interceptor_add_on_new(conf, "broker_watch", on_new, watch);
}

void ms_broker_watch_failed(struct ms_broker_watch *watch, const char *reason)
{
    pthread_mutex_lock(&watch->lock);
    snprintf(watch->reason, sizeof watch->reason, "%s", reason);
    pthread_mutex_unlock(&watch->lock);
    begin(watch);
}

int64_t ms_broker_watch_silent_ms(struct ms_broker_watch *watch)
{
    int64_t since_ms = atomic_load(&watch->since_ms);
    return since_ms ? now_ms() - since_ms : 0;
}

enum ms_silence_word ms_silence_look(struct ms_silence *silence, int64_t silent_ms)
{
    if (silent_ms < silence->last_ms && silence->told) {
        silence->told = false;
        return MS_SILENCE_BACK; /* last_ms stays: it is how long the silence was */
    }
    silence->last_ms = silent_ms;
    if (silent_ms < (silence->told ? silence->next_ms : MS_SILENCE_MS))
        return MS_SILENCE_NOTHING;
    silence->told = true;
    silence->next_ms = silent_ms + MS_SILENCE_AGAIN_MS;
    return MS_SILENCE_AWAY;
}
