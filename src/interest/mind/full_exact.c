/* Full routing in double: every option, and every size of number. */
#include <math.h>
#include <string.h>

#include "interest/mind/mind.h"

static bool map_by_interest(const struct ms_extractor *x)
{
    const struct ms_mind *m = x->context;
    return m->routing->bilinear == MS_BILINEAR_PER_INTEREST ||
           m->routing->bilinear == MS_BILINEAR_PER_POSITION;
}

static void gather_embeddings(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_mind *m = x->context;
    for (size_t i = 0; i < window->n; i++) {
        const float *from = ms_model_item_embedding(x->model, window->items[i]);
        for (size_t c = 0; c < x->item_dim; c++)
            m->e64[i * x->item_dim + c] = (double)from[c];
    }
}

void ms_window_items_f64(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_mind *m = x->context;
    size_t d = x->item_dim, width = x->capsule_dim, map = d * width;
    enum ms_bilinear bilinear = m->routing->bilinear;
    if (bilinear == MS_BILINEAR_NONE || m->items_residual) {
        x->kernels->gather_f64(m->items, m->items_residual, window->items, window->n, width, x->stride,
                               m->x64);
        return;
    }
    gather_embeddings(x, window);
    switch (bilinear) {
    case MS_BILINEAR_SHARED:
        x->kernels->project_f64(m->e64, window->n, d, d, m->bilinear, width, m->bilinear_bias, m->x64,
                                x->stride);
        for (size_t i = window->n; i % MS_TILE; i++)
            memset(m->x64 + i * x->stride, 0, x->stride * sizeof *m->x64);
        break;
    case MS_BILINEAR_PER_INTEREST:
        for (size_t j = 0; j < window->interests; j++)
            x->kernels->project_f64(m->e64, window->n, d, d, m->bilinear + j * map, width, m->bilinear_bias,
                                    m->x64 + j * x->L * x->stride, x->stride);
        break;
    case MS_BILINEAR_PER_POSITION:
        for (size_t i = 0; i < window->n; i++)
            for (size_t j = 0; j < window->interests; j++)
                x->kernels->project_f64(m->e64 + i * d, 1, d, d, m->bilinear + (i * x->K + j) * map, width,
                                        m->bilinear_bias, m->x64 + (j * x->L + i) * x->stride, x->stride);
        break;
    case MS_BILINEAR_NONE:
        break;
    }
}

/* The logits of an item, K of them, as they were before they were rounded to float32. */
static void item_logits_f64(const struct ms_extractor *x, uint32_t item, double *logits)
{
    const struct ms_mind *m = x->context;
    const float *from = m->item_logits + (size_t)item * x->K;
    const float *residual = m->item_logits_residual ? m->item_logits_residual + (size_t)item * x->K : NULL;
    if (m->logits_drawn && !residual) {
        ms_mind_draw_logits(x->model, item, logits);
        return;
    }
    for (size_t j = 0; j < x->K; j++)
        logits[j] = (double)from[j] + (residual ? (double)residual[j] : 0.0);
}

/* b64 [slots][K'u]. The empty slots' rows are their per-call rows, or zero. */
static void initial_logits(struct ms_extractor *x, const struct ms_window *window, size_t slots)
{
    struct ms_mind *m = x->context;
    size_t k = window->interests;
    memset(m->b64, 0, slots * k * sizeof *m->b64);
    for (size_t i = 0; i < slots; i++) {
        const float *from = NULL;
        if (window->logits)
            from = i < window->logit_rows ? window->logits + i * x->K : NULL;
        else if (i < window->n && m->slot_logits)
            from = m->slot_logits + i * x->K;
        else if (i < window->n &&
                 m->item_logits) { /* amplified, their rounding to float32 alone may be too much */
            double drawn[MS_MAX_INTERESTS];
            item_logits_f64(x, window->items[i], drawn);
            memcpy(m->b64 + i * k, drawn, k * sizeof *drawn);
        }
        for (size_t j = 0; from && j < k; j++)
            m->b64[i * k + j] = (double)from[j];
    }
}

