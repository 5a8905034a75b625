/* Making an extractor, and the way into full extraction. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interest/extractor.h"

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

void *ms_carve(struct ms_carver *carver, size_t a, size_t b, size_t element)
{
    size_t bytes, end;
    if (__builtin_mul_overflow(a, b, &bytes) || __builtin_mul_overflow(bytes, element, &bytes) ||
        bytes > SIZE_MAX - 64 || __builtin_add_overflow(carver->used, round_up(bytes, 64), &end)) {
        carver->overflow = true;
        return NULL;
    }
    void *at = carver->block ? carver->block + carver->used : NULL;
    carver->used = end;
    return at;
}

static void carve_fast(struct ms_extractor *x, struct ms_carver *carver)
{
    size_t rows = round_up(x->L, MS_TILE), lanes = round_up(x->K, MS_TILE);
    x->x32 = ms_carve(carver, rows, x->stride, sizeof(float));
    x->b32 = ms_carve(carver, rows, lanes, sizeof(float));
    x->w32 = ms_carve(carver, MS_BLOCK_ROWS, lanes, sizeof(float));
    x->row_scale = ms_carve(carver, rows, MS_TILE, sizeof(float));
}

static void carve_exact(struct ms_extractor *x, struct ms_carver *carver)
{
    enum ms_bilinear map = x->config->routing.bilinear;
    bool own = map == MS_BILINEAR_PER_INTEREST || map == MS_BILINEAR_PER_POSITION;
    size_t rows = round_up(x->L, MS_TILE), lanes = round_up(x->K, MS_TILE);
    x->x64 = ms_carve(carver, own ? x->K * x->L : rows, x->stride, sizeof(double));
    x->norm64 = ms_carve(carver, rows, lanes, sizeof(double));
    x->a64 = ms_carve(carver, x->L, x->K, sizeof(double));
    x->u64 = ms_carve(carver, lanes, x->stride, sizeof(double));
}

static void carve_all(struct ms_extractor *x, struct ms_carver *carver)
{
    size_t rows = round_up(x->L, MS_BLOCK_ROWS), lanes = round_up(x->K, MS_TILE);
    x->vectors = ms_carve(carver, x->K, x->dim, sizeof(float));
    x->weights = ms_carve(carver, x->K, 1, sizeof(float));
    x->u32 = ms_carve(carver, lanes, x->stride, sizeof(float));
    x->z32 = ms_carve(carver, lanes, x->stride, sizeof(float));
    x->mass32 = ms_carve(carver, lanes, 1, sizeof(float));
    x->profile = ms_carve(carver, x->profile_dim, 1, sizeof(float));
    x->fold_x = ms_carve(carver, x->K, x->capsule_dim, sizeof(float));
    x->e64 = ms_carve(carver, x->L, x->item_dim, sizeof(double));
    x->b64 = ms_carve(carver, rows, lanes, sizeof(double));
    x->w64 = ms_carve(carver, rows, lanes, sizeof(double));
    x->z64 = ms_carve(carver, lanes, x->stride, sizeof(double));
    x->mass64 = ms_carve(carver, lanes, 1, sizeof(double));
    for (int i = 0; i < 2; i++) {
        x->wide32[i] = ms_carve(carver, lanes, x->wide_stride, sizeof(float));
        x->wide64[i] = ms_carve(carver, x->K, x->wide_stride, sizeof(double));
    }
    if (x->fast)
        carve_fast(x, carver);
    if (x->config->extractor == MS_EXTRACTOR_MIND)
        carve_exact(x, carver);
    else if (x->config->extractor == MS_EXTRACTOR_COMIREC_SA)
        ms_attention_carve(x, carver);
    else
        ms_sine_carve(x, carver);
}

static void bind_head(struct ms_extractor *x)
{
    size_t width = x->capsule_dim + x->profile_dim;
    x->wide_stride = round_up(width, MS_LANES);
    for (int n = 0; n < x->config->head_layers; n++) {
        char name[32];
        snprintf(name, sizeof name, "head.%d.weight", n);
        struct ms_tensor weight = ms_model_tensor(x->model, name);
        snprintf(name, sizeof name, "head.%d.bias", n);
        assert(weight.data && (size_t)weight.shape[1] == width);
        x->head[n] = (struct ms_dense){.weight = weight.data,
                                       .bias = ms_model_tensor(x->model, name).data,
                                       .in = width,
                                       .out = (size_t)weight.shape[0],
                                       .relu = x->config->head_activation[n] == MS_ACTIVATION_RELU};
        width = x->head[n].out;
        if (round_up(width, MS_LANES) > x->wide_stride)
            x->wide_stride = round_up(width, MS_LANES);
    }
    assert(width == x->dim);
}

/* How far agreements can carry a logit for each unit of the longest item's length. */
static double reach(const struct ms_routing *routing)
{
    double steps = routing->update == MS_UPDATE_ACCUMULATE ? (double)(routing->iterations - 1) : 1.0;
    double interest = 1.0;
    if (routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every)
        interest = (double)routing->squash_scale;
    else if (routing->agreement_interest != MS_AGREEMENT_UNIT)
        return 0.0;
    if (routing->agreement_item_unit)
        return 0.0;
    return fabs(steps * interest * (double)routing->agreement_scale * (double)routing->softmax_scale);
}

