/* An extractor kind as the loader sees it: its name, its keys in config.json, its tensors, and what it computes once
 * from a loaded model. The loader is handed a list of kinds and knows none by name. */
#ifndef MS_MODEL_KIND_H
#define MS_MODEL_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/model.h"

#define MS_KIND_OPTIONS_MAX 256 /* bytes of a kind's options */
#define MS_KIND_SYMBOLS_MAX 8   /* a kind's own symbols */

/* How the number of interests K'u follows from the n routable behaviors in the window. */
enum ms_count_rule {
    MS_COUNT_FIXED,
    MS_COUNT_LOG2_FLOOR,
    MS_COUNT_LOG2_CEIL,
    MS_COUNT_LOG2_PLUS_ONE_FLOOR,
    MS_COUNT_LN_FLOOR
};

enum ms_key_type {
    MS_KEY_STRING,  /* const char * */
    MS_KEY_INT,     /* int */
    MS_KEY_SEED,    /* uint64_t */
    MS_KEY_FLOAT,   /* float */
    MS_KEY_DOUBLE,  /* double */
    MS_KEY_NUMBERS, /* struct ms_numbers: a list */
    MS_KEY_BOOL,    /* bool: true or false */
    MS_KEY_ENUM,    /* an enum whose values are the indices of |names| */
    MS_KEY_CHOICE,  /* bool: names[0] is false, names[1] is true */
    MS_KEY_FORMAT,  /* not stored: the one value that is allowed */
    MS_KEY_KIND,    /* the extractor; read before all others, because defaults depend on it */
};

/* A list of numbers in the options of a kind. The model owns them. */
struct ms_numbers {
    size_t count; /* 0: the key is not given */
    const double *values;
};

/* One key of config.json. A table of keys ends with a NULL path. */
struct ms_key {
    const char *path; /* dotted: "routing.squash.power" */
    enum ms_key_type type;
    size_t offset;            /* of its field, in the options of the kind */
    double min, max;          /* of numbers, inclusive */
    const char *const *names; /* of enums and choices, NULL past the last */
    bool required;
};

/* A dimension of a tensor. A symbol without a value takes that of the first tensor that has it. */
enum ms_symbol {
    MS_SYM_NONE,
    MS_SYM_ITEMS,
    MS_SYM_D,       /* width of item_embedding */
    MS_SYM_TWICE_D, /* 2 d */
    MS_SYM_DIM,     /* floats of a capsule */
    MS_SYM_K,       /* interests */
    MS_SYM_L,       /* max_behaviors */
    MS_SYM_IN,      /* what a layer of the head takes and gives */
    MS_SYM_OUT,
    MS_SYM_V, /* values of a profile field, and their width */
    MS_SYM_DP,
    MS_SYM_OWN /* this and up: the kind's own symbols */
};

struct ms_symbol_rule {
    const char *name; /* as errors call it */
    int64_t max;
};

/* One tensor. A table of tensors ends with a NULL name. */
struct ms_tensor_rule {
    const char *name;
    bool required;
    bool (*when)(const void *options); /* NULL: always */
    int rank;
    int shape[4]; /* enum ms_symbol, or MS_SYM_OWN + index of an own symbol */
};

struct ms_model_kind {
    const char *name; /* the value of "extractor" */

    /* Keys. Two kinds may have one table of keys with different defaults. */
    const struct ms_key *keys;
    size_t options_bytes;              /* at most MS_KIND_OPTIONS_MAX */
    const void *defaults;              /* the options before config.json is read */
    enum ms_count_rule interest_count; /* where config.json has none */

    /* Tensors. |own| has the values of the own symbols, 0 where none is known. */
    const struct ms_symbol_rule *symbols; /* ends with a NULL name; NULL: none */
    const struct ms_tensor_rule *tensors; /* NULL: item_embedding alone */
    void (*give_symbols)(const void *options, int64_t *own);
    void (*take_symbols)(void *options, const int64_t *own);
    /* Whether a tensor decides the width of a capsule. NULL: never, a capsule is as wide as an item. */
    bool (*maps_items)(const void *options);

    /* Refuses what the tables cannot; |config_path| and |tensors_path| name the files in errors. NULL: nothing. */
    enum ms_status (*check_config)(const struct ms_model_config *config, const void *options,
                                   const char *config_path, struct ms_error *error);
    enum ms_status (*check_tensors)(const struct ms_model_config *config, const void *options,
                                    const char *tensors_path, struct ms_error *error);

    /* Tables that are computed once from a loaded model and shared by all threads. make_tables fills |tables|, zeroed
     * memory of |tables_bytes|; free_tables is called once for every make_tables, also for one that failed. */
    size_t tables_bytes;
    enum ms_status (*make_tables)(const struct ms_model *model, void *tables, const char *dir,
                                  struct ms_error *error);
    void (*free_tables)(const struct ms_model *model, void *tables);
    size_t (*bytes_of_tables)(const struct ms_model *model, const void *tables); /* beyond |tables_bytes| */
};

/* Loads and checks the model directory |dir| as one of the kinds of the NULL-terminated list |kinds|, which outlives
 * the model. Otherwise as ms_model_load. */
enum ms_status ms_model_load_as(struct ms_model **model, const char *dir,
                                const struct ms_model_kind *const *kinds,
                                struct ms_error *error) MS_MUST_CHECK;

/* Where the items of a part of a model (part.h) stand in the whole, [items]; NULL for a whole model. */
const uint32_t *ms_model_places(const struct ms_model *model);

/* The kind's tables; NULL where it has none. */
const void *ms_model_tables(const struct ms_model *model);

#endif
