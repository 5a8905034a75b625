/* The settings: gathered from defaults, file, environment and command line, and checked. A later source replaces an
 * earlier one. They are loaded once at start-up; after that they are read-only, and any thread may use them. */
#ifndef MS_APP_OPTIONS_H
#define MS_APP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "app/arguments.h"
#include "app/option_table.h"
#include "base/config.h"
#include "mindstream/status.h"

#define MS_OPTIONS_MAX_SET 256 /* most --set of one command line */

/* Where settings come from. A zeroed one gives the defaults. The strings must live until the load is done. */
struct ms_options_sources {
    const char *file; /* -c FILE; NULL: none */
    char *const
        *environment; /* as environ; NULL: none. MINDSTREAM_COMMIT_INTERVAL_MS is commit.interval.ms */
    const char *set[MS_OPTIONS_MAX_SET]; /* "key=value" of --set, the last of a key counts */
    size_t set_count;
    const char *state_dir;   /* --state-dir, above all others; NULL: not given */
    const char *model_dir;   /* --model, likewise */
    bool fail_fast;          /* --fail-fast */
    bool accept_gap;         /* --accept-gap of run */
    bool accept_holes;       /* --accept-holes of run */
    bool accept_repartition; /* --accept-repartition of run */
};

/* The rows of the argument table that a command with settings has; |type| is its struct of arguments, |member| the
 * struct ms_options_sources in it. */
#define MS_SETTINGS_ROWS(type, member)                                                                       \
    {.name = "config",                                                                                       \
     .letter = 'c',                                                                                          \
     .kind = MS_ARGUMENT_FILE,                                                                               \
     .once = true,                                                                                           \
     .placeholder = "FILE",                                                                                  \
     .help = "read settings from a .properties file",                                                        \
     .offset = offsetof(type, member.file)},                                                                 \
    {                                                                                                        \
        .name = "set", .kind = MS_ARGUMENT_KEY_VALUE, .repeatable = true, .max = MS_OPTIONS_MAX_SET,         \
        .placeholder = "KEY=VALUE", .help = "a setting, above file and environment",                         \
        .offset = offsetof(type, member.set), .count_offset = offsetof(type, member.set_count)               \
    }

struct ms_options;

/* Reads and checks all sources. MS_CONFIG names the key, its source, what was found and what is legal. The
 * caller owns *options; ms_options_destroy(NULL) is legal. No value for librdkafka is in a message; a secret that others can
 * read is warned of in the log. */
enum ms_status ms_options_load(struct ms_options **options, const struct ms_options_sources *sources,
                               struct ms_error *error) MS_MUST_CHECK;
void ms_options_destroy(struct ms_options *options);

/* The values. Where 0 means automatic (workers, state.memory.bytes), the value that was chosen is filled in. Strings live as long as
 * |options|. In passthrough, kafka.* entries come first, so that setting them in order lets consumer.* and
 * producer.* win. */
const struct ms_config *ms_options_config(const struct ms_options *options);

/* MS_CONFIG naming the first key that |command| ("run") needs and that is not given. */
enum ms_status ms_options_require(const struct ms_options *options, const char *command,
                                  struct ms_error *error) MS_MUST_CHECK;

/* One setting as text: the value given or the default (**** for a secret, with what is automatic resolved),
 * and where it comes from ("default", "file:3", "environment", "--set"). |option| is a row of
 * ms_option_table. */
struct ms_option_text {
    const char *key;
    const char *value;
    const char *where;
};
struct ms_option_text ms_options_text(const struct ms_options *options, const struct ms_option *option);
/* The i-th passed-through key, prefix included; **** unless its value is known to be harmless; false when there are fewer. */
bool ms_options_passthrough_text(const struct ms_options *options, size_t i, struct ms_option_text *text);

/* Calls |fn| for each setting that is not at its default, in the order of the table. It is for the log: what passes through to
 * librdkafka is always ****. */
typedef void ms_option_fn(void *context, const char *key, const char *value, const char *where);
void ms_options_differences(const struct ms_options *options, ms_option_fn *fn, void *context);

#endif
