/* Lists of decays and half-lives. */
#include "interest/decay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"

#define DEFAULT_DECAY 0.9
#define NUMBER_MAX    63 /* bytes of one number of a list */

/* Gives the next element of the list at *at, without the blanks around it. False at the end. */
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
    if (!by_time && strcmp(text, MS_DECAY_OF_MODEL) == 0) {
        *parsed = result;
        return MS_OK;
    }
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

/* |asked|: by the word "model", not by default. */
static enum ms_status decay_of_model(const struct ms_model *model, bool asked, struct ms_decay *parsed,
                                     struct ms_error *error)
{
    bool has = !model || ms_fold_has_decays(model);
    if (asked && !has)
        return ms_fail(error, MS_CONFIG,
                       "routing.decay=" MS_DECAY_OF_MODEL ": model %s has no decays (tensor routing.decay)",
                       ms_model_config(model)->id);
    *parsed = has ? (struct ms_decay){0} : (struct ms_decay){.count = 1, .per_event = {DEFAULT_DECAY}};
    return MS_OK;
}

enum ms_status ms_decay_parse(const char *decay, const char *half_life, const struct ms_model *model,
                              struct ms_decay *parsed, struct ms_error *error)
{
    bool automatic = !decay[0] || strcmp(decay, MS_DECAY_AUTO) == 0;
    if (half_life[0] && decay[0])
        return ms_fail(error, MS_CONFIG,
                       "routing.decay=%s and routing.half.life=%s exclude each other: set one", decay,
                       half_life);
    if (half_life[0])
        return ms_decay_list("routing.half.life", half_life, true, parsed, error);
    if (automatic || strcmp(decay, MS_DECAY_OF_MODEL) == 0)
        return decay_of_model(model, !automatic, parsed, error);
    return ms_decay_list("routing.decay", decay, false, parsed, error);
}
