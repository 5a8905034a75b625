/* Which windows are routed in float32. */
#include "interest/mind/float32.h"

#include <math.h>

/* Large scales multiply rounding as they multiply agreements. */
#define LARGEST_SCALE 4.0f

/* A window whose longest item may carry a logit this much beyond the limit is not tried in float32: where models were
 * trained, most windows would have to be routed twice. */
#define LIKELY_BEYOND (1.2 * (double)MS_FLOAT32_LOGITS)

bool ms_float_steps_know(const struct ms_routing *routing)
{
    return routing->softmax == MS_SOFTMAX_INTERESTS &&
           (routing->bilinear == MS_BILINEAR_SHARED || routing->bilinear == MS_BILINEAR_NONE);
}

bool ms_float32_knows(const struct ms_routing *routing)
{
    return ms_float_steps_know(routing) &&
           fabsf(routing->softmax_scale * routing->agreement_scale) <= LARGEST_SCALE;
}

/* How often an agreement is added to a logit. */
static double agreements(const struct ms_routing *routing)
{
    return routing->update == MS_UPDATE_ACCUMULATE ? (double)(routing->iterations - 1) : 1.0;
}

/* Whether the vector that the agreement is taken with has a greatest length, whatever the window: a squashed interest is
 * no longer than squash_scale. */
static bool interest_is_bounded(const struct ms_routing *routing, double *length)
{
    bool squashed = routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every;
    *length = squashed ? (double)routing->squash_scale : 1.0;
    return squashed || routing->agreement_interest == MS_AGREEMENT_UNIT;
}

double ms_float32_logit_bound(const struct ms_routing *routing, double longest_item, double largest_logit,
                              int max_behaviors)
{
    double interest;
    if (!interest_is_bounded(routing, &interest))
        interest = longest_item * (double)max_behaviors;
    double agreement = (double)fabsf(routing->agreement_scale) * fabs(interest) *
                       (routing->agreement_item_unit ? 1.0 : longest_item);
    double first = routing->update == MS_UPDATE_PROBABILITY ? fmax(largest_logit, 1.0) : largest_logit;
    return (double)fabsf(routing->softmax_scale) * (first + agreements(routing) * agreement);
}

double ms_float32_logit_per_length(const struct ms_routing *routing)
{
    double interest;
    if (!interest_is_bounded(routing, &interest) || routing->agreement_item_unit)
        return 0.0;
    return fabs(agreements(routing) * interest * (double)routing->agreement_scale *
                (double)routing->softmax_scale);
}

bool ms_float32_likely_beyond(const struct ms_mind *m, const struct ms_window *window)
{
    float longest = 0.0f;
    if (!m->item_lengths || window->interests == 1)
        return false;
    for (size_t i = 0; i < window->n; i++) {
        float length = m->item_lengths[window->items[i]];
        longest = length > longest ? length : longest;
    }
    return m->logit_per_length * (double)longest > LIKELY_BEYOND;
}
