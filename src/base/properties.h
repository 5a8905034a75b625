/* Reads a Java-style .properties file, as Kafka's own tools take it. */
#ifndef MS_BASE_PROPERTIES_H
#define MS_BASE_PROPERTIES_H

#include "mindstream/status.h"

/* Called for each key and value; |where| is "file:line". A status other than MS_OK ends the reading with it.
 */
typedef enum ms_status ms_property_fn(void *context, const char *key, const char *value, const char *where,
                                      struct ms_error *error);

/* Reads |path| as java.util.Properties does: comments (# !), "key=value", "key: value", "key value", continuation lines,
 * escapes (\t \n \r \f, \uXXXX with surrogate pairs, \ before anything else), trailing blanks kept. Two differences:
 * the file is UTF-8, with or without a byte order mark, and what a C string in UTF-8 cannot hold (NUL, half of a pair) is
 * MS_CONFIG. So are a \u without its digits and a line of 1 MiB. Errors name file and line and show nothing of the line. */
enum ms_status ms_properties_read(const char *path, ms_property_fn *fn, void *context,
                                  struct ms_error *error) MS_MUST_CHECK;

#endif
