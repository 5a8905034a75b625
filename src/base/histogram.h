/* A log-linear histogram of durations: 32 steps an octave, so a quantile is within 3 %. One writer; merge to
 * read. */
#ifndef MS_BASE_HISTOGRAM_H
#define MS_BASE_HISTOGRAM_H

#include <stdint.h>

#define MS_HISTOGRAM_STEPS   32
#define MS_HISTOGRAM_BUCKETS (MS_HISTOGRAM_STEPS * 40)

struct ms_histogram {
    uint64_t count;
    uint64_t buckets[MS_HISTOGRAM_BUCKETS];
};

/* Counts |n| values of |value| (any unit; values beyond 2^44 count as the largest). */
void ms_histogram_add(struct ms_histogram *histogram, uint64_t value, uint64_t n);
void ms_histogram_merge(struct ms_histogram *into, const struct ms_histogram *from);
/* The upper end of the bucket that holds quantile |q| in [0, 1]; 0 when empty. */
uint64_t ms_histogram_quantile(const struct ms_histogram *histogram, double q);

#endif
