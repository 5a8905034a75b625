/* Growing an array by doubling. */
#include "base/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

bool ms_array_reserve(void *array, size_t *capacity, size_t want, size_t size)
{
    if (*capacity >= want)
        return true;
    size_t next = *capacity ? *capacity : FIRST_CAPACITY;
    while (next < want && next <= SIZE_MAX / 2 / size)
        next *= 2;
    if (next < want)
        return false;
    void *old; /* copied by its bytes: pointers to other types may not be read through a void ** */
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, next * size);
    if (!grown)
        return false;
    memcpy(array, &grown, sizeof grown);
    *capacity = next;
    return true;
}
