/* The option table as text: with values, as JSON, as a sample file and as a man page. */
#ifndef MS_APP_OPTION_TEXT_H
#define MS_APP_OPTION_TEXT_H

#include <stdio.h>

#include "app/options.h"

/* Each writes to |out|, whose error flag tells of failures. Keys of coming versions are in the man page
 * only. */
void ms_option_text_table(FILE *out, const struct ms_options *options);
void ms_option_text_sample(FILE *out);
void ms_option_text_man(FILE *out);
/* One JSON object: {"options": [{"key", "group", "type", "unit", "value", "where", "default", "min", "max",
 * "values", "required_for", "automatic", "reloadable", "secret", "supported", "description"}...],
 * "passthrough": [{"key", "value", "where"}...]}. min and max are there for numbers, values for enums. MS_IO
 * when it cannot be written. */
enum ms_status ms_option_text_json(FILE *out, const struct ms_options *options,
                                   struct ms_error *error) MS_MUST_CHECK;

#endif
