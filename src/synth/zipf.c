/* Rejection-inversion (Hoermann and Derflinger, "Rejection-inversion to generate variates from monotone
 * discrete distributions", 1996), with a logarithm and an exponential that use IEEE +, -, * and / alone. */
#include "synth/zipf.h"

#include <string.h>

#include "synth/random.h"

#define LN2 0.693147180559945309417

/* ln x for x > 0, normal: x = m 2^e with m near 1, and ln m = 2 atanh((m - 1) / (m + 1)). */
static double portable_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000FFFFFFFFFFFFFU) | 0x3FF0000000000000U;
    memcpy(&x, &bits, sizeof x);
    if (x > 1.41421356237309505) {
        x *= 0.5;
        exponent++;
    }
    double z = (x - 1.0) / (x + 1.0), z2 = z * z;
    double sum = 1.0 / 19;
    for (int i = 17; i > 0; i -= 2)
        sum = sum * z2 + 1.0 / i;
    return 2.0 * z * sum + exponent * LN2;
}

/* e^x for |x| < 700: 2^k times the series of the remainder. */
static double portable_exp(double x)
{
    static const double inverse[] = {1.0,     1.0,     1.0 / 2, 1.0 / 3,  1.0 / 4,  1.0 / 5, 1.0 / 6,
                                     1.0 / 7, 1.0 / 8, 1.0 / 9, 1.0 / 10, 1.0 / 11, 1.0 / 12};
    double scaled = x * (1.0 / LN2);
    int64_t k = (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    double r = x - (double)k * LN2, sum = 1.0;
    for (int i = 12; i > 0; i--)
        sum = sum * r * inverse[i] + 1.0;
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* The weight's integral from 1 to y, and its inverse. */
static double integral(double exponent, double y)
{
    double power = 1.0 - exponent;
    if (power > -1e-6 && power < 1e-6)
        return portable_log(y);
    return (portable_exp(power * portable_log(y)) - 1.0) / power;
}

static double inverse_integral(double exponent, double u)
{
    double power = 1.0 - exponent;
    if (power > -1e-6 && power < 1e-6)
        return portable_exp(u);
    return portable_exp(portable_log(1.0 + power * u) / power);
}

static double weight(double exponent, double y)
{
    return portable_exp(-exponent * portable_log(y));
}

void ms_zipf_init(struct ms_zipf *zipf, uint32_t count, double exponent, double shift)
{
    double second = shift + 1.0;
    *zipf = (struct ms_zipf){.shift = shift, .exponent = exponent, .count = count};
    zipf->first = integral(exponent, shift + 0.5);
    zipf->low = zipf->first - weight(exponent, shift);
    zipf->high = integral(exponent, shift + count - 0.5);
    zipf->accept_below = second - inverse_integral(exponent, integral(exponent, second + 0.5) -
                                                                 weight(exponent, second));
}

uint32_t ms_zipf_draw(const struct ms_zipf *zipf, uint64_t *state)
{
    for (;;) {
        double uniform = (double)(ms_random_next(state) >> 11) * 0x1p-53;
        double u = zipf->high + uniform * (zipf->low - zipf->high);
        if (u < zipf->first || zipf->count == 1)
            return 0;
        double y = inverse_integral(zipf->exponent, u);
        double at = y - zipf->shift + 0.5;
        uint32_t k = at < 1.0 ? 1 : at >= zipf->count ? zipf->count - 1 : (uint32_t)at;
        double center = zipf->shift + k;
        if (center - y <= zipf->accept_below ||
            u >= integral(zipf->exponent, center + 0.5) - weight(zipf->exponent, center))
            return k;
    }
}
