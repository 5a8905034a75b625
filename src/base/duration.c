/* Durations as text. */
#include "base/duration.h"

#include <stddef.h>
#include <string.h>

bool ms_duration_parse(const char *text, size_t size, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t number = 0;
    size_t at = 0;
    for (; at < size && text[at] >= '0' && text[at] <= '9'; at++) {
        if (__builtin_mul_overflow(number, (int64_t)10, &number) ||
            __builtin_add_overflow(number, (int64_t)(text[at] - '0'), &number))
            return false;
    }
    if (at == 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strlen(units[i].unit) != size - at || memcmp(units[i].unit, text + at, size - at) != 0)
            continue;
        if (__builtin_mul_overflow(number, units[i].ms, &number))
            return false;
        *ms = number;
        return true;
    }
    return false;
}
