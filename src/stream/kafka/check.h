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

/* The part of ms_kafka_check about how clients log in: whether tokens come from somewhere. Warns where the network could read a
 * password. Runs no command. */
enum ms_status ms_kafka_check_login(const struct ms_config *config, struct ms_error *error) MS_MUST_CHECK;

/* The part of ms_kafka_check that makes clients, which reach nobody: whether they can be made of the settings and of the files with
 * certificates and keys as these are now. */
enum ms_status ms_kafka_check_clients(const struct ms_config *config, struct ms_error *error) MS_MUST_CHECK;

#endif
