/* Questions about a topic's logs: how many partitions there are, where they begin and end, and which offset a bound has.
 * Each call blocks for ten seconds at most. Any client, any thread but those of its callbacks. */
#ifndef MS_KAFKA_LOG_ENDS_H
#define MS_KAFKA_LOG_ENDS_H

#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "mindstream/status.h"
#include "stream/replay_plan.h"

/* How many partitions the topic has. MS_KAFKA, naming the topic, where it does not exist. |operation| (READ, WRITE) is what it is asked
 * for: the access rule that is named where it is missing. */
enum ms_status ms_log_partitions(rd_kafka_t *client, const struct ms_config *config, const char *topic,
                                 const char *operation, int *count, struct ms_error *error) MS_MUST_CHECK;
/* The same, with a time-out. MS_KAFKA_RETRY where nobody answers. */
enum ms_status ms_log_partitions_within(rd_kafka_t *client, const struct ms_config *config, const char *topic,
                                        const char *operation, int timeout_ms, int *count,
                                        struct ms_error *error) MS_MUST_CHECK;

/* The first offset of a partition's log, and the one behind its last record. */
enum ms_status ms_log_ends(rd_kafka_t *client, const char *topic, int32_t partition, int64_t *low,
                           int64_t *high, struct ms_error *error) MS_MUST_CHECK;

/* The offset that |bound| means in a log from |low| to |high|: of a time, the first record of this time or later, and
 * |high| where there is none. One that was given as an offset is returned as it is, within the log or not. */
enum ms_status ms_log_offset(rd_kafka_t *client, const struct ms_bound *bound, const char *topic,
                             int32_t partition, int64_t low, int64_t high, int64_t *offset,
                             struct ms_error *error) MS_MUST_CHECK;

#endif
