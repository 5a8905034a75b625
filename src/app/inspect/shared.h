/* What the commands of `mindstream inspect` share: their arguments, opening the state, and printing. */
#ifndef MS_APP_INSPECT_SHARED_H
#define MS_APP_INSPECT_SHARED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/arguments.h"
#include "app/command.h"
#include "app/options.h"
#include "base/buffer.h"
#include "state/store.h"
#include "view/table.h"

/* The arguments of all commands. Each command has rows for those that it uses. */
struct ms_inspect_arguments {
    struct ms_options_sources sources;
    const char *id;
    int64_t partition, limit;
    bool json;
    int color;
    /* partitions */
    bool offline;
    /* user */
    bool history;
    int64_t recommend;
    const char *at;
    /* users */
    const char *prefix, *where;
    bool count;
    int64_t hottest;
    int sort;
    /* export, import */
    int format;
    const char *out, *users, *application_id, *input_topic;
    const char *file;
    /* diff */
    const char *left, *right;
    double tolerance;
    /* verify; sample: also stats */
    int64_t sample, memory;
    bool from_input;
    const char *output_topic, *scratch;
    /* tail */
    int topic;
    const char *user, *from, *to;
};

extern const struct ms_command ms_inspect_user, ms_inspect_users, ms_inspect_partitions, ms_inspect_stats,
    ms_inspect_diff, ms_inspect_export, ms_inspect_import, ms_inspect_verify, ms_inspect_tail;

/* The colour row of every command that prints for people. */
#define MS_INSPECT_COLOR_ROW                                                                                 \
    {                                                                                                        \
        .name = "color", .kind = MS_ARGUMENT_CHOICE, .values = "auto|always|never", .standard = "auto",      \
        .placeholder = "WHEN",                                                                               \
        .help = "colours: on a terminal where NO_COLOR is not set, or always, or never; none in JSON",       \
        MS_INSPECT_AT(color)                                                                                 \
    }

#define MS_INSPECT_AT(field) .offset = offsetof(struct ms_inspect_arguments, field)

/* Rows that every command on one state directory has. */
#define MS_INSPECT_STATE_ROWS                                                                                       \
    MS_SETTINGS_ROWS(struct ms_inspect_arguments, sources),                                                         \
        {.name = "state-dir",                                                                                       \
         .kind = MS_ARGUMENT_DIRECTORY,                                                                             \
         .placeholder = "DIR",                                                                                      \
         .help = "the state directory, instead of state.dir of the settings",                                       \
         MS_INSPECT_AT(sources.state_dir)},                                                                         \
        {.name = "model",                                                                                           \
         .kind = MS_ARGUMENT_DIRECTORY,                                                                             \
         .placeholder = "DIR",                                                                                      \
         .help =                                                                                                    \
             "the model directory, instead of model.dir of the settings; inspect user works without one and shows " \
             "behaviors and counters only",                                                                         \
         MS_INSPECT_AT(sources.model_dir)},                                                                         \
        MS_INSPECT_COLOR_ROW,                                                                                       \
    {                                                                                                               \
        .name = "json", .kind = MS_ARGUMENT_FLAG, .help = "JSON, see below", MS_INSPECT_AT(json)                    \
    }

#define MS_INSPECT_JSON_RULES                                                                                \
    "JSON (keys may be added, none change; times in ms; ids of fold and decoder as 16 hexadecimal digits; null: none):\n"

extern const char ms_inspect_exit_status[];

/* The colours that --color asks for. */
const struct ms_palette *ms_inspect_palette(const struct ms_inspect_arguments *arguments);

/* Writes what was made to stdout and frees it. main() looks whether the output failed. */
void ms_inspect_print(struct ms_buffer *text);
/* Prints |root| on a line and releases it. NULL is MS_MEMORY. */
enum ms_status ms_inspect_print_json(json_t *root, struct ms_error *error) MS_MUST_CHECK;
/* Prints the table and frees it. */
enum ms_status ms_inspect_print_table(struct ms_table *table, struct ms_error *error) MS_MUST_CHECK;

/* What a command shows of the settings' state directory. */
typedef enum ms_status ms_inspect_show(const struct ms_inspect_arguments *arguments,
                                       const struct ms_config *config, struct ms_error *error);
/* Loads the settings and calls |show|. */
enum ms_status ms_inspect_with_config(struct ms_inspect_arguments *arguments, ms_inspect_show *show,
                                      struct ms_error *error) MS_MUST_CHECK;

#endif
