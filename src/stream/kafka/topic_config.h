/* The settings of a topic, as its brokers tell them. */
#ifndef MS_KAFKA_TOPIC_CONFIG_H
#define MS_KAFKA_TOPIC_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "mindstream/status.h"
#include "stream/topic_plan.h"

#define MS_TOPIC_CONFIG_WAIT_MS 3000 /* that an answer may take at the start */

struct ms_topic_config {
    char cleanup[MS_TOPIC_CLEANUP_BYTES];       /* cleanup.policy: "delete", "compact" or both with a comma */
    char retention_ms[24], retention_bytes[24]; /* "-1": without a bound; "": not told */
    long max_message_bytes;                     /* 0: not told */
    long segment_bytes;                         /* a batch is never longer than a segment; 0: not told */
    bool append_time;                           /* the broker gives records the time at which they come */
    int64_t before_ms, after_ms; /* how far a record's time may be from the broker's; -1: not told */
};

/* Asks for the settings of |topic| with any client, for at most |wait_ms|. *found is written only on MS_OK. MS_KAFKA_RETRY
 * when no broker answers, MS_KAFKA_REFUSED without the right to ask (DescribeConfigs), MS_KAFKA when the broker
 * cannot tell. Not from a callback of |client|'s own threads. */
enum ms_status ms_topic_config_ask(rd_kafka_t *client, const char *topic, int wait_ms,
                                   struct ms_topic_config *found, struct ms_error *error) MS_MUST_CHECK;

/* Whether records are removed from the topic once a later one has their key. */
bool ms_topic_config_compacted(const struct ms_topic_config *config);

#endif
