/* Full routing in float32: shared (or no) bilinear map, softmax over the interests. */
#include <math.h>
#include <string.h>

#include "interest/extractor.h"

/* One behavior's logits, K'u side by side, to the lanes of its row in its group's tiles. */
static inline void place_logits(float *b, const float *from, size_t i, size_t interests, size_t tiles)
{
    float *to = b + i / MS_TILE * tiles * MS_LANES + i % MS_TILE * MS_TILE;
    size_t j = 0;
    for (; j + MS_TILE <= interests; j += MS_TILE)
        memcpy(to + j * MS_TILE, from + j, MS_TILE * sizeof *to);
    for (; j < interests; j++)
        to[j / MS_TILE * MS_LANES + j % MS_TILE] = from[j];
}

/* How many rows ahead of their use an item's logits are fetched. */
#define FETCH_AHEAD 16

static void initial_logits(struct ms_extractor *x, const struct ms_window *window, size_t tiles)
{
    size_t n = window->n, k = window->interests, groups = (n + MS_TILE - 1) / MS_TILE,
           group = tiles * MS_LANES;
    const float *by_slot = window->logits ? window->logits : x->table;
    bool none = !by_slot && !x->item_logits;
    if (none || k % MS_TILE)
        memset(x->b32, 0, groups * group * sizeof *x->b32);
    else if (n % MS_TILE)
        memset(x->b32 + (groups - 1) * group, 0, group * sizeof *x->b32);
    if (by_slot) {
        for (size_t i = 0; i < n; i++)
            place_logits(x->b32, by_slot + i * x->K, i, k, tiles);
    } else if (!none) {
        for (size_t i = 0; i < n; i++) {
            if (i + FETCH_AHEAD < n)
                __builtin_prefetch(x->item_logits + (size_t)window->rows[i + FETCH_AHEAD] * x->K);
            place_logits(x->b32, x->item_logits + (size_t)window->rows[i] * x->K, i, k, tiles);
        }
    }
}

/* agreement_scale over each item's length, four times each, as the kernel wants it. */
static void row_scales(struct ms_extractor *x, size_t n)
{
    double scale = (double)x->config->routing.agreement_scale;
    for (size_t i = 0; i < n; i += MS_TILE) {
        float norms[MS_TILE];
        x->kernels->norms_f32(x->x32 + i * x->stride, MS_TILE, x->stride, norms);
        for (size_t at = 0; at < MS_TILE * MS_TILE; at++) {
            double norm = (double)norms[at / MS_TILE];
            x->row_scale[i * MS_TILE + at] = norm > 0.0 ? (float)(scale / sqrt(norm)) : 0.0f;
        }
    }
}

/* u_j from z_j, for the next iteration's agreements. Empty lanes of a tile stay zero: z is zero there. */
static void agreement_vectors(struct ms_extractor *x, size_t padded)
{
    float norms[MS_MAX_INTERESTS], factors[MS_MAX_INTERESTS];
    _Alignas(64) double wide[MS_MAX_INTERESTS];
    x->kernels->norms_f32(x->z32, padded, x->stride, norms);
    for (size_t j = 0; j < padded; j++)
        wide[j] = (double)norms[j];
    for (size_t j = padded; j % 8; j++)
        wide[j] = 0.0;
    ms_agreement_factors(x, wide, padded, wide);
    for (size_t j = 0; j < padded; j++)
        factors[j] = (float)wide[j];
    x->kernels->scale_f32(x->z32, padded, x->stride, factors, x->u32);
}

static void write_coupling(const struct ms_extractor *x, const struct ms_window *window, size_t tiles)
{
    for (size_t i = 0; i < window->n; i++) {
        const float *from = x->b32 + i / MS_TILE * tiles * MS_LANES + i % MS_TILE * MS_TILE;
        float *to = window->coupling + i * x->K;
        memset(to, 0, x->K * sizeof *to);
        for (size_t j = 0; j < window->interests; j++)
            to[j] = from[j / MS_TILE * MS_LANES + j % MS_TILE];
    }
}

bool ms_route_fast(struct ms_extractor *x, const struct ms_window *window)
{
    const struct ms_routing *routing = &x->config->routing;
    size_t tiles = (window->interests + MS_TILE - 1) / MS_TILE;
    /* One interest takes all, whatever its logits: one iteration tells everything. */
    int iterations = window->interests == 1 ? 1 : routing->iterations;
    x->kernels->gather_f32(x->projected, window->rows, window->n, x->capsule_dim, x->stride, x->x32);
    initial_logits(x, window, tiles);
    if (routing->agreement_item_unit)
        row_scales(x, window->n);
    struct ms_route_f32 step = {.x = x->x32,
                                .rows = window->n,
                                .stride = x->stride,
                                .interests = window->interests,
                                .tiles = tiles,
                                .row_scale = routing->agreement_item_unit ? x->row_scale : NULL,
                                .scale = routing->agreement_scale,
                                .softmax_scale = (double)routing->softmax_scale,
                                .limit = MS_FLOAT32_LOGITS,
                                .replace = routing->update == MS_UPDATE_REPLACE,
                                .b = x->b32,
                                .w = x->w32,
                                .z = x->z32,
                                .mass = x->mass32};
    for (int iteration = 1; iteration <= iterations; iteration++) {
        bool last = iteration == iterations;
        step.keep = last ? window->coupling != NULL : routing->update == MS_UPDATE_PROBABILITY;
        x->kernels->route_f32(&step);
        if (step.beyond)
            return false;
        if (!last)
            agreement_vectors(x, tiles * MS_TILE);
        step.u = x->u32;
    }
    if (window->coupling)
        write_coupling(x, window, tiles);
    return true;
}
