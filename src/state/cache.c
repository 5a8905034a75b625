/* The table of users, its index, and CLOCK eviction. */
#include "state/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/array.h"

#define FIRST_ENTRIES 1024
#define ENTRIES_AHEAD 24 /* how far ahead an entry is brought towards the CPU's cache */

uint64_t ms_cache_hash(uint16_t partition, struct ms_bytes id)
{
    return XXH3_64bits_withSeed(id.data, id.size, partition);
}

static uint64_t hash_of(void *context, uint32_t index)
{
    return ((const struct ms_cache *)context)->entries[index].hash;
}

static struct ms_bytes id_of(void *context, uint32_t index)
{
    return ms_user_id(((const struct ms_cache *)context)->entries[index].user);
}

bool ms_cache_init(struct ms_cache *cache)
{
    return ms_index_init(&cache->index, FIRST_ENTRIES);
}

void ms_cache_free(struct ms_cache *cache)
{
    for (uint32_t i = 0; i < cache->count; i++)
        free(cache->entries[i].user);
    ms_index_free(&cache->index);
    free(cache->entries);
    free(cache->free_entries);
    free(cache->dirty);
    free(cache->sort_scratch);
    free(cache->flushed);
}

/* ---- entries ---- */

/* Makes room for one more entry. The entries, the free ones and the dirty ones grow together, so that neither
 * removing an entry nor marking one dirty can fail. */
static bool reserve_entry(struct ms_cache *cache)
{
    if (cache->free_count || cache->count < cache->capacity)
        return true;
    uint32_t capacity = cache->capacity ? cache->capacity * 2 : FIRST_ENTRIES;
    struct ms_entry *entries = realloc(cache->entries, capacity * sizeof *entries);
    if (entries)
        cache->entries = entries;
    uint32_t *free_entries = realloc(cache->free_entries, capacity * sizeof *free_entries);
    if (free_entries)
        cache->free_entries = free_entries;
    struct ms_sort_key *dirty = realloc(cache->dirty, capacity * sizeof *dirty);
    if (dirty)
        cache->dirty = dirty;
    if (!entries || !free_entries || !dirty)
        return false;
    cache->capacity = capacity;
    return true;
}

uint32_t ms_cache_find(const struct ms_cache *cache, uint16_t partition, struct ms_bytes id, uint64_t hash)
{
    uint32_t cursor = ms_index_start(&cache->index, hash), index;
    while (ms_index_next(&cache->index, hash, &cursor, &index)) {
        const struct ms_user *user = cache->entries[index].user;
        if (user->partition == partition && user->id_bytes == id.size &&
            memcmp(ms_user_id_bytes(user), id.data, id.size) == 0)
            return index;
    }
    return MS_INDEX_EMPTY;
}

bool ms_cache_add(struct ms_cache *cache, struct ms_user *user, uint64_t hash, uint32_t *index)
{
    if (!reserve_entry(cache))
        return false;
    uint32_t at = cache->free_count ? cache->free_entries[cache->free_count - 1] : cache->count;
    cache->entries[at] = (struct ms_entry){.user = user, .hash = hash, .marks = MS_MARK_USED};
    if (!ms_index_add(&cache->index, hash, at, hash_of, cache)) {
        cache->entries[at] = (struct ms_entry){0};
        return false;
    }
    if (cache->free_count)
        cache->free_count--;
    else
        cache->count++;
    cache->users++;
    cache->bytes += user->block_bytes;
    *index = at;
    return true;
}

static void remove_entry(struct ms_cache *cache, uint32_t index)
{
    struct ms_entry *entry = &cache->entries[index];
    ms_index_remove(&cache->index, entry->hash, index, hash_of, cache);
    cache->all_in_memory[entry->user->partition] = false;
    cache->bytes -= entry->user->block_bytes;
    free(entry->user);
    *entry = (struct ms_entry){0};
    cache->free_entries[cache->free_count++] = index;
    cache->users--;
}

void ms_cache_remove(struct ms_cache *cache, uint32_t index)
{
    assert(!(cache->entries[index].marks & MS_MARK_DIRTY));
    remove_entry(cache, index);
}

