/* Finding wrong settings before anything touches state or network. */
#ifndef MS_KAFKA_CHECK_H
#define MS_KAFKA_CHECK_H

#include <stddef.h>

#include "base/config.h"
#include "mindstream/status.h"

/* Compiles what each source decodes with, and makes the clients of a worker, without a broker to connect to. MS_CONFIG names the
 * setting. What only a broker can tell is left to ms_kafka_wait. */
enum ms_status ms_kafka_check(const struct ms_config *config, struct ms_error *error) MS_MUST_CHECK;

/* MS_CONFIG when the producer's settings do not let the largest record through. */
enum ms_status ms_kafka_check_record(const struct ms_config *config, size_t largest_record_bytes,
                                     struct ms_error *error) MS_MUST_CHECK;

#endif
