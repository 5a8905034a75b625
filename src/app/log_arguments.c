/* A click log on the command line. */
#include "app/log_arguments.h"

#include <ctype.h>
#include <string.h>

static const struct {
    const char *name;
    char character;
} separator_names[] = {{"auto", 0},   {"comma", ','},     {"tab", '\t'},
                       {"\\t", '\t'}, {"semicolon", ';'}, {"pipe", '|'}};

/* The separator that |value| names, 0 for auto; false where it names none. */
static bool parse_separator(const char *value, char *separator)
{
    *separator = *value;
    for (size_t i = 0; i < sizeof separator_names / sizeof *separator_names; i++) {
        if (strcmp(value, separator_names[i].name) == 0) {
            *separator = separator_names[i].character;
            return true;
        }
    }
    return strlen(value) == 1 && !strchr("\"\n\r", *value) && (signed char)*value > 0 &&
           !isalnum((unsigned char)*value);
}

enum ms_status ms_log_check_separator(const char *option, const char *value, struct ms_error *error)
{
    char separator;
    return parse_separator(value, &separator)
               ? MS_OK
               : ms_fail(
                     error, MS_USAGE,
                     "%s: '%s' is not one ASCII character that may separate values (no letter, no digit), nor comma, tab, semicolon, pipe or auto",
                     option, value);
}

enum ms_status ms_log_check_skip(const char *option, const char *value, struct ms_error *error)
{
    uint32_t mask;
    enum ms_status status = ms_passed_parse(value, &mask, error);
    return status == MS_OK ? MS_OK : ms_fail_in(error, status, "%s", option);
}

enum ms_status ms_log_arguments_take(const struct ms_log_arguments *arguments, size_t standard_input,
                                     struct ms_events_options *events, struct ms_error *error)
{
    for (size_t i = 0; i < arguments->event_count; i++)
        standard_input += strcmp(arguments->events[i], "-") == 0;
    if (arguments->strict && arguments->skip)
        return ms_fail(error, MS_USAGE, "--strict and --skip exclude each other: give one");
    if (standard_input > 1)
        return ms_fail(error, MS_USAGE, "standard input (-) can be read once");
    *events = (struct ms_events_options){.paths = arguments->events,
                                         .path_count = arguments->event_count,
                                         .format = (enum ms_events_format)arguments->format,
                                         .user = arguments->user,
                                         .item = arguments->item,
                                         .time = arguments->time,
                                         .type = arguments->type,
                                         .types = arguments->types,
                                         .quotes = (enum ms_csv_quotes)arguments->quotes,
                                         .columns = arguments->columns,
                                         .passed = MS_PASSED_STRICT};
    (void)parse_separator(arguments->separator, &events->separator); /* checked with the arguments */
    return arguments->strict ? MS_OK : ms_passed_parse(arguments->skip, &events->passed, error);
}
