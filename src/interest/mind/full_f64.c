/* Full routing in double where the options are those of routing in float32: the same steps in double. */
#include <math.h>
#include <string.h>

#include "interest/mind/mind.h"

/* How many rows ahead of their use an item's logits are fetched. */
#define FETCH_AHEAD 16

/* One behavior's logits, K'u side by side, to its row's lanes in its pair's tiles. */
static inline void set_logits(double *b, const float *from, const float *residual, size_t interests)
{
    size_t j = 0;
    for (; j + MS_TILE <= interests; j += MS_TILE, b += 2 * MS_TILE)
        for (size_t l = 0; l < MS_TILE; l++)
            b[l] = (double)from[j + l] + (residual ? (double)residual[j + l] : 0.0);
    for (; j < interests; j++)
        *b++ = (double)from[j] + (residual ? (double)residual[j] : 0.0);
}

static void initial_logits(struct ms_extractor *x, const struct ms_window *window, size_t tiles)
{
    struct ms_mind *m = x->context;
    size_t n = window->n, k = window->interests, padded = (n + MS_TILE - 1) / MS_TILE * MS_TILE;
    const float *by_slot = window->logits ? window->logits : m->slot_logits,
                *residual = m->item_logits_residual;
    if (n % MS_TILE || k % MS_TILE || !(by_slot || m->item_logits))
        memset(m->b64, 0, padded * tiles * MS_TILE * sizeof *m->b64);
    for (size_t i = 0; i < n && (by_slot || m->item_logits); i++) {
        double *b = ms_logit_in_pairs(m->b64, i, 0, tiles);
        size_t at = (size_t)window->items[i] * x->K;
        if (by_slot) {
            set_logits(b, by_slot + i * x->K, NULL, k);
        } else if (residual || !m->logits_drawn) {
            if (i + FETCH_AHEAD < n) {
                size_t ahead = (size_t)window->items[i + FETCH_AHEAD] * x->K;
                __builtin_prefetch(m->item_logits + ahead);
                if (residual)
                    __builtin_prefetch(residual + ahead);
            }
            set_logits(b, m->item_logits + at, residual ? residual + at : NULL, k);
        } else {
            double drawn[MS_MAX_INTERESTS];
            ms_mind_draw_logits(x->model, window->items[i], drawn);
            for (size_t j = 0; j < k; j++)
                *ms_logit_in_pairs(m->b64, i, j, tiles) = drawn[j];
        }
    }
}

/* agreement_scale over each item's length, four times each, as the kernel wants it. */
static void row_scales(struct ms_extractor *x, size_t n)
{
    struct ms_mind *m = x->context;
    double scale = (double)m->routing->agreement_scale;
    for (size_t i = 0; i < n; i += MS_TILE) {
        double norms[MS_TILE];
        x->kernels->norms_f64(m->x64 + i * x->stride, MS_TILE, x->stride, norms);
        for (size_t at = 0; at < MS_TILE * MS_TILE; at++)
            m->norm64[i * MS_TILE + at] = norms[at / MS_TILE] > 0.0 ? scale / sqrt(norms[at / MS_TILE]) : 0.0;
    }
}

/* u_j from z_j, for the next iteration's agreements. Empty lanes of a tile stay zero: z is zero there. */
static void agreement_vectors(struct ms_extractor *x, size_t padded)
{
    struct ms_mind *m = x->context;
    _Alignas(64) double factors[MS_MAX_INTERESTS + MS_TILE] = {0};
    x->kernels->norms_f64(x->z64, padded, x->stride, factors);
    ms_agreement_factors(x, factors, padded, factors);
    x->kernels->scale_f64(x->z64, padded, x->stride, factors, m->u64);
}

static void write_coupling(const struct ms_extractor *x, const struct ms_window *window, size_t tiles)
{
    const struct ms_mind *m = x->context;
    for (size_t i = 0; i < window->n; i++)
        for (size_t j = 0; j < x->K; j++)
            window->coupling[i * x->K + j] = j < window->interests
                                                 ? (float)*ms_logit_in_pairs(m->b64, i, j, tiles)
                                                 : 0.0f;
}

bool ms_mind_route_f64(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_mind *m = x->context;
    const struct ms_routing *routing = m->routing;
    size_t tiles = (window->interests + MS_TILE - 1) / MS_TILE;
    /* One interest takes all, whatever its logits: one iteration tells everything. */
    int iterations = window->interests == 1 ? 1 : routing->iterations;
    ms_window_items_f64(x, window);
    initial_logits(x, window, tiles);
    if (routing->agreement_item_unit)
        row_scales(x, window->n);
    struct ms_route_f64 step = {.x = m->x64,
                                .rows = window->n,
                                .stride = x->stride,
                                .interests = window->interests,
                                .tiles = tiles,
                                .row_scale = routing->agreement_item_unit ? m->norm64 : NULL,
                                .scale = (double)routing->agreement_scale,
                                .softmax_scale = (double)routing->softmax_scale,
                                .replace = routing->update == MS_UPDATE_REPLACE,
                                .b = m->b64,
                                .w = m->w64,
                                .z = x->z64,
                                .mass = x->mass64};
    for (int iteration = 1; iteration <= iterations; iteration++) {
        bool last = iteration == iterations;
        step.keep = last ? window->coupling != NULL : routing->update == MS_UPDATE_PROBABILITY;
        x->kernels->route_f64(&step);
        if (step.beyond)
            return false;
        if (!last)
            agreement_vectors(x, tiles * MS_TILE);
        step.u = m->u64;
    }
    if (window->coupling)
        write_coupling(x, window, tiles);
    return true;
}
