/* The index of users in memory: finding, loading, changing and evicting them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/array.h"
#include "state/overlay_inside.h"

#define MARK_LISTED 0x8000 /* an entry's, while a batch's histories are gathered: takes each once */

uint64_t ms_overlay_hash(uint16_t partition, struct ms_bytes id)
{
    return XXH3_64bits_withSeed(id.data, id.size, partition);
}

static uint64_t hash_of(void *context, uint32_t value)
{
    return ((const struct ms_overlay *)context)->entries[value].hash;
}

enum ms_status ms_overlay_new(struct ms_overlay **out, struct ms_store *store,
                              struct ms_fold_context *fold_context, size_t memory_bytes, uint32_t owner,
                              struct ms_error *error)
{
    assert(owner != MS_NO_OWNER);
    struct ms_overlay *overlay = calloc(1, sizeof *overlay);
    if (!overlay || !ms_index_init(&overlay->index, 1024)) {
        free(overlay);
        return ms_fail(error, MS_MEMORY, "no memory for the users");
    }
    overlay->store = store;
    overlay->fold_context = fold_context;
    overlay->memory_bytes = memory_bytes;
    overlay->owner = owner;
    /* What one flush writes is bounded by the users in memory, and by nothing else. */
    overlay->chunk_keys.max = overlay->chunk_values.max = SIZE_MAX;
    *out = overlay;
    return MS_OK;
}

void ms_overlay_destroy(struct ms_overlay *overlay)
{
    if (!overlay)
        return;
    ms_flight_free(overlay);
    for (uint32_t i = 0; i < overlay->count; i++)
        free(overlay->entries[i].user);
    ms_index_free(&overlay->index);
    ms_store_values_free(&overlay->values);
    ms_buffer_free(&overlay->key_bytes);
    ms_buffer_free(&overlay->value);
    ms_buffer_free(&overlay->chunk_keys);
    ms_buffer_free(&overlay->chunk_values);
    free(overlay->entries);
    free(overlay->holes);
    free(overlay->dirty);
    free(overlay->missing);
    ms_key_list_free(&overlay->keys);
    free(overlay->sort_scratch);
    free(overlay->chunks);
    free(overlay);
}

struct ms_entry *ms_overlay_entry(struct ms_overlay *overlay, uint32_t place)
{
    assert(place < overlay->count && overlay->entries[place].user);
    return &overlay->entries[place];
}

size_t ms_overlay_bytes(const struct ms_overlay *overlay)
{
    return overlay->bytes;
}

size_t ms_overlay_dirty_bytes(const struct ms_overlay *overlay)
{
    return overlay->dirty_bytes;
}

size_t ms_overlay_users(const struct ms_overlay *overlay)
{
    return overlay->users;
}

size_t ms_overlay_dirty_users(const struct ms_overlay *overlay)
{
    return overlay->dirty_count;
}

/* ---- entries ---- */

/* Room in entries, holes and dirty together: they grow as one, so adding an entry or dirtying one cannot fail
 * later. */
static bool entries_reserve(struct ms_overlay *overlay, uint32_t more)
{
    if (overlay->holes_count + (overlay->capacity - overlay->count) >= more)
        return true;
    uint32_t capacity = overlay->capacity ? overlay->capacity * 2 : 1024;
    while (capacity - overlay->count < more)
        capacity *= 2;
    struct ms_entry *entries = realloc(overlay->entries, capacity * sizeof *entries);
    if (entries)
        overlay->entries = entries;
    uint32_t *holes = realloc(overlay->holes, capacity * sizeof *holes);
    if (holes)
        overlay->holes = holes;
    struct ms_sort_key *dirty = realloc(overlay->dirty, capacity * sizeof *dirty);
    if (dirty)
        overlay->dirty = dirty;
    if (!entries || !holes || !dirty)
        return false;
    overlay->capacity = capacity;
    return true;
}

static uint32_t entry_find(const struct ms_overlay *overlay, uint16_t partition, struct ms_bytes id,
                           uint64_t hash)
{
    uint32_t cursor = ms_index_start(&overlay->index, hash), place;
    while (ms_index_next(&overlay->index, hash, &cursor, &place)) {
        const struct ms_user *user = overlay->entries[place].user;
        if (user->partition == partition && user->id_bytes == id.size &&
            memcmp(ms_user_id_bytes(user), id.data, id.size) == 0)
            return place;
    }
    return MS_INDEX_EMPTY;
}

