/* The incremental fold: one event into one user's sums, O(K dim) whatever the history's length.
 *
 *     u_j = what the agreement is taken with, of z_j as it stood before the event
 *     b_j = b0_j(x) + (iterations - 1) a_j        what full routing would have accumulated (replace: b_j = a_j)
 *     w   = softmax of softmax_scale * b          over the K'u interests, or those that share a decay
 *     z_j = decay_j z_j + w_j x_j
 *
 * State, in floats: z [K][capsule_dim], mass [K]; for comirec-sa also the running maximum of the logits [K]. The
 * arithmetic of an event is in double and each sum is rounded once an event, so that thousands of events lose nothing
 * that the state could hold. */
#include <math.h>
#include <string.h>

#include "interest/extractor.h"

enum ms_status ms_fold_supported(const struct ms_model *model, struct ms_error *error)
{
    const struct ms_model_config *config = ms_model_config(model);
    const struct ms_routing *routing = &config->routing;
    const char *why = NULL;
    if (config->extractor == MS_EXTRACTOR_SINE)
        why = "extractor 'sine' (its pooling needs the whole window)";
    else if (config->extractor == MS_EXTRACTOR_COMIREC_SA && ms_model_tensor(model, "attention.position").data)
        why = "tensor 'attention.position' (an item's logits move with the window)";
    else if (config->extractor == MS_EXTRACTOR_COMIREC_SA)
        return MS_OK;
    else if (routing->softmax != MS_SOFTMAX_INTERESTS)
        why = "routing.softmax over behaviors";
    else if (routing->initial_logits == MS_LOGITS_TABLE)
        why = "routing.initial_logits 'table' (by slot)";
    else if (routing->bilinear == MS_BILINEAR_PER_POSITION)
        why = "routing.bilinear 'per-position'";
    else if (routing->update == MS_UPDATE_PROBABILITY)
        why = "routing.update 'probability'";
    return why ? ms_fail(error, MS_CONFIG, "model %s cannot be folded one event at a time: it has %s", config->id, why)
               : MS_OK;
}

size_t ms_fold_floats(const struct ms_model *model)
{
    const struct ms_model_config *config = ms_model_config(model);
    size_t K = (size_t)config->interests, own = config->extractor == MS_EXTRACTOR_COMIREC_SA ? 2 : 1;
    return K * ((size_t)config->capsule_dim + own);
}

/* The item as projected: one row for all interests, or one for each. */
static void project(struct ms_extractor *x, struct ms_fold_step *step, uint32_t row)
{
    if (x->config->routing.bilinear != MS_BILINEAR_PER_INTEREST) {
        step->x = x->projected + (size_t)row * x->capsule_dim;
        step->x_stride = 0;
        return;
    }
    const float *e = ms_model_item_embedding(x->model, row);
    for (size_t c = 0; c < x->item_dim; c++)
        x->e64[c] = (double)e[c];
    for (size_t j = 0; j < step->interests; j++) {
        x->kernels->project_f64(x->e64, 1, x->item_dim, x->item_dim, x->bilinear + j * x->item_dim * x->capsule_dim, x->capsule_dim,
                                x->bilinear_bias, x->x64, x->stride);
        for (size_t c = 0; c < x->capsule_dim; c++)
            x->fold_x[j * x->capsule_dim + c] = (float)x->x64[c];
    }
    step->x = x->fold_x;
    step->x_stride = x->capsule_dim;
}

static double length(const struct ms_fold_step *step, size_t j)
{
    const float *item = step->x + j * step->x_stride;
    double sum = 0.0;
    for (size_t c = 0; c < step->dim; c++)
        sum += (double)item[c] * (double)item[c];
    return sqrt(sum);
}

/* softmax_scale * b_j for every interest. */
static void logits(const struct ms_extractor *x, const struct ms_fold_step *step, uint32_t row, double *b)
{
    const struct ms_routing *routing = &x->config->routing;
    double norms[MS_MAX_INTERESTS], item_length = 0.0;
    x->kernels->fold_dots(step, b, norms);
    for (size_t j = 0; j < step->interests; j++) {
        double a = (double)routing->agreement_scale * ms_agreement_factor(routing, norms[j]) * b[j];
        if (routing->agreement_item_unit) {
            if (j == 0 || step->x_stride)
                item_length = length(step, j);
            a = item_length > 0.0 ? a / item_length : 0.0;
        }
        if (routing->update == MS_UPDATE_ACCUMULATE) {
            a *= routing->iterations - 1;
            if (x->item_logits)
                a += (double)x->item_logits[(size_t)row * x->K + j];
        }
        b[j] = (double)routing->softmax_scale * a;
    }
}

