/* Keys that pass through to librdkafka, and those that the service must set itself. */
#ifndef MS_APP_PASSTHROUGH_H
#define MS_APP_PASSTHROUGH_H

#include <stdbool.h>

#include "base/config.h"
#include "mindstream/status.h"

/* Whether |key| begins with consumer., producer. or kafka. (both). Fills *entry's key (the rest of |key|),
 * consumer, producer and secret then; the value is the caller's to fill. */
bool ms_passthrough_split(const char *key, struct ms_passthrough *entry);

/* MS_CONFIG with the reason when the entry names a key that the service owns. |key| is the full key, |where|
 * its source. The message shows no value, and of a name only what can be one. */
enum ms_status ms_passthrough_check(const struct ms_passthrough *entry, const char *key, const char *where,
                                    struct ms_error *error) MS_MUST_CHECK;

/* Whether the value of a librdkafka key may be shown by 'mindstream config': only keys that are known. All else may be a secret:
 * names in upper case, with a slip of the pen, of a coming version, of the Java client. */
bool ms_passthrough_is_harmless(const char *key);

#endif
