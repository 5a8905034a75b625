/* Making an extractor, and the way into full extraction. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "interest/kind.h"

static void bind(struct ms_extractor *x)
{
    const struct ms_model_config *config = &x->spec->config;
    x->K = (size_t)config->interests;
    x->L = (size_t)config->max_behaviors;
    x->item_dim = (size_t)config->item_dim;
    x->capsule_dim = (size_t)x->spec->capsule_dim;
    x->dim = (size_t)config->dim;
    x->stride = ms_round_up(x->capsule_dim, MS_LANES);
    ms_head_bind(x);
    if (x->kind->bind)
        x->kind->bind(x);
}

static void carve(struct ms_extractor *x, struct ms_carver *carver)
{
    size_t lanes = ms_round_up(x->K, MS_TILE);
    x->vectors = ms_carve(carver, x->K, x->dim, sizeof(float));
    x->weights = ms_carve(carver, x->K, 1, sizeof(float));
    x->z64 = ms_carve(carver, lanes, x->stride, sizeof(double));
    x->mass64 = ms_carve(carver, lanes, 1, sizeof(double));
    ms_head_carve(x, carver);
    if (x->kind->carve)
        x->kind->carve(x, carver);
}

enum ms_status ms_extractor_new_on(struct ms_extractor **extractor, const struct ms_model *model,
                                   const struct ms_kernels *kernels, struct ms_error *error)
{
    struct ms_carver carver = {0};
    struct ms_extractor *x = calloc(1, sizeof *x);
    if (!x)
        goto no_memory;
    x->model = model;
    x->spec = ms_model_spec(model);
    x->kind = ms_kind_of(model);
    x->kernels = kernels;
    if (x->kind->context_bytes && !(x->context = calloc(1, x->kind->context_bytes)))
        goto no_memory;
    bind(x);
    carve(x, &carver);
    if (carver.overflow)
        goto no_memory;
    carver.block = x->memory = aligned_alloc(64, carver.used);
    if (!x->memory)
        goto no_memory;
    carver.used = 0;
    carve(x, &carver);
    if (x->kind->prepare)
        x->kind->prepare(x);
    ms_extractor_set_profile(x, NULL);
    *extractor = x;
    return MS_OK;

no_memory:
    ms_extractor_destroy(x);
    return ms_fail(error, MS_MEMORY, "no memory for an extractor's scratch of %zu bytes", carver.used);
}

enum ms_status ms_extractor_new(struct ms_extractor **extractor, const struct ms_model *model,
                                struct ms_error *error)
{
    return ms_extractor_new_on(extractor, model, ms_kernels_best(), error);
}

void ms_extractor_set_profile(struct ms_extractor *x, const float *profile)
{
    size_t at = 0;
    for (int i = 0; i < x->spec->config.profile_fields; i++) {
        size_t width = (size_t)x->spec->config.profile_width[i];
        memcpy(x->profile + at, profile ? profile + at : ms_model_profile_row(x->model, i, NULL, 0),
               width * sizeof *x->profile);
        at += width;
    }
}

void ms_extractor_destroy(struct ms_extractor *x)
{
    if (!x)
        return;
    free(x->context);
    free(x->memory);
    free(x);
}

struct ms_interests ms_extract_full(struct ms_extractor *x, const uint32_t *items, size_t n,
                                    const float *initial_logits, size_t logit_rows, float *coupling)
{
    size_t skipped = n > x->L ? n - x->L : 0;
    assert(!initial_logits || logit_rows >= n);
    struct ms_window window = {.items = items + skipped,
                               .n = n - skipped,
                               .interests = (size_t)ms_interest_count(x->model, n),
                               .logits = initial_logits ? initial_logits + skipped * x->K : NULL,
                               .logit_rows = initial_logits ? logit_rows - skipped : 0,
                               .coupling = coupling};
    x->overflowed = false;
    if (n == 0)
        return (struct ms_interests){0, (int)x->dim, x->vectors, x->weights};
    return ms_only_finite(x, x->kind->extract(x, &window));
}

struct ms_interests ms_only_finite(const struct ms_extractor *x, struct ms_interests interests)
{
    if (x->overflowed)
        interests.count = 0;
    return interests;
}

bool ms_extractor_overflowed(const struct ms_extractor *x)
{
    return x->overflowed;
}

size_t ms_extract_logit_rows(const struct ms_model *model, size_t items)
{
    const struct ms_kind *kind = ms_kind_of(model);
    return kind->logit_rows ? kind->logit_rows(model, items) : 0;
}

int ms_item_vector_dim(const struct ms_model *model)
{
    return ms_model_spec(model)->capsule_dim;
}

const float *ms_item_vectors(struct ms_extractor *x, uint32_t item, size_t position, int *count)
{
    if (x->kind->item_vectors)
        return x->kind->item_vectors(x, item, position, count);
    *count = 1;
    return ms_model_item_embedding(x->model, item);
}
