/* Questions about the logs: which partitions there are, where they begin and end, and which offset a time has. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "stream/kafka/clients.h"
#include "stream/kafka/input_logs.h"
#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

#define ASK_MS 10000

static enum ms_status count_partitions(rd_kafka_t *client, const char *topic, int *count,
                                       struct ms_error *error)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (!handle)
        return ms_fail(error, MS_KAFKA, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, handle, &metadata, ASK_MS);
    rd_kafka_topic_destroy(handle);
    if (code)
        return ms_kafka_failed_code(code, error, topic);
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    *count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (code || *count == 0)
        return ms_fail(error, MS_KAFKA, "topic %s: %s", topic,
                       rd_kafka_err2str(code ? code : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
    return MS_OK;
}

static enum ms_status ask_ends(rd_kafka_t *client, const char *topic, int32_t partition, int64_t *low,
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

static enum ms_status resolve_bound(rd_kafka_t *client, const struct ms_bound *bound, const char *topic,
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

/* What of a partition is read. An offset beyond what one partition has, where it is meant for all, is its end. */
static enum ms_status add_part(struct ms_replay *replay, rd_kafka_t *client, int source, int32_t partition,
                               const struct ms_bound *from, const struct ms_bound *to, struct ms_error *error)
{
    const char *topic = ms_source_topic(source, &replay->config);
    struct ms_replay_part part = {.source = source, .partition = partition};
    int64_t low, high;
    enum ms_status status = ask_ends(client, topic, partition, &low, &high, error);
    if (status == MS_OK)
        status = resolve_bound(client, from, topic, partition, low, high, &part.from, error);
    if (status == MS_OK)
        status = resolve_bound(client, to, topic, partition, low, high, &part.to, error);
    if (status != MS_OK)
        return status;
    if (part.from < low)
        return ms_fail(error, MS_OFFSETS,
                       "topic %s partition %" PRId32 ": the log begins at %" PRId64 ", after --from (%" PRId64
                       ")",
                       topic, partition, low, part.from);
    part.from = part.from > high ? high : part.from;
    part.to = part.to > high ? high : part.to;
    if (part.from > part.to)
        return ms_fail(error, MS_USAGE,
                       "topic %s partition %" PRId32 ": --to (offset %" PRId64
                       ") lies before --from (offset %" PRId64 ")",
                       topic, partition, part.to, part.from);
    return ms_replay_plan_add(&replay->plan, &part)
               ? MS_OK
               : ms_fail(error, MS_MEMORY, "no memory for the plan of a replay");
}

enum ms_status ms_replay_consumer(rd_kafka_t **consumer, const struct ms_config *config, const char *client,
                                  struct ms_error *error)
{
    const struct ms_consumer_callbacks callbacks = {0};
    return ms_consumer_new(consumer, config, client, NULL, &callbacks, error);
}

/* A state that is built from a compacted log lacks events. */
static enum ms_status check_whole(const struct ms_replay *replay, rd_kafka_t *client, struct ms_error *error)
{
    struct ms_input_logs logs = {.kind = {MS_INPUT_UNKNOWN}};
    if (!ms_input_logs_ask(&logs, client, &replay->config) ||
        logs.kind[MS_SOURCE_CLICKS] != MS_INPUT_COMPACTED || replay->config.accept_holes)
        return MS_OK;
    return ms_fail(
        error, MS_OFFSETS,
        "topic %s is compacted: its log lacks events that later ones of the same user followed, so histories would "
        "come out shorter and versions lower; fold what is left of it with --accept-holes",
        ms_source_topic(MS_SOURCE_CLICKS, &replay->config));
}

/* Profiles are read whole and to their present end, whatever is asked of the clicks: the last of a user counts. */
enum ms_status ms_replay_resolve(struct ms_replay *replay, const struct ms_bound *from,
                                 const struct ms_bound *to, struct ms_error *error)
{
    static const struct ms_bound earliest = {.kind = MS_BOUND_EARLIEST}, latest = {.kind = MS_BOUND_LATEST};
    rd_kafka_t *client = NULL;
    int counts[MS_SOURCES] = {0};
    enum ms_status status = ms_replay_consumer(&client, &replay->config, "mindstream-replay", error);
    for (int source = 0; status == MS_OK && source < MS_SOURCES; source++) {
        const char *topic = ms_source_topic(source, &replay->config);
        bool whole = ms_sources[source]->compacted;
        if (!topic[0])
            continue;
        status = count_partitions(client, topic, &counts[source], error);
        if (status == MS_OK && counts[source] != counts[0])
            status = ms_fail(error, MS_OFFSETS,
                             "topic %s has %d partitions, topic %s has %d: both need the same number", topic,
                             counts[source], ms_source_topic(0, &replay->config), counts[0]);
        for (int32_t p = 0; status == MS_OK && p < counts[source]; p++)
            status = add_part(replay, client, source, p, whole ? &earliest : from, whole ? &latest : to,
                              error);
    }
    if (status == MS_OK)
        status = check_whole(replay, client, error);
    if (client)
        rd_kafka_destroy(client);
    return status;
}

enum ms_status ms_replay_check_logs(struct ms_replay *replay, struct ms_error *error)
{
    rd_kafka_t *client = NULL;
    enum ms_status status = ms_replay_consumer(&client, &replay->config, "mindstream-replay", error);
    for (size_t i = 0; status == MS_OK && i < replay->plan.count; i++) {
        const struct ms_replay_part *part = &replay->plan.parts[i];
        const char *topic = ms_source_topic(part->source, &replay->config);
        int64_t low, high, next = atomic_load(&replay->next[i]);
        status = ask_ends(client, topic, part->partition, &low, &high, error);
        if (status == MS_OK && part->to > high)
            status = ms_fail(error, MS_OFFSETS,
                             "topic %s partition %" PRId32 ": the log ends at %" PRId64
                             ", before the end of this replay (%" PRId64
                             "), as if the topic had been made anew; begin again with --restart",
                             topic, part->partition, high, part->to);
        else if (status == MS_OK && next < part->to && next < low && !ms_sources[part->source]->compacted)
            status = ms_fail(error, MS_OFFSETS,
                             "topic %s partition %" PRId32 ": the log begins at %" PRId64
                             ", after what comes next (%" PRId64 "); begin again with --restart",
                             topic, part->partition, low, next);
    }
    if (client)
        rd_kafka_destroy(client);
    return status;
}

enum ms_status ms_replay_check_output(const struct ms_replay *replay, struct ms_error *error)
{
    rd_kafka_t *client = NULL;
    int count;
    enum ms_status status = ms_replay_consumer(&client, &replay->config, "mindstream-replay", error);
    if (status == MS_OK) {
        status = count_partitions(client, replay->config.output_topic, &count, error);
        rd_kafka_destroy(client);
    }
    return status == MS_OK ? MS_OK : ms_fail_in(error, status, "publishing");
}
