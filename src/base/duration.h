/* Durations as text: "1500", "500ms", "10s", "5m", "12h", "7d". */
#ifndef MS_BASE_DURATION_H
#define MS_BASE_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads |size| bytes of text, a whole number and a unit, as milliseconds into *ms. Without a unit it is
 * milliseconds. False, and *ms as it was, when the text is no duration or is beyond int64. Pure. */
bool ms_duration_parse(const char *text, size_t size, int64_t *ms);

#endif
