/* An open-addressing hash index from 64-bit hashes to 32-bit values. Keys live with the caller, who compares
 * them:
 *
 *     uint32_t cursor = ms_index_start(&index, hash), value;
 *     while (ms_index_next(&index, hash, &cursor, &value))
 *         if (key of value is the one) return value;
 *
 * Linear probing with back-shift deletion, so look-ups never slow down with age. One thread at a time. */
#ifndef MS_BASE_INDEX_H
#define MS_BASE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS_INDEX_EMPTY UINT32_MAX /* no value may be this */

struct ms_index_slot {
    uint32_t tag; /* upper half of the hash */
    uint32_t value;
};

struct ms_index {
    struct ms_index_slot *slots;
    uint32_t mask; /* slots - 1, a power of two less one */
    uint32_t count;
};

/* Room for |expected| entries without growing. False when memory ended. */
bool ms_index_init(struct ms_index *index, uint32_t expected);
void ms_index_free(struct ms_index *index);

/* Adds a value (the caller knows the key is new). |hash_of| gives the hash of a stored value, for growing. */
bool ms_index_add(struct ms_index *index, uint64_t hash, uint32_t value,
                  uint64_t (*hash_of)(void *context, uint32_t value), void *context);
/* Removes |value|, stored under |hash|; it must be there. */
void ms_index_remove(struct ms_index *index, uint64_t hash, uint32_t value,
                     uint64_t (*hash_of)(void *context, uint32_t value), void *context);

static inline uint32_t ms_index_start(const struct ms_index *index, uint64_t hash)
{
    return (uint32_t)hash & index->mask;
}

static inline bool ms_index_next(const struct ms_index *index, uint64_t hash, uint32_t *cursor,
                                 uint32_t *value)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    for (;;) {
        const struct ms_index_slot *slot = &index->slots[*cursor];
        *cursor = (*cursor + 1) & index->mask;
        if (slot->value == MS_INDEX_EMPTY)
            return false;
        if (slot->tag == tag) {
            *value = slot->value;
            return true;
        }
    }
}

/* Brings the slot of |hash| towards the cache ahead of a look-up. */
static inline void ms_index_prefetch(const struct ms_index *index, uint64_t hash)
{
    __builtin_prefetch(&index->slots[(uint32_t)hash & index->mask]);
}

#endif