static bool entry_add(struct ms_overlay *overlay, struct ms_user *user, uint64_t hash, uint32_t *place)
{
    if (!entries_reserve(overlay, 1))
        return false;
    uint32_t at = overlay->holes_count ? overlay->holes[overlay->holes_count - 1] : overlay->count;
    struct ms_entry before = at < overlay->count ? overlay->entries[at] : (struct ms_entry){0};
    overlay->entries[at] = (struct ms_entry){.user = user, .hash = hash, .marks = MS_MARK_USED};
    if (!ms_index_add(&overlay->index, hash, at, hash_of, overlay)) {
        overlay->entries[at] = before;
        return false;
    }
    if (overlay->holes_count)
        overlay->holes_count--;
    else
        overlay->count++;
    overlay->users++;
    overlay->bytes += user->block_bytes;
    *place = at;
    return true;
}

static void entry_remove(struct ms_overlay *overlay, uint32_t place)
{
    struct ms_entry *entry = &overlay->entries[place];
    ms_index_remove(&overlay->index, entry->hash, place, hash_of, overlay);
    overlay->whole[entry->user->partition] = false;
    overlay->bytes -= entry->user->block_bytes;
    free(entry->user);
    *entry = (struct ms_entry){0};
    overlay->holes[overlay->holes_count++] = place;
    overlay->users--;
}

void ms_overlay_whole(struct ms_overlay *overlay, uint16_t partition)
{
    overlay->whole[partition] = true;
}

/* A second-chance sweep: clean users not used since the hand last passed leave, until memory fits or only
 * those that must stay are left: what is on disk of a user in flight is not yet what he is, nor ever after a
 * flight that came to nothing. */
static void evict(struct ms_overlay *overlay)
{
    const unsigned keep = MS_MARK_DIRTY | MS_MARK_TOUCHED | MS_MARK_OWED;
    size_t bound = overlay->dirty_bytes;
    struct ms_flight *flight = &overlay->flight;
    if (flight->running && atomic_load(&flight->done))
        ms_flight_join(overlay);
    bool pins = flight->running || (flight->open && (flight->lost || flight->status != MS_OK));
    if (pins)
        bound += flight->bytes;
    if (bound < overlay->memory_bytes)
        bound = overlay->memory_bytes;
    for (uint64_t steps = 0; overlay->bytes > bound && steps < 2 * (uint64_t)overlay->count; steps++) {
        if (overlay->hand >= overlay->count)
            overlay->hand = 0;
        struct ms_entry *entry = &overlay->entries[overlay->hand];
        if (entry->user && !(entry->marks & keep) && !(pins && entry->flight == flight->number)) {
            if (entry->marks & MS_MARK_USED)
                entry->marks &= (uint16_t)~MS_MARK_USED;
            else
                entry_remove(overlay, overlay->hand);
        }
        overlay->hand++;
    }
}

static void mark_dirty(struct ms_overlay *overlay, uint32_t place)
{
    struct ms_entry *entry = &overlay->entries[place];
    if (!(entry->marks & MS_MARK_DIRTY)) {
        entry->marks |= MS_MARK_DIRTY;
        overlay->dirty[overlay->dirty_count++] = ms_sort_key(entry->user->partition, ms_user_id(entry->user),
                                                             place);
        overlay->dirty_bytes += entry->user->block_bytes;
    }
}

/* Gives the entry its user back after a call that may have moved it, keeping the byte counts right. */
static void user_moved(struct ms_overlay *overlay, struct ms_entry *entry, struct ms_user *user,
                       uint32_t bytes_before)
{
    entry->user = user;
    overlay->bytes += (size_t)user->block_bytes - bytes_before;
    if (entry->marks & MS_MARK_DIRTY)
        overlay->dirty_bytes += (size_t)user->block_bytes - bytes_before;
}

/* ---- loading ---- */

