/* A model directory as a whole: the files read and compared with one another, then what the kind computes once. */
#include "mindstream/model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "model/inside.h"
#include "model/tensors.h"

enum ms_status ms_model_path(char *path, size_t size, const char *dir, const char *name,
                             struct ms_error *error)
{
    if ((size_t)snprintf(path, size, "%s/%s", dir, name) >= size)
        return ms_fail(error, MS_MODEL, "the model directory's path is longer than %zu bytes", size);
    return MS_OK;
}

enum ms_status ms_model_read_config(struct ms_model *model, const struct ms_model_kind *const *kinds,
                                    const char *dir, XXH64_state_t *hash, struct ms_error *error)
{
    char *text = NULL, path[4096];
    size_t size = 0;
    enum ms_status status = ms_model_path(path, sizeof path, dir, "config.json", error);
    if (status == MS_OK)
        status = ms_file_read_all(&text, &size, path, MS_MODEL_CONFIG_MAX_BYTES, hash, error);
    if (status == MS_OK)
        status = ms_model_spec_read(&model->spec, kinds, &model->strings, path, text, size, error);
    free(text);
    return status;
}

/* Shapes are checked between the header and the data: a wrong file is refused before gigabytes are read. */
static enum ms_status read_tensors(struct ms_model *model, const char *path, XXH64_state_t *hash,
                                   struct ms_error *error)
{
    struct ms_file file = {.fd = -1};
    enum ms_status status = ms_file_open(&file, path, MS_MODEL_TENSORS_MAX_BYTES, error);
    if (status == MS_OK)
        status = ms_safetensors_open(&model->tensors, &file, error);
    if (status == MS_OK)
        status = ms_tensors_check(&model->spec, &model->tensors, path, error);
    if (status == MS_OK)
        status = ms_safetensors_load(&model->tensors, &file, hash, error);
    if (status == MS_OK)
        model->embedding = ms_tensors_find(&model->tensors, "item_embedding")->data;
    ms_file_close(&file);
    return status;
}

enum ms_status ms_model_fits_items(const struct ms_model *model, const struct ms_items *items,
                                   const char *path, struct ms_error *error)
{
    int64_t rows = ms_tensors_find(&model->tensors, "item_embedding")->shape[0];
    if (items->count != rows)
        return ms_fail(error, MS_MODEL, "%s: %u lines, but tensor item_embedding has %lld rows", path,
                       items->count, (long long)rows);
    return MS_OK;
}

static enum ms_status read_items(struct ms_model *model, const char *path, XXH64_state_t *hash,
                                 struct ms_error *error)
{
    enum ms_status status = ms_items_load(&model->items, path, hash, error);
    return status == MS_OK ? ms_model_fits_items(model, &model->items, path, error) : status;
}

/* profile_<field>.txt for each field: one value a line, line n is row n. */
enum ms_status ms_model_read_profile(struct ms_model *model, const char *dir, XXH64_state_t *hash,
                                     struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int i = 0; status == MS_OK && i < model->spec.config.profile_fields; i++) {
        char path[4096], name[80], file[80];
        snprintf(name, sizeof name, "profile.%s", model->spec.config.profile_field[i]);
        snprintf(file, sizeof file, "profile_%s.txt", model->spec.config.profile_field[i]);
        status = ms_model_path(path, sizeof path, dir, file, error);
        if (status == MS_OK)
            status = ms_items_load(&model->profile_values[i], path, hash, error);
        if (status != MS_OK)
            break;
        const struct ms_safetensor *tensor = ms_tensors_find(&model->tensors, name);
        int64_t lines = model->profile_values[i].count, rows = tensor->shape[0];
        if (lines != rows && lines + 1 != rows)
            return ms_fail(
                error, MS_MODEL,
                "%s: %lld lines, but tensor %s has %lld rows (as many, or one more for all other values)",
                path, (long long)lines, name, (long long)rows);
        model->profile_rows[i] = tensor->data;
        model->profile_default[i] = lines == rows ? 0 : (uint32_t)lines;
    }
    return status;
}

/* What the kind computes from the whole of it. */
enum ms_status ms_model_make_tables(struct ms_model *model, const char *dir, struct ms_error *error)
{
    const struct ms_model_kind *kind = model->spec.kind;
    if (!kind->make_tables)
        return MS_OK;
    model->tables = calloc(1, kind->tables_bytes);
    if (!model->tables)
        return ms_fail(error, MS_MEMORY, "%s: no memory", dir);
    return kind->make_tables(model, model->tables, dir, error);
}

static enum ms_status load(struct ms_model *model, const char *dir, const struct ms_model_kind *const *kinds,
                           XXH64_state_t *hash, struct ms_error *error)
{
    char path[4096];
    struct stat st;
    enum ms_status status;
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return ms_fail(error, MS_MODEL, "%s: not a directory", dir);
    if ((status = ms_model_read_config(model, kinds, dir, hash, error)) != MS_OK ||
        (status = ms_model_path(path, sizeof path, dir, "model.safetensors", error)) != MS_OK ||
        (status = read_tensors(model, path, hash, error)) != MS_OK ||
        (status = ms_model_path(path, sizeof path, dir, "items.txt", error)) != MS_OK ||
        (status = read_items(model, path, hash, error)) != MS_OK ||
        (status = ms_model_read_profile(model, dir, hash, error)) != MS_OK)
        return status;
    return ms_model_make_tables(model, dir, error);
}

/* Names in a bad file are anybody's bytes; the text must stay one line of UTF-8, fit for a log and for JSON.
 */
