/* Scratch memory: measured first, then taken from one block. */
#include "interest/extractor.h"

void *ms_carve(struct ms_carver *carver, size_t a, size_t b, size_t element)
{
    size_t bytes, end;
    if (__builtin_mul_overflow(a, b, &bytes) || __builtin_mul_overflow(bytes, element, &bytes) ||
        bytes > SIZE_MAX - 64 || __builtin_add_overflow(carver->used, ms_round_up(bytes, 64), &end)) {
        carver->overflow = true;
        return NULL;
    }
    void *at = carver->block ? carver->block + carver->used : NULL;
    carver->used = end;
    return at;
}
