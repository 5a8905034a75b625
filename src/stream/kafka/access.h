/* Which access rule (ACL) is missing where a broker refuses. */
#ifndef MS_KAFKA_ACCESS_H
#define MS_KAFKA_ACCESS_H

#include <stdbool.h>

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "mindstream/status.h"

/* Whether |code| says that the principal may not do something. */
bool ms_access_refused(rd_kafka_resp_err_t code);

/* Where |code| says so, puts in front of *error which operation on which resource is not allowed to whom, and makes it
 * MS_KAFKA_REFUSED, which it returns; else returns |status|. |operation| and |topic| are what was tried on which topic, "" where it was
 * none; a group, and transactional ids, are those of |config|. */
enum ms_status ms_access_missing(struct ms_error *error, enum ms_status status, rd_kafka_resp_err_t code,
                                 const struct ms_config *config, const char *operation, const char *topic);

/* The same for a topic, as a text of its own: for what is only logged. */
void ms_access_text(char *text, size_t size, const struct ms_config *config, const char *operation,
                    const char *topic);

#endif
