/* One worker's users: finding and loading them, changing them, and writing them back. */
#include "state/overlay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "state/cache.h"
#include "state/flight.h"
#include "state/flush.h"
#include "user/codec.h"

#define HISTORIES_TOGETHER 64  /* users whose chunks are looked up at once */
#define ROWS_TOGETHER      128 /* rows of a flush between two pauses */
#define DIRTY_AHEAD        16  /* how far ahead a dirty user is brought towards the CPU's cache */

/* Indices of entries. */
struct index_list {
    uint32_t *at;
    size_t count, capacity;
};

struct ms_overlay {
    struct ms_store *store;
    struct ms_fold_context *fold_context;
    size_t memory_bytes;
    uint32_t owner;
    struct ms_cache cache;
    struct ms_flight flight;
    struct ms_overlay_reads reads;
    void (*pause)(void *context); /* NULL: none */
    void *pause_context;
    bool scattered; /* some dirty users may need their histories before they are encoded */
    /* scratch of a find */
    struct index_list missing;   /* added by this find; their head rows are to be looked up */
    struct index_list histories; /* their chunks are to be read */
    struct ms_key_list keys;
    struct ms_store_values values;
    /* scratch of a flush */
    struct ms_flush flush;
    struct ms_flush_row *rows;
    uint16_t *partitions; /* of the file on its way */
    size_t rows_capacity, partitions_capacity;
};

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for the users");
}

static bool list_add(struct index_list *list, uint32_t index)
{
    if (!ms_array_reserve(&list->at, &list->capacity, list->count + 1, sizeof *list->at))
        return false;
    list->at[list->count++] = index;
    return true;
}

uint64_t ms_overlay_hash(uint16_t partition, struct ms_bytes id)
{
    return ms_cache_hash(partition, id);
}

enum ms_status ms_overlay_new(struct ms_overlay **out, struct ms_store *store,
                              struct ms_fold_context *fold_context, size_t memory_bytes, uint32_t owner,
                              struct ms_error *error)
{
    assert(owner != MS_NO_OWNER);
    struct ms_overlay *overlay = calloc(1, sizeof *overlay);
    if (!overlay || !ms_cache_init(&overlay->cache)) {
        free(overlay);
        return no_memory(error);
    }
    overlay->store = store;
    overlay->fold_context = fold_context;
    overlay->memory_bytes = memory_bytes;
    overlay->owner = owner;
    *out = overlay;
    return MS_OK;
}

/* Has the file on its way arrive without waiting for compactions. */
static void land(struct ms_overlay *overlay)
{
    ms_flight_hurry(&overlay->flight, true);
    ms_flight_join(&overlay->flight);
    ms_flight_hurry(&overlay->flight, false);
}

void ms_overlay_destroy(struct ms_overlay *overlay)
{
    if (!overlay)
        return;
    land(overlay);
    ms_cache_free(&overlay->cache);
    ms_flush_free(&overlay->flush);
    ms_key_list_free(&overlay->keys);
    ms_store_values_free(&overlay->values);
    free(overlay->missing.at);
    free(overlay->histories.at);
    free(overlay->rows);
    free(overlay->partitions);
    free(overlay);
}

static struct ms_entry *entry_at(struct ms_overlay *overlay, uint32_t index)
{
    return &overlay->cache.entries[index];
}

struct ms_entry *ms_overlay_entry(struct ms_overlay *overlay, uint32_t index)
{
    assert(index < overlay->cache.count && overlay->cache.entries[index].user);
    return entry_at(overlay, index);
}

void ms_overlay_set_memory(struct ms_overlay *overlay, size_t memory_bytes)
{
    overlay->memory_bytes = memory_bytes;
}

size_t ms_overlay_bytes(const struct ms_overlay *overlay)
{
    return overlay->cache.bytes;
}

size_t ms_overlay_dirty_bytes(const struct ms_overlay *overlay)
{
    return overlay->cache.dirty_bytes;
}

size_t ms_overlay_users(const struct ms_overlay *overlay)
{
    return overlay->cache.users;
}

size_t ms_overlay_dirty_users(const struct ms_overlay *overlay)
{
    return overlay->cache.dirty_count;
}

struct ms_overlay_reads ms_overlay_reads(const struct ms_overlay *overlay)
{
    return overlay->reads;
}

void ms_overlay_nothing_stored(struct ms_overlay *overlay, uint16_t partition)
{
    overlay->cache.all_in_memory[partition] = true;
}

/* ---- loading ---- */

