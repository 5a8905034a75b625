/* The table of settings. Help, man page, sample file, checks and the values of struct ms_config come from it. */
#ifndef MS_APP_OPTION_TABLE_H
#define MS_APP_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "mindstream/status.h"

enum ms_option_type {
    MS_OPTION_STRING,
    MS_OPTION_NAME, /* what Kafka takes as a topic's name: letters, digits, . _ - */
    MS_OPTION_LIST, /* comma-separated, kept as text */
    MS_OPTION_ENUM,
    MS_OPTION_BOOL,
    MS_OPTION_INT,
    MS_OPTION_BYTES,    /* plain, or with k, M, G (1024) */
    MS_OPTION_DURATION, /* ms, or with ms, s, m, h, d */
};

struct ms_option {
    const char *key;
    const char *group;
    enum ms_option_type type;
    const char *standard;     /* the default, as one would write it */
    int64_t min, max;         /* of int, bytes and duration */
    const char *values;       /* of an enum, '|' between them, in the order of the C enum */
    const char *required_for; /* commands that need it, blank-separated; NULL: none */
    const char *only;         /* not NULL: a key of a coming version; any other value is refused */
    bool automatic;           /* 0 is legal below min: the program chooses */
    bool
        reloadable; /* SIGHUP changes it while the service runs; ms_config_reload (base/config.h) takes it over */
    bool secret;
    bool text;     /* an enum that struct ms_config keeps as a string */
    size_t offset; /* into struct ms_config; unused where |only| is set */
    const char *description;
};

extern const struct ms_option ms_option_table[];
extern const size_t ms_option_count;

/* The option with this key, or NULL. */
const struct ms_option *ms_option_find(const char *key);
/* The known key most like |key|, or NULL when none is near. */
const char *ms_option_nearest(const char *key);
/* "string", "int", ...; and "bytes", "ms" or "". */
const char *ms_option_type_name(const struct ms_option *option);
const char *ms_option_unit(const struct ms_option *option);
/* The i-th value of an enum or bool; false when there are fewer. */
bool ms_option_value_at(const struct ms_option *option, int i, const char **value, size_t *size);

/* Checks |value| and writes it to its field of |config|; text fields then point at |value|, which must
 * outlive them. MS_CONFIG when it does not fit; |where| ("file:3") opens the message. */
enum ms_status ms_option_set(const struct ms_option *option, const char *value, const char *where,
                             struct ms_config *config, struct ms_error *error) MS_MUST_CHECK;

#endif
