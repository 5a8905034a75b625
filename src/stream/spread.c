/* Entropy over its maximum, and cosines. */
#include "stream/spread.h"

#include <math.h>

static void note_entropy(struct ms_stats *stats, const struct ms_interests *interests)
{
    double entropy = 0;
    for (int i = 0; i < interests->count; i++) {
        double weight = (double)interests->weights[i];
        if (weight > 0)
            entropy -= weight * log(weight);
    }
    ms_buckets_add(&stats->weight_entropy, &ms_bounds_share, entropy / log(interests->count), 1);
}

static double product(const float *a, const float *b, int dim)
{
    double sum = 0;
    for (int i = 0; i < dim; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Rounding may pass the ends. */
static void note_distance(struct ms_stats *stats, double distance)
{
    ms_buckets_add(&stats->interest_distance, &ms_bounds_distance,
                   distance < 0   ? 0
                   : distance > 2 ? 2
                                  : distance,
                   1);
}

static void note_cosines(struct ms_stats *stats, const struct ms_interests *interests)
{
    int dim = interests->dim;
    for (int i = 0; i < interests->count; i++) {
        const float *a = interests->vectors + (size_t)i * (size_t)dim;
        for (int j = 0; j < i; j++) {
            const float *b = interests->vectors + (size_t)j * (size_t)dim;
            double lengths = sqrt(product(a, a, dim) * product(b, b, dim));
            if (lengths > 0)
                note_distance(stats, 1 - product(a, b, dim) / lengths);
        }
    }
}

void ms_spread_note(struct ms_stats *stats, const struct ms_interests *interests, uint64_t published)
{
    ms_count(&stats->interests, (uint64_t)interests->count);
    if (published % MS_SPREAD_EVERY != 0 || interests->count < 2)
        return;
    note_entropy(stats, interests);
    note_cosines(stats, interests);
}
