/* Sorting users by their keys: by partition, then by the bytes of the id.
 *
 * A sort key carries the first 16 bytes of the id. They are copied when the user becomes dirty and is in the
 * CPU's cache. So sorting does not touch the users, which have left the CPU's cache by then. */
#ifndef MS_STATE_KEY_ORDER_H
#define MS_STATE_KEY_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"

struct ms_sort_key {
    uint64_t front[2]; /* the id's first 16 bytes, big-endian, padded with zeros */
    uint32_t index;    /* of the user, as the caller numbers them */
    uint16_t partition;
};

/* The sort key of a user. */
struct ms_sort_key ms_sort_key(uint16_t partition, struct ms_bytes id, uint32_t index);

/* Sorts keys[0..count). |scratch| [count] is overwritten. |id_of| gives the whole id of the user with an index;
 * it is called only where partition and front are the same. */
void ms_sort_keys(struct ms_sort_key *keys, struct ms_sort_key *scratch, size_t count,
                  struct ms_bytes (*id_of)(void *context, uint32_t index), void *context);

#endif
