/* config.json. One table holds every key with its type, place, range and names; what is not in it is refused.
 */
#include "model/config.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum key_type {
    KEY_STRING, /* const char * */
    KEY_INT,    /* int */
    KEY_SEED,   /* uint64_t */
    KEY_FLOAT,  /* float */
    KEY_DOUBLE, /* double */
    KEY_BOOL,   /* bool: true or false */
    KEY_ENUM,   /* an enum whose values are the places in |names| */
    KEY_CHOICE, /* bool: names[0] is false, names[1] is true */
    KEY_FORMAT, /* not stored: the one value that is allowed */
    KEY_KIND,   /* the extractor; read before all others, as defaults hang on it */
};

#define FOR(kind) (1u << (kind))
#define FOR_ALL   (~0u)
#define FOR_MIND  FOR(MS_EXTRACTOR_MIND)

struct key {
    const char *path;
    enum key_type type;
    bool required;
    unsigned extractors; /* whom it concerns; others may have it, and do not use it */
    size_t offset;
    double min, max;
    const char *const *names;
};

/* In the order of the enums of model.h. */
static const char *const count_names[] = {"fixed",    "log2-floor", "log2-ceil", "log2-plus-one-floor",
                                          "ln-floor", NULL};
static const char *const softmax_names[] = {"interests", "behaviors", "behaviors-then-interests", NULL};
static const char *const logits_names[] = {"item-normal", "zeros", "table", NULL};
static const char *const update_names[] = {"accumulate", "replace", "probability", NULL};
static const char *const agreement_names[] = {"squashed", "unit", "raw", NULL};
static const char *const item_names[] = {"raw", "unit", NULL};
static const char *const bilinear_names[] = {"shared", "per-interest", "per-position", "none", NULL};
static const char *const when_names[] = {"last", "every", NULL};
static const char *const activation_names[] = {"linear", "relu", NULL};
static const char *const position_names[] = {"from-oldest", "from-newest", NULL};
static const char *const output_names[] = {"aggregated", "interests", NULL};
static const char *const order_names[] = {"before-interest", "after-interest", NULL};
static const char *const extractor_names[] = {"mind", "comirec-dr", "comirec-sa", "sine", NULL};
static const enum ms_extractor_kind extractor_kinds[] = {MS_EXTRACTOR_MIND, MS_EXTRACTOR_MIND,
                                                         MS_EXTRACTOR_COMIREC_SA, MS_EXTRACTOR_SINE};

#define AT(field) offsetof(struct ms_model_config, field)
#define BIG       1e6

