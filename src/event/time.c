/* Reading times. */
#include "event/time.h"

#include <stdbool.h>
#include <string.h>

#include "base/json.h"

#define YEAR_9999_S    (MS_TIME_END_MS / 1000)
#define YEAR_10000_S   INT64_C(253402300800)
#define NUMBER_LIMIT   INT64_C(100000000000000000) /* 1e17: microseconds end here */
#define MS_PER_DAY     INT64_C(86400000)
#define MS_PER_MINUTE  INT64_C(60000)
#define UTC_OFFSET_MAX 23 /* hours */

static const char too_early[] = "it is before 1970";
static const char too_late[] = "it is in the year 9999 or later";
static const char not_a_time[] = "it is neither a number nor an ISO 8601 time";

/* |whole| and the digits of its fraction, both positive or zero. */
static const char *from_decimal(int64_t whole, const char *fraction, size_t fraction_bytes, int64_t *time_ms)
{
    if ((whole >= YEAR_9999_S && whole < YEAR_10000_S) ||
        (whole >= YEAR_9999_S * 1000 && whole < YEAR_10000_S * 1000) || whole >= NUMBER_LIMIT)
        return too_late;
    if (whole < INT64_C(100000000000)) {
        int64_t ms = whole;
        for (size_t i = 0; i < 3; i++)
            ms = ms * 10 + (i < fraction_bytes ? fraction[i] - '0' : 0);
        *time_ms = ms;
    } else {
        *time_ms = whole < INT64_C(100000000000000) ? whole : whole / 1000;
    }
    return NULL;
}

const char *ms_time_from_integer(int64_t number, int64_t *time_ms)
{
    return number < 0 ? too_early : from_decimal(number, NULL, 0, time_ms);
}

/* The unread part of a text. */
struct cursor {
    const char *at, *end;
};

static bool take_char(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static size_t digits(const struct cursor *c)
{
    size_t n = 0;
    while (c->at + n < c->end && c->at[n] >= '0' && c->at[n] <= '9')
        n++;
    return n;
}

/* Exactly |n| digits with a value in [low, high]. */
static bool take_number(struct cursor *c, size_t n, int low, int high, int *value)
{
    if (digits(c) < n)
        return false;
    int v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (c->at[i] - '0');
    c->at += n;
    *value = v;
    return v >= low && v <= high;
}

/* [-]digits[.digits] and nothing else; *reason is the outcome then. */
static bool number_text(struct cursor c, int64_t *time_ms, const char **reason)
{
    bool negative = take_char(&c, '-');
    size_t n = digits(&c);
    const char *whole_digits = c.at;
    c.at += n;
    const char *fraction = c.at;
    size_t fraction_bytes = 0;
    if (take_char(&c, '.')) {
        fraction = c.at;
        fraction_bytes = digits(&c);
        c.at += fraction_bytes;
        if (!fraction_bytes)
            return false;
    }
    if (!n || c.at != c.end)
        return false;
    int64_t whole = 0;
    for (size_t i = 0; i < n && whole < NUMBER_LIMIT; i++)
        whole = whole * 10 + (whole_digits[i] - '0');
    bool zero = !whole;
    for (size_t i = 0; i < fraction_bytes; i++)
        zero = zero && fraction[i] == '0';
    *reason = negative && !zero ? too_early : from_decimal(whole, fraction, fraction_bytes, time_ms);
    return true;
}

const char *ms_time_from_double(double number, int64_t *time_ms)
{
    /* Multiplying 1700000000.123 by 1000 may give ...122.9999; the shortest digits are what was written. */
    char text[64];
    if (number >= (double)NUMBER_LIMIT)
        return too_late;
    if (number <= -(double)NUMBER_LIMIT)
        return too_early;
    size_t bytes = ms_print_double(text, sizeof text, number);
    if (!bytes) /* more digits than that: next to zero */
        return ms_time_from_integer(number < 0 ? -1 : 0, time_ms);
    const char *reason = not_a_time;
    number_text((struct cursor){text, text + bytes}, time_ms, &reason);
    return reason;
}

/* Days since 1970 of a day of the Gregorian calendar (Hinnant, "chrono-compatible low-level date
 * algorithms"). */
static int64_t days_since_1970(int year, int month, int day)
{
    int y = year - (month <= 2);
    int era = y >= 0 ? y / 400 : -1; /* years are 0 .. 9999 */
    int year_of_era = y - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * 146097 + day_of_era - 719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(struct cursor *c, int64_t *days)
{
    int year, month, day;
    if (!take_number(c, 4, 0, 9999, &year) || !take_char(c, '-') || !take_number(c, 2, 1, 12, &month) ||
        !take_char(c, '-') || !take_number(c, 2, 1, days_in_month(year, month), &day))
        return false;
    *days = days_since_1970(year, month, day);
    return true;
}

/* HH:MM[:SS[.fraction]], in ms of the day. Digits beyond milliseconds are cut off. */
static bool take_clock(struct cursor *c, int64_t *ms)
{
    int hour, minute, second = 0, fraction_ms = 0;
    if (!take_number(c, 2, 0, 23, &hour) || !take_char(c, ':') || !take_number(c, 2, 0, 59, &minute))
        return false;
    if (take_char(c, ':')) {
        if (!take_number(c, 2, 0, 59, &second))
            return false;
        if (take_char(c, '.') || take_char(c, ',')) {
            size_t n = digits(c);
            if (!n)
                return false;
            for (size_t i = 0; i < 3; i++)
                fraction_ms = fraction_ms * 10 + (i < n ? c->at[i] - '0' : 0);
            c->at += n;
        }
    }
    *ms = (((int64_t)hour * 60 + minute) * 60 + second) * 1000 + fraction_ms;
    return true;
}

/* The offset from UTC in minutes; no zone is UTC. */
static bool take_zone(struct cursor *c, int64_t *minutes)
{
    *minutes = 0;
    if (c->at == c->end)
        return true;
    take_char(c, ' ');
    if (take_char(c, 'Z') || take_char(c, 'z'))
        return true;
    if (c->end - c->at >= 3 && memcmp(c->at, "UTC", 3) == 0) {
        c->at += 3;
        return true;
    }
    bool west = take_char(c, '-');
    int hours, minutes_part = 0;
    if ((!west && !take_char(c, '+')) || !take_number(c, 2, 0, UTC_OFFSET_MAX, &hours))
        return false;
    bool colon = take_char(c, ':');
    if ((colon || c->at < c->end) && !take_number(c, 2, 0, 59, &minutes_part))
        return false;
    *minutes = (west ? -1 : 1) * ((int64_t)hours * 60 + minutes_part);
    return true;
}

const char *ms_time_from_text(const char *text, size_t bytes, int64_t *time_ms)
{
    struct cursor c = {text, text + bytes};
    const char *reason;
    if (number_text(c, time_ms, &reason))
        return reason;
    int64_t days, clock_ms = 0, zone_minutes = 0;
    if (!take_date(&c, &days))
        return not_a_time;
    if (take_char(&c, 'T') || take_char(&c, 't') || take_char(&c, ' ')) {
        if (!take_clock(&c, &clock_ms) || !take_zone(&c, &zone_minutes))
            return not_a_time;
    }
    if (c.at != c.end)
        return not_a_time;
    int64_t ms = days * MS_PER_DAY + clock_ms - zone_minutes * MS_PER_MINUTE;
    if (ms < 0)
        return too_early;
    if (ms >= MS_TIME_END_MS)
        return too_late;
    *time_ms = ms;
    return NULL;
}
