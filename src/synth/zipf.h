/* Draws from a Zipf-Mandelbrot law in constant memory. No libm: its last bits differ between machines. */
#ifndef MS_SYNTH_ZIPF_H
#define MS_SYNTH_ZIPF_H

#include <stdint.h>

/* P(k) is proportional to (shift + k)^-exponent for k = 0 .. count-1. */
struct ms_zipf {
    double shift, exponent;
    double low, first,
        high;            /* the integral of the hat function: at the start, after k = 0, after the last k */
    double accept_below; /* a point at most this far below its k is accepted without a test */
    uint32_t count;
};

/* |count| >= 1, |exponent| in [0, 10], |shift| > 0. */
void ms_zipf_init(struct ms_zipf *zipf, uint32_t count, double exponent, double shift);

/* One draw, 0 .. count-1, with random bits from *state (ms_random_next). */
uint32_t ms_zipf_draw(const struct ms_zipf *zipf, uint64_t *state);

#endif