static const struct key keys[] = {
    {"format", KEY_FORMAT, true, FOR_ALL, 0, 0, 0, NULL},
    {"name", KEY_STRING, true, FOR_ALL, AT(name), 0, 0, NULL},
    {"version", KEY_STRING, true, FOR_ALL, AT(version), 0, 0, NULL},
    {"extractor", KEY_KIND, true, FOR_ALL, AT(extractor_name), 0, 0, extractor_names},
    {"dim", KEY_INT, true, FOR_ALL, AT(dim), 1, MS_MAX_DIM, NULL},
    {"interests", KEY_INT, true, FOR_ALL, AT(interests), 1, MS_MAX_INTERESTS, NULL},
    {"max_behaviors", KEY_INT, true, FOR_ALL, AT(max_behaviors), 1, MS_MAX_BEHAVIORS, NULL},
    {"interest_count", KEY_ENUM, false, FOR_ALL, AT(interest_count), 0, 0, count_names},
    {"routing.iterations", KEY_INT, false, FOR_MIND, AT(routing.iterations), 1, 100, NULL},
    {"routing.softmax", KEY_ENUM, false, FOR_MIND, AT(routing.softmax), 0, 0, softmax_names},
    {"routing.padded_softmax", KEY_BOOL, false, FOR_MIND, AT(routing.padded_softmax), 0, 0, NULL},
    {"routing.softmax_scale", KEY_FLOAT, false, FOR_MIND, AT(routing.softmax_scale), -BIG, BIG, NULL},
    {"routing.initial_logits", KEY_ENUM, false, FOR_MIND, AT(routing.initial_logits), 0, 0, logits_names},
    {"routing.seed", KEY_SEED, false, FOR_MIND, AT(routing.seed), 0, 0, NULL},
    {"routing.stddev", KEY_DOUBLE, false, FOR_MIND, AT(routing.stddev), 0, BIG, NULL},
    {"routing.update", KEY_ENUM, false, FOR_MIND, AT(routing.update), 0, 0, update_names},
    {"routing.agreement_interest", KEY_ENUM, false, FOR_MIND, AT(routing.agreement_interest), 0, 0,
     agreement_names},
    {"routing.agreement_item", KEY_CHOICE, false, FOR_MIND, AT(routing.agreement_item_unit), 0, 0,
     item_names},
    {"routing.agreement_scale", KEY_FLOAT, false, FOR_MIND, AT(routing.agreement_scale), -BIG, BIG, NULL},
    {"routing.bilinear", KEY_ENUM, false, FOR_MIND, AT(routing.bilinear), 0, 0, bilinear_names},
    {"routing.squash.when", KEY_CHOICE, false, FOR_MIND, AT(routing.squash_every), 0, 0, when_names},
    {"routing.squash.power", KEY_FLOAT, false, FOR_MIND, AT(routing.squash_power), 0, 100, NULL},
    {"routing.squash.scale", KEY_FLOAT, false, FOR_MIND, AT(routing.squash_scale), -BIG, BIG, NULL},
    {"attention.positions", KEY_CHOICE, false, FOR(MS_EXTRACTOR_COMIREC_SA), AT(attention_from_newest), 0, 0,
     position_names},
    {"sine.heads", KEY_INT, false, FOR(MS_EXTRACTOR_SINE), AT(sine_heads), 1, 16, NULL},
    {"sine.temperature", KEY_DOUBLE, false, FOR(MS_EXTRACTOR_SINE), AT(sine_temperature), 1e-6, BIG, NULL},
    {"sine.topic_norm", KEY_BOOL, false, FOR(MS_EXTRACTOR_SINE), AT(sine_topic_norm), 0, 0, NULL},
    {"sine.concept_feature", KEY_BOOL, false, FOR(MS_EXTRACTOR_SINE), AT(sine_concept_feature), 0, 0, NULL},
    {"sine.output", KEY_CHOICE, false, FOR(MS_EXTRACTOR_SINE), AT(sine_interests), 0, 0, output_names},
    {"profile.order", KEY_ENUM, false, FOR_ALL, AT(profile_order), 0, 0, order_names},
    {"normalize", KEY_BOOL, false, FOR_ALL, AT(normalize), 0, 0, NULL},
};
#define KEYS (sizeof keys / sizeof *keys)

/* One reading of one file. */
struct reader {
    struct ms_model_config *config;
    struct ms_arena *strings;
    const char *path;
    struct ms_error *error;
};

static void set_defaults(struct ms_model_config *config, size_t extractor)
{
    bool dr = strcmp(extractor_names[extractor], "comirec-dr") == 0;
    bool sine = extractor_kinds[extractor] == MS_EXTRACTOR_SINE;
    *config = (struct ms_model_config){
        .extractor_name = extractor_names[extractor],
        .extractor = extractor_kinds[extractor],
        .interest_count = dr || sine ? MS_COUNT_FIXED : MS_COUNT_LOG2_FLOOR,
        .sine_heads = 1,
        .sine_temperature = 0.07,
        .sine_concept_feature = true,
        .routing =
            {
                .iterations = 3,
                .softmax = MS_SOFTMAX_INTERESTS,
                .softmax_scale = 1,
                .initial_logits = dr ? MS_LOGITS_ZEROS : MS_LOGITS_ITEM_NORMAL,
                .stddev = 1,
                .update = MS_UPDATE_ACCUMULATE,
                .agreement_interest = MS_AGREEMENT_SQUASHED,
                .agreement_scale = 1,
                .bilinear = dr ? MS_BILINEAR_PER_POSITION : MS_BILINEAR_SHARED,
                .squash_every = true,
                .squash_power = 1,
                .squash_scale = 1,
            },
    };
}

