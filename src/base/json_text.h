/* JSON as text, value by value, for output that is too much for a tree. The caller writes brackets, commas and names. */
#ifndef MS_BASE_JSON_TEXT_H
#define MS_BASE_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"

/* Each appends one value and returns false where memory ended. Pure. */

/* A string in quotes. |bytes| are UTF-8; control characters, quotes and backslashes are escaped. */
bool ms_json_text_string(struct ms_buffer *out, struct ms_bytes bytes);
/* A float with the fewest digits that read back as the same; null where it is not finite. */
bool ms_json_text_float(struct ms_buffer *out, float value);
bool ms_json_text_integer(struct ms_buffer *out, int64_t value);
/* Floats with commas between them, and the same in brackets. */
bool ms_json_text_numbers(struct ms_buffer *out, const float *values, size_t count);
bool ms_json_text_floats(struct ms_buffer *out, const float *values, size_t count);

#endif
