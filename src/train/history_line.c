/* A line {"user_id":..,"items":[..]} becomes the record of that user. Strict: what is wrong is reported, nothing is
 * guessed. */
#include "train/history_line.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "mindstream/record.h"
#include "user/profile.h"

struct ms_history_line {
    const struct ms_model *model;
    const struct ms_model_config *config;
    const struct ms_history_options *options;
    struct ms_json *json;
    struct ms_extractor *extractor;
    struct ms_encoder *encoder;
    /* Grow with the longest line, whose size is bounded by MS_JSON_MAX_BYTES. */
    struct ms_buffer values, cells;       /* struct ms_json_value: a line's array, one row of logits */
    struct ms_buffer known;               /* uint32_t: which items of the line the model knows, by index */
    struct ms_buffer rows, times, logits; /* uint32_t, int64_t, float: of the known items */
    struct ms_buffer masses;              /* double: what the items count, where types are given */
    struct ms_buffer state;               /* float: the fold's sums */
    struct ms_buffer profile;             /* float: the profile's embedding */
};

/* What a line says. The rest is in the reader's buffers. */
struct history {
    struct ms_bytes user_id;
    char digits[MS_JSON_DIGITS_MAX]; /* of an integer user id */
    size_t items, known;
    int64_t last_ms;
    size_t logit_rows; /* 0: none given */
};

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for a line of this size");
}

/* An array's elements in |buffer|; false when memory ended. */
static bool elements(struct ms_buffer *buffer, struct ms_json_value array, size_t *count)
{
    size_t room = buffer->capacity / sizeof(struct ms_json_value);
    *count = ms_json_elements(array, (struct ms_json_value *)(void *)buffer->data, room);
    if (*count <= room)
        return true;
    if (!ms_buffer_reserve(buffer, *count * sizeof(struct ms_json_value)))
        return false;
    ms_json_elements(array, (struct ms_json_value *)(void *)buffer->data, *count);
    return true;
}

static struct ms_json_value *values_of(const struct ms_buffer *buffer)
{
    return (struct ms_json_value *)(void *)buffer->data;
}

static struct ms_bytes id_text(struct ms_json_value value, char digits[MS_JSON_DIGITS_MAX])
{
    struct ms_bytes id;
    id.data = ms_json_id(value, digits, &id.size);
    return id;
}

static enum ms_status read_user(struct history *history, struct ms_json_value root, struct ms_error *error)
{
    struct ms_json_value value;
    if (!ms_json_member(root, "user_id", 7, &value))
        return ms_fail(error, MS_FORMAT, "user_id is missing");
    history->user_id = id_text(value, history->digits);
    if (!history->user_id.data)
        return ms_fail(error, MS_FORMAT, "user_id is neither a string nor an integer");
    if (history->user_id.size == 0 || history->user_id.size > MS_MAX_ITEM_ID)
        return ms_fail(error, MS_FORMAT, "user_id has %zu bytes, expected 1 to %d", history->user_id.size,
                       MS_MAX_ITEM_ID);
    return MS_OK;
}

static enum ms_status read_items(struct ms_history_line *r, struct history *history,
                                 struct ms_json_value root, struct ms_error *error)
{
    struct ms_json_value array;
    r->rows.size = r->known.size = 0;
    if (!ms_json_member(root, "items", 5, &array))
        return ms_fail(error, MS_FORMAT, "items is missing");
    if (ms_json_type(array) != MS_JSON_ARRAY)
        return ms_fail(error, MS_FORMAT, "items is not an array");
    if (!elements(&r->values, array, &history->items))
        return no_memory(error);
    for (size_t i = 0; i < history->items; i++) {
        char digits[MS_JSON_DIGITS_MAX];
        struct ms_bytes id = id_text(values_of(&r->values)[i], digits);
        if (!id.data)
            return ms_fail(error, MS_FORMAT, "items[%zu] is neither a string nor an integer", i);
        uint32_t row = ms_model_find(r->model, id.data, id.size), index = (uint32_t)i;
        if (row == MS_NO_ITEM)
            continue;
        if (!ms_buffer_append(&r->rows, &row, sizeof row) ||
            !ms_buffer_append(&r->known, &index, sizeof index))
            return no_memory(error);
    }
    history->known = r->rows.size / sizeof(uint32_t);
    return MS_OK;
}

