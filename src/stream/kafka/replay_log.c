/* The plan of a replay from the logs as they are, and whether they still have what it reads. */
#include <inttypes.h>

#include "stream/kafka/clients.h"
#include "stream/kafka/input_logs.h"
#include "stream/kafka/log_ends.h"
#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

/* What of a partition is read. An offset beyond what one partition has, where it is meant for all, is its end. */
static enum ms_status add_part(struct ms_replay *replay, rd_kafka_t *client, int source, int32_t partition,
                               const struct ms_bound *from, const struct ms_bound *to, struct ms_error *error)
{
    const char *topic = ms_source_topic(source, &replay->config);
    struct ms_replay_part part = {.source = source, .partition = partition};
    int64_t low, high;
    enum ms_status status = ms_log_ends(client, topic, partition, &low, &high, error);
    if (status == MS_OK)
        status = ms_log_offset(client, from, topic, partition, low, high, &part.from, error);
    if (status == MS_OK)
        status = ms_log_offset(client, to, topic, partition, low, high, &part.to, error);
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
        status = ms_log_partitions(client, &replay->config, topic, "READ", &counts[source], error);
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
        ms_client_destroy(client);
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
        status = ms_log_ends(client, topic, part->partition, &low, &high, error);
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
        ms_client_destroy(client);
    return status;
}

enum ms_status ms_replay_check_output(const struct ms_replay *replay, struct ms_error *error)
{
    rd_kafka_t *client = NULL;
    int count;
    enum ms_status status = ms_replay_consumer(&client, &replay->config, "mindstream-replay", error);
    if (status == MS_OK) {
        status = ms_log_partitions(client, &replay->config, replay->config.output_topic, "WRITE", &count,
                                   error);
        ms_client_destroy(client);
    }
    return status == MS_OK ? MS_OK : ms_fail_in(error, status, "publishing");
}

/* ---- parts that are given ---- */

static enum ms_status part_lack(rd_kafka_t *client, const struct ms_config *config, int partitions,
                                struct ms_replay_part *part, enum ms_replay_lack *lack,
                                struct ms_error *error)
{
    int64_t low, high;
    *lack = MS_REPLAY_LACKS_END;
    if (part->partition >= partitions)
        return MS_OK;
    enum ms_status status = ms_log_ends(client, ms_source_topic(part->source, config), part->partition, &low,
                                        &high, error);
    if (status != MS_OK)
        return status;
    if (ms_sources[part->source]->compacted)
        part->from = low < part->to ? low : part->to;
    *lack = part->to > high                             ? MS_REPLAY_LACKS_END
            : part->from < low && part->from < part->to ? MS_REPLAY_LACKS_BEGINNING
                                                        : MS_REPLAY_WHOLE;
    return MS_OK;
}

enum ms_status ms_replay_lacks(const struct ms_config *config, struct ms_replay_part *parts, size_t count,
                               enum ms_replay_lack *lack, struct ms_error *error)
{
    rd_kafka_t *client = NULL;
    int partitions[MS_SOURCES] = {0};
    struct ms_input_logs logs = {.kind = {MS_INPUT_UNKNOWN}};
    enum ms_status status = ms_replay_consumer(&client, config, "mindstream-verify", error);
    for (int source = 0; status == MS_OK && source < MS_SOURCES; source++) {
        if (ms_source_topic(source, config)[0])
            status = ms_log_partitions(client, config, ms_source_topic(source, config), "READ",
                                       &partitions[source], error);
    }
    bool holed = status == MS_OK && ms_input_logs_ask(&logs, client, config) && !config->accept_holes &&
                 logs.kind[MS_SOURCE_CLICKS] == MS_INPUT_COMPACTED;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        status = part_lack(client, config, partitions[parts[i].source], &parts[i], &lack[i], error);
        if (holed && lack[i] == MS_REPLAY_WHOLE && parts[i].source == MS_SOURCE_CLICKS)
            lack[i] = MS_REPLAY_LACKS_SOME;
    }
    if (client)
        ms_client_destroy(client);
    return status;
}
