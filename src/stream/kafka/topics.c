/* Admin requests. */
#include "stream/kafka/topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "stream/kafka/access.h"
#include "stream/kafka/check.h"
#include "stream/kafka/client_context.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/topic_config.h"

#define ANSWER_MS 10000 /* of a question */
#define MAKE_MS   30000 /* until a topic is made and known */

struct ms_topics {
    rd_kafka_t *client;
    const struct ms_config *config;
};

enum ms_status ms_topics_open(struct ms_topics **topics, const struct ms_config *config,
                              struct ms_error *error)
{
    struct ms_topics *made = calloc(1, sizeof *made);
    if (!made)
        return ms_fail(error, MS_MEMORY, "no memory for a Kafka client");
    made->config = config;
    enum ms_status status = ms_kafka_check_login(config, error);
    if (status == MS_OK)
        status = ms_admin_new(&made->client, config, "mindstream-topics", error);
    if (status != MS_OK) {
        free(made);
        return status;
    }
    *topics = made;
    return MS_OK;
}

void ms_topics_close(struct ms_topics *topics)
{
    if (!topics)
        return;
    ms_client_destroy(topics->client);
    free(topics);
}

/* ---- looking ---- */

/* The metadata of all topics: a question about one topic alone would make the broker create it. */
static enum ms_status ask_metadata(struct ms_topics *topics, const struct rd_kafka_metadata **metadata,
                                   struct ms_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_metadata(topics->client, 1, NULL, metadata, ANSWER_MS);
    if (code) {
        char reason[512];
        ms_client_reason(topics->client, code, reason, sizeof reason);
        return ms_fail(error, MS_KAFKA, "bootstrap.servers=%s: no broker answers: %s",
                       topics->config->bootstrap_servers, reason);
    }
    return MS_OK;
}

static const rd_kafka_metadata_topic_t *find_topic(const struct rd_kafka_metadata *metadata, const char *name)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const rd_kafka_metadata_topic_t *topic = &metadata->topics[i];
        if (strcmp(topic->topic, name) == 0 && topic->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            return topic;
    }
    return NULL;
}

static enum ms_status ask_cleanup(struct ms_topics *topics, const char *name, char *cleanup,
                                  struct ms_error *error)
{
    struct ms_topic_config config;
    struct ms_error why;
    if (ms_topic_config_ask(topics->client, name, ANSWER_MS, &config, &why) != MS_OK)
        return ms_fail(error, why.status == MS_KAFKA_REFUSED ? why.status : MS_KAFKA, "%s", why.text);
    snprintf(cleanup, MS_TOPIC_CLEANUP_BYTES, "%s", config.cleanup);
    return MS_OK;
}

enum ms_status ms_topics_look(struct ms_topics *topics, const struct ms_topic_want *wants, size_t count,
                              struct ms_topic_found *found, struct ms_error *error)
{
    const struct rd_kafka_metadata *metadata;
    enum ms_status status = ask_metadata(topics, &metadata, error);
    if (status != MS_OK)
        return status;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        const rd_kafka_metadata_topic_t *topic = find_topic(metadata, wants[i].name);
        found[i] = (struct ms_topic_found){.exists = topic != NULL};
        if (!topic)
            continue;
        if (topic->err) {
            ms_fail(error, MS_KAFKA, "topic %s: %s", wants[i].name, rd_kafka_err2str(topic->err));
            status = ms_access_missing(error, MS_KAFKA, topic->err, topics->config, "DESCRIBE",
                                       wants[i].name);
        }
        found[i].partitions = topic->partition_cnt;
        found[i].replication = topic->partition_cnt ? topic->partitions[0].replica_cnt : 0;
        if (status == MS_OK)
            status = ask_cleanup(topics, wants[i].name, found[i].cleanup, error);
    }
    rd_kafka_metadata_destroy(metadata);
    return status;
}

/* ---- making ---- */

static enum ms_status read_created(rd_kafka_event_t *event, const struct ms_config *config, const char *name,
                                   struct ms_error *error)
{
    size_t count = 0;
    const rd_kafka_CreateTopics_result_t *result = event ? rd_kafka_event_CreateTopics_result(event) : NULL;
    if (!result || rd_kafka_event_error(event))
        return ms_fail(error, MS_KAFKA, "topic %s was not made: %s", name,
                       event ? rd_kafka_event_error_string(event) : "no answer");
    const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(topics[i]);
        const char *reason = rd_kafka_topic_result_error_string(topics[i]);
        if (!code)
            continue;
        ms_fail(error, MS_KAFKA, "topic %s was not made: %s", name, reason ? reason : rd_kafka_err2str(code));
        return ms_access_missing(error, MS_KAFKA, code, config, "CREATE", name);
    }
    return MS_OK;
}

static enum ms_status request_topic(struct ms_topics *topics, rd_kafka_NewTopic_t *topic, const char *name,
                                    struct ms_error *error)
{
    char text[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(topics->client,
                                                                 RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(topics->client);
    rd_kafka_AdminOptions_set_request_timeout(options, MAKE_MS, text, sizeof text);
    rd_kafka_AdminOptions_set_operation_timeout(options, MAKE_MS, text, sizeof text);
    rd_kafka_CreateTopics(topics->client, &topic, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, MAKE_MS + 1000);
    enum ms_status status = read_created(event, topics->config, name, error);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return status;
}

/* Waits until a broker tells of all partitions: whoever comes next must find the topic. */
static enum ms_status wait_known(struct ms_topics *topics, const struct ms_topic_want *want,
                                 struct ms_error *error)
{
    double until_s = ms_monotonic_s() + MAKE_MS / 1000.0;
    for (;;) {
        const struct rd_kafka_metadata *metadata;
        enum ms_status status = ask_metadata(topics, &metadata, error);
        if (status != MS_OK)
            return status;
        const rd_kafka_metadata_topic_t *topic = find_topic(metadata, want->name);
        bool known = topic && !topic->err && topic->partition_cnt == want->partitions;
        rd_kafka_metadata_destroy(metadata);
        if (known)
            return MS_OK;
        if (ms_monotonic_s() > until_s)
            return ms_fail(error, MS_KAFKA, "topic %s was made, but no broker tells of its %d partitions",
                           want->name, want->partitions);
        usleep(100000);
    }
}

enum ms_status ms_topics_create(struct ms_topics *topics, const struct ms_topic_want *want,
                                struct ms_error *error)
{
    char text[256];
    int replication = want->replication ? want->replication : -1; /* -1: the broker's default */
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(want->name, want->partitions, replication, text,
                                                       sizeof text);
    if (!topic)
        return ms_fail(error, MS_KAFKA, "topic %s was not made: %s", want->name, text);
    rd_kafka_NewTopic_set_config(topic, "cleanup.policy", want->cleanup);
    enum ms_status status = request_topic(topics, topic, want->name, error);
    rd_kafka_NewTopic_destroy(topic);
    return status == MS_OK ? wait_known(topics, want, error) : status;
}
