/* Durations as text. */
#include "base/duration.h"

#include <stddef.h>
#include <string.h>

/* A whole number at |*at|, which moves behind it. */
static bool read_number(const char **at, const char *end, int64_t *number)
{
    const char *start = *at;
    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        if (__builtin_mul_overflow(*number, (int64_t)10, number) ||
            __builtin_add_overflow(*number, (int64_t)(**at - '0'), number))
            return false;
    }
    return *at > start;
}

/* What follows the P of an ISO 8601 duration. */
static bool parse_iso(const char *at, const char *end, int64_t *ms)
{
    static const struct {
        char letter;
        bool clock; /* behind the T */
        int64_t ms;
    } parts[] = {{'D', false, 86400000}, {'H', true, 3600000}, {'M', true, 60000}, {'S', true, 1000}};
    int64_t sum = 0, number;
    bool clock = false;
    size_t next = 0; /* the first part that may follow */
    if (at == end)
        return false;
    while (at < end) {
        if (*at == 'T' && !clock && at + 1 < end) {
            clock = true;
            at++;
        }
        if (!read_number(&at, end, &number) || at == end)
            return false;
        while (next < sizeof parts / sizeof *parts &&
               (parts[next].letter != *at || parts[next].clock != clock))
            next++;
        if (next == sizeof parts / sizeof *parts || __builtin_mul_overflow(number, parts[next].ms, &number) ||
            __builtin_add_overflow(sum, number, &sum))
            return false;
        next++;
        at++;
    }
    *ms = sum;
    return true;
}

bool ms_duration_parse(const char *text, size_t size, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    const char *at = text, *end = text + size;
    int64_t number;
    if (size > 0 && *at == 'P')
        return parse_iso(at + 1, end, ms);
    if (!read_number(&at, end, &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t left = (size_t)(end - at);
        if (strlen(units[i].unit) != left || memcmp(units[i].unit, at, left) != 0)
            continue;
        if (__builtin_mul_overflow(number, units[i].ms, &number))
            return false;
        *ms = number;
        return true;
    }
    return false;
}
