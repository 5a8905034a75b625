/* How the input topics keep their records: whether a state that is lost can be folded from them again. */
#ifndef MS_KAFKA_INPUT_LOGS_H
#define MS_KAFKA_INPUT_LOGS_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "stream/positions.h"

enum ms_input_kind { MS_INPUT_UNKNOWN, MS_INPUT_WHOLE, MS_INPUT_COMPACTED };

/* By source, as of the start. */
struct ms_input_logs {
    enum ms_input_kind kind[MS_SOURCES];
};

/* Asks for the settings of all input topics that |config| names, and says what they are, and where they do not suit.
 * Where nobody tells, that is said, and the kind is MS_INPUT_UNKNOWN. False where no broker has answered, after some
 * seconds. */
bool ms_input_logs_ask(struct ms_input_logs *logs, rd_kafka_t *client, const struct ms_config *config);

/* Whether the topic of |source| is compacted by now, although its records are no latest values. Where no broker
 * answers, what was told at the start counts; what was not told then is not asked again. */
bool ms_input_log_holed(const struct ms_input_logs *logs, rd_kafka_t *client, const struct ms_config *config,
                        int source);

#endif
