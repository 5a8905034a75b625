/* What the topics that are written to take: asked of the brokers at the start, and learned from what they refuse.
 *
 * The right to ask (DescribeConfigs) may lack, and a topic may be altered while the service runs. A dead letter that
 * is refused must not end the service: the session ends, the limits are lowered, and the next session sends it as it
 * is taken. */
#ifndef MS_KAFKA_LIMITS_H
#define MS_KAFKA_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "mindstream/status.h"
#include "stream/dead_letter.h"

/* A batch has 61 bytes before its records, and a record up to 36 beside its key, value and headers; generously. */
#define MS_BATCH_OVERHEAD_BYTES 512

/* The worst that was refused of a topic within a session. */
struct ms_refusal {
    rd_kafka_resp_err_t code; /* 0: nothing */
    size_t bytes;             /* of the largest record that was too large */
};

struct ms_limits {
    size_t batch_bytes; /* of a batch of several records */
    struct ms_dead_letter_rules dead_letters;
    bool no_dead_letters; /* their topic refuses even the smallest */
    struct ms_refusal output_refused, dead_letter_refused;
};

/* Asks the topics of |config| with the producer |rk|, where the broker |tells| of settings, and says what does not suit. MS_CONFIG where the largest
 * possible record of the output does not fit its topic. */
enum ms_status ms_limits_ask(struct ms_limits *limits, rd_kafka_t *rk, const struct ms_config *config,
                             size_t largest_record_bytes, bool tells, struct ms_error *error) MS_MUST_CHECK;

/* The broker has refused |message|. */
void ms_limits_refused(struct ms_limits *limits, const struct ms_config *config,
                       const rd_kafka_message_t *message);

/* Whether a record was refused for what it is, since the last ms_limits_learn. */
bool ms_limits_refusal(const struct ms_limits *limits);

/* At the end of a session: lowers the limits by what was refused in it. Whether the next session can go on. */
bool ms_limits_learn(struct ms_limits *limits, const struct ms_config *config);

#endif
