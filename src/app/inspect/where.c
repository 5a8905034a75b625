/* A condition is a field, what it is compared with, and which of the three outcomes hold. */
#include "app/inspect/where.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event/time.h"

static const char *const fields[MS_WHERE_FIELDS] = {"version",   "time",      "bytes",
                                                    "behaviors", "interests", "partition"};

/* Longer operators first: ">=" begins with ">". */
static const struct {
    const char *text;
    int below, equal, above;
} operators[] = {
    {">=", 0, 1, 1}, {"<=", 1, 1, 0}, {"!=", 1, 0, 1}, {"==", 0, 1, 0},
    {">", 0, 0, 1},  {"<", 1, 0, 0},  {"=", 0, 1, 0},
};

static const char *skip_blanks(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

static const char *read_field(const char *at, struct ms_condition *condition)
{
    for (int i = 0; i < MS_WHERE_FIELDS; i++) {
        size_t size = strlen(fields[i]);
        if (strncmp(at, fields[i], size) == 0 && !isalpha((unsigned char)at[size])) {
            condition->field = (enum ms_where_field)i;
            return skip_blanks(at + size);
        }
    }
    return NULL;
}

static const char *read_operator(const char *at, struct ms_condition *condition)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t size = strlen(operators[i].text);
        if (strncmp(at, operators[i].text, size) == 0) {
            condition->below = operators[i].below;
            condition->equal = operators[i].equal;
            condition->above = operators[i].above;
            return skip_blanks(at + size);
        }
    }
    return NULL;
}

/* Where the next " and " begins, or the end of the text. */
static const char *word_and(const char *at)
{
    const char *found = strstr(at, " and ");
    return found ? found : at + strlen(at);
}

static const char *read_number(const char *at, struct ms_condition *condition)
{
    const char *end = word_and(at);
    char *stop;
    errno = 0;
    long long number = strtoll(at, &stop, 10);
    if (stop > at && errno == 0 && skip_blanks(stop) >= end) {
        condition->number = number;
        return end;
    }
    const char *last = end;
    while (last > at && isspace((unsigned char)last[-1]))
        last--;
    if (condition->field == MS_WHERE_TIME && !ms_time_from_text(at, (size_t)(last - at), &condition->number))
        return end;
    return NULL;
}

enum ms_status ms_where_parse(struct ms_where *where, const char *text, struct ms_error *error)
{
    const char *at = skip_blanks(text);
    where->count = 0;
    do {
        struct ms_condition condition = {0};
        const char *start = at;
        if (where->count == MS_WHERE_MAX)
            return ms_fail(error, MS_USAGE, "--where: more than %d conditions", MS_WHERE_MAX);
        if ((at = read_field(at, &condition)))
            at = read_operator(at, &condition);
        if (at)
            at = read_number(at, &condition);
        if (!at)
            return ms_fail(
                error, MS_USAGE,
                "--where: not a condition: \"%s\" (version, time, bytes, behaviors, interests or partition; "
                "> >= < <= = !=; a number, of a time also ISO 8601; \" and \" between two)",
                start);
        where->conditions[where->count++] = condition;
        at = *at ? skip_blanks(at + strlen(" and ")) : at;
    } while (*at);
    return MS_OK;
}

bool ms_where_holds(const struct ms_where *where, const struct ms_where_values *values)
{
    for (int i = 0; i < where->count; i++) {
        const struct ms_condition *condition = &where->conditions[i];
        int64_t value = values->of[condition->field];
        int holds = value < condition->number   ? condition->below
                    : value > condition->number ? condition->above
                                                : condition->equal;
        if (!holds)
            return false;
    }
    return true;
}