static void bind(struct ms_extractor *x)
{
    const struct ms_model_config *config = x->config;
    x->K = (size_t)config->interests;
    x->L = (size_t)config->max_behaviors;
    x->item_dim = (size_t)config->item_dim;
    x->capsule_dim = (size_t)config->capsule_dim;
    x->dim = (size_t)config->dim;
    x->profile_dim = (size_t)config->profile_dim;
    x->lead = ms_fold_lead(config);
    x->stride = round_up(x->capsule_dim, MS_LANES);
    x->projected = ms_model_projected(x->model);
    x->bilinear = ms_model_tensor(x->model, "routing.bilinear").data;
    x->bilinear_bias = ms_model_tensor(x->model, "routing.bilinear_bias").data;
    x->table = ms_model_tensor(x->model, "routing.initial_logits").data;
    x->item_logits = ms_model_item_logits(x->model);
    x->projected_rest = ms_model_projected_rest(x->model);
    x->item_logits_rest = ms_model_item_logits_rest(x->model);
    x->lengths = ms_model_item_lengths(x->model);
    x->reach = reach(&config->routing);
    x->fast = ms_routing_fits_float32(config);
    x->wide = config->extractor == MS_EXTRACTOR_MIND && config->routing.softmax == MS_SOFTMAX_INTERESTS &&
              (config->routing.bilinear == MS_BILINEAR_SHARED ||
               config->routing.bilinear == MS_BILINEAR_NONE);
    bind_head(x);
}

enum ms_status ms_extractor_new_on(struct ms_extractor **extractor, const struct ms_model *model,
                                   const struct ms_kernels *kernels, struct ms_error *error)
{
    struct ms_carver carver = {0};
    struct ms_extractor *x = calloc(1, sizeof *x);
    if (!x)
        goto no_memory;
    x->model = model;
    x->config = ms_model_config(model);
    x->kernels = kernels;
    bind(x);
    if (x->config->extractor == MS_EXTRACTOR_COMIREC_SA)
        ms_attention_bind(x);
    if (x->config->extractor == MS_EXTRACTOR_SINE)
        ms_sine_bind(x);
    carve_all(x, &carver);
    if (carver.overflow)
        goto no_memory;
    carver.block = x->memory = aligned_alloc(64, carver.used);
    if (!x->memory)
        goto no_memory;
    carver.used = 0;
    carve_all(x, &carver);
    if (x->config->extractor == MS_EXTRACTOR_SINE)
        ms_sine_prepare(x);
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
    for (int i = 0; i < x->config->profile_fields; i++) {
        size_t width = (size_t)x->config->profile_width[i];
        memcpy(x->profile + at, profile ? profile + at : ms_model_profile_row(x->model, i, NULL, 0),
               width * sizeof *x->profile);
        at += width;
    }
}

void ms_extractor_destroy(struct ms_extractor *x)
{
    if (!x)
        return;
    free(x->memory);
    free(x);
}

double ms_squash_factor(const struct ms_routing *routing, double n)
{
    double share = n / (1.0 + n), power = (double)routing->squash_power;
    if (power != 1.0)
        share = pow(share, power);
    return share * (double)routing->squash_scale / sqrt(n + 1e-9);
}

double ms_agreement_factor(const struct ms_routing *routing, double n)
{
    switch (routing->agreement_interest) {
    case MS_AGREEMENT_SQUASHED:
        return routing->squash_every ? ms_squash_factor(routing, n) : 1.0;
    case MS_AGREEMENT_UNIT:
        return n > 0.0 ? 1.0 / sqrt(n) : 0.0;
    case MS_AGREEMENT_RAW:
        break;
    }
    return 1.0;
}

void ms_squash_factors(const struct ms_extractor *x, const double *norms, size_t n, double *factors)
{
    const struct ms_routing *routing = &x->config->routing;
    if (routing->squash_power == 1.0f)
        x->kernels->squash_f64(norms, round_up(n, 8), (double)routing->squash_scale, factors);
    else
        for (size_t j = 0; j < n; j++)
            factors[j] = ms_squash_factor(routing, norms[j]);
}

