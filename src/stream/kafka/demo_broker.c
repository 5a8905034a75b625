/* The mock cluster, and a client on it. */
#include "stream/kafka/demo_broker.h"

#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/log.h"

struct ms_demo_broker {
    rd_kafka_t *host; /* the mock cluster lives in a client's thread */
    rd_kafka_mock_cluster_t *cluster;
};

struct ms_demo_client {
    rd_kafka_t *producer, *consumer;
};

/* What a client of the demo has to say is for debugging: the service's own clients tell of what matters. */
static void to_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    ms_log(MS_LOG_DEBUG, "demo", "level=%d facility=%s text=\"%s\"", level, facility, text);
}

struct setting {
    const char *key, *value;
};

/* Makes a client with |settings|, ended by a NULL key. */
static enum ms_status make(rd_kafka_t **out, rd_kafka_type_t type, const struct setting *settings,
                           struct ms_error *error)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; settings->key; settings++) {
        if (rd_kafka_conf_set(conf, settings->key, settings->value, text, sizeof text) != RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return ms_fail(error, MS_KAFKA, "demo client: %s", text);
        }
    }
    rd_kafka_conf_set_log_cb(conf, to_log);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk) {
        rd_kafka_conf_destroy(conf);
        return ms_fail(error, MS_KAFKA, "cannot make a Kafka client: %s", text);
    }
    *out = rk;
    return MS_OK;
}

/* ---- the broker ---- */

enum ms_status ms_demo_broker_new(struct ms_demo_broker **out, const struct ms_demo_topic *topics,
                                  size_t count, struct ms_error *error)
{
    const struct setting settings[] = {{"client.id", "mindstream-demo-broker"}, {NULL, NULL}};
    struct ms_demo_broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return ms_fail(error, MS_MEMORY, "no memory for the embedded broker");
    enum ms_status status = make(&broker->host, RD_KAFKA_PRODUCER, settings, error);
    if (status == MS_OK) {
        broker->cluster = rd_kafka_mock_cluster_new(broker->host, 1);
        if (!broker->cluster)
            status = ms_fail(error, MS_KAFKA, "the embedded broker cannot listen on the loopback");
    }
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(broker->cluster, topics[i].name,
                                                              topics[i].partitions, 1);
        if (code)
            status = ms_fail(error, MS_KAFKA, "embedded broker: topic %s: %s", topics[i].name,
                             rd_kafka_err2str(code));
    }
    if (status != MS_OK) {
        ms_demo_broker_destroy(broker);
        return status;
    }
    *out = broker;
    return MS_OK;
}

void ms_demo_broker_destroy(struct ms_demo_broker *broker)
{
    if (!broker)
        return;
    if (broker->cluster)
        rd_kafka_mock_cluster_destroy(broker->cluster);
    if (broker->host)
        rd_kafka_destroy(broker->host);
    free(broker);
}

const char *ms_demo_broker_bootstrap(const struct ms_demo_broker *broker)
{
    return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

/* ---- the client ---- */

static enum ms_status assign(rd_kafka_t *consumer, const struct ms_demo_topic *topics, size_t count,
                             struct ms_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < count; i++) {
        for (int p = 0; p < topics[i].partitions; p++)
            rd_kafka_topic_partition_list_add(list, topics[i].name, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? ms_fail(error, MS_KAFKA, "assign: %s", rd_kafka_err2str(code)) : MS_OK;
}

enum ms_status ms_demo_client_new(struct ms_demo_client **out, const char *bootstrap,
                                  const struct ms_demo_topic *topics, size_t count, struct ms_error *error)
{
    /* linger.ms: the mock serves one record batch a fetch, so batches should not be tiny. */
    const struct setting producing[] = {{"bootstrap.servers", bootstrap},
                                        {"client.id", "mindstream-demo-feeder"},
                                        {"partitioner", "murmur2_random"},
                                        {"linger.ms", "5"},
                                        {NULL, NULL}};
    /* fetch.wait.max.ms: the mock sleeps all of it when a fetch finds nothing. */
    const struct setting consuming[] = {{"bootstrap.servers", bootstrap},
                                        {"client.id", "mindstream-demo-reader"},
                                        {"group.id", "mindstream-demo-reader"},
                                        {"enable.auto.commit", "false"},
                                        {"auto.offset.reset", "earliest"},
                                        {"isolation.level", "read_committed"},
                                        {"fetch.wait.max.ms", "10"},
                                        {NULL, NULL}};
    struct ms_demo_client *client = calloc(1, sizeof *client);
    if (!client)
        return ms_fail(error, MS_MEMORY, "no memory for the demo's client");
    enum ms_status status = make(&client->producer, RD_KAFKA_PRODUCER, producing, error);
    if (status == MS_OK)
        status = make(&client->consumer, RD_KAFKA_CONSUMER, consuming, error);
    if (status == MS_OK) {
        rd_kafka_poll_set_consumer(client->consumer);
        status = assign(client->consumer, topics, count, error);
    }
    if (status != MS_OK) {
        ms_demo_client_destroy(client);
        return status;
    }
    *out = client;
    return MS_OK;
}

void ms_demo_client_destroy(struct ms_demo_client *client)
{
    if (!client)
        return;
    if (client->consumer) {
        rd_kafka_consumer_close(client->consumer);
        rd_kafka_destroy(client->consumer);
    }
    if (client->producer) {
        rd_kafka_purge(client->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(client->producer);
    }
    free(client);
}

enum ms_status ms_demo_feed(struct ms_demo_client *client, const char *topic, struct ms_bytes key,
                            struct ms_bytes value, struct ms_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_producev(client->producer, RD_KAFKA_V_TOPIC(topic),
                                                 RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.size),
                                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size),
                                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    rd_kafka_poll(client->producer, 0);
    if (!code)
        return MS_OK;
    return ms_fail(error, code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? MS_KAFKA_RETRY : MS_KAFKA,
                   "cannot produce to %s: %s", topic, rd_kafka_err2str(code));
}

bool ms_demo_fed(struct ms_demo_client *client, int timeout_ms)
{
    return rd_kafka_flush(client->producer, timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

size_t ms_demo_read(struct ms_demo_client *client, size_t max, int timeout_ms, ms_demo_record_fn *fn,
                    void *context)
{
    size_t count = 0;
    while (count < max) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client->consumer, count ? 0 : timeout_ms);
        if (!message)
            break;
        if (!message->err) {
            const struct ms_demo_record record = {.topic = rd_kafka_topic_name(message->rkt),
                                                  .partition = message->partition,
                                                  .offset = message->offset,
                                                  .key = {message->key, message->key_len},
                                                  .value = {message->payload, message->len}};
            fn(context, &record);
            count++;
        }
        rd_kafka_message_destroy(message);
    }
    return count;
}