void ms_cache_replace(struct ms_cache *cache, struct ms_entry *entry, struct ms_user *user,
                      uint32_t bytes_before)
{
    entry->user = user;
    cache->bytes += (size_t)user->block_bytes - bytes_before;
    if (entry->marks & MS_MARK_DIRTY)
        cache->dirty_bytes += (size_t)user->block_bytes - bytes_before;
}

void ms_cache_mark_dirty(struct ms_cache *cache, uint32_t index)
{
    struct ms_entry *entry = &cache->entries[index];
    if (entry->marks & MS_MARK_DIRTY)
        return;
    entry->marks |= MS_MARK_DIRTY;
    cache->dirty[cache->dirty_count++] = ms_sort_key(entry->user->partition, ms_user_id(entry->user), index);
    cache->dirty_bytes += entry->user->block_bytes;
}

/* ---- leaving ---- */

static bool may_leave(const struct ms_cache *cache, const struct ms_entry *entry)
{
    return entry->user && !(entry->marks & (MS_MARK_DIRTY | MS_MARK_HELD)) &&
           !(cache->pins && entry->flush == cache->flush);
}

void ms_cache_evict(struct ms_cache *cache, size_t memory_bytes)
{
    size_t bound = cache->dirty_bytes + (cache->pins ? cache->pinned_bytes : 0);
    if (bound < memory_bytes)
        bound = memory_bytes;
    /* Twice round: the first time takes the marks of use. */
    for (uint64_t steps = 0; cache->bytes > bound && steps < 2 * (uint64_t)cache->count; steps++) {
        if (cache->hand >= cache->count)
            cache->hand = 0;
        struct ms_entry *entry = &cache->entries[cache->hand];
        if (may_leave(cache, entry)) {
            if (entry->marks & MS_MARK_USED)
                entry->marks &= (uint16_t)~MS_MARK_USED;
            else
                remove_entry(cache, cache->hand);
        }
        cache->hand++;
    }
}

void ms_cache_drop(struct ms_cache *cache, uint16_t partition)
{
    uint32_t kept = 0;
    cache->all_in_memory[partition] = false;
    for (uint32_t i = 0; i < cache->dirty_count; i++) {
        if (cache->dirty[i].partition == partition)
            cache->dirty_bytes -= cache->entries[cache->dirty[i].index].user->block_bytes;
        else
            cache->dirty[kept++] = cache->dirty[i];
    }
    cache->dirty_count = kept;
    for (uint32_t i = 0; i < cache->count; i++) {
        if (cache->entries[i].user && cache->entries[i].user->partition == partition)
            remove_entry(cache, i);
    }
}

void ms_cache_drop_all(struct ms_cache *cache)
{
    cache->dirty_count = 0;
    cache->dirty_bytes = 0;
    memset(cache->all_in_memory, 0, sizeof cache->all_in_memory);
    for (uint32_t i = 0; i < cache->count; i++) {
        if (cache->entries[i].user)
            remove_entry(cache, i);
    }
}

/* ---- flushing ---- */

bool ms_cache_begin_flush(struct ms_cache *cache, struct ms_user ***users, size_t *count)
{
    uint32_t dirty = cache->dirty_count;
    if (!ms_array_reserve(&cache->sort_scratch, &cache->sort_capacity, dirty, sizeof *cache->sort_scratch) ||
        !ms_array_reserve(&cache->flushed, &cache->flushed_capacity, dirty, sizeof(struct ms_user *)))
        return false;
    ms_sort_keys(cache->dirty, cache->sort_scratch, dirty, id_of, cache);
    cache->flush++;
    cache->pins = true;
    cache->pinned_bytes = cache->dirty_bytes;
    for (uint32_t i = 0; i < dirty; i++) {
        if (i + ENTRIES_AHEAD < dirty)
            __builtin_prefetch(&cache->entries[cache->dirty[i + ENTRIES_AHEAD].index], 1);
        struct ms_entry *entry = &cache->entries[cache->dirty[i].index];
        entry->marks &= (uint16_t)~MS_MARK_DIRTY;
        entry->flush = cache->flush;
        cache->flushed[i] = entry->user;
    }
    cache->dirty_count = 0;
    cache->dirty_bytes = 0;
    *users = cache->flushed;
    *count = dirty;
    return true;
}

void ms_cache_unpin(struct ms_cache *cache)
{
    cache->pins = false;
}
