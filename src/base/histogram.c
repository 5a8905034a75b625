/* Bucket arithmetic. */
#include "base/histogram.h"

static unsigned bucket_of(uint64_t value)
{
    if (value < MS_HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned octave = 63 - (unsigned)__builtin_clzll(value); /* >= 5 */
    unsigned step = (unsigned)(value >> (octave - 5)) & (MS_HISTOGRAM_STEPS - 1);
    unsigned bucket = (octave - 4) * MS_HISTOGRAM_STEPS + step;
    return bucket < MS_HISTOGRAM_BUCKETS ? bucket : MS_HISTOGRAM_BUCKETS - 1;
}

static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < MS_HISTOGRAM_STEPS)
        return bucket;
    unsigned octave = bucket / MS_HISTOGRAM_STEPS + 4;
    uint64_t step = bucket % MS_HISTOGRAM_STEPS + 1;
    return (UINT64_C(1) << octave) + (step << (octave - 5)) - 1;
}

void ms_histogram_add(struct ms_histogram *histogram, uint64_t value, uint64_t n)
{
    histogram->buckets[bucket_of(value)] += n;
    histogram->count += n;
}

void ms_histogram_merge(struct ms_histogram *into, const struct ms_histogram *from)
{
    for (unsigned i = 0; i < MS_HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
}

uint64_t ms_histogram_quantile(const struct ms_histogram *histogram, double q)
{
    uint64_t seen = 0;
    double want = q * (double)histogram->count;
    for (unsigned i = 0; i < MS_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen && (double)seen >= want)
            return bucket_end(i);
    }
    return 0;
}
