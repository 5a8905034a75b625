/* cleanup.policy and retention of the input topics. */
#include "stream/kafka/input_logs.h"

#include <string.h>

#include "base/log.h"
#include "stream/kafka/topic_config.h"
#include "stream/source.h"

#define ASK_AGAIN_MS 2000

static enum ms_input_kind kind_of(const struct ms_topic_config *config)
{
    return ms_topic_config_compacted(config) ? MS_INPUT_COMPACTED : MS_INPUT_WHOLE;
}

static void tell(const char *topic, const struct ms_topic_config *found, const struct ms_source *source)
{
    ms_log(MS_LOG_INFO, "input_topic", "topic=%s cleanup.policy=%s retention.ms=%s retention.bytes=%s", topic,
           found->cleanup, found->retention_ms, found->retention_bytes);
    if (kind_of(found) == MS_INPUT_COMPACTED && !source->compacted)
        ms_log(
            MS_LOG_WARN, "compacted_input",
            "topic=%s cleanup.policy=%s text=\"compaction removes %s that a later one of the same key follows: a "
            "state that is lost cannot be folded from this log again; use cleanup.policy=delete\"",
            topic, found->cleanup, source->name);
    if (strstr(found->cleanup, "delete") && source->compacted)
        ms_log(
            MS_LOG_WARN, "expiring_input",
            "topic=%s cleanup.policy=%s retention.ms=%s retention.bytes=%s text=\"retention removes %s that none "
            "has replaced: a state that is lost cannot have them again; use cleanup.policy=compact\"",
            topic, found->cleanup, found->retention_ms, found->retention_bytes, source->name);
}

bool ms_input_logs_ask(struct ms_input_logs *logs, rd_kafka_t *client, const struct ms_config *config)
{
    enum ms_status status = MS_OK;
    *logs = (struct ms_input_logs){.kind = {MS_INPUT_UNKNOWN}};
    for (int source = 0; source < MS_SOURCES && status != MS_KAFKA_RETRY; source++) {
        struct ms_topic_config found;
        struct ms_error error;
        const char *topic = ms_source_topic(source, config);
        if (!topic[0])
            continue;
        status = ms_topic_config_ask(client, topic, MS_TOPIC_CONFIG_WAIT_MS, &found, &error);
        if (status == MS_OK) {
            logs->kind[source] = kind_of(&found);
            tell(topic, &found, ms_sources[source]);
        } else { /* an embedded broker does not know the question */
            ms_log(status == MS_KAFKA_REFUSED ? MS_LOG_WARN : MS_LOG_INFO, "input_topic",
                   "topic=%s cleanup.policy=unknown reason=\"%s\"", topic, error.text);
        }
    }
    return status != MS_KAFKA_RETRY;
}

bool ms_input_log_holed(const struct ms_input_logs *logs, rd_kafka_t *client, const struct ms_config *config,
                        int source)
{
    struct ms_topic_config found;
    struct ms_error error;
    enum ms_input_kind kind = logs->kind[source];
    if (ms_sources[source]->compacted || kind == MS_INPUT_UNKNOWN)
        return false;
    if (ms_topic_config_ask(client, ms_source_topic(source, config), ASK_AGAIN_MS, &found, &error) == MS_OK)
        kind = kind_of(&found);
    return kind == MS_INPUT_COMPACTED;
}
