/* Reading times. */
#include "event/time.h"

#include <stdbool.h>
#include <string.h>

#include "base/json.h"

#define YEAR_9999_S (MS_TIME_END_MS / 1000)
#define NEVER_END_S                                                                                          \
    INT64_C(253402387200) /* a day into the year 10000: the last second of 9999, in any zone */
#define NANOSECONDS    INT64_C(100000000000000000) /* 1e17: microseconds end here */
#define LARGEST_S      INT64_C(9223372036)         /* what 64 bits of nanoseconds hold, in the year 2262 */
#define EXPONENT_MAX   999
#define DECIMAL_ROOM   64 /* digits of a number with an exponent */
#define MS_PER_DAY     INT64_C(86400000)
#define MS_PER_MINUTE  INT64_C(60000)
#define UTC_OFFSET_MAX 23 /* hours */

static const char too_early[] = "it is before 1970";
static const char too_late[] = "it is in the year 9999 or later";
static const char never[] = "it is the largest time that a system can hold, which stands for never";
static const char calendar[] =
    "its digits look like a date and not like a time since 1970; dates are taken as ISO 8601 text";
static const char zone_name[] = "it names its zone without the offset from UTC";
static const char not_a_time[] = "it is neither a number nor an ISO 8601 time";

static const char *checked(int64_t ms, int64_t *time_ms)
{
    if (ms < 0)
        return too_early;
    if (ms >= MS_TIME_END_MS)
        return too_late;
    if (ms / 1000 == LARGEST_S)
        return never;
    *time_ms = ms;
    return NULL;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Whether YYYYMMDD is a day of the years in which people click. */
static bool calendar_day(int64_t number)
{
    int year = (int)(number / 10000), month = (int)(number / 100 % 100), day = (int)(number % 100);
    return year >= 1970 && year <= 2099 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days_in_month(year, month);
}

/* Whether the digits are YYYYMMDD, YYYYMMDDhhmm, YYYYMMDDhhmmss or the last with milliseconds. As numbers they would be days of
 * 1970 or 1976, or the years 2594 to 2640. */
static bool calendar_digits(int64_t whole)
{
    if (whole < INT64_C(21000000))
        return calendar_day(whole);
    int64_t second = 0;
    if (whole >= INT64_C(19700101000000000) && whole < INT64_C(21000000000000000))
        second = whole / 1000;
    else if (whole >= INT64_C(19700101000000) && whole < INT64_C(21000000000000))
        second = whole;
    else if (whole >= INT64_C(197001010000) && whole < INT64_C(210000000000))
        second = whole * 100;
    return second && calendar_day(second / 1000000) && second / 10000 % 100 < 24 && second / 100 % 100 < 60 &&
           second % 100 < 60;
}

/* Numbers that are the year 9999 in seconds, milliseconds or microseconds, or a limit of a type. They are too late in their own
 * unit, and must not be taken for an earlier time in the next one. */
static const char *sentinel(int64_t whole)
{
    static const int64_t limits[] = {
        INT64_C(8640000000000000),    /* milliseconds: the last Date of JavaScript */
        INT64_C(9007199254740991),    /* the largest integer of JavaScript */
        INT64_C(31556889864403199),   /* seconds: the last Instant of Java */
        INT64_C(9223372036854775807), /* the largest 64-bit integer */
    };
    for (int64_t unit = 1; unit <= 1000000; unit *= 1000)
        if (whole >= YEAR_9999_S * unit && whole < NEVER_END_S * unit)
            return too_late;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (whole == limits[i])
            return never;
    return calendar_digits(whole) ? calendar : NULL;
}

/* |whole| and the digits of its fraction, both positive or zero. */
static const char *from_decimal(int64_t whole, const char *fraction, size_t fraction_bytes, int64_t *time_ms)
{
    bool plain = (whole > INT64_C(100000000) && whole < INT64_C(100000000000)) ||
                 (whole > INT64_C(1000000000000) && whole < INT64_C(10000000000000));
    const char *reason = plain ? NULL : sentinel(whole);
    if (reason)
        return reason;
    if (whole < INT64_C(100000000000)) {
        int64_t ms = whole;
        for (size_t i = 0; i < 3; i++)
            ms = ms * 10 + (i < fraction_bytes ? fraction[i] - '0' : 0);
        return checked(ms, time_ms);
    }
    int64_t unit = whole < INT64_C(100000000000000) ? 1 : whole < NANOSECONDS ? 1000 : 1000000;
    return checked(whole / unit, time_ms);
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

/* [e|E][+|-]digits at the end of the text; *exponent is 0 without. */
static bool take_exponent(struct cursor *c, int *exponent)
{
    *exponent = 0;
    if (!take_char(c, 'e') && !take_char(c, 'E'))
        return true;
    bool negative = take_char(c, '-');
    if (!negative)
        take_char(c, '+');
    size_t n = digits(c);
    if (!n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (*exponent <= EXPONENT_MAX)
            *exponent = *exponent * 10 + (c->at[i] - '0');
    if (negative)
        *exponent = -*exponent;
    c->at += n;
    return true;
}

/* The digits before and behind the point. */
struct decimal {
    const char *digits, *fraction;
    size_t digit_count, fraction_count;
};

static const char *from_digits(struct decimal d, int64_t *time_ms)
{
    int64_t whole = 0;
    for (size_t i = 0; i < d.digit_count; i++) {
        int digit = d.digits[i] - '0';
        whole = whole > (INT64_MAX - digit) / 10 ? INT64_MAX : whole * 10 + digit;
        if (whole == INT64_MAX && i + 1 < d.digit_count)
            return too_late;
    }
    return from_decimal(whole, d.fraction, d.fraction_count, time_ms);
}

/* The digits of |d| with the point moved by |exponent|, in |out|. False when there are more than it holds. */
static bool move_point(struct decimal *d, int exponent, char out[DECIMAL_ROOM])
{
    size_t count = d->digit_count + d->fraction_count, used = 0;
    long point = (long)d->digit_count + exponent;
    if (count > DECIMAL_ROOM / 2 || point > DECIMAL_ROOM / 2)
        return false;
    for (long i = point < -3  ? -3
                  : point < 0 ? point
                              : 0;
         i < 0; i++) /* a fraction has three digits that count */
        out[used++] = '0';
    memcpy(out + used, d->digits, d->digit_count);
    memcpy(out + used + d->digit_count, d->fraction, d->fraction_count);
    used += count;
    for (; point > 0 && used < (size_t)point; used++)
        out[used] = '0';
    size_t whole = point > 0 ? (size_t)point : 0;
    *d = (struct decimal){out, out + whole, whole, used - whole};
    return true;
}

/* [-]digits[.digits][exponent] and nothing else; *reason is the outcome then. */
static bool number_text(struct cursor c, int64_t *time_ms, const char **reason)
{
    char moved[DECIMAL_ROOM];
    int exponent;
    bool negative = take_char(&c, '-');
    struct decimal d = {c.at, c.at, digits(&c), 0};
    c.at += d.digit_count;
    if (d.digit_count && take_char(&c, '.')) {
        d.fraction = c.at;
        d.fraction_count = digits(&c);
        c.at += d.fraction_count;
        if (!d.fraction_count)
            return false;
    }
    if (!d.digit_count || !take_exponent(&c, &exponent) || c.at != c.end)
        return false;
    bool zero = true;
    for (size_t i = 0; i < d.digit_count; i++)
        zero = zero && d.digits[i] == '0';
    for (size_t i = 0; i < d.fraction_count; i++)
        zero = zero && d.fraction[i] == '0';
    if (negative && !zero)
        *reason = too_early;
    else if (exponent && !zero && !move_point(&d, exponent, moved))
        *reason = exponent > 0 ? too_late : not_a_time;
    else
        *reason = from_digits(d, time_ms);
    return true;
}

const char *ms_time_from_double(double number, int64_t *time_ms)
{
    /* Multiplying 1700000000.123 by 1000 may give ...122.9999; the shortest digits are what was written. */
    char text[64];
    if (number >= 0x1p63)
        return number == 0x1p63 ? never : too_late;
    if (number <= -0x1p63)
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

/* YYYY-MM-DD or YYYYMMDD. */
static bool take_date(struct cursor *c, int64_t *days)
{
    int year, month, day;
    if (!take_number(c, 4, 0, 9999, &year))
        return false;
    bool dashes = take_char(c, '-');
    if (!take_number(c, 2, 1, 12, &month) || (dashes && !take_char(c, '-')) ||
        !take_number(c, 2, 1, days_in_month(year, month), &day))
        return false;
    *days = days_since_1970(year, month, day);
    return true;
}

/* HH:MM[:SS[.fraction]] or HHMM[SS[.fraction]], in ms of the day. Digits beyond milliseconds are cut off. */
static bool take_clock(struct cursor *c, int64_t *ms)
{
    int hour, minute, second = 0, fraction_ms = 0;
    if (!take_number(c, 2, 0, 23, &hour))
        return false;
    bool colons = take_char(c, ':');
    if (!take_number(c, 2, 0, 59, &minute))
        return false;
    if (colons ? take_char(c, ':') : digits(c) > 0) {
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
    if ((colon || digits(c)) && !take_number(c, 2, 0, 59, &minutes_part))
        return false;
    *minutes = (west ? -1 : 1) * ((int64_t)hours * 60 + minutes_part);
    return true;
}

/* The zone's name in brackets behind its offset (RFC 9557): +05:30[Asia/Kolkata]. The offset decides. */
static bool take_zone_name(struct cursor *c)
{
    while (take_char(c, '[')) {
        const char *start = c->at;
        while (c->at<c->end && * c->at> ' ' && *c->at < 0x7f && *c->at != '[' && *c->at != ']')
            c->at++;
        if (c->at == start || !take_char(c, ']'))
            return false;
    }
    return true;
}

const char *ms_time_from_text(const char *text, size_t bytes, int64_t *time_ms)
{
    struct cursor c = {text, text + bytes};
    const char *reason;
    int64_t days, clock_ms = 0, zone_minutes = 0;
    bool basic_date = bytes == 8 && digits(&c) == 8 && memcmp(text, "1970", 4) >= 0 &&
                      memcmp(text, "2100", 4) < 0 && take_date(&c, &days);
    if (basic_date)
        return checked(days * MS_PER_DAY, time_ms);
    c.at = text;
    if (number_text(c, time_ms, &reason))
        return reason;
    if (!take_date(&c, &days))
        return not_a_time;
    if (take_char(&c, 'T') || take_char(&c, 't') || take_char(&c, ' ')) {
        if (!take_clock(&c, &clock_ms))
            return not_a_time;
        if (c.at < c.end && *c.at == '[')
            return zone_name;
        if (!take_zone(&c, &zone_minutes) || !take_zone_name(&c))
            return not_a_time;
    }
    if (c.at != c.end)
        return not_a_time;
    return checked(days * MS_PER_DAY + clock_ms - zone_minutes * MS_PER_MINUTE, time_ms);
}
