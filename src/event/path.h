/* Where in a document a field is: lists of paths such as "userId, properties.user.id, items[0].id".
 *
 * A path is names separated by dots, each followed by any number of [n]; paths are separated by commas,
 * blanks around them do not count. A backslash takes the next character as part of a name: "a\.b" is one name
 * with a dot. */
#ifndef MS_EVENT_PATH_H
#define MS_EVENT_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "mindstream/status.h"

#define MS_PATHS_MAX     32        /* paths in a list */
#define MS_PATH_STEPS    32        /* names and indexes in a path */
#define MS_PATH_INDEX    999999999 /* largest index */
#define MS_PATH_TEXT_MAX 4096      /* bytes of a list */

struct ms_path_step {
    const char *key; /* NULL: an index */
    size_t key_bytes;
    size_t index;
};

struct ms_path {
    const struct ms_path_step *steps;
    size_t step_count;
    const char *text; /* as it was written, not NUL-terminated */
    size_t text_bytes;
};

struct ms_paths {
    struct ms_path *paths;
    size_t count; /* 0 for an empty list */
    struct ms_path_step *steps;
    char *memory; /* the list as written, then the unescaped names */
};

/* Compiles |text|, the value of |option|. MS_CONFIG with the option's name and the character (from 1) where
 * it does not parse. On success the caller owns *paths and frees it with ms_paths_free (legal on a zeroed
 * one). */
enum ms_status ms_paths_parse(struct ms_paths *paths, const char *option, const char *text,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_paths_free(struct ms_paths *paths);

/* The first path of the list that leads to a value that is there and is neither null nor an empty text; when all are empty, the
 * first of these; NULL when there is none. Where an object has a name twice, the first counts. */
const struct ms_path *ms_paths_find(const struct ms_paths *paths, struct ms_json_value root,
                                    struct ms_json_value *value);

#endif