static int by_key(const void *a, const void *b, void *context)
{
    const struct ms_overlay *overlay = context;
    const struct ms_user *x = overlay->cache.entries[*(const uint32_t *)a].user;
    const struct ms_user *y = overlay->cache.entries[*(const uint32_t *)b].user;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    size_t shorter = x->id_bytes < y->id_bytes ? x->id_bytes : y->id_bytes;
    int order = memcmp(ms_user_id_bytes(x), ms_user_id_bytes(y), shorter);
    return order ? order : (x->id_bytes > y->id_bytes) - (x->id_bytes < y->id_bytes);
}

/* Looks up the listed keys. */
static enum ms_status get_keys(struct ms_overlay *overlay, struct ms_error *error)
{
    const struct ms_bytes *keys = ms_key_list_keys(&overlay->keys);
    return keys ? ms_store_get(overlay->store, keys, overlay->keys.count, &overlay->values, error)
                : no_memory(error);
}

/* Reads the head rows of the missing users in one look-up. Users without a row stay new. */
static enum ms_status read_heads(struct ms_overlay *overlay, struct ms_error *error)
{
    const struct index_list *missing = &overlay->missing;
    if (missing->count == 0)
        return MS_OK;
    qsort_r(missing->at, missing->count, sizeof *missing->at, by_key, overlay);
    ms_key_list_clear(&overlay->keys);
    for (size_t i = 0; i < missing->count; i++) {
        const struct ms_user *user = entry_at(overlay, missing->at[i])->user;
        if (!ms_key_list_add_user(&overlay->keys, user->partition, ms_user_id(user)))
            return no_memory(error);
    }
    enum ms_status status = get_keys(overlay, error);
    overlay->reads.users += missing->count;
    for (size_t i = 0; status == MS_OK && i < missing->count; i++) {
        struct ms_entry *entry = entry_at(overlay, missing->at[i]);
        struct ms_user *loaded;
        if (!overlay->values.values[i].data)
            continue;
        overlay->reads.found++;
        status = ms_user_decode_head(&loaded, entry->user->partition, ms_user_id(entry->user),
                                     overlay->values.values[i], error);
        if (status == MS_OK) {
            uint32_t before = entry->user->block_bytes;
            free(entry->user);
            ms_cache_replace(&overlay->cache, entry, loaded, before);
        }
    }
    ms_store_values_release(&overlay->values);
    return status;
}

static enum ms_status partition_taken(struct ms_error *error)
{
    return ms_fail(error, MS_KAFKA_ABORT, "another worker has taken a partition");
}

/* The chunks of a user that was just encoded may be on their way. */
static enum ms_status wait_for_chunks(struct ms_overlay *overlay, struct ms_error *error)
{
    bool lost;
    enum ms_status status = ms_flight_wait(&overlay->flight, &lost, error);
    return status == MS_OK && lost ? partition_taken(error) : status;
}

/* Reads the chunk rows of |count| users in one look-up. All of them are complete then. */
static enum ms_status read_chunks(struct ms_overlay *overlay, const uint32_t *indices, size_t count,
                                  struct ms_error *error)
{
    enum ms_status status = wait_for_chunks(overlay, error);
    if (status != MS_OK)
        return status;
    ms_key_list_clear(&overlay->keys);
    for (size_t i = 0; i < count; i++) {
        const struct ms_user *user = entry_at(overlay, indices[i])->user;
        for (uint32_t c = user->first_chunk; c != user->sealed; c = ms_chunk_number(c + 1)) {
            if (!ms_key_list_add_chunk(&overlay->keys, user->partition, ms_user_id(user), c))
                return no_memory(error);
        }
    }
    status = get_keys(overlay, error);
    overlay->reads.chunks += overlay->keys.count;
    size_t next = 0;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        struct ms_entry *entry = entry_at(overlay, indices[i]);
        struct ms_user *user = entry->user;
        size_t chunks = ms_user_live_chunks(user);
        uint32_t before = user->block_bytes;
        ms_user_trim(user); /* or what memory holds of the chunks would come twice */
        status = ms_user_decode_chunks(&user, overlay->values.values + next, chunks, error);
        ms_cache_replace(&overlay->cache, entry, user, before);
        next += chunks;
        /* A new owner may have written between our reads of the head and of the chunks: no damage then. */
        if (status != MS_OK && !ms_store_owns(overlay->store, user->partition, overlay->owner))
            status = partition_taken(error);
    }
    ms_store_values_release(&overlay->values);
    return status;
}

enum ms_status ms_overlay_complete(struct ms_overlay *overlay, uint32_t index, struct ms_error *error)
{
    if (entry_at(overlay, index)->user->complete)
        return MS_OK;
    enum ms_status status = read_chunks(overlay, &index, 1, error);
    if (status == MS_OK && !overlay->fold_context->incremental)
        ms_user_resolve(entry_at(overlay, index)->user, overlay->fold_context->model);
    return status;
}

