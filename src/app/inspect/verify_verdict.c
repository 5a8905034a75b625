/* Verdicts, and whose turn it is. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "app/inspect/compare.h"
#include "app/inspect/verify.h"
#include "base/digest.h"

/* ---- verdicts ---- */

void ms_verdict_unknown(struct ms_verdict *verdict, enum ms_verify_reason reason)
{
    *verdict = (struct ms_verdict){.outcome = MS_VERIFY_UNKNOWN, .reason = reason, .slot = -1};
}

void ms_verdict_differs(struct ms_verdict *verdict, const char *against, const char *what, ...)
{
    va_list values;
    *verdict = (struct ms_verdict){.outcome = MS_VERIFY_DIFFERS, .against = against, .slot = -1};
    va_start(values, what);
    vsnprintf(verdict->what, sizeof verdict->what, what, values);
    va_end(values);
}

void ms_verify_interests(const struct ms_verify *verify, const char *against, const struct ms_interests *a,
                         const struct ms_interests *b, struct ms_verdict *verdict)
{
    size_t place = 0, dim = (size_t)a->dim, count = (size_t)a->count;
    double tolerance = verify->arguments->tolerance;
    if (a->count != b->count) {
        ms_verdict_differs(verdict, against, "interests: %d, there %d", a->count, b->count);
        verdict->largest = (double)INFINITY;
        return;
    }
    double vectors = ms_largest_difference(a->vectors, b->vectors, count * dim, &place);
    if (!(vectors <= tolerance)) {
        ms_verdict_differs(verdict, against, "vector");
        verdict->largest = vectors;
        verdict->slot = (int)(place / dim);
        return;
    }
    double weights = ms_largest_difference(a->weights, b->weights, count, &place);
    if (!(weights <= tolerance)) {
        ms_verdict_differs(verdict, against, "weight");
        verdict->largest = weights;
        verdict->slot = (int)place;
    }
}

/* ---- which users ---- */

uint64_t ms_verify_hash(struct ms_bytes id)
{
    return ms_digest(id.data, id.size);
}

bool ms_verify_samples(const struct ms_verify *verify, struct ms_bytes id)
{
    return ms_verify_hash(id) <= verify->most_hash;
}

bool ms_verify_turn(const struct ms_verify *verify, struct ms_bytes id)
{
    uint64_t hash = ms_verify_hash(id);
    return hash <= verify->most_hash && hash % verify->buckets == verify->bucket;
}
