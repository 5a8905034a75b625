/* Counting into fixed bounds. */
#include "base/buckets.h"

const struct ms_bounds ms_bounds_latency = {
    16, {0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30, 60, 300}};
const struct ms_bounds ms_bounds_duration = {
    15, {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10}};
const struct ms_bounds ms_bounds_share = {10, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1}};
const struct ms_bounds ms_bounds_distance = {11, {0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.5, 2}};

/* One writer: what it loads is what it stored last. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void add_sum(_Atomic double *sum, double value)
{
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + value, memory_order_relaxed);
}

void ms_buckets_add(struct ms_buckets *buckets, const struct ms_bounds *bounds, double value, uint64_t n)
{
    size_t i = 0;
    while (i < bounds->count && value > bounds->at[i])
        i++;
    add(&buckets->counts[i], n);
    add_sum(&buckets->sum, value * (double)n);
}

void ms_buckets_merge(struct ms_buckets *into, const struct ms_buckets *from)
{
    for (size_t i = 0; i <= MS_BUCKETS_MAX; i++)
        add(&into->counts[i], atomic_load_explicit(&from->counts[i], memory_order_relaxed));
    add_sum(&into->sum, atomic_load_explicit(&from->sum, memory_order_relaxed));
}