/* Reads the histories that the wanted users need. */
static enum ms_status read_histories(struct ms_overlay *overlay, const struct ms_wanted *wanted, size_t count,
                                     struct ms_error *error)
{
    struct index_list *list = &overlay->histories;
    enum ms_status status = MS_OK;
    list->count = 0;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        struct ms_entry *entry = entry_at(overlay, wanted[i].entry);
        if ((entry->marks & MS_MARK_LISTED) ||
            !ms_fold_needs_history(overlay->fold_context, entry->user, wanted[i].time_ms))
            continue;
        if (list_add(list, wanted[i].entry))
            entry->marks |= MS_MARK_LISTED;
        else
            status = no_memory(error);
    }
    for (size_t i = 0; i < list->count; i++)
        entry_at(overlay, list->at[i])->marks &= (uint16_t)~MS_MARK_LISTED;
    for (size_t at = 0; status == MS_OK && at < list->count; at += HISTORIES_TOGETHER) {
        size_t left = list->count - at;
        status = read_chunks(overlay, list->at + at, left < HISTORIES_TOGETHER ? left : HISTORIES_TOGETHER,
                             error);
    }
    return status;
}

/* Makes a user that came from its head row ready for events: resolves the items that full routing needs, or
 * refolds it, because it was stored without its sums or under another fold id. */
static enum ms_status make_ready(struct ms_overlay *overlay, struct ms_entry *entry, struct ms_error *error)
{
    struct ms_fold_context *fold_context = overlay->fold_context;
    struct ms_user *user = entry->user;
    bool same_fold = user->fold_id == fold_context->fold_id;
    bool new_user = user->version == 0 && user->floats == fold_context->first_floats;
    entry->slots_stored = user->slots;
    enum ms_status status = ms_fold_check(fold_context, user, error);
    if (status != MS_OK)
        return status;
    if (!user->sums_left_out && (same_fold || new_user)) {
        if (user->complete && !fold_context->incremental)
            ms_user_resolve(user, fold_context->model);
        return MS_OK;
    }
    uint32_t before = user->block_bytes;
    bool done = ms_refold(fold_context, &user);
    ms_cache_replace(&overlay->cache, entry, user, before);
    if (user->version && !same_fold)
        entry->marks |= MS_MARK_REFOLDED;
    return done ? MS_OK : no_memory(error);
}

/* Loads the missing users, and the histories that the wanted ones need. */
static enum ms_status load(struct ms_overlay *overlay, const struct ms_wanted *wanted, size_t count,
                           struct ms_error *error)
{
    enum ms_status status = read_heads(overlay, error);
    if (status == MS_OK)
        status = read_histories(overlay, wanted, count, error);
    for (size_t i = 0; status == MS_OK && i < overlay->missing.count; i++)
        status = make_ready(overlay, entry_at(overlay, overlay->missing.at[i]), error);
    return status;
}

/* ---- finding ---- */

/* Brings what finding the users will touch towards the CPU's cache, one step of all look-ups after the other:
 * index, entry, front of the user. The entries are guesses, by the upper half of the hash alone. */
static void prefetch_wanted(const struct ms_cache *cache, struct ms_wanted *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ms_index_prefetch(&cache->index, wanted[i].hash);
    for (size_t i = 0; i < count; i++) {
        uint32_t cursor = ms_index_start(&cache->index, wanted[i].hash);
        if (ms_index_next(&cache->index, wanted[i].hash, &cursor, &wanted[i].entry))
            __builtin_prefetch(&cache->entries[wanted[i].entry], 1);
        else
            wanted[i].entry = MS_INDEX_EMPTY;
    }
    for (size_t i = 0; i < count; i++) {
        if (wanted[i].entry == MS_INDEX_EMPTY)
            continue;
        const char *user = (const char *)cache->entries[wanted[i].entry].user;
        __builtin_prefetch(user, 1);
        __builtin_prefetch(user + 64, 1);
        __builtin_prefetch(user + 128, 1);
    }
}

/* Adds a user that is not in memory, as if it were new. */
static enum ms_status add_missing(struct ms_overlay *overlay, struct ms_wanted *want, struct ms_error *error)
{
    struct ms_user *user = ms_user_new(want->partition, want->id, overlay->fold_context->first_floats);
    if (!user || !ms_cache_add(&overlay->cache, user, want->hash, &want->entry)) {
        free(user);
        return no_memory(error);
    }
    if (overlay->cache.all_in_memory[want->partition] || list_add(&overlay->missing, want->entry))
        return MS_OK;
    ms_cache_remove(&overlay->cache, want->entry);
    return no_memory(error);
}