/* The factor of each agreement: agreement_scale, over the projected item's length where that is asked for. */
static void agreement_scales(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_mind *m = x->context;
    size_t k = window->interests;
    bool own = map_by_interest(x);
    for (size_t i = 0; i < window->n; i++) {
        for (size_t j = 0; j < k; j++) {
            double factor = (double)m->routing->agreement_scale, norm;
            if (m->routing->agreement_item_unit && (own || j == 0)) {
                const double *item = m->x64 + ((own ? j * x->L : 0) + i) * x->stride;
                x->kernels->dots_f64(item, 1, 0, 0, item, 1, x->stride, &norm);
                factor = norm > 0.0 ? factor / sqrt(norm) : 0.0;
            } else if (m->routing->agreement_item_unit) {
                factor = m->norm64[i * k];
            }
            m->norm64[i * k + j] = factor;
        }
    }
}

static void weigh(struct ms_extractor *x, const struct ms_window *window, size_t slots, bool last)
{
    struct ms_mind *m = x->context;
    const struct ms_routing *routing = m->routing;
    size_t k = window->interests;
    bool over_behaviors = routing->softmax == MS_SOFTMAX_BEHAVIORS ||
                          (routing->softmax == MS_SOFTMAX_BEHAVIORS_THEN_INTERESTS && !last);
    if (over_behaviors)
        for (size_t j = 0; j < k; j++)
            ms_softmax(m->b64 + j, m->w64 + j, slots, window->n, k, (double)routing->softmax_scale);
    else
        for (size_t i = 0; i < window->n; i++)
            ms_softmax(m->b64 + i * k, m->w64 + i * k, k, k, 1, (double)routing->softmax_scale);
}

/* New logits from the agreements with the interests as they stand in z64. */
static void update(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_mind *m = x->context;
    const struct ms_routing *routing = m->routing;
    size_t k = window->interests;
    for (size_t j = 0; j < k; j++) {
        double *z = x->z64 + j * x->stride, norm;
        x->kernels->dots_f64(z, 1, 0, 0, z, 1, x->stride, &norm);
        double factor = ms_agreement_factor(routing, norm);
        for (size_t c = 0; c < x->stride; c++)
            m->u64[j * x->stride + c] = factor * z[c];
    }
    size_t own = map_by_interest(x) ? x->L * x->stride : 0;
    double *a = m->a64; /* [n][K'u] */
    x->kernels->dots_f64(m->x64, window->n, x->stride, own, m->u64, k, x->stride, a);
    for (size_t at = 0; at < window->n * k; at++) {
        double step = m->norm64[at] * a[at];
        switch (routing->update) {
        case MS_UPDATE_ACCUMULATE:
            m->b64[at] += step;
            break;
        case MS_UPDATE_REPLACE:
            m->b64[at] = step;
            break;
        case MS_UPDATE_PROBABILITY:
            m->b64[at] = m->w64[at] + step;
            break;
        }
    }
}

void ms_mind_route_exact(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_mind *m = x->context;
    const struct ms_routing *routing = m->routing;
    size_t k = window->interests, slots = routing->padded_softmax ? x->L : window->n;
    ms_window_items_f64(x, window);
    initial_logits(x, window, slots);
    agreement_scales(x, window);
    for (int iteration = 1; iteration <= routing->iterations; iteration++) {
        bool last = iteration == routing->iterations;
        weigh(x, window, slots, last);
        x->kernels->sums_f64(m->x64, window->n, x->stride, map_by_interest(x) ? x->L * x->stride : 0, m->w64,
                             k, x->stride, x->z64);
        if (!last)
            update(x, window);
    }
    memset(x->mass64, 0, k * sizeof *x->mass64);
    for (size_t i = 0; i < window->n; i++) {
        for (size_t j = 0; j < x->K && window->coupling; j++)
            window->coupling[i * x->K + j] = j < k ? (float)m->w64[i * k + j] : 0.0f;
        for (size_t j = 0; j < k; j++)
            x->mass64[j] += m->w64[i * k + j];
    }
}
