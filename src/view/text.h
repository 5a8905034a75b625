/* A user's view as text for people. */
#ifndef MS_VIEW_TEXT_H
#define MS_VIEW_TEXT_H

#include <stddef.h>

#include "base/buffer.h"
#include "mindstream/status.h"
#include "view/palette.h"
#include "view/user.h"

/* Appends the counters, the interests and the newest |limit| behaviors (0: all) in aligned columns, safe on a terminal, in
 * the colours of |palette| (NULL: none).
 * On failure (MS_MEMORY) |out| is as it was. */
enum ms_status ms_user_view_text(const struct ms_user_view *view, size_t limit,
                                 const struct ms_palette *palette, struct ms_buffer *out,
                                 struct ms_error *error) MS_MUST_CHECK;

#endif