/* "name, name, name" */
static void list_names(char *text, size_t size, const char *const *names)
{
    size_t used = 0;
    text[0] = '\0';
    for (; *names && used < size; names++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", *names);
}

/* Refuses a value: says what was found, and what is allowed. */
static enum ms_status refuse(const struct reader *reader, const char *key, const json_t *found,
                             const char *allowed)
{
    char *text = json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    enum ms_status status = ms_fail(reader->error, MS_MODEL, "%s: %s is %.80s%s, allowed is %s", reader->path,
                                    key, text ? text : "?", text && strlen(text) > 80 ? "..." : "", allowed);
    free(text);
    return status;
}

static enum ms_status read_name(const struct reader *reader, const char *key, const json_t *json,
                                const char *const *names, size_t *place)
{
    char allowed[256];
    const char *value = json_string_value(json);
    for (size_t i = 0; value && names[i]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *place = i;
            return MS_OK;
        }
    }
    list_names(allowed, sizeof allowed, names);
    return refuse(reader, key, json, allowed);
}

static enum ms_status read_integer(const struct reader *reader, const struct key *key, const json_t *json,
                                   void *field)
{
    char allowed[100];
    if (key->type == KEY_SEED) {
        if (!json_is_integer(json) || json_integer_value(json) < 0)
            return refuse(reader, key->path, json, "a whole number from 0 to 9223372036854775807");
        *(uint64_t *)field = (uint64_t)json_integer_value(json);
        return MS_OK;
    }
    if (!json_is_integer(json) || json_integer_value(json) < (json_int_t)key->min ||
        json_integer_value(json) > (json_int_t)key->max) {
        snprintf(allowed, sizeof allowed, "a whole number from %.0f to %.0f", key->min, key->max);
        return refuse(reader, key->path, json, allowed);
    }
    *(int *)field = (int)json_integer_value(json);
    return MS_OK;
}

static enum ms_status read_real(const struct reader *reader, const struct key *key, const json_t *json,
                                void *field)
{
    char allowed[100];
    double value = json_number_value(json);
    if (!json_is_number(json) || !(value >= key->min && value <= key->max)) {
        snprintf(allowed, sizeof allowed, "a number from %g to %g", key->min, key->max);
        return refuse(reader, key->path, json, allowed);
    }
    if (key->type == KEY_FLOAT)
        *(float *)field = (float)value;
    else
        *(double *)field = value;
    return MS_OK;
}

static enum ms_status read_string(const struct reader *reader, const struct key *key, const json_t *json,
                                  void *field)
{
    const char *value = json_string_value(json);
    bool good = value && *value && strlen(value) <= MS_MODEL_NAME_MAX;
    for (const char *at = value; good && *at; at++)
        good = (unsigned char)*at >= 0x20 && *at != 0x7f; /* it goes into record headers and log lines */
    if (!good)
        return refuse(reader, key->path, json, "a string of 1 to 255 bytes without control characters");
    const char *copy = ms_arena_copy(reader->strings, value, strlen(value) + 1);
    if (!copy)
        return ms_fail(reader->error, MS_MEMORY, "%s: no memory", reader->path);
    *(const char **)field = copy;
    return MS_OK;
}

static enum ms_status read_key(struct reader *reader, const struct key *key, const json_t *json)
{
    void *field = (char *)reader->config + key->offset;
    enum ms_status status = MS_OK;
    size_t place = 0;
    switch (key->type) {
    case KEY_STRING:
        return read_string(reader, key, json, field);
    case KEY_INT:
    case KEY_SEED:
        return read_integer(reader, key, json, field);
    case KEY_FLOAT:
    case KEY_DOUBLE:
        return read_real(reader, key, json, field);
    case KEY_BOOL:
        if (!json_is_boolean(json))
            return refuse(reader, key->path, json, "true or false");
        *(bool *)field = json_is_true(json);
        return MS_OK;
    case KEY_ENUM:
        status = read_name(reader, key->path, json, key->names, &place);
        if (status == MS_OK) {
            unsigned value = (unsigned)place;
            static_assert(sizeof(enum ms_update) == sizeof value, "enums are stored as unsigned");
            memcpy(field, &value, sizeof value);
        }
        return status;
    case KEY_CHOICE:
        status = read_name(reader, key->path, json, key->names, &place);
        if (status == MS_OK)
            *(bool *)field = place == 1;
        return status;
    case KEY_FORMAT:
    case KEY_KIND: /* read already */
        return MS_OK;
    }
    return status;
}

