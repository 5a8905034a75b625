/* Growing an array by doubling. */
#ifndef MS_BASE_ARRAY_H
#define MS_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

/* Makes room for |want| elements of |size| bytes in the array at *array (NULL at first), of which *capacity
 * elements exist. |array| is the address of the pointer, whatever it points to. False when memory ended; the
 * array is as it was then. */
bool ms_array_reserve(void *array, size_t *capacity, size_t want, size_t size);

#endif
