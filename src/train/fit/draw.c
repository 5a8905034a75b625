/* Draws. */
#include "train/fit/draw.h"

#include <math.h>
#include <stdlib.h>

double ms_draw_normal(uint64_t seed, uint64_t counter)
{
    uint64_t x = ms_draw(seed, counter);
    double u1 = ((double)(x >> 32) + 0.5) / 4294967296.0,
           u2 = ((double)(x & UINT32_MAX) + 0.5) / 4294967296.0;
    return sqrt(-2.0 * log(u1)) * cos(2.0 * M_PI * u2);
}

/* Pairs each number whose weight is below the mean with one above it, which gives what is missing. */
static void pair(struct ms_alias *alias, double *share, uint32_t *stack, uint32_t count)
{
    uint32_t small = 0, large = count; /* two stacks in one array */
    for (uint32_t i = 0; i < count; i++) {
        if (share[i] < 1.0)
            stack[small++] = i;
        else
            stack[--large] = i;
    }
    while (small > 0 && large < count) {
        uint32_t low = stack[--small], high = stack[large];
        alias->keep[low] = (float)share[low];
        alias->other[low] = high;
        share[high] -= 1.0 - share[low];
        if (share[high] < 1.0) {
            large++;
            stack[small++] = high;
        }
    }
}

bool ms_alias_init(struct ms_alias *alias, const double *weights, uint32_t count)
{
    double total = 0.0;
    double *share = calloc(count, sizeof *share);
    uint32_t *stack = calloc(count, sizeof *stack);
    *alias = (struct ms_alias){.other = calloc(count, sizeof *alias->other),
                               .keep = calloc(count, sizeof *alias->keep),
                               .count = count};
    bool good = share && stack && alias->other && alias->keep;
    for (uint32_t i = 0; good && i < count; i++)
        total += weights[i];
    for (uint32_t i = 0; good && i < count; i++) {
        share[i] = weights[i] / total * (double)count;
        alias->keep[i] = 1.0f;
        alias->other[i] = i;
    }
    if (good)
        pair(alias, share, stack, count);
    else
        ms_alias_free(alias);
    free(share);
    free(stack);
    return good;
}

void ms_alias_free(struct ms_alias *alias)
{
    free(alias->other);
    free(alias->keep);
    *alias = (struct ms_alias){0};
}

uint32_t ms_alias_draw(const struct ms_alias *alias, uint64_t seed, uint64_t counter)
{
    uint64_t x = ms_draw(seed, counter);
    uint32_t i = (uint32_t)((x >> 32) * alias->count >> 32);
    return (float)(x & 0xffffff) * 0x1p-24f < alias->keep[i] ? i : alias->other[i];
}
