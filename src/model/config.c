/* config.json. Tables hold every key with its type, field, range and names; what is not in them is refused. */
#include "model/config.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of the enums. */
static const char *const count_names[] = {"fixed",    "log2-floor", "log2-ceil", "log2-plus-one-floor",
                                          "ln-floor", NULL};
static const char *const activation_names[] = {"linear", "relu", NULL};
static const char *const order_names[] = {"before-interest", "after-interest", NULL};

#define AT(field) offsetof(struct ms_model_spec, field)

/* The keys of every model: these come before the kinds', those of |last_keys| after them. */
static const struct ms_key first_keys[] = {
    {"format", MS_KEY_FORMAT, 0, 0, 0, NULL, true},
    {"name", MS_KEY_STRING, AT(config.name), 0, 0, NULL, true},
    {"version", MS_KEY_STRING, AT(config.version), 0, 0, NULL, true},
    {"extractor", MS_KEY_KIND, AT(config.extractor_name), 0, 0, NULL, true},
    {"dim", MS_KEY_INT, AT(config.dim), 1, MS_MAX_DIM, NULL, true},
    {"interests", MS_KEY_INT, AT(config.interests), 1, MS_MAX_INTERESTS, NULL, true},
    {"max_behaviors", MS_KEY_INT, AT(config.max_behaviors), 1, MS_MAX_BEHAVIORS, NULL, true},
    {"interest_count", MS_KEY_ENUM, AT(interest_count), 0, 0, count_names, false},
    {NULL, MS_KEY_FORMAT, 0, 0, 0, NULL, false},
};
static const struct ms_key last_keys[] = {
    {"profile.order", MS_KEY_ENUM, AT(profile_order), 0, 0, order_names, false},
    {"normalize", MS_KEY_BOOL, AT(normalize), 0, 0, NULL, false},
    {NULL, MS_KEY_FORMAT, 0, 0, 0, NULL, false},
};

/* One reading of one file. */
struct reader {
    struct ms_model_spec *spec;
    struct ms_arena *strings;
    const char *path;
    struct ms_error *error;
    /* Where options of kinds that are not the model's are read to: they are checked and not used. */
    _Alignas(16) unsigned char unused[MS_KIND_OPTIONS_MAX];
};

/* Whether a kind before kinds[at] has the same table of keys. */
static bool seen_before(const struct ms_model_kind *const *kinds, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (kinds[i]->keys == kinds[at]->keys)
            return true;
    return false;
}

/* Key |i| of all, with the table that it stands in; NULL past the last. */
static const struct ms_key *key_at(const struct ms_model_kind *const *kinds, size_t i,
                                   const struct ms_key **table)
{
    const struct ms_key *key = *table = first_keys;
    size_t kind = 0;
    for (;;) {
        for (; key && key->path; key++)
            if (i-- == 0)
                return key;
        if (*table == last_keys)
            return NULL;
        while (kinds[kind] && seen_before(kinds, kind))
            kind++;
        key = *table = kinds[kind] ? kinds[kind++]->keys : last_keys;
    }
}

static bool is_common(const struct ms_key *table)
{
    return table == first_keys || table == last_keys;
}

static void set_defaults(struct ms_model_spec *spec, const struct ms_model_kind *const *kinds,
                         const struct ms_model_kind *kind)
{
    assert(kind->options_bytes <= sizeof spec->options);
    *spec = (struct ms_model_spec){.config.extractor_name = kind->name,
                                   .kind = kind,
                                   .kinds = kinds,
                                   .interest_count = kind->interest_count};
    if (kind->options_bytes)
        memcpy(spec->options, kind->defaults, kind->options_bytes);
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
                                const char *const *names, size_t *index)
{
    char allowed[256];
    const char *value = json_string_value(json);
    for (size_t i = 0; value && names[i]; i++) {
        if (strcmp(value, names[i]) == 0) {
            *index = i;
            return MS_OK;
        }
    }
    list_names(allowed, sizeof allowed, names);
    return refuse(reader, key, json, allowed);
}

