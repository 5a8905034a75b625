/* Random bits that are the same on every machine. */
#ifndef MS_SYNTH_RANDOM_H
#define MS_SYNTH_RANDOM_H

#include <stdint.h>

/* SplitMix64: advances *state and returns 64 random bits. */
static inline uint64_t ms_random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
}

#endif
