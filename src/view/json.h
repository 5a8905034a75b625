/* A user's view as JSON, and what other JSON output shares with it. The keys stand in README.md. */
#ifndef MS_VIEW_JSON_H
#define MS_VIEW_JSON_H

#include <jansson.h>
#include <stdint.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"
#include "mindstream/status.h"
#include "view/user.h"

/* Appends one JSON object with everything in the view, on one line and without a newline. On failure (MS_MEMORY) |out|
 * is as it was. */
enum ms_status ms_user_view_json(const struct ms_user_view *view, struct ms_buffer *out,
                                 struct ms_error *error) MS_MUST_CHECK;

/* Below: a new reference, or NULL when memory ended, as jansson's own functions. */

/* The object that ms_user_view_json writes, to add to. */
json_t *ms_user_view_tree(const struct ms_user_view *view);

/* A string of bytes from outside. Bytes that are not UTF-8 (no event has them) are escaped (view/escape.h). */
json_t *ms_view_json_bytes(struct ms_bytes bytes);
/* 16 hexadecimal digits: a fold id does not fit a double. */
json_t *ms_view_json_fold_id(uint64_t fold_id);
/* An integer of milliseconds; null for INT64_MIN. */
json_t *ms_view_json_time(int64_t time_ms);

/* Appends |root| on one line, numbers with the 9 digits that a float needs, and releases it. NULL, and a value that
 * cannot be written, is MS_MEMORY; |out| is as it was then. */
enum ms_status ms_view_json_text(json_t *root, struct ms_buffer *out, struct ms_error *error) MS_MUST_CHECK;

#endif