enum ms_status ms_overlay_find(struct ms_overlay *overlay, struct ms_wanted *wanted, size_t count,
                               struct ms_error *error)
{
    struct ms_cache *cache = &overlay->cache;
    if (ms_flight_succeeded(&overlay->flight))
        ms_cache_unpin(cache);
    if (cache->bytes > overlay->memory_bytes)
        ms_cache_evict(cache, overlay->memory_bytes);
    prefetch_wanted(cache, wanted, count);
    overlay->missing.count = 0;
    bool histories = false;
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < count && status == MS_OK; i++) {
        struct ms_wanted *want = &wanted[i];
        want->entry = ms_cache_find(cache, want->partition, want->id, want->hash);
        if (want->entry == MS_INDEX_EMPTY) {
            status = add_missing(overlay, want, error);
            continue;
        }
        struct ms_entry *entry = &cache->entries[want->entry];
        entry->marks |= MS_MARK_USED;
        histories |= ms_fold_needs_history(overlay->fold_context, entry->user, want->time_ms);
    }
    if (status == MS_OK && (overlay->missing.count || histories))
        status = load(overlay, wanted, count, error);
    if (status != MS_OK) {
        for (size_t i = 0; i < overlay->missing.count; i++)
            ms_cache_remove(cache, overlay->missing.at[i]);
    }
    return status;
}

const struct ms_user *ms_overlay_peek(const struct ms_overlay *overlay, uint16_t partition,
                                      struct ms_bytes id, uint64_t hash)
{
    uint32_t index = ms_cache_find(&overlay->cache, partition, id, hash);
    return index == MS_INDEX_EMPTY ? NULL : overlay->cache.entries[index].user;
}

/* ---- changing users ---- */

static void changed(struct ms_overlay *overlay, uint32_t index)
{
    ms_cache_mark_dirty(&overlay->cache, index);
    overlay->scattered |= ms_flush_needs_history(entry_at(overlay, index)->user);
}

enum ms_status ms_overlay_fold(struct ms_overlay *overlay, uint32_t index, const struct ms_event *event,
                               uint32_t item, int64_t offset, enum ms_folded *folded, struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(overlay, index);
    if (ms_fold_needs_history(overlay->fold_context, entry->user, event->time_ms)) {
        enum ms_status status = ms_overlay_complete(overlay, index, error);
        if (status != MS_OK)
            return status;
    }
    struct ms_user *user = entry->user;
    uint32_t before = user->block_bytes;
    enum ms_folded result = ms_fold(overlay->fold_context, &user, event, item);
    ms_cache_replace(&overlay->cache, entry, user, before);
    if (result == MS_NO_MEMORY)
        return no_memory(error);
    user->own_offset = offset + 1;
    if (result == MS_FOLDED)
        changed(overlay, index);
    *folded = result;
    return MS_OK;
}

enum ms_status ms_overlay_set_profile(struct ms_overlay *overlay, uint32_t index, struct ms_bytes profile,
                                      int64_t offset, struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(overlay, index);
    struct ms_user *user = entry->user;
    uint32_t before = user->block_bytes;
    bool done = ms_user_set_profile(&user, profile);
    ms_cache_replace(&overlay->cache, entry, user, before);
    if (!done)
        return no_memory(error);
    user->profile_offset = offset + 1;
    user->version += user->version > 0;
    changed(overlay, index);
    return MS_OK;
}

void ms_overlay_touch(struct ms_overlay *overlay, uint32_t index)
{
    changed(overlay, index);
}

void ms_overlay_forget(struct ms_overlay *overlay, uint32_t index, int64_t offset)
{
    struct ms_user *user = ms_overlay_entry(overlay, index)->user;
    ms_user_clear(user);
    user->own_offset = offset + 1;
    changed(overlay, index);
}

/* ---- flushing ---- */

/* Reads the histories that dirty users need before they are encoded. Late events to long histories alone make
 * such users, so there are seldom any. */
static enum ms_status complete_dirty(struct ms_overlay *overlay, struct ms_error *error)
{
    const struct ms_cache *cache = &overlay->cache;
    enum ms_status status = MS_OK;
    for (uint32_t i = 0; overlay->scattered && status == MS_OK && i < cache->dirty_count; i++) {
        if (i + DIRTY_AHEAD < cache->dirty_count)
            __builtin_prefetch(cache->entries[cache->dirty[i + DIRTY_AHEAD].index].user);
        if (ms_flush_needs_history(cache->entries[cache->dirty[i].index].user))
            status = ms_overlay_complete(overlay, cache->dirty[i].index, error);
    }
    if (status == MS_OK)
        overlay->scattered = false;
    return status;
}