static int by_key(const void *a, const void *b, void *context)
{
    const struct ms_overlay *overlay = context;
    const struct ms_user *x = overlay->entries[*(const uint32_t *)a].user,
                         *y = overlay->entries[*(const uint32_t *)b].user;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    size_t shorter = x->id_bytes < y->id_bytes ? x->id_bytes : y->id_bytes;
    int order = memcmp(ms_user_id_bytes(x), ms_user_id_bytes(y), shorter);
    return order ? order : (x->id_bytes > y->id_bytes) - (x->id_bytes < y->id_bytes);
}

enum ms_status ms_overlay_no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for the users");
}

/* Looks up the keys of overlay->keys. */
static enum ms_status get_keys(struct ms_overlay *overlay, struct ms_error *error)
{
    const struct ms_bytes *keys = ms_key_list_keys(&overlay->keys);
    return keys ? ms_store_get(overlay->store, keys, overlay->keys.count, &overlay->values, error)
                : ms_overlay_no_memory(error);
}

/* Reads the head rows of overlay->missing[0..count) in one look-up; those that have none stay new users. */
static enum ms_status load_heads(struct ms_overlay *overlay, size_t count, struct ms_error *error)
{
    ms_key_list_clear(&overlay->keys);
    qsort_r(overlay->missing, count, sizeof *overlay->missing, by_key, overlay);
    for (size_t i = 0; i < count; i++) {
        const struct ms_user *user = overlay->entries[overlay->missing[i]].user;
        if (!ms_key_list_add_user(&overlay->keys, user->partition, ms_user_id(user)))
            return ms_overlay_no_memory(error);
    }
    enum ms_status status = get_keys(overlay, error);
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        struct ms_entry *entry = &overlay->entries[overlay->missing[i]];
        struct ms_user *loaded;
        if (!overlay->values.values[i].data)
            continue;
        status = ms_user_decode_head(&loaded, entry->user->partition, ms_user_id(entry->user),
                                     overlay->values.values[i], error);
        if (status == MS_OK) {
            uint32_t before = entry->user->block_bytes;
            free(entry->user);
            user_moved(overlay, entry, loaded, before);
        }
    }
    ms_store_values_release(&overlay->values);
    return status;
}

static enum ms_status partition_taken(struct ms_error *error)
{
    return ms_fail(error, MS_KAFKA_ABORT, "another worker has taken a partition");
}

/* The chunks of a user that has just been written may be in flight. */
static enum ms_status wait_for_chunks(struct ms_overlay *overlay, struct ms_error *error)
{
    struct ms_flight *flight = &overlay->flight;
    ms_flight_join(overlay);
    if (flight->open && flight->lost)
        return partition_taken(error);
    if (flight->open && flight->status != MS_OK)
        return ms_fail(error, flight->status, "%s", flight->error.text);
    return MS_OK;
}

static enum ms_status chunks_read(struct ms_overlay *overlay, const uint32_t *places, size_t count,
                                  struct ms_error *error)
{
    enum ms_status status = wait_for_chunks(overlay, error);
    if (status != MS_OK)
        return status;
    ms_key_list_clear(&overlay->keys);
    for (size_t i = 0; i < count; i++) {
        const struct ms_user *user = overlay->entries[places[i]].user;
        for (uint32_t c = user->first_chunk; c < user->sealed; c++) {
            if (!ms_key_list_add_chunk(&overlay->keys, user->partition, ms_user_id(user), c))
                return ms_overlay_no_memory(error);
        }
    }
    status = get_keys(overlay, error);
    size_t at = 0;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        struct ms_entry *entry = &overlay->entries[places[i]];
        size_t chunks = entry->user->sealed - entry->user->first_chunk;
        uint32_t before = entry->user->block_bytes;
        struct ms_user *user = entry->user;
        ms_user_trim(user); /* what is in memory of the chunks would come twice */
        status = ms_user_decode_chunks(&user, overlay->values.values + at, chunks, error);
        user_moved(overlay, entry, user, before);
        at += chunks;
        /* Its new owner may have written between the head and the chunks. */
        if (status != MS_OK && !ms_store_owns(overlay->store, user->partition, overlay->owner))
            status = partition_taken(error);
    }
    ms_store_values_release(&overlay->values);
    return status;
}

