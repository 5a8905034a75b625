/* Full routing in double: every option, and every size of number. */
#include <math.h>
#include <string.h>

#include "interest/extractor.h"

static bool map_by_interest(const struct ms_extractor *x)
{
    return x->config->routing.bilinear == MS_BILINEAR_PER_INTEREST ||
           x->config->routing.bilinear == MS_BILINEAR_PER_POSITION;
}

static void gather(struct ms_extractor *x, const struct ms_window *window)
{
    for (size_t i = 0; i < window->n; i++) {
        const float *from = ms_model_item_embedding(x->model, window->rows[i]);
        for (size_t c = 0; c < x->item_dim; c++)
            x->e64[i * x->item_dim + c] = (double)from[c];
    }
}

void ms_project_f64(struct ms_extractor *x, const struct ms_window *window)
{
    size_t d = x->item_dim, width = x->capsule_dim, map = d * width;
    enum ms_bilinear bilinear = x->config->routing.bilinear;
    if (bilinear == MS_BILINEAR_NONE || x->projected_rest) {
        x->kernels->gather_f64(x->projected, x->projected_rest, window->rows, window->n, width, x->stride,
                               x->x64);
        return;
    }
    gather(x, window);
    switch (bilinear) {
    case MS_BILINEAR_SHARED:
        x->kernels->project_f64(x->e64, window->n, d, d, x->bilinear, width, x->bilinear_bias, x->x64,
                                x->stride);
        for (size_t i = window->n; i % MS_TILE; i++)
            memset(x->x64 + i * x->stride, 0, x->stride * sizeof *x->x64);
        break;
    case MS_BILINEAR_PER_INTEREST:
        for (size_t j = 0; j < window->interests; j++)
            x->kernels->project_f64(x->e64, window->n, d, d, x->bilinear + j * map, width, x->bilinear_bias,
                                    x->x64 + j * x->L * x->stride, x->stride);
        break;
    case MS_BILINEAR_PER_POSITION:
        for (size_t i = 0; i < window->n; i++)
            for (size_t j = 0; j < window->interests; j++)
                x->kernels->project_f64(x->e64 + i * d, 1, d, d, x->bilinear + (i * x->K + j) * map, width,
                                        x->bilinear_bias, x->x64 + (j * x->L + i) * x->stride, x->stride);
        break;
    case MS_BILINEAR_NONE:
        break;
    }
}

void ms_item_logits_f64(const struct ms_extractor *x, uint32_t row, double *logits)
{
    const float *from = x->item_logits + (size_t)row * x->K;
    if (!x->item_logits_rest) {
        ms_model_draw_logits(x->model, row, logits);
        return;
    }
    const float *rest = x->item_logits_rest + (size_t)row * x->K;
    for (size_t j = 0; j < x->K; j++)
        logits[j] = (double)from[j] + (double)rest[j];
}

/* b64 [slots][K'u]. The empty slots' rows are their per-call rows, or zero. */
static void initial_logits(struct ms_extractor *x, const struct ms_window *window, size_t slots)
{
    size_t k = window->interests;
    memset(x->b64, 0, slots * k * sizeof *x->b64);
    for (size_t i = 0; i < slots; i++) {
        const float *from = NULL;
        if (window->logits)
            from = i < window->logit_rows ? window->logits + i * x->K : NULL;
        else if (i < window->n && x->table)
            from = x->table + i * x->K;
        else if (i < window->n &&
                 x->item_logits) { /* amplified, their rounding to float32 alone may be too much */
            double drawn[MS_MAX_INTERESTS];
            ms_item_logits_f64(x, window->rows[i], drawn);
            memcpy(x->b64 + i * k, drawn, k * sizeof *drawn);
        }
        for (size_t j = 0; from && j < k; j++)
            x->b64[i * k + j] = (double)from[j];
    }
}