static int by_partition(const void *a, const void *b)
{
    uint16_t x = ((const struct ms_flush_row *)a)->partition, y = ((const struct ms_flush_row *)b)->partition;
    return x < y ? -1 : x > y;
}

/* Copies the rows in order of partition, and lists the partitions. */
static bool take_rows(struct ms_overlay *overlay, const struct ms_flush_row *rows, size_t count)
{
    if (!ms_array_reserve(&overlay->rows, &overlay->rows_capacity, count, sizeof *rows) ||
        !ms_array_reserve(&overlay->partitions, &overlay->partitions_capacity, count,
                          sizeof *overlay->partitions))
        return false;
    memcpy(overlay->rows, rows, count * sizeof *rows);
    qsort(overlay->rows, count, sizeof *rows, by_partition);
    for (size_t i = 0; i < count; i++)
        overlay->partitions[i] = overlay->rows[i].partition;
    return true;
}

/* A file that is being written. */
struct writing {
    struct ms_overlay *overlay;
    struct ms_store_file *file;
    unsigned rows;
};

static enum ms_status put_row(void *context, struct ms_bytes key, struct ms_bytes value,
                              struct ms_error *error)
{
    struct writing *writing = context;
    if (++writing->rows % ROWS_TOGETHER == 0 && writing->overlay->pause)
        writing->overlay->pause(writing->overlay->pause_context);
    return ms_store_file_put(writing->file, key, value, error);
}

static enum ms_status remove_row(void *context, struct ms_bytes key, struct ms_error *error)
{
    return ms_store_file_delete(((struct writing *)context)->file, key, error);
}

void ms_overlay_flush_pause(struct ms_overlay *overlay, void (*pause)(void *context), void *context)
{
    overlay->pause = pause;
    overlay->pause_context = context;
}

enum ms_status ms_overlay_flush_begin(struct ms_overlay *overlay, const struct ms_flush_row *rows,
                                      size_t count, struct ms_error *error)
{
    assert(!overlay->flight.open);
    assert(count > 0 || overlay->cache.dirty_count == 0);
    if (count == 0)
        return MS_OK;
    struct ms_store_file *file;
    struct ms_user **users;
    size_t users_count;
    enum ms_status status = complete_dirty(overlay, error);
    if (status == MS_OK && !take_rows(overlay, rows, count))
        status = no_memory(error);
    if (status == MS_OK)
        status = ms_store_file_begin(&file, overlay->store, error);
    if (status != MS_OK)
        return status;
    if (!ms_cache_begin_flush(&overlay->cache, &users, &users_count)) {
        ms_store_file_discard(file);
        return no_memory(error);
    }
    struct writing writing = {overlay, file, 0};
    const struct ms_row_writer writer = {&writing, put_row, remove_row};
    status = ms_flush_encode(&overlay->flush, overlay->fold_context, overlay->rows, count, users, users_count,
                             &writer, error);
    if (status == MS_OK)
        ms_flight_launch(&overlay->flight, file, overlay->partitions, count, overlay->owner);
    else
        ms_store_file_discard(file);
    return status;
}

bool ms_overlay_flush_arrived(const struct ms_overlay *overlay)
{
    return ms_flight_arrived(&overlay->flight);
}

void ms_overlay_flush_hurry(struct ms_overlay *overlay, bool hurry)
{
    ms_flight_hurry(&overlay->flight, hurry);
}

enum ms_status ms_overlay_flush_end(struct ms_overlay *overlay, bool *lost, struct ms_error *error)
{
    ms_flight_join(&overlay->flight);
    if (ms_flight_succeeded(&overlay->flight))
        ms_cache_unpin(&overlay->cache);
    return ms_flight_end(&overlay->flight, lost, error);
}

enum ms_status ms_overlay_flush(struct ms_overlay *overlay, const struct ms_flush_row *rows, size_t count,
                                bool *lost, struct ms_error *error)
{
    enum ms_status status = ms_overlay_flush_begin(overlay, rows, count, error);
    return status == MS_OK ? ms_overlay_flush_end(overlay, lost, error) : status;
}

/* ---- letting a partition go ---- */

void ms_overlay_drop(struct ms_overlay *overlay, uint16_t partition)
{
    land(overlay); /* the next owner reads from the database */
    ms_cache_drop(&overlay->cache, partition);
}

void ms_overlay_drop_all(struct ms_overlay *overlay)
{
    land(overlay);
    ms_cache_drop_all(&overlay->cache);
}
