/* Random numbers as functions of a seed and a counter, so that a draw depends on nothing that was drawn before it; and items
 * drawn by weight. */
#ifndef MS_TRAIN_FIT_DRAW_H
#define MS_TRAIN_FIT_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Output |counter| + 1 of SplitMix64 started at |seed| (Steele, Lea, Flood 2014). */
static inline uint64_t ms_draw(uint64_t seed, uint64_t counter)
{
    uint64_t x = seed + (counter + 1) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* A number of 0 .. count - 1, evenly but for 2^-64 count. */
static inline uint64_t ms_draw_below(uint64_t seed, uint64_t counter, uint64_t count)
{
    return ms_draw(seed, counter) % count;
}

/* A normal number of mean 0 and standard deviation 1 (Box and Muller). */
double ms_draw_normal(uint64_t seed, uint64_t counter);

/* Draws from weights in constant time (Walker's alias method, as Vose builds it). */
struct ms_alias {
    uint32_t *other; /* [count] */
    float *keep;     /* [count]: how often the number itself is drawn and not the other */
    uint32_t count;
};

/* |weights| are positive. False when memory ended. Freeing a zeroed one is legal. */
bool ms_alias_init(struct ms_alias *alias, const double *weights, uint32_t count);
void ms_alias_free(struct ms_alias *alias);
uint32_t ms_alias_draw(const struct ms_alias *alias, uint64_t seed, uint64_t counter);

#endif
