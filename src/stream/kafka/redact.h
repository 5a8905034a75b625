/* Taking the values of settings out of texts that librdkafka wrote. */
#ifndef MS_KAFKA_REDACT_H
#define MS_KAFKA_REDACT_H

#include <librdkafka/rdkafka.h>

#include "base/config.h"

/* Puts '*' over every part of |text| that |value| has too: parts of four bytes and more, since librdkafka also quotes pieces, and
 * a shorter value where it is a word. */
void ms_redact_parts(char *text, const char *value);

/* Takes what passes through out of |text|: parts of values that may be secret, and other values where they stand in whole. */
void ms_redact_settings(char *text, const struct ms_config *config);

/* Takes the values of the client's secret settings out of |text|. For the client's log callback: any thread, no allocation. */
void ms_redact_client(char *text, const rd_kafka_t *rk);

#endif