/* What the sums keep (by age), and what the event is worth (by lateness), for decay number |i|. */
static void forget(const struct ms_decay *decay, int i, int64_t age_ms, int64_t late_ms, double *keep, double *worth)
{
    *keep = decay->per_event[i];
    *worth = 1.0;
    if (decay->half_life_ms[0] == 0)
        return;
    *keep = age_ms > 0 ? exp2(-(double)age_ms / (double)decay->half_life_ms[i]) : 1.0;
    if (late_ms > 0)
        *worth = exp2(-(double)late_ms / (double)decay->half_life_ms[i]);
}

void ms_fold_event(struct ms_extractor *x, const struct ms_decay *decay, float *state, uint64_t folded, uint32_t row,
                   int64_t age_ms, int64_t late_ms)
{
    double keeps[MS_MAX_DECAYS], worths[MS_MAX_DECAYS], w[MS_MAX_INTERESTS], keep[MS_MAX_INTERESTS];
    size_t numbers = (size_t)decay->count;
    for (int i = 0; i < decay->count; i++)
        forget(decay, i, age_ms, late_ms, &keeps[i], &worths[i]);
    if (x->config->extractor == MS_EXTRACTOR_COMIREC_SA) {
        ms_fold_attention(x, state, row, keeps, worths, numbers);
        return;
    }
    size_t n = folded < x->L ? (size_t)folded : x->L;
    struct ms_fold_step step = {.z = state,
                                .mass = state + x->K * x->capsule_dim,
                                .dim = x->capsule_dim,
                                .interests = (size_t)ms_interest_count(x->config, n)};
    project(x, &step, row);
    logits(x, &step, row, w);
    for (size_t i = 0; i < numbers && i < step.interests; i++)
        ms_softmax(w + i, w + i, (step.interests - i + numbers - 1) / numbers, step.interests, numbers, 1.0);
    for (size_t j = 0; j < step.interests; j++) {
        keep[j] = keeps[j % numbers];
        w[j] *= worths[j % numbers];
        step.mass[j] = (float)(keep[j] * (double)step.mass[j] + w[j]);
    }
    x->kernels->fold_update(&step, keep, w);
}

static void fold_capsules(struct ms_extractor *x, const float *state, size_t count)
{
    for (size_t j = 0; j < (count + MS_TILE - 1) / MS_TILE * MS_TILE; j++) {
        float *z = x->z32 + j * x->stride;
        size_t width = j < count ? x->capsule_dim : 0;
        if (width)
            memcpy(z, state + j * x->capsule_dim, width * sizeof *z);
        memset(z + width, 0, (x->stride - width) * sizeof *z);
    }
}

struct ms_interests ms_fold_interests(struct ms_extractor *x, const float *state, uint64_t folded)
{
    float norms[MS_MAX_INTERESTS], factors[MS_MAX_INTERESTS];
    size_t n = folded < x->L ? (size_t)folded : x->L;
    size_t count = (size_t)ms_interest_count(x->config, n);
    const float *mass = state + x->K * x->capsule_dim;
    fold_capsules(x, state, count);
    if (x->config->extractor == MS_EXTRACTOR_COMIREC_SA) {
        for (size_t j = 0; j < count; j++)
            factors[j] = mass[j] > 0.0f ? 1.0f / mass[j] : 0.0f;
        for (size_t j = 0; j < count; j++)
            x->mass32[j] = 1.0f; /* each interest's attention sums to one */
        mass = x->mass32;
    } else {
        x->kernels->norms_f32(x->z32, count, x->stride, norms);
        for (size_t j = 0; j < count; j++)
            factors[j] = (float)ms_squash_factor(&x->config->routing, (double)norms[j]);
    }
    x->kernels->scale_f32(x->z32, count, x->stride, factors, x->z32);
    return ms_finish_f32(x, x->z32, mass, count);
}