static void clean_text(struct ms_error *error)
{
    bool utf8 = ms_utf8_valid(error->text, strlen(error->text));
    for (char *at = error->text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f || (!utf8 && (unsigned char)*at >= 0x80))
            *at = '?';
}

enum ms_status ms_model_load_as(struct ms_model **out, const char *dir,
                                const struct ms_model_kind *const *kinds, struct ms_error *error)
{
    XXH64_state_t *hash = XXH64_createState();
    struct ms_model *model = calloc(1, sizeof *model);
    enum ms_status status;
    if (!hash || !model) {
        status = ms_fail(error, MS_MEMORY, "%s: no memory", dir);
    } else {
        XXH64_reset(hash, 0);
        status = load(model, dir, kinds, hash, error);
    }
    if (status == MS_OK) {
        model->hash = XXH64_digest(hash);
        *out = model;
        model = NULL;
    } else if (error) {
        clean_text(error);
    }
    XXH64_freeState(hash);
    ms_model_destroy(model);
    return status;
}

void ms_model_destroy(struct ms_model *model)
{
    if (!model)
        return;
    if (model->tables)
        model->spec.kind->free_tables(model, model->tables);
    free(model->tables);
    ms_block_free(model->picked, model->picked_bytes);
    free(model->places);
    ms_safetensors_free(&model->tensors);
    ms_items_free(&model->items);
    for (int i = 0; i < MS_MAX_PROFILE; i++)
        ms_items_free(&model->profile_values[i]);
    ms_arena_free(&model->strings);
    free(model);
}

const struct ms_model_config *ms_model_config(const struct ms_model *model)
{
    return &model->spec.config;
}

const char *ms_model_training(const struct ms_model *model)
{
    return model->spec.training;
}

bool ms_model_weighs_events(const struct ms_model *model)
{
    return model->spec.event_weight_count > 0;
}

double ms_model_event_weight(const struct ms_model *model, const char *type, size_t type_bytes)
{
    const struct ms_model_spec *spec = &model->spec;
    for (int i = 0; i < spec->event_weight_count; i++) {
        const struct ms_event_weight *row = &spec->event_weights[i];
        if (row->type_bytes == type_bytes && (type_bytes == 0 || memcmp(row->type, type, type_bytes) == 0))
            return row->weight;
    }
    return 1.0;
}

const struct ms_model_spec *ms_model_spec(const struct ms_model *model)
{
    return &model->spec;
}

const void *ms_model_tables(const struct ms_model *model)
{
    return model->tables;
}

const uint32_t *ms_model_places(const struct ms_model *model)
{
    return model->places;
}

uint64_t ms_model_hash(const struct ms_model *model)
{
    return model->hash;
}

uint32_t ms_model_item_count(const struct ms_model *model)
{
    return model->items.count;
}

uint32_t ms_model_find(const struct ms_model *model, const char *id, size_t id_bytes)
{
    return ms_items_find(&model->items, id, id_bytes);
}

void ms_model_find_many(const struct ms_model *model, const char *const *ids, const size_t *id_bytes,
                        size_t count, uint32_t *items)
{
    ms_items_find_many(&model->items, ids, id_bytes, count, items);
}

const char *ms_model_item_id(const struct ms_model *model, uint32_t item, size_t *id_bytes)
{
    assert(item < model->items.count);
    return ms_items_id(&model->items, item, id_bytes);
}

const float *ms_model_item_embedding(const struct ms_model *model, uint32_t item)
{
    assert(item < model->items.count);
    return model->embedding + (size_t)item * (size_t)model->spec.config.item_dim;
}

const float *ms_model_profile_row(const struct ms_model *model, int field, const char *value,
                                  size_t value_bytes)
{
    assert(field >= 0 && field < model->spec.config.profile_fields);
    uint32_t row = value ? ms_items_find(&model->profile_values[field], value, value_bytes) : MS_NO_ITEM;
    if (row == MS_NO_ITEM)
        row = model->profile_default[field];
    return model->profile_rows[field] + (size_t)row * (size_t)model->spec.config.profile_width[field];
}

void ms_model_set_profile_order(struct ms_model *model, enum ms_profile_order order)
{
    model->spec.profile_order = order;
}

static struct ms_tensor view(const struct ms_safetensor *from)
{
    struct ms_tensor tensor = {.data = from->data, .rank = from->rank};
    static_assert(sizeof tensor.shape == sizeof from->shape, "both hold four dimensions");
    memcpy(tensor.shape, from->shape, sizeof tensor.shape);
    return tensor;
}

struct ms_tensor ms_model_tensor(const struct ms_model *model, const char *name)
{
    const struct ms_safetensor *tensor = ms_tensors_find(&model->tensors, name);
    return tensor ? view(tensor) : (struct ms_tensor){0};
}

struct ms_tensor ms_model_tensor_at(const struct ms_model *model, size_t i, const char **name)
{
    if (i >= model->tensors.count)
        return (struct ms_tensor){0};
    *name = model->tensors.tensors[i].name;
    return view(&model->tensors.tensors[i]);
}

size_t ms_model_bytes(const struct ms_model *model)
{
    size_t bytes = sizeof *model + model->tensors.block_bytes + model->tensors.data_start;
    bytes += model->items.starts[model->items.count] + (model->items.count + 1) * sizeof *model->items.starts;
    bytes += ((size_t)model->items.index.mask + 1) * sizeof *model->items.index.slots;
    if (model->tables)
        bytes += model->spec.kind->tables_bytes + model->spec.kind->bytes_of_tables(model, model->tables);
    return bytes;
}