enum ms_status ms_overlay_complete(struct ms_overlay *overlay, uint32_t place, struct ms_error *error)
{
    if (overlay->entries[place].user->complete)
        return MS_OK;
    enum ms_status status = chunks_read(overlay, &place, 1, error);
    if (status == MS_OK && !overlay->fold_context->incremental)
        ms_user_resolve(overlay->entries[place].user, overlay->fold_context->model);
    return status;
}

/* A user as it came from its head row: resolve what full routing needs, or refold it, under this fold id or
 * because it was stored without its sums. */
static enum ms_status ready(struct ms_overlay *overlay, uint32_t place, struct ms_error *error)
{
    struct ms_entry *entry = &overlay->entries[place];
    struct ms_user *user = entry->user;
    bool known = user->fold_id == overlay->fold_context->fold_id;
    entry->slots_before = user->slots;
    enum ms_status status = ms_fold_check(overlay->fold_context, user, error);
    if (status != MS_OK)
        return status;
    if (!user->sums_left_out &&
        (known || (user->version == 0 && user->floats == overlay->fold_context->first_floats))) {
        if (user->complete && !overlay->fold_context->incremental)
            ms_user_resolve(user, overlay->fold_context->model);
        return MS_OK;
    }
    uint32_t before = user->block_bytes;
    bool done = ms_refold(overlay->fold_context, &user);
    user_moved(overlay, entry, user, before);
    if (user->version && !known)
        entry->marks |= MS_MARK_REFOLDED;
    return done ? MS_OK : ms_overlay_no_memory(error);
}

/* Reads the heads of overlay->missing[0..count), and the histories of all that are wanted with theirs. */
static enum ms_status load(struct ms_overlay *overlay, size_t count, const struct ms_wanted *wanted,
                           size_t wanted_count, struct ms_error *error)
{
    enum ms_status status = count ? load_heads(overlay, count, error) : MS_OK;
    if (status != MS_OK)
        return status;
    size_t histories = 0; /* the front of missing becomes the list of those whose chunks are needed */
    for (size_t i = 0; i < wanted_count; i++) {
        struct ms_entry *entry = &overlay->entries[wanted[i].entry];
        if (!entry->user->complete && !(entry->marks & MARK_LISTED) &&
            ms_fold_needs_history(overlay->fold_context, entry->user, wanted[i].time_ms)) {
            entry->marks |= MARK_LISTED;
            if (!ms_array_reserve(&overlay->missing, &overlay->missing_capacity, count + histories + 1,
                                  sizeof *overlay->missing))
                status = ms_overlay_no_memory(error);
            else
                overlay->missing[count + histories++] = wanted[i].entry;
        }
    }
    for (size_t i = 0; i < histories; i++)
        overlay->entries[overlay->missing[count + i]].marks &= (uint16_t)~MARK_LISTED;
    for (size_t at = 0; status == MS_OK && at < histories; at += 64)
        status = chunks_read(overlay, overlay->missing + count + at,
                             histories - at < 64 ? histories - at : 64, error);
    for (size_t i = 0; status == MS_OK && i < count; i++)
        status = ready(overlay, overlay->missing[i], error);
    return status;
}

/* Brings what finding the users will touch towards the cache, one step of each look-up after the other:
 * index, entry, front of the user. Places are guesses, by the tag alone. */
static void fetch_ahead(const struct ms_overlay *overlay, struct ms_wanted *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ms_index_prefetch(&overlay->index, wanted[i].hash);
    for (size_t i = 0; i < count; i++) {
        uint32_t cursor = ms_index_start(&overlay->index, wanted[i].hash);
        if (ms_index_next(&overlay->index, wanted[i].hash, &cursor, &wanted[i].entry))
            __builtin_prefetch(&overlay->entries[wanted[i].entry], 1);
        else
            wanted[i].entry = MS_INDEX_EMPTY;
    }
    for (size_t i = 0; i < count; i++) {
        if (wanted[i].entry == MS_INDEX_EMPTY)
            continue;
        const char *user = (const char *)overlay->entries[wanted[i].entry].user;
        __builtin_prefetch(user, 1);
        __builtin_prefetch(user + 64, 1);
        __builtin_prefetch(user + 128, 1);
    }
}

