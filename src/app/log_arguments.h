/* The arguments that say which click log is read, and how: of evaluate and train. */
#ifndef MS_APP_LOG_ARGUMENTS_H
#define MS_APP_LOG_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/arguments.h"
#include "train/events.h"

#define MS_MAX_LOGS 256

struct ms_log_arguments {
    const char *events[MS_MAX_LOGS];
    size_t event_count;
    int format; /* enum ms_events_format */
    const char *user, *item, *time, *type, *types;
    const char *separator, *columns;
    int quotes; /* enum ms_csv_quotes */
    const char *skip;
    bool strict;
};

/* Checks of rows. */
enum ms_status ms_log_check_separator(const char *option, const char *value, struct ms_error *error);
enum ms_status ms_log_check_skip(const char *option, const char *value, struct ms_error *error);

/* The options of the log; |standard_input| of the command's other arguments are read from standard input, too. MS_USAGE where
 * arguments exclude each other. *events points into |arguments|. */
enum ms_status ms_log_arguments_take(const struct ms_log_arguments *arguments, size_t standard_input,
                                     struct ms_events_options *events, struct ms_error *error) MS_MUST_CHECK;

/* The rows, for a |structure| of arguments that has them in |member|. */
/* clang-format off */
#define MS_LOG_ARGUMENT_ROWS(structure, member) \
    {.name = "events", \
     .kind = MS_ARGUMENT_FILE, \
     .required = true, \
     .placeholder = "FILE", \
     .group = "Log", \
     .repeatable = true, \
     .max = MS_MAX_LOGS, \
     .help = \
         "JSON or separated values, compressed by gzip or zstd or not; several are read one after the other, - is " \
         "standard input", \
     .offset = offsetof(structure, member.events), \
     .count_offset = offsetof(structure, member.event_count)}, \
    {.name = "format", \
     .kind = MS_ARGUMENT_CHOICE, \
     .values = "auto|json|csv", \
     .standard = "auto", \
     .placeholder = "F", \
     .help = \
         "how the log is written; auto: json (a line, an array, or one after the other) where it begins with '{' or '['", \
     .offset = offsetof(structure, member.format)}, \
    {.name = "user", \
     .kind = MS_ARGUMENT_STRING, \
     .standard_text = "user_id", \
     .placeholder = "NAME", \
     .help = "column or JSON field of the user id", \
     .offset = offsetof(structure, member.user)}, \
    {.name = "item", \
     .kind = MS_ARGUMENT_STRING, \
     .standard_text = "item_id", \
     .placeholder = "NAME", \
     .help = "column or JSON field of the item id", \
     .offset = offsetof(structure, member.item)}, \
    {.name = "time", \
     .kind = MS_ARGUMENT_STRING, \
     .standard_text = "timestamp", \
     .placeholder = "NAME", \
     .help = \
         "column or JSON field of the time: s, ms, us or ns by magnitude, or ISO 8601. Without one, or with --time '', " \
         "clicks are in the order of the file", \
     .offset = offsetof(structure, member.time)}, \
    {.name = "type", \
     .kind = MS_ARGUMENT_STRING, \
     .standard_text = "event_type", \
     .placeholder = "NAME", \
     .help = "with --types: column or JSON field of the event type", \
     .offset = offsetof(structure, member.type)}, \
    {.name = "types", \
     .kind = MS_ARGUMENT_STRING, \
     .standard_text = "all", \
     .placeholder = "LIST", \
     .help = "event types that count, separated by commas", \
     .offset = offsetof(structure, member.types)}, \
    {.name = "separator", \
     .kind = MS_ARGUMENT_LIST, \
     .check = ms_log_check_separator, \
     .standard = "auto", \
     .placeholder = "C", \
     .help = \
         "what separates the values: a character, or comma, tab, semicolon, pipe; auto: the first line tells", \
     .offset = offsetof(structure, member.separator)}, \
    {.name = "columns", \
     .kind = MS_ARGUMENT_STRING, \
     .placeholder = "NAMES", \
     .help = "separated values without a header: the names of the columns, separated by commas", \
     .offset = offsetof(structure, member.columns)}, \
    {.name = "quotes", \
     .kind = MS_ARGUMENT_CHOICE, \
     .values = "double|backslash|none", \
     .standard = "double", \
     .placeholder = "Q", \
     .help = "how a quote in a quoted value is written; none: quotes are characters like all others", \
     .offset = offsetof(structure, member.quotes)}, \
    {.name = "skip", \
     .kind = MS_ARGUMENT_LIST, \
     .check = ms_log_check_skip, \
     .placeholder = "LIST", \
     .help = \
         "what is bad and yet passed over and counted, separated by commas: untimed (no time), time, user, item (no " \
         "legal one), shape (no JSON object, wrong number of values), or all", \
     .offset = offsetof(structure, member.skip)}, \
    {.name = "strict", \
     .kind = MS_ARGUMENT_FLAG, \
     .help = "take blank lines and repeated headers for errors, too", \
     .offset = offsetof(structure, member.strict)}
/* clang-format on */

#endif