/* The factor of each agreement: agreement_scale, over the projected item's length where that is asked for. */
static void agreement_scales(struct ms_extractor *x, const struct ms_window *window)
{
    size_t k = window->interests;
    bool own = map_by_interest(x);
    for (size_t i = 0; i < window->n; i++) {
        for (size_t j = 0; j < k; j++) {
            double factor = (double)x->config->routing.agreement_scale, norm;
            if (x->config->routing.agreement_item_unit && (own || j == 0)) {
                const double *item = x->x64 + ((own ? j * x->L : 0) + i) * x->stride;
                x->kernels->dots_f64(item, 1, 0, 0, item, 1, x->stride, &norm);
                factor = norm > 0.0 ? factor / sqrt(norm) : 0.0;
            } else if (x->config->routing.agreement_item_unit) {
                factor = x->norm64[i * k];
            }
            x->norm64[i * k + j] = factor;
        }
    }
}

static void weigh(struct ms_extractor *x, const struct ms_window *window, size_t slots, bool last)
{
    const struct ms_routing *routing = &x->config->routing;
    size_t k = window->interests;
    bool over_behaviors = routing->softmax == MS_SOFTMAX_BEHAVIORS ||
                          (routing->softmax == MS_SOFTMAX_BEHAVIORS_THEN_INTERESTS && !last);
    if (over_behaviors)
        for (size_t j = 0; j < k; j++)
            ms_softmax(x->b64 + j, x->w64 + j, slots, window->n, k, (double)routing->softmax_scale);
    else
        for (size_t i = 0; i < window->n; i++)
            ms_softmax(x->b64 + i * k, x->w64 + i * k, k, k, 1, (double)routing->softmax_scale);
}

/* New logits from the agreements with the interests as they stand in z64. */
static void update(struct ms_extractor *x, const struct ms_window *window)
{
    const struct ms_routing *routing = &x->config->routing;
    size_t k = window->interests;
    for (size_t j = 0; j < k; j++) {
        double *z = x->z64 + j * x->stride, norm;
        x->kernels->dots_f64(z, 1, 0, 0, z, 1, x->stride, &norm);
        double factor = ms_agreement_factor(routing, norm);
        for (size_t c = 0; c < x->stride; c++)
            x->u64[j * x->stride + c] = factor * z[c];
    }
    size_t own = map_by_interest(x) ? x->L * x->stride : 0;
    double *a = x->a64; /* [n][K'u] */
    x->kernels->dots_f64(x->x64, window->n, x->stride, own, x->u64, k, x->stride, a);
    for (size_t at = 0; at < window->n * k; at++) {
        double step = x->norm64[at] * a[at];
        switch (routing->update) {
        case MS_UPDATE_ACCUMULATE:
            x->b64[at] += step;
            break;
        case MS_UPDATE_REPLACE:
            x->b64[at] = step;
            break;
        case MS_UPDATE_PROBABILITY:
            x->b64[at] = x->w64[at] + step;
            break;
        }
    }
}

void ms_route_exact(struct ms_extractor *x, const struct ms_window *window)
{
    const struct ms_routing *routing = &x->config->routing;
    size_t k = window->interests, slots = routing->padded_softmax ? x->L : window->n;
    ms_project_f64(x, window);
    initial_logits(x, window, slots);
    agreement_scales(x, window);
    for (int iteration = 1; iteration <= routing->iterations; iteration++) {
        bool last = iteration == routing->iterations;
        weigh(x, window, slots, last);
        x->kernels->sums_f64(x->x64, window->n, x->stride, map_by_interest(x) ? x->L * x->stride : 0, x->w64,
                             k, x->stride, x->z64);
        if (!last)
            update(x, window);
    }
    memset(x->mass64, 0, k * sizeof *x->mass64);
    for (size_t i = 0; i < window->n; i++) {
        for (size_t j = 0; j < x->K && window->coupling; j++)
            window->coupling[i * x->K + j] = j < k ? (float)x->w64[i * k + j] : 0.0f;
        for (size_t j = 0; j < k; j++)
            x->mass64[j] += x->w64[i * k + j];
    }
}
