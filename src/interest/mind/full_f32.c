/* Full routing in float32: shared (or no) bilinear map, softmax over the interests. */
#include <math.h>
#include <string.h>

#include "interest/mind/float32.h"

/* One behavior's logits, K'u side by side, to the lanes of its row: see kernels.h for tiles. */
static inline void set_logits(float *b, const float *from, size_t i, size_t interests, size_t tiles)
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
    struct ms_mind *m = x->context;
    size_t n = window->n, k = window->interests, groups = (n + MS_TILE - 1) / MS_TILE,
           group = tiles * MS_LANES;
    const float *by_slot = window->logits ? window->logits : m->slot_logits;
    bool none = !by_slot && !m->item_logits;
    if (none || k % MS_TILE)
        memset(m->b32, 0, groups * group * sizeof *m->b32);
    else if (n % MS_TILE)
        memset(m->b32 + (groups - 1) * group, 0, group * sizeof *m->b32);
    if (by_slot) {
        for (size_t i = 0; i < n; i++)
            set_logits(m->b32, by_slot + i * x->K, i, k, tiles);
    } else if (!none) {
        for (size_t i = 0; i < n; i++) {
            if (i + FETCH_AHEAD < n)
                __builtin_prefetch(m->item_logits + (size_t)window->items[i + FETCH_AHEAD] * x->K);
            set_logits(m->b32, m->item_logits + (size_t)window->items[i] * x->K, i, k, tiles);
        }
    }
}

/* agreement_scale over each item's length, four times each, as the kernel wants it. */
static void row_scales(struct ms_extractor *x, size_t n)
{
    struct ms_mind *m = x->context;
    double scale = (double)m->routing->agreement_scale;
    for (size_t i = 0; i < n; i += MS_TILE) {
        float norms[MS_TILE];
        x->kernels->norms_f32(m->x32 + i * x->stride, MS_TILE, x->stride, norms);
        for (size_t at = 0; at < MS_TILE * MS_TILE; at++) {
            double norm = (double)norms[at / MS_TILE];
            m->row_scale[i * MS_TILE + at] = norm > 0.0 ? (float)(scale / sqrt(norm)) : 0.0f;
        }
    }
}

/* u_j from z_j, for the next iteration's agreements. Empty lanes of a tile stay zero: z is zero there. */
static void agreement_vectors(struct ms_extractor *x, size_t padded)
{
    struct ms_mind *m = x->context;
    float norms[MS_MAX_INTERESTS], factors[MS_MAX_INTERESTS];
    _Alignas(64) double doubles[MS_MAX_INTERESTS];
    x->kernels->norms_f32(m->z32, padded, x->stride, norms);
    for (size_t j = 0; j < padded; j++)
        doubles[j] = (double)norms[j];
    for (size_t j = padded; j % 8; j++)
        doubles[j] = 0.0;
    ms_agreement_factors(x, doubles, padded, doubles);
    for (size_t j = 0; j < padded; j++)
        factors[j] = (float)doubles[j];
    x->kernels->scale_f32(m->z32, padded, x->stride, factors, m->u32);
}

static void write_coupling(const struct ms_extractor *x, const struct ms_window *window, size_t tiles)
{
    const struct ms_mind *m = x->context;
    for (size_t i = 0; i < window->n; i++) {
        const float *from = m->b32 + i / MS_TILE * tiles * MS_LANES + i % MS_TILE * MS_TILE;
        float *to = window->coupling + i * x->K;
        memset(to, 0, x->K * sizeof *to);
        for (size_t j = 0; j < window->interests; j++)
            to[j] = from[j / MS_TILE * MS_LANES + j % MS_TILE];
    }
}

bool ms_mind_route_f32(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_mind *m = x->context;
    const struct ms_routing *routing = m->routing;
    size_t tiles = (window->interests + MS_TILE - 1) / MS_TILE;
    /* One interest takes all, whatever its logits: one iteration tells everything. */
    int iterations = window->interests == 1 ? 1 : routing->iterations;
    x->kernels->gather_f32(m->items, window->items, window->n, x->capsule_dim, x->stride, m->x32);
    initial_logits(x, window, tiles);
    if (routing->agreement_item_unit)
        row_scales(x, window->n);
    struct ms_route_f32 step = {.x = m->x32,
                                .rows = window->n,
                                .stride = x->stride,
                                .interests = window->interests,
                                .tiles = tiles,
                                .row_scale = routing->agreement_item_unit ? m->row_scale : NULL,
                                .scale = routing->agreement_scale,
                                .softmax_scale = (double)routing->softmax_scale,
                                .limit = MS_FLOAT32_LOGITS,
                                .replace = routing->update == MS_UPDATE_REPLACE,
                                .b = m->b32,
                                .w = m->w32,
                                .z = m->z32,
                                .mass = m->mass32};
    for (int iteration = 1; iteration <= iterations; iteration++) {
        bool last = iteration == iterations;
        step.keep = last ? window->coupling != NULL : routing->update == MS_UPDATE_PROBABILITY;
        x->kernels->route_f32(&step);
        if (step.beyond)
            return false;
        if (!last)
            agreement_vectors(x, tiles * MS_TILE);
        step.u = m->u32;
    }
    if (window->coupling)
        write_coupling(x, window, tiles);
    return true;
}