/* The head: a list of layers, each an object with at most an activation (relu where it is not given). */
static enum ms_status read_head(struct reader *reader, const json_t *head)
{
    char where[64];
    if (!json_is_array(head) || json_array_size(head) > MS_MAX_HEAD)
        return refuse(reader, "head", head, "a list of at most 8 layers");
    for (size_t i = 0; i < json_array_size(head); i++) {
        const json_t *layer = json_array_get(head, i);
        const char *name;
        json_t *value;
        size_t place = MS_ACTIVATION_LINEAR;
        snprintf(where, sizeof where, "head[%zu]", i);
        if (!json_is_object(layer) || !json_object_get(layer, "activation"))
            return refuse(reader, where, layer, "an object with \"activation\"");
        snprintf(where, sizeof where, "head[%zu].activation", i);
        json_object_foreach ((json_t *)(uintptr_t)layer, name, value) {
            if (strcmp(name, "activation") != 0)
                return ms_fail(reader->error, MS_MODEL,
                               "%s: unknown key \"head[%zu].%.100s\" (known there: activation)", reader->path,
                               i, name);
            enum ms_status status = read_name(reader, where, value, activation_names, &place);
            if (status != MS_OK)
                return status;
        }
        reader->config->head_activation[i] = (enum ms_activation)place;
    }
    reader->config->head_layers = (int)json_array_size(head);
    return MS_OK;
}

/* The profile's fields, in the order of their embeddings. Without this key: all that have a tensor, by name.
 */
static enum ms_status read_profile_fields(struct reader *reader, const json_t *fields)
{
    if (!json_is_array(fields) || json_array_size(fields) > MS_MAX_PROFILE)
        return refuse(reader, "profile.fields", fields, "a list of at most 32 names");
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_string_value(field);
        if (!name || !*name || strlen(name) > 64 || strpbrk(name, "/."))
            return refuse(reader, "profile.fields", field, "a name of 1 to 64 bytes without / and .");
        for (size_t j = 0; j < i; j++)
            if (strcmp(name, reader->config->profile_field[j]) == 0)
                return refuse(reader, "profile.fields", field, "each name once");
        reader->config->profile_field[i] = ms_arena_copy(reader->strings, name, strlen(name) + 1);
        if (!reader->config->profile_field[i])
            return ms_fail(reader->error, MS_MEMORY, "%s: no memory", reader->path);
    }
    reader->config->profile_fields = (int)json_array_size(fields);
    return MS_OK;
}

/* |section| is "" for the whole file, else "routing." and the like. */
static enum ms_status unknown_key(const struct reader *reader, const char *section, const char *name)
{
    char known[512];
    size_t used = 0, length = strlen(section);
    known[0] = '\0';
    const char *last = "";
    for (size_t i = 0; i < KEYS && used < sizeof known; i++) {
        if (strncmp(keys[i].path, section, length) != 0)
            continue;
        const char *rest = keys[i].path + length;
        int word = (int)strcspn(rest, ".");
        if (strncmp(rest, last, (size_t)word) != 0 || last[word] == '\0')
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%.*s", used ? ", " : "", word,
                                     rest);
        last = rest[word] ? rest : "";
    }
    return ms_fail(reader->error, MS_MODEL, "%s: unknown key \"%s%.100s\" (known there: %s%s)", reader->path,
                   section, name, known, length ? "" : ", head");
}

static bool is_section(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < KEYS; i++)
        if (strncmp(keys[i].path, path, length) == 0 && keys[i].path[length] == '.')
            return true;
    return false;
}

static const struct key *find_key(const char *path)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].path, path) == 0)
            return &keys[i];
    return NULL;
}

