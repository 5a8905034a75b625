/* Insert, grow, and back-shift removal. */
#include "base/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct ms_index_slot *new_slots(uint32_t count)
{
    struct ms_index_slot *slots = malloc(count * sizeof *slots);
    if (slots)
        memset(slots, 0xff, count * sizeof *slots);
    return slots;
}

bool ms_index_init(struct ms_index *index, uint32_t expected)
{
    uint32_t count = 16;
    while (count < UINT32_C(1) << 31 && count / 4 * 3 < expected)
        count *= 2;
    index->slots = new_slots(count);
    index->mask = count - 1;
    index->count = 0;
    return index->slots != NULL;
}

void ms_index_free(struct ms_index *index)
{
    free(index->slots);
    index->slots = NULL;
    index->mask = index->count = 0;
}

static void insert_slot(struct ms_index_slot *slots, uint32_t mask, uint64_t hash, uint32_t value)
{
    uint32_t at = (uint32_t)hash & mask;
    while (slots[at].value != MS_INDEX_EMPTY)
        at = (at + 1) & mask;
    slots[at] = (struct ms_index_slot){.tag = (uint32_t)(hash >> 32), .value = value};
}

bool ms_index_add(struct ms_index *index, uint64_t hash, uint32_t value,
                  uint64_t (*hash_of)(void *context, uint32_t value), void *context)
{
    assert(value != MS_INDEX_EMPTY);
    if (index->count >= index->mask / 4 * 3) {
        if (index->mask >= UINT32_C(1) << 30)
            return false;
        uint32_t count = (index->mask + 1) * 2;
        struct ms_index_slot *slots = new_slots(count);
        if (!slots)
            return false;
        for (uint32_t i = 0; i <= index->mask; i++) {
            if (index->slots[i].value != MS_INDEX_EMPTY)
                insert_slot(slots, count - 1, hash_of(context, index->slots[i].value), index->slots[i].value);
        }
        free(index->slots);
        index->slots = slots;
        index->mask = count - 1;
    }
    insert_slot(index->slots, index->mask, hash, value);
    index->count++;
    return true;
}

void ms_index_remove(struct ms_index *index, uint64_t hash, uint32_t value,
                     uint64_t (*hash_of)(void *context, uint32_t value), void *context)
{
    uint32_t mask = index->mask;
    uint32_t hole = (uint32_t)hash & mask;
    while (index->slots[hole].value != value) {
        assert(index->slots[hole].value != MS_INDEX_EMPTY);
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; index->slots[at].value != MS_INDEX_EMPTY; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)hash_of(context, index->slots[at].value) & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            index->slots[hole] = index->slots[at];
            hole = at;
        }
    }
    index->slots[hole] = (struct ms_index_slot){.tag = UINT32_MAX, .value = MS_INDEX_EMPTY};
    index->count--;
}
