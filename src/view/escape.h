/* Values as text that is safe on a terminal. */
#ifndef MS_VIEW_ESCAPE_H
#define MS_VIEW_ESCAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"

/* Appends |bytes|. Control characters (C0, DEL and C1), backslashes and bytes that are not UTF-8 become \xNN, byte
 * by byte, so that an id from outside cannot move the cursor or imitate other output. False when memory ended. Pure.
 */
bool ms_escape(struct ms_buffer *out, struct ms_bytes bytes);

/* "2026-11-20T09:30:00.123Z", or "-" for INT64_MIN and for years that the C library cannot hold. Pure. */
#define MS_TIME_TEXT_BYTES 48
void ms_time_text(char text[MS_TIME_TEXT_BYTES], int64_t time_ms);

#endif
