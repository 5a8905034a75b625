/* Durations as text: "1500", "500ms", "10s", "5m", "12h", "7d", and those of ISO 8601: "PT6H", "P1DT30M". */
#ifndef MS_BASE_DURATION_H
#define MS_BASE_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads |size| bytes of text, a whole number and a unit, as milliseconds into *ms. Without a unit it is
 * milliseconds. After a P, whole numbers of days, and behind a T of hours, minutes and seconds, each at most once and in this
 * order (ISO 8601; not years and months, which have no length). False, and *ms as it was, when the text is no duration or is beyond int64. Pure. */
bool ms_duration_parse(const char *text, size_t size, int64_t *ms);

#endif
