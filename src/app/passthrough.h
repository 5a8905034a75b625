/* Keys that go on to librdkafka as they are, and those that the service must keep in its own hands. */
#ifndef MS_APP_PASSTHROUGH_H
#define MS_APP_PASSTHROUGH_H

#include <stdbool.h>

#include "base/config.h"
#include "mindstream/status.h"

/* Whether |key| begins with consumer., producer. or kafka. (both). Fills *entry's key (the rest of |key|),
 * consumer, producer and secret then; the value is the caller's to fill. */
bool ms_passthrough_split(const char *key, struct ms_passthrough *entry);

/* MS_CONFIG with the reason when the entry names a key that the service owns. |key| is the full key, |where|
 * its place. */
enum ms_status ms_passthrough_check(const struct ms_passthrough *entry, const char *key, const char *where,
                                    struct ms_error *error) MS_MUST_CHECK;

/* Whether a librdkafka key holds what no log may show. */
bool ms_passthrough_is_secret(const char *key);

#endif
