/* DescribeConfigs of one topic. */
#include "stream/kafka/topic_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stream/kafka/access.h"

bool ms_topic_config_compacted(const struct ms_topic_config *config)
{
    return strstr(config->cleanup, "compact") != NULL;
}

static int64_t nearer(int64_t known_ms, const char *value)
{
    int64_t ms = atoll(value);
    return known_ms < 0 || ms < known_ms ? ms : known_ms;
}

/* What the topic does with the times of records. Until 3.9 brokers know one distance for both sides, too. */
static void read_time_rule(const char *name, const char *value, struct ms_topic_config *config)
{
    bool both = strcmp(name, "message.timestamp.difference.max.ms") == 0;
    if (strcmp(name, "message.timestamp.type") == 0)
        config->append_time = strcmp(value, "LogAppendTime") == 0;
    if (both || strcmp(name, "message.timestamp.before.max.ms") == 0)
        config->before_ms = nearer(config->before_ms, value);
    if (both || strcmp(name, "message.timestamp.after.max.ms") == 0)
        config->after_ms = nearer(config->after_ms, value);
}

static void read_entries(const rd_kafka_ConfigResource_t *resource, struct ms_topic_config *config)
{
    size_t count = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]),
                   *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (!value)
            continue;
        if (strcmp(name, "cleanup.policy") == 0)
            snprintf(config->cleanup, sizeof config->cleanup, "%s", value);
        else if (strcmp(name, "retention.ms") == 0)
            snprintf(config->retention_ms, sizeof config->retention_ms, "%s", value);
        else if (strcmp(name, "retention.bytes") == 0)
            snprintf(config->retention_bytes, sizeof config->retention_bytes, "%s", value);
        else if (strcmp(name, "max.message.bytes") == 0)
            config->max_message_bytes = atol(value);
        else if (strcmp(name, "segment.bytes") == 0)
            config->segment_bytes = atol(value);
        else
            read_time_rule(name, value, config);
    }
}

static enum ms_status refused(const char *topic, rd_kafka_resp_err_t code, const char *text,
                              struct ms_error *error)
{
    enum ms_status status = MS_KAFKA_RETRY;
    if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE || code == RD_KAFKA_RESP_ERR__BAD_MSG)
        status = MS_KAFKA;
    if (ms_access_refused(code))
        return ms_fail(
            error, MS_KAFKA_REFUSED,
            "an access rule is missing: DESCRIBE_CONFIGS on topic \"%s\": its settings cannot be asked for: %s",
            topic, text);
    return ms_fail(error, status, "topic %s: its settings cannot be asked for: %s", topic, text);
}

static enum ms_status read_answer(rd_kafka_event_t *event, const char *topic, struct ms_topic_config *found,
                                  struct ms_error *error)
{
    size_t count = 0;
    struct ms_topic_config config = {.before_ms = -1, .after_ms = -1};
    const rd_kafka_DescribeConfigs_result_t *result = event ? rd_kafka_event_DescribeConfigs_result(event)
                                                            : NULL;
    if (!result)
        return refused(topic, RD_KAFKA_RESP_ERR__TIMED_OUT, "no answer", error);
    if (rd_kafka_event_error(event))
        return refused(topic, rd_kafka_event_error(event), rd_kafka_event_error_string(event), error);
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(result, &count);
    if (count != 1)
        return refused(topic, RD_KAFKA_RESP_ERR__BAD_MSG, "an empty answer", error);
    if (rd_kafka_ConfigResource_error(resources[0]))
        return refused(topic, rd_kafka_ConfigResource_error(resources[0]),
                       rd_kafka_ConfigResource_error_string(resources[0]), error);
    read_entries(resources[0], &config);
    if (!config.cleanup[0])
        return refused(topic, RD_KAFKA_RESP_ERR__BAD_MSG, "no cleanup.policy in the answer", error);
    *found = config;
    return MS_OK;
}

enum ms_status ms_topic_config_ask(rd_kafka_t *client, const char *topic, int wait_ms,
                                   struct ms_topic_config *found, struct ms_error *error)
{
    char text[256];
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, text, sizeof text);
    rd_kafka_DescribeConfigs(client, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, wait_ms + 1000);
    enum ms_status status = read_answer(event, topic, found, error);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy(resource);
    return status;
}
