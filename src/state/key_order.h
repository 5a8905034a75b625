/* Putting users in the order of their keys: by partition, then by the bytes of the id.
 *
 * What is sorted carries the first 16 bytes of the id, taken when the user was at hand, so that sorting does
 * not touch the users themselves: hundreds of thousands a second, cold by then. */
#ifndef MS_STATE_KEY_ORDER_H
#define MS_STATE_KEY_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"

struct ms_sort_key {
    uint64_t front[2]; /* the id's first 16 bytes, big-endian, filled up with zeros */
    uint32_t index;    /* the caller's: which user it is */
    uint16_t partition;
};

struct ms_sort_key ms_sort_key(uint16_t partition, struct ms_bytes id, uint32_t index);

/* Sorts keys[0..count) with |scratch| [count] for its own use. |id_of| gives the whole id of the user with an
 * index; it is asked only where partition and front are the same. */
void ms_sort_keys(struct ms_sort_key *keys, struct ms_sort_key *scratch, size_t count,
                  struct ms_bytes (*id_of)(void *context, uint32_t index), void *context);

#endif
