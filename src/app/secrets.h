/* Secrets that come from files, and where others could read them. */
#ifndef MS_APP_SECRETS_H
#define MS_APP_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#include "mindstream/status.h"

#define MS_SECRET_MAX_BYTES ((size_t)1 << 20) /* of a file with a value */

/* Whether |key| is KEY.file, and no key that librdkafka itself has so; copies KEY to |base| then, which has |size| bytes. */
bool ms_secret_from_file(const char *key, char *base, size_t size);

/* Reads the value of a setting from |path|, without the line end behind it. The caller frees *value. MS_CONFIG names |key| and
 * |where| and shows neither path nor content: someone may have written the secret itself in the path's place. */
enum ms_status ms_secret_read(char **value, const char *path, const char *key, const char *where,
                              struct ms_error *error) MS_MUST_CHECK;

/* Whether |path| is a regular file that every user of the machine may read. */
bool ms_secret_is_open(const char *path);

/* Whether the name of a librdkafka key speaks of a secret, for warnings. What may be shown is decided by
 * ms_passthrough_is_harmless. */
bool ms_secret_is_named(const char *key);

#endif
