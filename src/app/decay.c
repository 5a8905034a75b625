/* Lists of decays and half-lives. */
#include "app/decay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DECAY 0.9
#define NUMBER_MAX    63 /* bytes of one number of a list */

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

/* Cuts the next element, blanks around it left out, from the list at *at; false at the end. */
static bool next_element(const char **at, const char **element, size_t *size)
{
    if (!*at)
        return false;
    const char *begin = *at, *comma = strchr(begin, ','), *end = comma ? comma : begin + strlen(begin);
    *at = comma ? comma + 1 : NULL;
    while (begin < end && *begin == ' ')
        begin++;
    while (end > begin && end[-1] == ' ')
        end--;
    *element = begin;
    *size = (size_t)(end - begin);
    return true;
}

static bool parse_decay(const char *text, size_t size, double *decay)
{
    char copy[NUMBER_MAX + 1];
    if (size == 0 || size > NUMBER_MAX || strspn(text, "0123456789.eE+-") < size)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    char *end;
    errno = 0;
    double value = strtod(copy, &end);
    if (*end || errno || !(value > 0.0 && value <= 1.0))
        return false;
    *decay = value;
    return true;
}

enum ms_status ms_decay_list(const char *name, const char *text, bool by_time, struct ms_decay *parsed,
                             struct ms_error *error)
{
    struct ms_decay result = {0};
    const char *at = text, *element;
    size_t size;
    while (next_element(&at, &element, &size)) {
        if (result.count == MS_MAX_DECAYS)
            return ms_fail(error, MS_CONFIG, "%s=%s: more than %d numbers", name, text, MS_MAX_DECAYS);
        int shown = size > NUMBER_MAX ? NUMBER_MAX : (int)size;
        if (!by_time && !parse_decay(element, size, &result.per_event[result.count]))
            return ms_fail(error, MS_CONFIG, "%s: '%.*s' is not a decay; each is a number above 0, at most 1",
                           name, shown, element);
        int64_t *half_life_ms = &result.half_life_ms[result.count];
        if (by_time && (!ms_duration_parse(element, size, half_life_ms) || *half_life_ms <= 0))
            return ms_fail(error, MS_CONFIG,
                           "%s: '%.*s' is not a half-life; each is a duration above 0 like 12h or 7d", name,
                           shown, element);
        result.count++;
    }
    *parsed = result;
    return MS_OK;
}

enum ms_status ms_decay_parse(const char *decay, const char *half_life, struct ms_decay *parsed,
                              struct ms_error *error)
{
    if (half_life[0] && decay[0])
        return ms_fail(error, MS_CONFIG,
                       "routing.decay=%s and routing.half.life=%s exclude each other: set one", decay,
                       half_life);
    if (half_life[0])
        return ms_decay_list("routing.half.life", half_life, true, parsed, error);
    if (decay[0])
        return ms_decay_list("routing.decay", decay, false, parsed, error);
    *parsed = (struct ms_decay){.count = 1, .per_event = {DEFAULT_DECAY}};
    return MS_OK;
}
