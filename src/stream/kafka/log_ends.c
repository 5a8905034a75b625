/* Questions about logs. */
#include "stream/kafka/log_ends.h"

#include <inttypes.h>
#include <time.h>

#include "stream/kafka/access.h"
#include "stream/kafka/client_context.h"
#include "stream/kafka/clients.h"

#define ASK_MS 10000

enum ms_status ms_log_partitions_within(rd_kafka_t *client, const struct ms_config *config, const char *topic,
                                        const char *operation, int timeout_ms, int *count,
                                        struct ms_error *error)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (!handle)
        return ms_fail(error, MS_KAFKA, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, handle, &metadata, timeout_ms);
    rd_kafka_topic_destroy(handle);
    if (code) {
        char reason[512];
        ms_client_reason(client, code, reason, sizeof reason);
        return ms_fail(error, ms_kafka_may_pass(code) ? MS_KAFKA_RETRY : MS_KAFKA,
                       "bootstrap.servers=%s: topic %s: no broker answers: %s", config->bootstrap_servers,
                       topic, reason);
    }
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    *count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (!code && *count > 0)
        return MS_OK;
    ms_fail(error, MS_KAFKA, "topic %s: %s", topic,
            rd_kafka_err2str(code ? code : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
    return ms_access_missing(error, MS_KAFKA, code, config, operation, topic);
}

enum ms_status ms_log_partitions(rd_kafka_t *client, const struct ms_config *config, const char *topic,
                                 const char *operation, int *count, struct ms_error *error)
{
    return ms_log_partitions_within(client, config, topic, operation, ASK_MS, count, error);
}

enum ms_status ms_log_ends(rd_kafka_t *client, const char *topic, int32_t partition, int64_t *low,
                           int64_t *high, struct ms_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(client, topic, partition, low, high, ASK_MS);
    if (!code)
        return MS_OK;
    enum ms_status status = ms_kafka_failed_code(code, error, "ends of the log");
    return ms_fail_in(error, status, "topic %s partition %" PRId32, topic, partition);
}

/* The offset of the first record of this time or later, the log's end where there is none. */
static enum ms_status ask_time(rd_kafka_t *client, const char *topic, int32_t partition, int64_t time_ms,
                               int64_t high, int64_t *offset, struct ms_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(list, topic, partition);
    at->offset = time_ms;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client, list, ASK_MS);
    if (!code)
        code = at->err;
    *offset = at->offset >= 0 ? at->offset : high;
    rd_kafka_topic_partition_list_destroy(list);
    if (!code)
        return MS_OK;
    enum ms_status status = ms_kafka_failed_code(code, error, "offset of a time");
    return ms_fail_in(error, status, "topic %s partition %" PRId32, topic, partition);
}

enum ms_status ms_log_offset(rd_kafka_t *client, const struct ms_bound *bound, const char *topic,
                             int32_t partition, int64_t low, int64_t high, int64_t *offset,
                             struct ms_error *error)
{
    switch (bound->kind) {
    case MS_BOUND_EARLIEST:
        *offset = low;
        return MS_OK;
    case MS_BOUND_LATEST:
        *offset = high;
        return MS_OK;
    case MS_BOUND_OFFSET:
        *offset = bound->value;
        return MS_OK;
    case MS_BOUND_TIME:
        return ask_time(client, topic, partition, bound->value, high, offset, error);
    case MS_BOUND_LAST:
        return ask_time(client, topic, partition, (int64_t)time(NULL) * 1000 - bound->value, high, offset,
                        error);
    }
    return ms_fail(error, MS_USAGE, "an unknown bound");
}