static enum ms_status read_integer(const struct reader *reader, const struct ms_key *key, const json_t *json,
                                   void *field)
{
    char allowed[100];
    if (key->type == MS_KEY_SEED) {
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

static enum ms_status read_real(const struct reader *reader, const struct ms_key *key, const json_t *json,
                                void *field)
{
    char allowed[100];
    double value = json_number_value(json);
    if (!json_is_number(json) || !(value >= key->min && value <= key->max)) {
        snprintf(allowed, sizeof allowed, "a number from %g to %g", key->min, key->max);
        return refuse(reader, key->path, json, allowed);
    }
    if (key->type == MS_KEY_FLOAT)
        *(float *)field = (float)value;
    else
        *(double *)field = value;
    return MS_OK;
}

/* A list of numbers, each in the key's range; one for each interest at most. */
static enum ms_status read_numbers(const struct reader *reader, const struct ms_key *key, const json_t *json,
                                   void *field)
{
    char allowed[100];
    size_t count = json_array_size(json);
    snprintf(allowed, sizeof allowed, "a list of 1 to %d numbers from %g to %g", MS_MAX_INTERESTS, key->min,
             key->max);
    bool good = json_is_array(json) && count >= 1 && count <= MS_MAX_INTERESTS;
    double *values = good ? ms_arena_alloc(reader->strings, count * sizeof *values) : NULL;
    if (good && !values)
        return ms_fail(reader->error, MS_MEMORY, "%s: no memory", reader->path);
    for (size_t i = 0; good && i < count; i++) {
        const json_t *number = json_array_get(json, i);
        values[i] = json_number_value(number);
        good = json_is_number(number) && values[i] >= key->min && values[i] <= key->max;
    }
    if (!good)
        return refuse(reader, key->path, json, allowed);
    *(struct ms_numbers *)field = (struct ms_numbers){count, values};
    return MS_OK;
}

static enum ms_status read_string(const struct reader *reader, const struct ms_key *key, const json_t *json,
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

/* Where the value of a key goes. */
static void *field_of(struct reader *reader, const struct ms_key *key, const struct ms_key *table)
{
    if (is_common(table))
        return (char *)reader->spec + key->offset;
    return (table == reader->spec->kind->keys ? reader->spec->options : reader->unused) + key->offset;
}

static enum ms_status read_key(struct reader *reader, const struct ms_key *key, void *field,
                               const json_t *json)
{
    enum ms_status status = MS_OK;
    size_t index = 0;
    switch (key->type) {
    case MS_KEY_STRING:
        return read_string(reader, key, json, field);
    case MS_KEY_INT:
    case MS_KEY_SEED:
        return read_integer(reader, key, json, field);
    case MS_KEY_FLOAT:
    case MS_KEY_DOUBLE:
        return read_real(reader, key, json, field);
    case MS_KEY_NUMBERS:
        return read_numbers(reader, key, json, field);
    case MS_KEY_BOOL:
        if (!json_is_boolean(json))
            return refuse(reader, key->path, json, "true or false");
        *(bool *)field = json_is_true(json);
        return MS_OK;
    case MS_KEY_ENUM:
        status = read_name(reader, key->path, json, key->names, &index);
        if (status == MS_OK) {
            unsigned value = (unsigned)index;
            static_assert(sizeof(enum ms_count_rule) == sizeof value, "enums are stored as unsigned");
            memcpy(field, &value, sizeof value);
        }
        return status;
    case MS_KEY_CHOICE:
        status = read_name(reader, key->path, json, key->names, &index);
        if (status == MS_OK)
            *(bool *)field = index == 1;
        return status;
    case MS_KEY_FORMAT:
    case MS_KEY_KIND: /* read already */
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
        size_t index = MS_ACTIVATION_LINEAR;
        snprintf(where, sizeof where, "head[%zu]", i);
        if (!json_is_object(layer) || !json_object_get(layer, "activation"))
            return refuse(reader, where, layer, "an object with \"activation\"");
        snprintf(where, sizeof where, "head[%zu].activation", i);
        json_object_foreach ((json_t *)(uintptr_t)layer, name, value) {
            if (strcmp(name, "activation") != 0)
                return ms_fail(reader->error, MS_MODEL,
                               "%s: unknown key \"head[%zu].%.100s\" (known there: activation)", reader->path,
                               i, name);
            enum ms_status status = read_name(reader, where, value, activation_names, &index);
            if (status != MS_OK)
                return status;
        }
        reader->spec->head_activation[i] = (enum ms_activation)index;
    }
    reader->spec->head_layers = (int)json_array_size(head);
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
            if (strcmp(name, reader->spec->config.profile_field[j]) == 0)
                return refuse(reader, "profile.fields", field, "each name once");
        reader->spec->config.profile_field[i] = ms_arena_copy(reader->strings, name, strlen(name) + 1);
        if (!reader->spec->config.profile_field[i])
            return ms_fail(reader->error, MS_MEMORY, "%s: no memory", reader->path);
    }
    reader->spec->config.profile_fields = (int)json_array_size(fields);
    return MS_OK;
}

#define EVENT_WEIGHT_MIN 1e-6
#define EVENT_WEIGHT_MAX 1e6
#define EVENT_TYPE_BYTES 255

/* {"click": 1, "buy": 3}: what events of these types count in the fold. */
static enum ms_status read_event_weights(struct reader *reader, const json_t *weights)
{
    struct ms_model_spec *spec = reader->spec;
    const char *type;
    json_t *value;
    if (!json_is_object(weights) || json_object_size(weights) > MS_EVENT_WEIGHTS_MAX)
        return refuse(reader, "event_weights", weights, "an object of at most 64 event types");
    json_object_foreach ((json_t *)(uintptr_t)weights, type, value) {
        size_t bytes = strlen(type);
        double weight = json_number_value(value);
        char where[64 + EVENT_TYPE_BYTES];
        snprintf(where, sizeof where, "event_weights.%.*s", EVENT_TYPE_BYTES, type);
        if (bytes > EVENT_TYPE_BYTES)
            return refuse(reader, "event_weights", weights, "types of at most 255 bytes");
        if (!json_is_number(value) || !(weight >= EVENT_WEIGHT_MIN && weight <= EVENT_WEIGHT_MAX))
            return refuse(reader, where, value, "a number from 1e-06 to 1e+06");
        const char *copy = ms_arena_copy(reader->strings, type, bytes + 1);
        if (!copy)
            return ms_fail(reader->error, MS_MEMORY, "%s: no memory", reader->path);
        spec->event_weights[spec->event_weight_count++] = (struct ms_event_weight){copy, bytes, weight};
    }
    return MS_OK;
}

/* "training": what trained the model says of itself. It is kept as text, and nothing depends on it. */
static enum ms_status read_training(struct reader *reader, const json_t *training)
{
    if (!json_is_object(training))
        return refuse(reader, "training", training, "an object");
    char *text = json_dumps(training, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text)
        reader->spec->training = ms_arena_copy(reader->strings, text, strlen(text) + 1);
    free(text);
    return reader->spec->training ? MS_OK : ms_fail(reader->error, MS_MEMORY, "%s: no memory", reader->path);
}

/* |section| is "" for the whole file, else "routing." and the like. */
static enum ms_status unknown_key(const struct reader *reader, const char *section, const char *name)
{
    char known[512];
    size_t used = 0, length = strlen(section);
    known[0] = '\0';
    const char *last = "";
    const struct ms_key *key, *table;
    for (size_t i = 0; (key = key_at(reader->spec->kinds, i, &table)) && used < sizeof known; i++) {
        if (strncmp(key->path, section, length) != 0)
            continue;
        const char *name_there = key->path + length;
        int word = (int)strcspn(name_there, ".");
        if (strncmp(name_there, last, (size_t)word) != 0 || last[word] == '\0')
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%.*s", used ? ", " : "", word,
                                     name_there);
        last = name_there[word] ? name_there : "";
    }
    return ms_fail(reader->error, MS_MODEL, "%s: unknown key \"%s%.100s\" (known there: %s%s)", reader->path,
                   section, name, known, length ? "" : ", head, event_weights, training");
}

static bool is_section(const struct ms_model_kind *const *kinds, const char *path)
{
    size_t length = strlen(path);
    const struct ms_key *key, *table;
    for (size_t i = 0; (key = key_at(kinds, i, &table)); i++)
        if (strncmp(key->path, path, length) == 0 && key->path[length] == '.')
            return true;
    return false;
}

static const struct ms_key *find_key(const struct ms_model_kind *const *kinds, const char *path,
                                     const struct ms_key **table)
{
    const struct ms_key *key;
    for (size_t i = 0; (key = key_at(kinds, i, table)); i++)
        if (strcmp(key->path, path) == 0)
            return key;
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
        const struct ms_model_kind *const *kinds = reader->spec->kinds;
        const struct ms_key *table, *key = fits && !strchr(name, '.') ? find_key(kinds, path, &table) : NULL;
        if (key) {
            status = read_key(reader, key, field_of(reader, key, table), value);
        } else if (!*section && strcmp(name, "head") == 0) {
            status = read_head(reader, value);
        } else if (!*section && strcmp(name, "event_weights") == 0) {
            status = read_event_weights(reader, value);
        } else if (!*section && strcmp(name, "training") == 0) {
            status = read_training(reader, value);
        } else if (strcmp(section, "profile.") == 0 && strcmp(name, "fields") == 0) {
            status = read_profile_fields(reader, value);
        } else if (fits && *name && !strchr(name, '.') && is_section(kinds, path)) {
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

/* The kind that "extractor" names. */
static enum ms_status read_kind(struct reader *reader, const struct ms_model_kind *const *kinds,
                                const json_t *json)
{
    char allowed[256];
    size_t used = 0;
    const char *value = json_string_value(json);
    for (size_t i = 0; value && kinds[i]; i++) {
        if (strcmp(value, kinds[i]->name) == 0) {
            set_defaults(reader->spec, kinds, kinds[i]);
            return MS_OK;
        }
    }
    for (size_t i = 0; kinds[i] && used < sizeof allowed; i++)
        used += (size_t)snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "",
                                 kinds[i]->name);
    return refuse(reader, "extractor", json, allowed);
}

/* Format and extractor first: the one says whether the rest can be understood, the other what the defaults are. */
static enum ms_status read_root(struct reader *reader, const struct ms_model_kind *const *kinds,
                                const json_t *root)
{
    if (!json_is_object(root))
        return ms_fail(reader->error, MS_MODEL, "%s: not a JSON object", reader->path);
    for (const struct ms_key *key = first_keys; key->path; key++)
        if (key->required && !json_object_get(root, key->path))
            return ms_fail(reader->error, MS_MODEL, "%s: the key \"%s\" is missing", reader->path, key->path);
    const json_t *format = json_object_get(root, "format");
    if (!json_is_string(format) || strcmp(json_string_value(format), MS_MODEL_FORMAT) != 0)
        return refuse(reader, "format", format, "\"" MS_MODEL_FORMAT "\"");
    enum ms_status status = read_kind(reader, kinds, json_object_get(root, "extractor"));
    if (status == MS_OK)
        status = read_object(reader, "", root);
    const struct ms_model_spec *spec = reader->spec;
    if (status == MS_OK && spec->kind->check_config)
        status = spec->kind->check_config(&spec->config, spec->options, reader->path, reader->error);
    if (status != MS_OK)
        return status;
    char id[2 * MS_MODEL_NAME_MAX + 2];
    int length = snprintf(id, sizeof id, "%s@%s", spec->config.name, spec->config.version);
    reader->spec->config.id = ms_arena_copy(reader->strings, id, (size_t)length + 1);
    return spec->config.id ? MS_OK : ms_fail(reader->error, MS_MEMORY, "%s: no memory", reader->path);
}

enum ms_status ms_model_spec_read(struct ms_model_spec *out, const struct ms_model_kind *const *kinds,
                                  struct ms_arena *strings, const char *path, const char *text, size_t size,
                                  struct ms_error *error)
{
    struct ms_model_spec spec;
    struct reader reader = {.spec = &spec, .strings = strings, .path = path, .error = error};
    json_error_t json_error;
    size_t mark = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* editors write one */
    json_t *root = json_loadb(text + mark, size - mark, JSON_REJECT_DUPLICATES, &json_error);
    if (!root)
        return ms_fail(error, MS_MODEL, "%s: line %d, column %d: %s", path, json_error.line,
                       json_error.column, json_error.text);
    enum ms_status status = read_root(&reader, kinds, root);
    json_decref(root);
    if (status == MS_OK)
        *out = spec;
    return status;
}

/* "[0.9, 0.7]", or nothing where there are none. Numbers that do not fit are left out. */
static void numbers_text(const struct ms_numbers *numbers, char *value, size_t size)
{
    size_t used = 0;
    value[0] = '\0';
    for (size_t i = 0; i < numbers->count && used < size; i++)
        used += (size_t)snprintf(value + used, size - used, "%s%.9g%s", i ? ", " : "[", numbers->values[i],
                                 i + 1 == numbers->count ? "]" : "");
}

/* A value as config.json has it, without quotes. */
static void value_text(const struct ms_key *key, const void *field, char *value, size_t size)
{
    unsigned index;
    switch (key->type) {
    case MS_KEY_STRING:
    case MS_KEY_KIND:
        snprintf(value, size, "%s", *(const char *const *)field);
        break;
    case MS_KEY_INT:
        snprintf(value, size, "%d", *(const int *)field);
        break;
    case MS_KEY_SEED:
        snprintf(value, size, "%" PRIu64, *(const uint64_t *)field);
        break;
    case MS_KEY_FLOAT:
        snprintf(value, size, "%.9g", (double)*(const float *)field);
        break;
    case MS_KEY_DOUBLE:
        snprintf(value, size, "%.17g", *(const double *)field);
        break;
    case MS_KEY_NUMBERS:
        numbers_text(field, value, size);
        break;
    case MS_KEY_BOOL:
        snprintf(value, size, "%s", *(const bool *)field ? "true" : "false");
        break;
    case MS_KEY_ENUM:
        memcpy(&index, field, sizeof index);
        snprintf(value, size, "%s", key->names[index]);
        break;
    case MS_KEY_CHOICE:
        snprintf(value, size, "%s", key->names[*(const bool *)field]);
        break;
    case MS_KEY_FORMAT:
        snprintf(value, size, "%s", MS_MODEL_FORMAT);
        break;
    }
}

const char *ms_model_spec_key(const struct ms_model_spec *spec, size_t i, char *value, size_t size)
{
    const struct ms_key *table, *key = key_at(spec->kinds, i, &table);
    if (!key)
        return NULL;
    value[0] = '\0';
    if (is_common(table))
        value_text(key, (const char *)spec + key->offset, value, size);
    else if (table == spec->kind->keys)
        value_text(key, spec->options + key->offset, value, size);
    return key->path;
}