static enum ms_status read_times(struct ms_history_line *r, struct history *history,
                                 struct ms_json_value root, struct ms_error *error)
{
    struct ms_json_value array;
    size_t count;
    r->times.size = 0;
    history->last_ms = 0;
    if (!ms_json_member(root, "timestamps", 10, &array)) {
        bool needed = r->options->incremental && r->options->decay.half_life_ms[0] > 0;
        return needed ? ms_fail(error, MS_FORMAT, "timestamps is missing, and a half-life needs it") : MS_OK;
    }
    if (ms_json_type(array) != MS_JSON_ARRAY)
        return ms_fail(error, MS_FORMAT, "timestamps is not an array");
    if (!elements(&r->values, array, &count))
        return no_memory(error);
    if (count != history->items)
        return ms_fail(error, MS_FORMAT, "timestamps has %zu elements, but items has %zu", count,
                       history->items);
    for (size_t i = 0; i < count; i++) {
        struct ms_json_value value = values_of(&r->values)[i];
        int64_t time_ms = ms_json_type(value) == MS_JSON_INTEGER ? ms_json_integer(value) : -1;
        if (time_ms < 0)
            return ms_fail(error, MS_FORMAT, "timestamps[%zu] is not an integer of milliseconds since 1970",
                           i);
        if (i == 0 || time_ms > history->last_ms)
            history->last_ms = time_ms;
        if (!ms_buffer_append(&r->times, &time_ms, sizeof time_ms))
            return no_memory(error);
    }
    return MS_OK;
}

/* A type for each event, for models that weigh them. */
static enum ms_status read_types(struct ms_history_line *r, const struct history *history,
                                 struct ms_json_value root, struct ms_error *error)
{
    struct ms_json_value array;
    size_t count;
    r->masses.size = 0;
    if (!ms_json_member(root, "types", 5, &array))
        return MS_OK;
    if (ms_json_type(array) != MS_JSON_ARRAY)
        return ms_fail(error, MS_FORMAT, "types is not an array");
    if (!elements(&r->values, array, &count))
        return no_memory(error);
    if (count != history->items)
        return ms_fail(error, MS_FORMAT, "types has %zu elements, but items has %zu", count, history->items);
    for (size_t i = 0; i < count; i++) {
        struct ms_bytes type;
        if (ms_json_type(values_of(&r->values)[i]) != MS_JSON_STRING)
            return ms_fail(error, MS_FORMAT, "types[%zu] is not a string", i);
        type.data = ms_json_string(values_of(&r->values)[i], &type.size);
        double mass = ms_model_event_weight(r->model, type.data, type.size);
        if (!ms_buffer_append(&r->masses, &mass, sizeof mass))
            return no_memory(error);
    }
    return MS_OK;
}

static enum ms_status read_logit(struct ms_history_line *r, struct ms_json_value value, size_t i, size_t j,
                                 struct ms_error *error)
{
    enum ms_json_type type = ms_json_type(value);
    double number = type == MS_JSON_DOUBLE || type == MS_JSON_INTEGER ? ms_json_double(value) : HUGE_VAL;
    if (!(fabs(number) <= (double)FLT_MAX))
        return ms_fail(error, MS_FORMAT, "initial_logits[%zu][%zu] is not a number in float32's range", i, j);
    float logit = (float)number;
    return ms_buffer_append(&r->logits, &logit, sizeof logit) ? MS_OK : no_memory(error);
}