enum ms_status ms_overlay_find(struct ms_overlay *overlay, struct ms_wanted *wanted, size_t count,
                               struct ms_error *error)
{
    if (overlay->bytes > overlay->memory_bytes)
        evict(overlay);
    fetch_ahead(overlay, wanted, count);
    size_t missing = 0;
    bool histories = false;
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < count && status == MS_OK; i++) {
        struct ms_wanted *want = &wanted[i];
        want->entry = entry_find(overlay, want->partition, want->id, want->hash);
        if (want->entry != MS_INDEX_EMPTY) {
            struct ms_entry *entry = &overlay->entries[want->entry];
            entry->marks |= MS_MARK_USED;
            histories |= ms_fold_needs_history(overlay->fold_context, entry->user, want->time_ms);
            continue;
        }
        struct ms_user *user = ms_user_new(want->partition, want->id, overlay->fold_context->first_floats);
        if (!user ||
            !ms_array_reserve(&overlay->missing, &overlay->missing_capacity, missing + 1,
                              sizeof *overlay->missing) ||
            !entry_add(overlay, user, want->hash, &want->entry)) {
            free(user);
            status = ms_overlay_no_memory(error);
            break;
        }
        if (!overlay->whole[want->partition])
            overlay->missing[missing++] = want->entry;
    }
    if (status == MS_OK && (missing || histories))
        status = load(overlay, missing, wanted, count, error);
    if (status != MS_OK) {
        for (size_t i = 0; i < missing; i++)
            entry_remove(overlay, overlay->missing[i]);
    }
    return status;
}

/* ---- changing users ---- */

enum ms_status ms_overlay_fold(struct ms_overlay *overlay, uint32_t place, const struct ms_event *event,
                               uint32_t row, int64_t offset, enum ms_folded *folded, struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(overlay, place);
    if (ms_fold_needs_history(overlay->fold_context, entry->user, event->time_ms)) {
        enum ms_status status = ms_overlay_complete(overlay, place, error);
        if (status != MS_OK)
            return status;
    }
    struct ms_user *user = entry->user;
    uint32_t before = user->block_bytes;
    enum ms_folded result = ms_fold(overlay->fold_context, &user, event, row);
    user_moved(overlay, entry, user, before);
    if (result == MS_NO_MEMORY)
        return ms_overlay_no_memory(error);
    user->own_offset = offset + 1;
    if (result == MS_FOLDED)
        mark_dirty(overlay, place);
    *folded = result;
    return MS_OK;
}

enum ms_status ms_overlay_set_profile(struct ms_overlay *overlay, uint32_t place, struct ms_bytes profile,
                                      int64_t offset, struct ms_error *error)
{
    struct ms_entry *entry = ms_overlay_entry(overlay, place);
    struct ms_user *user = entry->user;
    uint32_t before = user->block_bytes;
    bool done = ms_user_set_profile(&user, profile);
    user_moved(overlay, entry, user, before);
    if (!done)
        return ms_overlay_no_memory(error);
    user->profile_offset = offset + 1;
    user->version += user->version > 0;
    mark_dirty(overlay, place);
    return MS_OK;
}

void ms_overlay_forget(struct ms_overlay *overlay, uint32_t place, int64_t offset)
{
    struct ms_user *user = ms_overlay_entry(overlay, place)->user;
    ms_user_clear(user);
    user->own_offset = offset + 1;
    mark_dirty(overlay, place);
}

/* ---- letting a partition go ---- */

void ms_overlay_drop(struct ms_overlay *overlay, uint16_t partition)
{
    uint32_t kept = 0;
    ms_flight_join(overlay); /* who takes the partition reads from disk */
    overlay->whole[partition] = false;
    for (uint32_t i = 0; i < overlay->dirty_count; i++) {
        if (overlay->dirty[i].partition == partition)
            overlay->dirty_bytes -= overlay->entries[overlay->dirty[i].place].user->block_bytes;
        else
            overlay->dirty[kept++] = overlay->dirty[i];
    }
    overlay->dirty_count = kept;
    for (uint32_t i = 0; i < overlay->count; i++) {
        if (overlay->entries[i].user && overlay->entries[i].user->partition == partition)
            entry_remove(overlay, i);
    }
}
