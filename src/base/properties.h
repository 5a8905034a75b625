/* Reads a Java-style .properties file, as Kafka's own tools take it. */
#ifndef MS_BASE_PROPERTIES_H
#define MS_BASE_PROPERTIES_H

#include "mindstream/status.h"

/* Called for each key and value; |where| is "file:line". A status other than MS_OK ends the reading with it.
 */
typedef enum ms_status ms_property_fn(void *context, const char *key, const char *value, const char *where,
                                      struct ms_error *error);

/* Reads |path|: comments (# !), "key=value", "key: value", "key value", continuation lines, \ escapes. */
enum ms_status ms_properties_read(const char *path, ms_property_fn *fn, void *context,
                                  struct ms_error *error) MS_MUST_CHECK;

#endif
