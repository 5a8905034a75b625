/* Event times: numbers of seconds, milliseconds or microseconds told apart by magnitude, and ISO 8601.
 *
 * All functions return NULL and set *time_ms (since 1970 UTC, the fraction of a millisecond cut off), or
 * return a static text that says what is wrong. Legal times are 1970 up to, not including, the year 9999:
 * systems write that year for "never", and one such event would sit at the end of its user's sequence for
 * good. */
#ifndef MS_EVENT_TIME_H
#define MS_EVENT_TIME_H

#include <stddef.h>
#include <stdint.h>

#define MS_TIME_END_MS INT64_C(253370764800000) /* 9999-01-01T00:00:00Z */

/* Below 1e11 seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds. Refused, and not taken for a time in
 * another unit: numbers that mean the year 9999 in any unit, the largest numbers that systems write for "never", and dates in
 * digits (20231114221320). */
const char *ms_time_from_integer(int64_t number, int64_t *time_ms);
const char *ms_time_from_double(double number, int64_t *time_ms);

/* Either a number as above in digits, with or without a fraction and an exponent, or
 * DATE [T or blank CLOCK [zone] [name]], DATE = YYYY-MM-DD | YYYYMMDD, CLOCK = HH:MM[:SS[.fraction]] | HHMM[SS[.fraction]],
 * zone = Z | UTC | +hh | +hhmm | +hh:mm | -..., with or without a blank before it, name = the zone's in brackets behind its
 * offset; without a zone it is UTC, without a clock time midnight. Eight digits are a date where they can be one of 1970 to 2099.
 * No 24:00, no leap seconds. */
const char *ms_time_from_text(const char *text, size_t bytes, int64_t *time_ms);

#endif