static enum ms_status read_object(struct reader *reader, const char *section, const json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        char path[128];
        enum ms_status status;
        bool fits = (size_t)snprintf(path, sizeof path, "%s%s", section, name) < sizeof path - 1;
        const struct key *key = fits && !strchr(name, '.') ? find_key(path) : NULL;
        if (key) {
            status = read_key(reader, key, value);
        } else if (!*section && strcmp(name, "head") == 0) {
            status = read_head(reader, value);
        } else if (strcmp(section, "profile.") == 0 && strcmp(name, "fields") == 0) {
            status = read_profile_fields(reader, value);
        } else if (fits && *name && !strchr(name, '.') && is_section(path)) {
            if (!json_is_object(value))
                return refuse(reader, path, value, "an object");
            strcat(path, "."); /* |fits| left room for it */
            status = read_object(reader, path, value);
        } else {
            status = unknown_key(reader, section, name);
        }
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

/* Format and extractor first: the one says whether the rest can be understood, the other what the defaults
 * are. */
static enum ms_status read_config(struct reader *reader, const json_t *root)
{
    if (!json_is_object(root))
        return ms_fail(reader->error, MS_MODEL, "%s: not a JSON object", reader->path);
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].required && !json_object_get(root, keys[i].path))
            return ms_fail(reader->error, MS_MODEL, "%s: the key \"%s\" is missing", reader->path,
                           keys[i].path);
    const json_t *format = json_object_get(root, "format");
    if (!json_is_string(format) || strcmp(json_string_value(format), MS_MODEL_FORMAT) != 0)
        return refuse(reader, "format", format, "\"" MS_MODEL_FORMAT "\"");
    size_t extractor = 0;
    enum ms_status status = read_name(reader, "extractor", json_object_get(root, "extractor"),
                                      extractor_names, &extractor);
    if (status != MS_OK)
        return status;
    set_defaults(reader->config, extractor);
    status = read_object(reader, "", root);
    if (status != MS_OK)
        return status;
    char id[2 * MS_MODEL_NAME_MAX + 2];
    int length = snprintf(id, sizeof id, "%s@%s", reader->config->name, reader->config->version);
    reader->config->id = ms_arena_copy(reader->strings, id, (size_t)length + 1);
    return reader->config->id ? MS_OK : ms_fail(reader->error, MS_MEMORY, "%s: no memory", reader->path);
}

enum ms_status ms_model_config_read(struct ms_model_config *out, struct ms_arena *strings, const char *path,
                                    const char *text, size_t size, struct ms_error *error)
{
    struct ms_model_config config;
    struct reader reader = {.config = &config, .strings = strings, .path = path, .error = error};
    json_error_t json_error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &json_error);
    if (!root)
        return ms_fail(error, MS_MODEL, "%s: line %d, column %d: %s", path, json_error.line,
                       json_error.column, json_error.text);
    enum ms_status status = read_config(&reader, root);
    json_decref(root);
    if (status == MS_OK)
        *out = config;
    return status;
}

const char *ms_model_config_key(const struct ms_model_config *config, size_t i, char *value, size_t size)
{
    if (i >= KEYS)
        return NULL;
    const struct key *key = &keys[i];
    const void *field = (const char *)config + key->offset;
    unsigned place;
    value[0] = '\0';
    if (!(key->extractors & FOR(config->extractor)))
        return key->path;
    switch (key->type) {
    case KEY_STRING:
    case KEY_KIND:
        snprintf(value, size, "%s", *(const char *const *)field);
        break;
    case KEY_INT:
        snprintf(value, size, "%d", *(const int *)field);
        break;
    case KEY_SEED:
        snprintf(value, size, "%" PRIu64, *(const uint64_t *)field);
        break;
    case KEY_FLOAT:
        snprintf(value, size, "%.9g", (double)*(const float *)field);
        break;
    case KEY_DOUBLE:
        snprintf(value, size, "%.17g", *(const double *)field);
        break;
    case KEY_BOOL:
        snprintf(value, size, "%s", *(const bool *)field ? "true" : "false");
        break;
    case KEY_ENUM:
        memcpy(&place, field, sizeof place);
        snprintf(value, size, "%s", key->names[place]);
        break;
    case KEY_CHOICE:
        snprintf(value, size, "%s", key->names[*(const bool *)field]);
        break;
    case KEY_FORMAT:
        snprintf(value, size, "%s", MS_MODEL_FORMAT);
        break;
    }
    return key->path;
}
