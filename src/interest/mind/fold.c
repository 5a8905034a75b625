/* MIND's fold: one event into one user's sums, O(K dim) whatever the history's length.
 *
 *     u_j  =  the vector that the agreement is taken with, of z_j as it stood before the event
 *     a_j  =  agreement_scale <x, u_j>
 *     b_j  =  b0_j(x) + (iterations - 1) a_j     update=accumulate: what full routing would have added up
 *     b_j  =  a_j                                update=replace
 *     w    =  softmax of softmax_scale b         over the K'u interests, or over those that share a decay
 *     z_j  =  keep_j z_j + weight_j w_j x        keep_j by the settings, or the model's g_j(x)
 *
 * State, in floats: mass [K], filled up to whole cache lines, then z [K][capsule_dim]. So the state of a user who has
 * few interests yet is the front of a full one. The arithmetic of an event is in double and each sum is rounded once an
 * event, so that thousands of events lose nothing that the state could hold. */
#include <math.h>
#include <string.h>

#include "interest/mind/mind.h"

/* The masses. */
static size_t header_floats(const struct ms_model *model)
{
    return ms_fold_header_floats(model, 1);
}

static size_t floats(const struct ms_model *model, uint64_t events_folded)
{
    const struct ms_model_spec *spec = ms_model_spec(model);
    return header_floats(model) +
           (size_t)ms_count_by_rule(spec, (size_t)events_folded) * (size_t)spec->capsule_dim;
}

