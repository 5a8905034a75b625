/* The incremental fold: one event into one user's sums, O(K dim) whatever the history's length.
 *
 *     u_j = what the agreement is taken with, of z_j as it stood before the event
 *     b_j = b0_j(x) + (iterations - 1) a_j        what full routing would have accumulated (replace: b_j =
 * a_j) w   = softmax of softmax_scale * b          over the K'u interests, or those that share a decay z_j =
 * decay_j z_j + w_j x_j
 *
 * State, in floats: mass [K], for comirec-sa also the running maximum of the logits [K], both filled up to
 * whole cache lines, then z [K][capsule_dim]. So the state of a user who has few interests yet is the front
 * of a full one. The arithmetic of an event is in double and each sum is rounded once an event, so that
 * thousands of events lose nothing that the state could hold. */
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
    else if (config->extractor == MS_EXTRACTOR_COMIREC_SA &&
             ms_model_tensor(model, "attention.position").data)
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
    return why ? ms_fail(error, MS_CONFIG, "model %s cannot be folded one event at a time: it has %s",
                         config->id, why)
               : MS_OK;
}

size_t ms_fold_lead(const struct ms_model_config *config)
{
    size_t K = (size_t)config->interests, own = config->extractor == MS_EXTRACTOR_COMIREC_SA ? 2 : 1;
    return (K * own + 15) & ~(size_t)15;
}

size_t ms_fold_floats(const struct ms_model *model)
{
    return ms_fold_floats_at(model, UINT64_MAX);
}

