/* Squash and agreement: what a sum of weighted items is multiplied with. */
#include <math.h>

#include "interest/mind/mind.h"

/* (n/(1+n))^power * scale / sqrt(n + 1e-9) for n = |z|^2 (MIND, CIKM'19, eq. 7, with the power and the scale of later
 * implementations): what z is multiplied with. */
static double squash_factor(const struct ms_routing *routing, double n)
{
    double share = n / (1.0 + n), power = (double)routing->squash_power;
    if (power != 1.0)
        share = pow(share, power);
    return share * (double)routing->squash_scale / sqrt(n + 1e-9);
}

double ms_agreement_factor(const struct ms_routing *routing, double n)
{
    switch (routing->agreement_interest) {
    case MS_AGREEMENT_SQUASHED:
        return routing->squash_every ? squash_factor(routing, n) : 1.0;
    case MS_AGREEMENT_UNIT:
        return n > 0.0 ? 1.0 / sqrt(n) : 0.0;
    case MS_AGREEMENT_RAW:
        break;
    }
    return 1.0;
}

void ms_squash_factors(const struct ms_extractor *x, const double *norms, size_t n, double *factors)
{
    const struct ms_routing *routing = ((const struct ms_mind *)x->context)->routing;
    if (routing->squash_power == 1.0f)
        x->kernels->squash_f64(norms, ms_round_up(n, 8), (double)routing->squash_scale, factors);
    else
        for (size_t j = 0; j < n; j++)
            factors[j] = squash_factor(routing, norms[j]);
}

void ms_agreement_factors(const struct ms_extractor *x, const double *norms, size_t n, double *factors)
{
    const struct ms_routing *routing = ((const struct ms_mind *)x->context)->routing;
    if (routing->agreement_interest == MS_AGREEMENT_SQUASHED && routing->squash_every)
        ms_squash_factors(x, norms, n, factors);
    else
        for (size_t j = 0; j < n; j++)
            factors[j] = ms_agreement_factor(routing, norms[j]);
}
