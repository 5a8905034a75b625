/* The incremental fold, whatever the kind: what the settings say of decay and lateness, and the way to the kind. */
#include <math.h>

#include "interest/kind.h"

enum ms_status ms_fold_supported(const struct ms_model *model, struct ms_error *error)
{
    const struct ms_model_config *config = ms_model_config(model);
    const struct ms_fold_ops *fold = ms_kind_of(model)->fold;
    if (!fold)
        return ms_fail(
            error, MS_CONFIG,
            "model %s cannot be folded one event at a time: it has extractor '%s' (its pooling needs the "
            "whole window)",
            config->id, config->extractor_name);
    const char *refusal = fold->refusal ? fold->refusal(model) : NULL;
    return refusal ? ms_fail(error, MS_CONFIG, "model %s cannot be folded one event at a time: it has %s",
                             config->id, refusal)
                   : MS_OK;
}

bool ms_fold_has_decays(const struct ms_model *model)
{
    const struct ms_fold_ops *fold = ms_kind_of(model)->fold;
    return fold && fold->has_decays && fold->has_decays(model);
}

size_t ms_fold_header_floats(const struct ms_model *model, size_t arrays)
{
    return ms_round_up((size_t)ms_model_config(model)->interests * arrays, 16);
}

size_t ms_fold_floats(const struct ms_model *model)
{
    return ms_fold_floats_at(model, UINT64_MAX);
}

size_t ms_fold_floats_at(const struct ms_model *model, uint64_t events_folded)
{
    const struct ms_fold_ops *fold = ms_kind_of(model)->fold;
    return fold ? fold->floats(model, events_folded ? events_folded : 1) : 0;
}

/* What the sums keep (by age), and what the event of |mass| counts (by lateness), for decay number |i|. */
static void forget(const struct ms_decay *decay, int i, int64_t age_ms, int64_t late_ms, double mass,
                   double *keep, double *weight)
{
    *keep = decay->per_event[i];
    *weight = mass;
    if (decay->half_life_ms[0] == 0)
        return;
    *keep = age_ms > 0 ? exp2(-(double)age_ms / (double)decay->half_life_ms[i]) : 1.0;
    if (late_ms > 0)
        *weight = mass * exp2(-(double)late_ms / (double)decay->half_life_ms[i]);
}

void ms_fold_event(struct ms_extractor *x, const struct ms_decay *decay, float *state, uint64_t events_folded,
                   uint32_t item, int64_t age_ms, int64_t late_ms, double mass)
{
    double keep[MS_MAX_DECAYS], weight[MS_MAX_DECAYS] = {mass};
    bool own = decay->count == 0;
    for (int i = 0; i < decay->count; i++)
        forget(decay, i, age_ms, late_ms, mass, &keep[i], &weight[i]);
    const struct ms_fold_event event = {.item = item,
                                        .events_folded = events_folded,
                                        .decays = own ? 1 : (size_t)decay->count,
                                        .keep = own ? NULL : keep,
                                        .weight = weight};
    x->kind->fold->event(x, &event, state);
}

void ms_fold_prefetch_row(const float *row, size_t floats)
{
    for (size_t c = 0; c < floats && c < 8 * 16; c += 16) /* eight lines; the hardware sees to more */
        __builtin_prefetch(row + c);
}

void ms_fold_prefetch(const struct ms_extractor *x, uint32_t item)
{
    if (x->kind->fold && x->kind->fold->prefetch)
        x->kind->fold->prefetch(x, item);
}

struct ms_interests ms_fold_interests(struct ms_extractor *x, const float *state, uint64_t events_folded)
{
    x->overflowed = false;
    return ms_only_finite(x, x->kind->fold->interests(x, state, events_folded));
}