/* The item as routing takes it: one vector for all interests, or one for each. */
static void take_item(struct ms_extractor *x, struct ms_fold_step *step, uint32_t item)
{
    struct ms_mind *m = x->context;
    if (m->routing->bilinear != MS_BILINEAR_PER_INTEREST) {
        step->x = m->items + (size_t)item * x->capsule_dim;
        step->x_stride = 0;
        return;
    }
    const float *e = ms_model_item_embedding(x->model, item);
    for (size_t c = 0; c < x->item_dim; c++)
        m->e64[c] = (double)e[c];
    for (size_t j = 0; j < step->interests; j++) {
        x->kernels->project_f64(m->e64, 1, x->item_dim, x->item_dim,
                                m->bilinear + j * x->item_dim * x->capsule_dim, x->capsule_dim,
                                m->bilinear_bias, m->x64, x->stride);
        for (size_t c = 0; c < x->capsule_dim; c++)
            m->item_by_interest[j * x->capsule_dim + c] = (float)m->x64[c];
    }
    step->x = m->item_by_interest;
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
static void clear_padding(double *v, size_t n)
{
    for (size_t j = n; j % 8; j++)
        v[j] = 0.0;
}

/* softmax_scale * b_j for every interest. */
static void logits(const struct ms_extractor *x, const struct ms_fold_step *step, uint32_t item, double *b)
{
    const struct ms_mind *m = x->context;
    const struct ms_routing *routing = m->routing;
    _Alignas(64) double norms[PADDED], dots[PADDED];
    double item_length = 0.0, scale = (double)routing->softmax_scale * (double)routing->agreement_scale;
    const float *b0 = NULL;
    x->kernels->fold_dots(step, dots, norms);
    clear_padding(norms, step->interests);
    ms_agreement_factors(x, norms, step->interests, norms);
    if (routing->update == MS_UPDATE_ACCUMULATE) {
        scale *= routing->iterations - 1;
        b0 = m->item_logits ? m->item_logits + (size_t)item * x->K : NULL;
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
static void softmax_by_decay(const struct ms_kernels *kernels, double *b, size_t n, size_t decays)
{
    double tops[MS_MAX_DECAYS], totals[MS_MAX_DECAYS] = {0};
    if (decays == 1) {
        softmax_all(kernels, b, n);
        return;
    }
    for (size_t i = 0; i < decays; i++)
        tops[i] = -HUGE_VAL;
    for (size_t j = 0, i = 0; j < n; j++, i = i + 1 == decays ? 0 : i + 1)
        tops[i] = b[j] > tops[i] ? b[j] : tops[i];
    for (size_t j = 0, i = 0; j < n; j++, i = i + 1 == decays ? 0 : i + 1)
        b[j] -= tops[i];
    kernels->exp_f64(b, UP_TO_8(n));
    for (size_t j = 0, i = 0; j < n; j++, i = i + 1 == decays ? 0 : i + 1)
        totals[i] += b[j];
    for (size_t i = 0; i < decays && i < n; i++)
        totals[i] = 1.0 / totals[i];
    for (size_t j = 0, i = 0; j < n; j++, i = i + 1 == decays ? 0 : i + 1)
        b[j] *= totals[i];
}

/* The commonest fold, in one kernel: MIND's options, up to four interests, one decay. */
static bool is_plain(const struct ms_extractor *x, size_t interests, size_t decays)
{
    const struct ms_mind *m = x->context;
    const struct ms_routing *routing = m->routing;
    bool squashed = routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every;
    return interests <= 4 && decays == 1 && !routing->agreement_item_unit &&
           (squashed ? routing->squash_power == 1.0f : routing->agreement_interest != MS_AGREEMENT_UNIT);
}

static void fold_plain(const struct ms_extractor *x, const struct ms_fold_step *step, float *mass,
                       const struct ms_fold_event *event, const double *keep)
{
    const struct ms_mind *m = x->context;
    const struct ms_routing *routing = m->routing;
    bool accumulate = routing->update == MS_UPDATE_ACCUMULATE;
    struct ms_fold_four fold = {
        .step = *step,
        .mass = mass,
        .b0 = accumulate && m->item_logits ? m->item_logits + (size_t)event->item * x->K : NULL,
        .initial = (double)routing->softmax_scale,
        .agreement = (double)routing->softmax_scale * (double)routing->agreement_scale *
                     (accumulate ? routing->iterations - 1 : 1),
        .squashed = routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every,
        .squash_scale = (double)routing->squash_scale,
        .weight = event->weight[0]};
    for (size_t j = 0; j < step->interests; j++)
        fold.keep[j] = keep[j];
    x->kernels->fold_four(&fold);
}

/* keep_j for every interest. */
static void keeps(const struct ms_mind *m, const struct ms_fold_event *event, size_t K, size_t interests,
                  double *keep)
{
    const float *forgets = event->keep ? NULL : m->forgets + (size_t)event->item * K;
    for (size_t j = 0, i = 0; j < interests; j++, i = i + 1 == event->decays ? 0 : i + 1)
        keep[j] = forgets ? 1.0 - (double)forgets[j] : event->keep[i];
}

static void fold_event(struct ms_extractor *x, const struct ms_fold_event *event, float *state)
{
    const struct ms_mind *m = x->context;
    double keep[MS_MAX_INTERESTS];
    _Alignas(64) double w[PADDED];
    size_t decays = event->decays;
    float *mass = state;
    struct ms_fold_step step = {.z = state + m->fold_header,
                                .dim = x->capsule_dim,
                                .interests = (size_t)ms_count_by_rule(x->spec, (size_t)event->events_folded)};
    take_item(x, &step, event->item);
    keeps(m, event, x->K, step.interests, keep);
    if (is_plain(x, step.interests, decays)) {
        fold_plain(x, &step, mass, event, keep);
        return;
    }
    logits(x, &step, event->item, w);
    clear_padding(w, step.interests);
    softmax_by_decay(x->kernels, w, step.interests, decays);
    for (size_t j = 0, i = 0; j < step.interests; j++, i = i + 1 == decays ? 0 : i + 1) {
        w[j] *= event->weight[i];
        mass[j] = (float)(keep[j] * (double)mass[j] + w[j]);
    }
    x->kernels->fold_update(&step, keep, w);
}

static void prefetch(const struct ms_extractor *x, uint32_t item)
{
    const struct ms_mind *m = x->context;
    const float *at = m->routing->bilinear != MS_BILINEAR_PER_INTEREST
                          ? m->items + (size_t)item * x->capsule_dim
                          : ms_model_item_embedding(x->model, item);
    ms_fold_prefetch_row(at, x->capsule_dim);
    if (m->item_logits)
        __builtin_prefetch(m->item_logits + (size_t)item * x->K);
    if (m->forgets)
        __builtin_prefetch(m->forgets + (size_t)item * x->K);
}

/* Whether the vectors are nothing but squash(z), power 1. */
static bool squashes_at_once(const struct ms_extractor *x, size_t count)
{
    const struct ms_mind *m = x->context;
    return count <= 4 && ms_publishes_capsules(x) && m->routing->squash_power == 1.0f;
}

static struct ms_interests fold_interests(struct ms_extractor *x, const float *state, uint64_t events_folded)
{
    struct ms_mind *m = x->context;
    float factors[MS_MAX_INTERESTS];
    size_t count = events_folded ? (size_t)ms_count_by_rule(x->spec, (size_t)events_folded) : 0;
    const float *mass = state, *z = state + m->fold_header;
    if (squashes_at_once(x, count)) {
        x->kernels->squash_four(z, count, x->dim, (double)m->routing->squash_scale, x->vectors);
        bool finite = true;
        for (size_t j = 0; j < count; j++)
            finite = finite && isfinite(x->vectors[j * x->dim]);
        if (finite)
            return ms_finish_weights(x, mass, count);
    }
    _Alignas(64) double norms[PADDED], dots[PADDED];
    /* The sums with themselves; the kernel only reads here. */
    struct ms_fold_step step = {.z = (float *)(uintptr_t)z,
                                .dim = x->capsule_dim,
                                .interests = count,
                                .x = z,
                                .x_stride = x->capsule_dim};
    x->kernels->fold_dots(&step, dots, norms);
    clear_padding(norms, count);
    ms_squash_factors(x, norms, count, norms);
    for (size_t j = 0; j < count; j++)
        factors[j] = (float)norms[j];
    return ms_finish_f32(x, z, x->capsule_dim, factors, mass, count);
}

static const char *refusal(const struct ms_model *model)
{
    const struct ms_routing *routing = (const void *)ms_model_spec(model)->options;
    if (routing->softmax != MS_SOFTMAX_INTERESTS)
        return "routing.softmax over behaviors";
    if (routing->initial_logits == MS_LOGITS_TABLE)
        return "routing.initial_logits 'table' (by slot)";
    if (routing->bilinear == MS_BILINEAR_PER_POSITION)
        return "routing.bilinear 'per-position'";
    if (routing->update == MS_UPDATE_PROBABILITY)
        return "routing.update 'probability'";
    return NULL;
}

const struct ms_fold_ops ms_mind_fold = {.refusal = refusal,
                                         .has_decays = ms_mind_has_decays,
                                         .floats = floats,
                                         .event = fold_event,
                                         .prefetch = prefetch,
                                         .interests = fold_interests};
