/* Full routing in float32: shared (or no) bilinear map, softmax over the interests. */
#include <math.h>
#include <string.h>

#include "interest/extractor.h"

/* Beyond this |softmax_scale * logit| the routing may amplify float32's rounding past 2e-5 of the result. */
#define LOGIT_LIMIT 30.0f
/* How many rows ahead of their use items are fetched: a table of millions lies in no cache. */
#define FETCH_AHEAD 12

static void fetch(const struct ms_extractor *x, uint32_t row)
{
    const char *at = (const char *)(x->projected + (size_t)row * x->capsule_dim);
    for (size_t byte = 0; byte < x->capsule_dim * sizeof(float); byte += 64)
        __builtin_prefetch(at + byte);
    if (x->item_logits)
        __builtin_prefetch(x->item_logits + (size_t)row * x->K);
}

/* The items' projected rows side by side, padded with zeros to whole vectors and to whole tiles of rows. */
static void gather(struct ms_extractor *x, const struct ms_window *window)
{
    size_t width = x->capsule_dim, n = window->n;
    for (size_t i = 0; i < n && i < FETCH_AHEAD; i++)
        fetch(x, window->rows[i]);
    for (size_t i = 0; i < n; i++) {
        if (i + FETCH_AHEAD < n)
            fetch(x, window->rows[i + FETCH_AHEAD]);
        float *row = x->x32 + i * x->stride;
        memcpy(row, x->projected + (size_t)window->rows[i] * width, width * sizeof *row);
        if (width < x->stride)
            memset(row + width, 0, (x->stride - width) * sizeof *row);
    }
    for (size_t i = n; i % MS_TILE; i++)
        memset(x->x32 + i * x->stride, 0, x->stride * sizeof *x->x32);
}

static void initial_logits(struct ms_extractor *x, const struct ms_window *window, size_t tiles)
{
    size_t groups = (window->n + MS_TILE - 1) / MS_TILE;
    memset(x->b32, 0, groups * tiles * MS_LANES * sizeof *x->b32);
    if (!window->logits && !x->table && !x->item_logits)
        return;
    for (size_t i = 0; i < window->n; i++) {
        const float *from = window->logits ? window->logits + i * x->K
                            : x->table     ? x->table + i * x->K
                                           : x->item_logits + (size_t)window->rows[i] * x->K;
        float *to = x->b32 + i / MS_TILE * tiles * MS_LANES + i % MS_TILE * MS_TILE;
        for (size_t j = 0; j < window->interests; j++)
            to[j / MS_TILE * MS_LANES + j % MS_TILE] = from[j];
    }
}

/* agreement_scale over each item's length, four times each, as the kernel wants it. */
static void row_scales(struct ms_extractor *x, size_t n)
{
    float scale = x->config->routing.agreement_scale;
    for (size_t i = 0; i < (n + MS_TILE - 1) / MS_TILE * MS_TILE; i++) {
        float norm;
        x->kernels->norms_f32(x->x32 + i * x->stride, 1, x->stride, &norm);
        float factor = norm > 0.0f ? (float)((double)scale / sqrt((double)norm)) : 0.0f;
        for (size_t l = 0; l < MS_TILE; l++)
            x->row_scale[i * MS_TILE + l] = factor;
    }
}

/* u_j from z_j, for the next iteration's agreements. Empty lanes of a tile stay zero: z is zero there. */
static void agreement_vectors(struct ms_extractor *x, size_t padded)
{
    float norms[MS_MAX_INTERESTS], factors[MS_MAX_INTERESTS];
    x->kernels->norms_f32(x->z32, padded, x->stride, norms);
    for (size_t j = 0; j < padded; j++)
        factors[j] = (float)ms_agreement_factor(&x->config->routing, (double)norms[j]);
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
    gather(x, window);
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
                                .limit = LOGIT_LIMIT,
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
