/* A model whose tensors by item are cut down to the rows that are asked for, before its tables are made. */
#include "model/part.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/inside.h"
#include "model/tensors.h"

struct ms_model_part {
    char *dir;
    struct ms_model *model; /* without items until it is picked */
    struct ms_items all;
    struct ms_catalogue catalogue;
    bool picked;
};

struct ms_catalogue ms_model_catalogue(const struct ms_model *model)
{
    return (struct ms_catalogue){.count = model->items.count,
                                 .dim = model->spec.config.item_dim,
                                 .rows = model->embedding,
                                 .ids = &model->items};
}

struct ms_bytes ms_catalogue_id(const struct ms_catalogue *catalogue, uint32_t item)
{
    struct ms_bytes id;
    assert(item < catalogue->count);
    id.data = ms_items_id(catalogue->ids, item, &id.size);
    return id;
}

/* ---- reading ---- */

static enum ms_status map_tensors(struct ms_model *model, const char *dir, XXH64_state_t *hash,
                                  struct ms_error *error)
{
    char path[4096];
    struct ms_file file = {.fd = -1};
    enum ms_status status = ms_model_path(path, sizeof path, dir, "model.safetensors", error);
    if (status == MS_OK)
        status = ms_file_open(&file, path, MS_MODEL_TENSORS_MAX_BYTES, error);
    if (status == MS_OK)
        status = ms_safetensors_open(&model->tensors, &file, error);
    if (status == MS_OK)
        status = ms_tensors_check(&model->spec, &model->tensors, path, error);
    if (status == MS_OK) {
        const struct ms_safetensor *items = ms_tensors_find(&model->tensors, "item_embedding");
        status = ms_safetensors_load_mapped(&model->tensors, &file, (size_t)(items - model->tensors.tensors),
                                            hash, error);
    }
    ms_file_close(&file);
    return status;
}

static enum ms_status read_ids(struct ms_model_part *part, XXH64_state_t *hash, struct ms_error *error)
{
    char path[4096];
    enum ms_status status = ms_model_path(path, sizeof path, part->dir, "items.txt", error);
    if (status == MS_OK)
        status = ms_items_read(&part->all, path, hash, error);
    return status == MS_OK ? ms_model_fits_items(part->model, &part->all, path, error) : status;
}

static enum ms_status read_part(struct ms_model_part *part, const struct ms_model_kind *const *kinds,
                                XXH64_state_t *hash, struct ms_error *error)
{
    struct ms_model *model = part->model;
    enum ms_status status = ms_model_read_config(model, kinds, part->dir, hash, error);
    if (status == MS_OK)
        status = map_tensors(model, part->dir, hash, error);
    if (status == MS_OK)
        status = read_ids(part, hash, error);
    if (status == MS_OK)
        status = ms_model_read_profile(model, part->dir, hash, error);
    if (status != MS_OK)
        return status;
    model->hash = XXH64_digest(hash);
    part->catalogue = (struct ms_catalogue){.count = part->all.count,
                                            .dim = model->spec.config.item_dim,
                                            .rows = ms_tensors_find(&model->tensors, "item_embedding")->data,
                                            .ids = &part->all};
    return MS_OK;
}

enum ms_status ms_model_part_open_as(struct ms_model_part **out, const char *dir,
                                     const struct ms_model_kind *const *kinds, struct ms_error *error)
{
    XXH64_state_t *hash = XXH64_createState();
    struct ms_model_part *part = calloc(1, sizeof *part);
    bool good = hash && part && (part->dir = strdup(dir)) && (part->model = calloc(1, sizeof *part->model));
    enum ms_status status = good ? MS_OK : ms_fail(error, MS_MEMORY, "%s: no memory", dir);
    if (status == MS_OK) {
        XXH64_reset(hash, 0);
        status = read_part(part, kinds, hash, error);
    }
    XXH64_freeState(hash);
    if (status != MS_OK) {
        ms_model_part_close(part);
        return status;
    }
    *out = part;
    return MS_OK;
}

void ms_model_part_close(struct ms_model_part *part)
{
    if (!part)
        return;
    ms_model_destroy(part->model);
    ms_items_free(&part->all);
    free(part->dir);
    free(part);
}

struct ms_catalogue ms_model_part_catalogue(const struct ms_model_part *part)
{
    return part->catalogue;
}

/* ---- picking ---- */

/* Keeps the rows |numbers|, which ascend, of a tensor that has one for each item, at |to|, which may be where they are. */
static void keep_rows(struct ms_safetensor *tensor, const uint32_t *numbers, uint32_t count, float *to)
{
    size_t width = tensor->count / (size_t)tensor->shape[0];
    for (uint32_t i = 0; i < count; i++)
        memmove(to + i * width, tensor->data + numbers[i] * width, width * sizeof *to);
    tensor->data = to;
    tensor->shape[0] = count;
    tensor->count = count * width;
}

static enum ms_status cut_tensors(struct ms_model_part *part, struct ms_error *error)
{
    struct ms_model *model = part->model;
    uint32_t count = model->items.count;
    model->picked_bytes = (size_t)count * (size_t)part->catalogue.dim * sizeof(float);
    model->picked = ms_block_alloc(model->picked_bytes);
    if (!model->picked)
        return ms_fail(error, MS_MEMORY, "%s: no memory for %u items", part->dir, count);
    for (size_t i = 0; i < model->tensors.count; i++) {
        struct ms_safetensor *tensor = &model->tensors.tensors[i];
        if (ms_tensors_is_by_item(&model->spec, tensor->name))
            keep_rows(tensor, model->places, count,
                      tensor->data == part->catalogue.rows ? model->picked : tensor->data);
    }
    model->embedding = model->picked;
    return ms_model_make_tables(model, part->dir, error);
}

enum ms_status ms_model_part_pick(struct ms_model_part *part, const struct ms_bytes *ids, size_t count,
                                  struct ms_model **model, struct ms_error *error)
{
    assert(!part->picked);
    part->picked = true;
    /* The first item is always there: a model has at least one. */
    struct ms_bytes *wanted = malloc((count + 1) * sizeof *wanted);
    part->model->places = malloc((count + 1) * sizeof *part->model->places);
    enum ms_status status = wanted && part->model->places
                                ? MS_OK
                                : ms_fail(error, MS_MEMORY, "no memory for %zu items", count);
    if (status == MS_OK) {
        wanted[0] = ms_catalogue_id(&part->catalogue, 0);
        if (count)
            memcpy(wanted + 1, ids, count * sizeof *wanted);
        status = ms_items_pick(&part->model->items, part->model->places, &part->all, wanted, count + 1,
                               error);
    }
    free(wanted);
    if (status == MS_OK)
        status = cut_tensors(part, error);
    if (status == MS_OK)
        *model = part->model;
    return status;
}