size_t ms_fold_floats_at(const struct ms_model *model, uint64_t folded)
{
    const struct ms_model_config *config = ms_model_config(model);
    size_t K = config->extractor == MS_EXTRACTOR_COMIREC_SA /* feeds all from the first event on */
                   ? (size_t)config->interests
                   : (size_t)ms_interest_count(config, folded ? (size_t)folded : 1);
    return ms_fold_lead(config) + K * (size_t)config->capsule_dim;
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
        x->kernels->project_f64(x->e64, 1, x->item_dim, x->item_dim,
                                x->bilinear + j * x->item_dim * x->capsule_dim, x->capsule_dim,
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

/* Doubles for the interests, in whole vectors. */
#define PADDED     (MS_MAX_INTERESTS + 8)
#define UP_TO_8(n) (((n) + 7) & ~(size_t)7)

/* Lanes that are computed with the others and mean nothing. */
static void clear_rest(double *v, size_t n)
{
    for (size_t j = n; j % 8; j++)
        v[j] = 0.0;
}

/* softmax_scale * b_j for every interest. */
static void logits(const struct ms_extractor *x, const struct ms_fold_step *step, uint32_t row, double *b)
{
    const struct ms_routing *routing = &x->config->routing;
    _Alignas(64) double norms[PADDED], dots[PADDED];
    double item_length = 0.0, scale = (double)routing->softmax_scale * (double)routing->agreement_scale;
    const float *b0 = NULL;
    x->kernels->fold_dots(step, dots, norms);
    clear_rest(norms, step->interests);
    ms_agreement_factors(x, norms, step->interests, norms);
    if (routing->update == MS_UPDATE_ACCUMULATE) {
        scale *= routing->iterations - 1;
        b0 = x->item_logits ? x->item_logits + (size_t)row * x->K : NULL;
    }
    for (size_t j = 0; j < step->interests; j++) {
        b[j] = scale * norms[j] * dots[j];
        if (routing->agreement_item_unit) {
            if (j == 0 || step->x_stride)
                item_length = length(step, j);
            b[j] = item_length > 0.0 ? b[j] / item_length : 0.0;
        }
        if (b0)
            b[j] += (double)routing->softmax_scale * (double)b0[j];
    }
}

static void softmax_all(const struct ms_kernels *kernels, double *b, size_t n)
{
    double top = b[0], total = 0.0;
    for (size_t j = 1; j < n; j++)
        top = b[j] > top ? b[j] : top;
    for (size_t j = 0; j < n; j++)
        b[j] -= top;
    kernels->exp_f64(b, UP_TO_8(n));
    for (size_t j = 0; j < n; j++)
        total += b[j];
    double share = 1.0 / total;
    for (size_t j = 0; j < n; j++)
        b[j] *= share;
}

/* Softmax in place over the interests first, first + step, first + 2 step ...; the others' exponentials are
 * left alone if b holds what exp_f64 can take there. */
static void softmax(const struct ms_kernels *kernels, double *b, size_t n, size_t numbers)
{
    double tops[MS_MAX_DECAYS], totals[MS_MAX_DECAYS] = {0};
    if (numbers == 1) {
        softmax_all(kernels, b, n);
        return;
    }
    for (size_t i = 0; i < numbers; i++)
        tops[i] = -HUGE_VAL;
    for (size_t j = 0, i = 0; j < n; j++, i = i + 1 == numbers ? 0 : i + 1)
        tops[i] = b[j] > tops[i] ? b[j] : tops[i];
    for (size_t j = 0, i = 0; j < n; j++, i = i + 1 == numbers ? 0 : i + 1)
        b[j] -= tops[i];
    kernels->exp_f64(b, UP_TO_8(n));
    for (size_t j = 0, i = 0; j < n; j++, i = i + 1 == numbers ? 0 : i + 1)
        totals[i] += b[j];
    for (size_t i = 0; i < numbers && i < n; i++)
        totals[i] = 1.0 / totals[i];
    for (size_t j = 0, i = 0; j < n; j++, i = i + 1 == numbers ? 0 : i + 1)
        b[j] *= totals[i];
}

/* What the sums keep (by age), and what the event is worth (by lateness), for decay number |i|. */
static void forget(const struct ms_decay *decay, int i, int64_t age_ms, int64_t late_ms, double *keep,
                   double *worth)
{
    *keep = decay->per_event[i];
    *worth = 1.0;
    if (decay->half_life_ms[0] == 0)
        return;
    *keep = age_ms > 0 ? exp2(-(double)age_ms / (double)decay->half_life_ms[i]) : 1.0;
    if (late_ms > 0)
        *worth = exp2(-(double)late_ms / (double)decay->half_life_ms[i]);
}

/* The commonest fold, in one kernel: MIND's options, up to four interests, one decay. */
static bool is_plain(const struct ms_extractor *x, size_t interests, size_t numbers)
{
    const struct ms_routing *routing = &x->config->routing;
    bool squashed = routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every;
    return interests <= 4 && numbers == 1 && !routing->agreement_item_unit &&
           (squashed ? routing->squash_power == 1.0f : routing->agreement_interest != MS_AGREEMENT_UNIT);
}

static void fold_plain(const struct ms_extractor *x, const struct ms_fold_step *step, float *mass,
                       uint32_t row, double keep, double worth)
{
    const struct ms_routing *routing = &x->config->routing;
    bool accumulate = routing->update == MS_UPDATE_ACCUMULATE;
    struct ms_fold_four fold = {
        .step = *step,
        .mass = mass,
        .b0 = accumulate && x->item_logits ? x->item_logits + (size_t)row * x->K : NULL,
        .initial = (double)routing->softmax_scale,
        .agreement = (double)routing->softmax_scale * (double)routing->agreement_scale *
                     (accumulate ? routing->iterations - 1 : 1),
        .squashed = routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every,
        .squash_scale = (double)routing->squash_scale,
        .keep = keep,
        .worth = worth};
    x->kernels->fold_four(&fold);
}

void ms_fold_event(struct ms_extractor *x, const struct ms_decay *decay, float *state, uint64_t folded,
                   uint32_t row, int64_t age_ms, int64_t late_ms)
{
    double keeps[MS_MAX_DECAYS], worths[MS_MAX_DECAYS], keep[MS_MAX_INTERESTS];
    _Alignas(64) double w[PADDED];
    size_t numbers = (size_t)decay->count;
    for (int i = 0; i < decay->count; i++)
        forget(decay, i, age_ms, late_ms, &keeps[i], &worths[i]);
    if (x->config->extractor == MS_EXTRACTOR_COMIREC_SA) {
        ms_fold_attention(x, state, row, keeps, worths, numbers);
        return;
    }
    float *mass = state;
    struct ms_fold_step step = {.z = state + x->lead,
                                .dim = x->capsule_dim,
                                .interests = (size_t)ms_interest_count(x->config, (size_t)folded)};
    project(x, &step, row);
    if (is_plain(x, step.interests, numbers)) {
        fold_plain(x, &step, mass, row, keeps[0], worths[0]);
        return;
    }
    logits(x, &step, row, w);
    clear_rest(w, step.interests);
    softmax(x->kernels, w, step.interests, numbers);
    for (size_t j = 0, i = 0; j < step.interests; j++, i = i + 1 == numbers ? 0 : i + 1) {
        keep[j] = keeps[i];
        w[j] *= worths[i];
        mass[j] = (float)(keep[j] * (double)mass[j] + w[j]);
    }
    x->kernels->fold_update(&step, keep, w);
}

void ms_fold_prefetch(const struct ms_extractor *x, uint32_t row)
{
    const float *item = x->config->extractor != MS_EXTRACTOR_COMIREC_SA &&
                                x->config->routing.bilinear != MS_BILINEAR_PER_INTEREST
                            ? x->projected + (size_t)row * x->capsule_dim
                            : ms_model_item_embedding(x->model, row);
    for (size_t c = 0; c < x->capsule_dim && c < 8 * 16; c += 16) /* eight lines; the hardware sees to more */
        __builtin_prefetch(item + c);
    if (x->item_logits)
        __builtin_prefetch(x->item_logits + (size_t)row * x->K);
}

/* Whether the vectors are nothing but squash(z), power 1. */
static bool squashes_at_once(const struct ms_extractor *x, size_t count)
{
    return count <= 4 && x->config->extractor == MS_EXTRACTOR_MIND && x->config->head_layers == 0 &&
           x->profile_dim == 0 && !x->config->normalize && x->config->routing.squash_power == 1.0f;
}

struct ms_interests ms_fold_interests(struct ms_extractor *x, const float *state, uint64_t folded)
{
    float factors[MS_MAX_INTERESTS];
    size_t count = (size_t)ms_interest_count(x->config, (size_t)folded);
    const float *mass = state, *z = state + x->lead;
    if (squashes_at_once(x, count)) {
        x->kernels->squash_four(z, count, x->dim, (double)x->config->routing.squash_scale, x->vectors);
        bool finite = true;
        for (size_t j = 0; j < count; j++)
            finite = finite && isfinite(x->vectors[j * x->dim]);
        if (finite)
            return ms_finish_weights(x, mass, count);
    }
    if (x->config->extractor == MS_EXTRACTOR_COMIREC_SA) {
        for (size_t j = 0; j < count; j++) {
            factors[j] = mass[j] > 0.0f ? 1.0f / mass[j] : 0.0f;
            x->mass32[j] = 1.0f; /* each interest's attention sums to one */
        }
        mass = x->mass32;
    } else {
        _Alignas(64) double norms[PADDED], dots[PADDED];
        /* The sums with themselves; the kernel only reads here. */
        struct ms_fold_step step = {.z = (float *)(uintptr_t)z,
                                    .dim = x->capsule_dim,
                                    .interests = count,
                                    .x = z,
                                    .x_stride = x->capsule_dim};
        x->kernels->fold_dots(&step, dots, norms);
        clear_rest(norms, count);
        ms_squash_factors(x, norms, count, norms);
        for (size_t j = 0; j < count; j++)
            factors[j] = (float)norms[j];
    }
    return ms_finish_f32(x, z, x->capsule_dim, factors, mass, count);
}