static enum ms_status read_logit_row(struct ms_history_line *r, struct ms_json_value row, size_t i,
                                     struct ms_error *error)
{
    size_t count, K = (size_t)r->config->interests;
    if (ms_json_type(row) != MS_JSON_ARRAY)
        return ms_fail(error, MS_FORMAT, "initial_logits[%zu] is not an array", i);
    if (!elements(&r->cells, row, &count))
        return no_memory(error);
    if (count != K)
        return ms_fail(error, MS_FORMAT, "initial_logits[%zu] has %zu numbers, expected K=%zu", i, count, K);
    for (size_t j = 0; j < K; j++) {
        enum ms_status status = read_logit(r, values_of(&r->cells)[j], i, j, error);
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

/* A row for each item, then, where padded slots take part, a row for each of these. Rows of unknown items are
 * left out. */
static enum ms_status read_logits(struct ms_history_line *r, struct history *history,
                                  struct ms_json_value root, struct ms_error *error)
{
    struct ms_json_value array;
    size_t count, known = 0, most = ms_extract_logit_rows(r->model, history->items);
    r->logits.size = history->logit_rows = 0;
    if (!ms_json_member(root, "initial_logits", 14, &array))
        return MS_OK;
    if (r->options->incremental || most < history->items)
        return ms_fail(error, MS_FORMAT, "initial_logits is for full routing only");
    if (ms_json_type(array) != MS_JSON_ARRAY)
        return ms_fail(error, MS_FORMAT, "initial_logits is not an array");
    if (!elements(&r->values, array, &count))
        return no_memory(error);
    if (count < history->items || count > most)
        return ms_fail(error, MS_FORMAT, "initial_logits has %zu rows, expected %zu%s", count, history->items,
                       most > history->items ? " (or more, up to max_behaviors)" : "");
    for (size_t i = 0; i < count; i++) {
        bool unknown = i < history->items &&
                       (known >= history->known || ((uint32_t *)(void *)r->known.data)[known] != i);
        enum ms_status status = unknown ? MS_OK : read_logit_row(r, values_of(&r->values)[i], i, error);
        if (status != MS_OK)
            return status;
        known += i < history->items && !unknown;
        history->logit_rows += !unknown;
    }
    return MS_OK;
}

/* The user's profile: an object, or nothing for the default row of every field. */
static enum ms_status read_profile(struct ms_history_line *r, struct ms_json_value root,
                                   struct ms_error *error)
{
    struct ms_json_value profile;
    bool given = ms_json_member(root, "profile", 7, &profile) && ms_json_type(profile) != MS_JSON_NULL;
    if (given && ms_json_type(profile) != MS_JSON_OBJECT)
        return ms_fail(error, MS_FORMAT, "profile is not an object");
    if (!r->config->profile_dim)
        return MS_OK;
    r->profile.size = 0;
    if (!ms_buffer_reserve(&r->profile, (size_t)r->config->profile_dim * sizeof(float)))
        return no_memory(error);
    float *embedding = (float *)(void *)r->profile.data;
    if (given)
        ms_profile_embed(r->model, profile, embedding);
    ms_extractor_set_profile(r->extractor, given ? embedding : NULL);
    return MS_OK;
}

static struct ms_interests fold_all(struct ms_history_line *r, const struct history *history)
{
    const uint32_t *rows = (const uint32_t *)(const void *)r->rows.data;
    const uint32_t *known = (const uint32_t *)(const void *)r->known.data;
    const int64_t *times = r->times.size ? (const int64_t *)(const void *)r->times.data : NULL;
    const double *masses = r->masses.size ? (const double *)(const void *)r->masses.data : NULL;
    float *state = (float *)(void *)r->state.data;
    int64_t newest_ms = 0;
    memset(state, 0, r->state.size);
    for (size_t i = 0; i < history->known; i++) {
        int64_t time_ms = times ? times[known[i]] : 0, age_ms = i ? time_ms - newest_ms : 0;
        ms_fold_event(r->extractor, &r->options->decay, state, i + 1, rows[i], age_ms > 0 ? age_ms : 0,
                      age_ms < 0 ? -age_ms : 0, masses ? masses[known[i]] : 1.0);
        newest_ms = age_ms > 0 || i == 0 ? time_ms : newest_ms;
    }
    return ms_fold_interests(r->extractor, state, history->known);
}

enum ms_status ms_history_line_extract(struct ms_history_line *r, const char *line, size_t size,
                                       struct ms_buffer *out, struct ms_error *error)
{
    struct history history = {.items = 0};
    struct ms_json_value root;
    const char *reason = ms_json_read(r->json, line, size, &root);
    if (reason == ms_json_no_memory)
        return ms_fail(error, MS_MEMORY, "no memory for a line of %zu bytes", size);
    if (reason)
        return ms_fail(error, MS_FORMAT, "not JSON: %s", reason);
    if (ms_json_type(root) != MS_JSON_OBJECT)
        return ms_fail(error, MS_FORMAT, "not a JSON object");
    enum ms_status status = read_user(&history, root, error);
    if (status == MS_OK)
        status = read_items(r, &history, root, error);
    if (status == MS_OK)
        status = read_times(r, &history, root, error);
    if (status == MS_OK)
        status = read_types(r, &history, root, error);
    if (status == MS_OK)
        status = read_logits(r, &history, root, error);
    if (status == MS_OK)
        status = read_profile(r, root, error);
    if (status != MS_OK)
        return status;
    struct ms_record record = {.user_id = history.user_id,
                               .version = history.items,
                               .event_time_ms = history.last_ms,
                               .model = {r->config->id, strlen(r->config->id)}};
    record.interests = r->options->incremental
                           ? fold_all(r, &history)
                           : ms_extract_full(
                                 r->extractor, (const uint32_t *)(const void *)r->rows.data, history.known,
                                 history.logit_rows ? (const float *)(const void *)r->logits.data : NULL,
                                 history.logit_rows, NULL);
    struct ms_bytes bytes = ms_encode_user(r->encoder, &record);
    if (!bytes.data || !ms_buffer_reserve(out, bytes.size + 1))
        return no_memory(error);
    ms_buffer_append(out, bytes.data, bytes.size);
    ms_buffer_append(out, "\n", 1);
    return MS_OK;
}

enum ms_status ms_history_line_new(struct ms_history_line **reader, const struct ms_model *model,
                                   const struct ms_history_options *options, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    size_t floats = ms_fold_floats(model);
    struct ms_history_line *r = calloc(1, sizeof *r);
    if (!r)
        return no_memory(error);
    r->model = model;
    r->config = ms_model_config(model);
    r->options = options;
    r->json = ms_json_new();
    if (!r->json || !ms_buffer_reserve(&r->state, floats * sizeof(float)))
        status = no_memory(error);
    r->state.size = floats * sizeof(float);
    if (status == MS_OK && options->incremental)
        status = ms_fold_supported(model, error);
    if (status == MS_OK)
        status = ms_extractor_new(&r->extractor, model, error);
    if (status == MS_OK)
        status = ms_encoder_new(&r->encoder, MS_RECORD_JSON, error);
    if (status == MS_OK)
        *reader = r;
    else
        ms_history_line_destroy(r);
    return status;
}

void ms_history_line_destroy(struct ms_history_line *r)
{
    if (!r)
        return;
    struct ms_buffer *buffers[] = {&r->values, &r->cells,  &r->known, &r->rows,   &r->times,
                                   &r->logits, &r->masses, &r->state, &r->profile};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        ms_buffer_free(buffers[i]);
    ms_encoder_destroy(r->encoder);
    ms_extractor_destroy(r->extractor);
    ms_json_destroy(r->json);
    free(r);
}
