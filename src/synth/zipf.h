/* Draws from a Zipf-Mandelbrot law in constant memory, the same on every machine: no libm, whose last bits
 * vary. */
#ifndef MS_APP_ZIPF_H
#define MS_APP_ZIPF_H

#include <stdint.h>

/* P(k) is proportional to (shift + k)^-exponent for k = 0 .. count-1. */
struct ms_zipf {
    double shift, exponent;
    double low, first, high; /* the hat's integral: before k = 0, behind it, behind the last k */
    double sure;             /* a point this near below its k needs no test */
    uint32_t count;
};

/* |count| >= 1, |exponent| in [0, 10], |shift| > 0. */
void ms_zipf_init(struct ms_zipf *zipf, uint32_t count, double exponent, double shift);

/* SplitMix64: advances *state and returns 64 random bits. */
static inline uint64_t ms_random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
}

/* One draw, with random bits from *state. */
uint32_t ms_zipf_draw(const struct ms_zipf *zipf, uint64_t *state);

#endif
