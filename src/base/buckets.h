/* A histogram with fixed bounds, as Prometheus counts it: one writer, any readers, no lock. */
#ifndef MS_BASE_BUCKETS_H
#define MS_BASE_BUCKETS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MS_BUCKETS_MAX 16

/* Upper ends of the buckets, ascending. What lies above the last is counted in a bucket of its own. */
struct ms_bounds {
    size_t count;
    double at[MS_BUCKETS_MAX];
};

extern const struct ms_bounds ms_bounds_latency;  /* seconds, 1 ms to 5 min */
extern const struct ms_bounds ms_bounds_duration; /* seconds, 0.1 ms to 10 s */
extern const struct ms_bounds ms_bounds_share;    /* 0 to 1 */
extern const struct ms_bounds ms_bounds_distance; /* 0 to 2: one less the cosine */

struct ms_buckets {
    _Atomic uint64_t counts[MS_BUCKETS_MAX + 1]; /* [bounds->count + 1] are used */
    _Atomic double sum;
};

/* Counts |n| values of |value|. The writer's thread only. */
void ms_buckets_add(struct ms_buckets *buckets, const struct ms_bounds *bounds, double value, uint64_t n);
/* Adds |from|, which may be written meanwhile, to |into|, which only the caller uses. */
void ms_buckets_merge(struct ms_buckets *into, const struct ms_buckets *from);

#endif