void ms_agreement_factors(const struct ms_extractor *x, const double *norms, size_t n, double *factors)
{
    const struct ms_routing *routing = &x->config->routing;
    if (routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every)
        ms_squash_factors(x, norms, n, factors);
    else
        for (size_t j = 0; j < n; j++)
            factors[j] = ms_agreement_factor(routing, norms[j]);
}

/* Where a capsule is this short, its items have all but cancelled out, and float32 has no digits left of it.
 */
#define SHORTEST 1e-12f

/* The capsules of a float32 run; false when they are not exact enough. */
static bool capsule_factors(const struct ms_extractor *x, size_t count, float *factors)
{
    float norms[MS_MAX_INTERESTS];
    _Alignas(64) double wide[MS_MAX_INTERESTS] = {0};
    bool exact_enough = true;
    x->kernels->norms_f32(x->z32, round_up(count, MS_TILE), x->stride, norms);
    for (size_t j = 0; j < count; j++) {
        exact_enough = exact_enough && isfinite(norms[j]) && norms[j] > SHORTEST;
        wide[j] = (double)norms[j];
    }
    ms_squash_factors(x, wide, count, wide);
    for (size_t j = 0; j < count; j++)
        factors[j] = (float)wide[j];
    return exact_enough;
}

/* Windows that reach this much further than float32 may go are not tried in it: where models were trained,
 * most of them would have to be routed again. */
#define LIKELY_BEYOND (1.2 * (double)MS_FLOAT32_LOGITS)

static bool likely_beyond(const struct ms_extractor *x, const struct ms_window *window)
{
    float longest = 0.0f;
    if (!x->lengths || window->interests == 1)
        return false;
    for (size_t i = 0; i < window->n; i++) {
        float length = x->lengths[window->rows[i]];
        longest = length > longest ? length : longest;
    }
    return x->reach * (double)longest > LIKELY_BEYOND;
}

static struct ms_interests route(struct ms_extractor *x, const struct ms_window *window)
{
    _Alignas(64) double wide[MS_MAX_INTERESTS] = {0};
    float factors[MS_MAX_INTERESTS];
    size_t count = window->interests, padded = round_up(count, MS_TILE);
    if (x->fast && !likely_beyond(x, window) && ms_route_fast(x, window) &&
        capsule_factors(x, count, factors))
        return ms_finish_f32(x, x->z32, x->stride, factors, x->mass32, count);
    if (!x->wide || !ms_route_wide(x, window))
        ms_route_exact(x, window);
    memset(x->z64 + count * x->stride, 0, (padded - count) * x->stride * sizeof *x->z64);
    x->kernels->norms_f64(x->z64, padded, x->stride, wide);
    ms_squash_factors(x, wide, count, wide);
    x->kernels->scale_f64(x->z64, count, x->stride, wide, x->z64);
    return ms_finish_f64(x, x->z64, x->mass64, count);
}

struct ms_interests ms_extract_full(struct ms_extractor *x, const uint32_t *rows, size_t n,
                                    const float *initial_logits, size_t logit_rows, float *coupling)
{
    size_t skipped = n > x->L ? n - x->L : 0;
    assert(!initial_logits || logit_rows >= n);
    struct ms_window window = {.rows = rows + skipped,
                               .n = n - skipped,
                               .interests = (size_t)ms_interest_count(x->config, n),
                               .logits = initial_logits ? initial_logits + skipped * x->K : NULL,
                               .logit_rows = initial_logits ? logit_rows - skipped : 0,
                               .coupling = coupling};
    if (n == 0)
        return (struct ms_interests){0, (int)x->dim, x->vectors, x->weights};
    if (x->config->extractor == MS_EXTRACTOR_MIND)
        return route(x, &window);
    if (x->config->extractor == MS_EXTRACTOR_COMIREC_SA)
        ms_attend(x, &window);
    else
        ms_sine_extract(x, &window);
    return ms_finish_f64(x, x->z64, x->mass64, window.interests);
}

void ms_softmax(const double *b, double *w, size_t n, size_t kept, size_t step, double scale)
{
    double top = -HUGE_VAL, total = 0.0;
    for (size_t i = 0; i < n; i++) {
        double logit = scale * b[i * step];
        top = logit > top ? logit : top;
    }
    for (size_t i = 0; i < n; i++) {
        double e = exp(scale * b[i * step] - top);
        total += e;
        if (i < kept)
            w[i * step] = e;
    }
    for (size_t i = 0; i < kept && i < n; i++)
        w[i * step] /= total;
}
