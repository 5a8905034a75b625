/* Users in memory: the table that holds them, the index that finds them, and the rule by which they leave.
 *
 * The cache does no I/O and changes no user. It tells three kinds of users apart:
 *
 *   clean    as encoded last. The database holds its current value, unless it is pinned.
 *   dirty    changed since it was last encoded, or never encoded.
 *   pinned   encoded by a flush that is running or has failed: the database lacks its current value.
 *
 * A user that changes while it is pinned is dirty and pinned. Only clean users that are not pinned and that
 * the worker does not hold (MS_MARK_HELD) are evicted, by CLOCK: a hand goes round the
 * entries, takes the mark of use from those that have it and evicts those that have none.
 *
 * An entry is known by its index, which stays until the user leaves. Belongs to one thread. */
#ifndef MS_STATE_CACHE_H
#define MS_STATE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/index.h"
#include "state/entry.h"
#include "state/key.h"
#include "state/key_order.h"

struct ms_cache {
    struct ms_index index;
    struct ms_entry *entries;
    uint32_t count, capacity; /* of entries, the free ones included */
    uint32_t *free_entries;
    uint32_t free_count;
    uint32_t users;
    uint32_t hand; /* of the CLOCK: the next entry to look at */
    size_t bytes, dirty_bytes, pinned_bytes;
    uint32_t flush;            /* number of the last flush: 1, 2, ... */
    bool pins;                 /* the users of that flush are pinned */
    struct ms_sort_key *dirty; /* [capacity] */
    uint32_t dirty_count;
    bool all_in_memory[MS_MAX_PARTITIONS]; /* a user of this partition who is not here does not exist */
    /* scratch of ms_cache_begin_flush */
    struct ms_sort_key *sort_scratch;
    size_t sort_capacity;
    struct ms_user **flushed;
    size_t flushed_capacity;
};

/* Readies a zeroed cache. False when memory ended. */
bool ms_cache_init(struct ms_cache *cache);
void ms_cache_free(struct ms_cache *cache);

/* The index of a user's entry; MS_INDEX_EMPTY where it is not in memory. |hash| is ms_cache_hash of both. */
uint32_t ms_cache_find(const struct ms_cache *cache, uint16_t partition, struct ms_bytes id, uint64_t hash);
uint64_t ms_cache_hash(uint16_t partition, struct ms_bytes id);

/* Adds a user who is not in the cache. The cache owns it from then on. False when memory ended. */
bool ms_cache_add(struct ms_cache *cache, struct ms_user *user, uint64_t hash, uint32_t *index);

/* Removes an entry that is not dirty, and frees its user. */
void ms_cache_remove(struct ms_cache *cache, uint32_t index);

/* Gives an entry its user again after a call that may have moved or replaced it. |bytes_before| is
 * block_bytes from before that call. */
void ms_cache_replace(struct ms_cache *cache, struct ms_entry *entry, struct ms_user *user,
                      uint32_t bytes_before);

void ms_cache_mark_dirty(struct ms_cache *cache, uint32_t index);

/* Evicts until all users take no more than |memory_bytes|, or than the dirty and pinned ones take. */
void ms_cache_evict(struct ms_cache *cache, size_t memory_bytes);

/* Hands out the dirty users in key order, to be encoded at once; encoding must not move them. From now on they
 * are clean, and pinned until ms_cache_unpin. The list holds until the next call. False when memory ended:
 * nothing has changed then. */
bool ms_cache_begin_flush(struct ms_cache *cache, struct ms_user ***users, size_t *count);

/* The last flush has reached the database. */
void ms_cache_unpin(struct ms_cache *cache);

/* Frees all users of a partition, dirty or not. */
void ms_cache_drop(struct ms_cache *cache, uint16_t partition);
/* Frees all users of all partitions. */
void ms_cache_drop_all(struct ms_cache *cache);

#endif
