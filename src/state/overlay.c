/* The index of users in memory, loading, eviction, and the flush. */
#include "state/overlay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/index.h"
#include "user/codec.h"

#define MARK_LISTED   0x8000 /* an entry's, while a batch's histories are gathered: takes each once */
#define HISTORY_SPARE 8 /* dead chunks that a user out of order may drag along before its history is read */

/* A chunk row (or its delete) that waits for the head rows to be written. */
struct chunk_row {
    size_t key, value; /* places in the buffers */
    uint32_t key_bytes, value_bytes;
    bool remove;
};

/* A dirty user in the order of keys. */
struct sort_item {
    uint64_t prefix; /* first 8 bytes of the id, big-endian */
    const struct ms_user *user;
    uint32_t place;
    uint16_t partition;
};

struct ms_overlay {
    struct ms_store *store;
    struct ms_folder *folder;
    size_t memory_bytes;
    uint32_t owner;
    struct ms_index index;
    struct ms_entry *entries;
    uint32_t count, capacity; /* of entries, holes included */
    uint32_t *holes;
    uint32_t holes_count;
    uint32_t hand;
    uint32_t users;
    size_t bytes, dirty_bytes;
    uint32_t *dirty;
    uint32_t dirty_count;
    bool whole[MS_MAX_PARTITIONS]; /* nothing of the partition is stored that is not in memory too */
    /* scratch */
    uint32_t *missing;
    size_t missing_capacity;
    struct ms_bytes *keys;
    size_t keys_capacity;
    struct ms_buffer key_bytes, value, chunk_keys, chunk_values;
    struct ms_store_values values;
    struct sort_item *sorted;
    size_t sorted_capacity;
    struct chunk_row *chunks;
    size_t chunks_count, chunks_capacity;
};

/* Grows an array of |size|-byte elements to hold |want|. */
static bool grow(void *array, size_t *capacity, size_t want, size_t size)
{
    if (*capacity >= want)
        return true;
    size_t next = *capacity ? *capacity : 64;
    while (next < want)
        next *= 2;
    void *old, *bigger;
    memcpy(&old, array, sizeof old);
    bigger = realloc(old, next * size);
    if (!bigger)
        return false;
    memcpy(array, &bigger, sizeof bigger);
    *capacity = next;
    return true;
}

uint64_t ms_overlay_hash(uint16_t partition, struct ms_bytes id)
{
    return XXH3_64bits_withSeed(id.data, id.size, partition);
}

static uint64_t hash_of(void *context, uint32_t value)
{
    return ((const struct ms_overlay *)context)->entries[value].hash;
}

enum ms_status ms_overlay_new(struct ms_overlay **out, struct ms_store *store, struct ms_folder *folder,
                              size_t memory_bytes, uint32_t owner, struct ms_error *error)
{
    assert(owner != MS_NO_OWNER);
    struct ms_overlay *overlay = calloc(1, sizeof *overlay);
    if (!overlay || !ms_index_init(&overlay->index, 1024)) {
        free(overlay);
        return ms_fail(error, MS_MEMORY, "no memory for the users");
    }
    overlay->store = store;
    overlay->folder = folder;
    overlay->memory_bytes = memory_bytes;
    overlay->owner = owner;
    *out = overlay;
    return MS_OK;
}

void ms_overlay_destroy(struct ms_overlay *overlay)
{
    if (!overlay)
        return;
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
    free(overlay->keys);
    free(overlay->sorted);
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
    uint32_t *dirty = realloc(overlay->dirty, capacity * sizeof *dirty);
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

/* A second-chance sweep: clean users not used since the hand last passed leave, until memory fits. */
static void evict(struct ms_overlay *overlay)
{
    const unsigned keep = MS_MARK_DIRTY | MS_MARK_TOUCHED | MS_MARK_OWED;
    for (uint64_t steps = 0; overlay->bytes > overlay->memory_bytes && steps < 2 * (uint64_t)overlay->count;
         steps++) {
        if (overlay->hand >= overlay->count)
            overlay->hand = 0;
        struct ms_entry *entry = &overlay->entries[overlay->hand];
        if (entry->user && !(entry->marks & keep)) {
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
        overlay->dirty[overlay->dirty_count++] = place;
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

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for the users");
}

/* Appends a key to key_bytes and notes where it begins and ends. */
static bool key_push(struct ms_overlay *overlay, size_t *count, unsigned partition, struct ms_bytes id,
                     const uint32_t *chunk)
{
    char head[2] = {(char)(partition >> 8), (char)partition};
    size_t start = overlay->key_bytes.size;
    if (!grow(&overlay->keys, &overlay->keys_capacity, *count + 1, sizeof *overlay->keys) ||
        !ms_buffer_append(&overlay->key_bytes, head, sizeof head) ||
        !ms_buffer_append(&overlay->key_bytes, id.data, id.size))
        return false;
    if (chunk) {
        char be[4] = {(char)(*chunk >> 24), (char)(*chunk >> 16), (char)(*chunk >> 8), (char)*chunk};
        if (!ms_buffer_append(&overlay->key_bytes, be, sizeof be))
            return false;
    }
    overlay->keys[*count] = (struct ms_bytes){(const char *)(uintptr_t)start,
                                              overlay->key_bytes.size - start};
    ++*count;
    return true;
}

/* Turns the noted offsets into pointers, once key_bytes will not move any more. */
static void keys_fix(struct ms_overlay *overlay, size_t count)
{
    for (size_t i = 0; i < count; i++)
        overlay->keys[i].data = overlay->key_bytes.data + (uintptr_t)overlay->keys[i].data;
}

/* Reads the head rows of overlay->missing[0..count) in one look-up; those that have none stay new users. */
static enum ms_status load_heads(struct ms_overlay *overlay, size_t count, struct ms_error *error)
{
    size_t keys = 0;
    overlay->key_bytes.size = 0;
    qsort_r(overlay->missing, count, sizeof *overlay->missing, by_key, overlay);
    for (size_t i = 0; i < count; i++) {
        const struct ms_user *user = overlay->entries[overlay->missing[i]].user;
        if (!key_push(overlay, &keys, user->partition, ms_user_id(user), NULL))
            return no_memory(error);
    }
    keys_fix(overlay, keys);
    enum ms_status status = ms_store_get(overlay->store, overlay->keys, keys, &overlay->values, error);
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

static enum ms_status chunks_read(struct ms_overlay *overlay, const uint32_t *places, size_t count,
                                  struct ms_error *error)
{
    size_t keys = 0;
    overlay->key_bytes.size = 0;
    for (size_t i = 0; i < count; i++) {
        const struct ms_user *user = overlay->entries[places[i]].user;
        for (uint32_t c = user->first_chunk; c < user->sealed; c++) {
            if (!key_push(overlay, &keys, user->partition | 0x8000u, ms_user_id(user), &c))
                return no_memory(error);
        }
    }
    keys_fix(overlay, keys);
    enum ms_status status = ms_store_get(overlay->store, overlay->keys, keys, &overlay->values, error);
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
    }
    ms_store_values_release(&overlay->values);
    return status;
}

enum ms_status ms_overlay_complete(struct ms_overlay *overlay, uint32_t place, struct ms_error *error)
{
    if (overlay->entries[place].user->complete)
        return MS_OK;
    enum ms_status status = chunks_read(overlay, &place, 1, error);
    if (status == MS_OK && !overlay->folder->incremental)
        ms_user_resolve(overlay->entries[place].user, overlay->folder->model);
    return status;
}

/* A user as it came from its head row: resolve what full routing needs, or refold it under this fold id. */
static enum ms_status ready(struct ms_overlay *overlay, uint32_t place, struct ms_error *error)
{
    struct ms_entry *entry = &overlay->entries[place];
    struct ms_user *user = entry->user;
    entry->slots_before = user->slots;
    if (user->floats != overlay->folder->floats && user->fold_id == overlay->folder->fold_id)
        return ms_fail(error, MS_STATE, "user \"%.*s\": its sums are %u numbers, not %u",
                       (int)(user->id_bytes < 200 ? user->id_bytes : 200), ms_user_id_bytes(user),
                       user->floats, overlay->folder->floats);
    if ((user->version == 0 && user->floats == overlay->folder->floats) ||
        user->fold_id == overlay->folder->fold_id) {
        if (user->complete && !overlay->folder->incremental)
            ms_user_resolve(user, overlay->folder->model);
        return MS_OK;
    }
    uint32_t before = user->block_bytes;
    bool done = ms_refold(overlay->folder, &user);
    user_moved(overlay, entry, user, before);
    if (user->version)
        entry->marks |= MS_MARK_REFOLDED;
    return done ? MS_OK : no_memory(error);
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
            ms_fold_needs_history(overlay->folder, entry->user, wanted[i].time_ms)) {
            entry->marks |= MARK_LISTED;
            if (!grow(&overlay->missing, &overlay->missing_capacity, count + histories + 1,
                      sizeof *overlay->missing))
                status = no_memory(error);
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

enum ms_status ms_overlay_find(struct ms_overlay *overlay, struct ms_wanted *wanted, size_t count,
                               struct ms_error *error)
{
    if (overlay->bytes > overlay->memory_bytes)
        evict(overlay);
    for (size_t i = 0; i < count; i++)
        ms_index_prefetch(&overlay->index, wanted[i].hash);
    size_t missing = 0;
    bool histories = false;
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < count && status == MS_OK; i++) {
        struct ms_wanted *want = &wanted[i];
        want->entry = entry_find(overlay, want->partition, want->id, want->hash);
        if (want->entry != MS_INDEX_EMPTY) {
            struct ms_entry *entry = &overlay->entries[want->entry];
            entry->marks |= MS_MARK_USED;
            histories |= ms_fold_needs_history(overlay->folder, entry->user, want->time_ms);
            continue;
        }
        struct ms_user *user = ms_user_new(want->partition, want->id, overlay->folder->floats);
        if (!user ||
            !grow(&overlay->missing, &overlay->missing_capacity, missing + 1, sizeof *overlay->missing) ||
            !entry_add(overlay, user, want->hash, &want->entry)) {
            free(user);
            status = no_memory(error);
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
    if (ms_fold_needs_history(overlay->folder, entry->user, event->time_ms)) {
        enum ms_status status = ms_overlay_complete(overlay, place, error);
        if (status != MS_OK)
            return status;
    }
    struct ms_user *user = entry->user;
    uint32_t before = user->block_bytes;
    enum ms_folded result = ms_fold(overlay->folder, &user, event, row);
    user_moved(overlay, entry, user, before);
    if (result == MS_NO_MEMORY)
        return no_memory(error);
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
        return no_memory(error);
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

/* ---- flushing ---- */

static int sort_order(const void *a, const void *b)
{
    const struct sort_item *x = a, *y = b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    size_t shorter = x->user->id_bytes < y->user->id_bytes ? x->user->id_bytes : y->user->id_bytes;
    int order = memcmp(ms_user_id_bytes(x->user), ms_user_id_bytes(y->user), shorter);
    return order ? order : (x->user->id_bytes > y->user->id_bytes) - (x->user->id_bytes < y->user->id_bytes);
}

static uint64_t id_prefix(const struct ms_user *user)
{
    unsigned char bytes[8] = {0};
    memcpy(bytes, ms_user_id_bytes(user), user->id_bytes < 8 ? user->id_bytes : 8);
    uint64_t prefix = 0;
    for (int i = 0; i < 8; i++)
        prefix = prefix << 8 | bytes[i];
    return prefix;
}

static bool sort_dirty(struct ms_overlay *overlay)
{
    if (!grow(&overlay->sorted, &overlay->sorted_capacity, overlay->dirty_count, sizeof *overlay->sorted))
        return false;
    for (uint32_t i = 0; i < overlay->dirty_count; i++) {
        const struct ms_user *user = overlay->entries[overlay->dirty[i]].user;
        overlay->sorted[i] = (struct sort_item){.prefix = id_prefix(user),
                                                .user = user,
                                                .place = overlay->dirty[i],
                                                .partition = user->partition};
    }
    if (overlay->dirty_count)
        qsort(overlay->sorted, overlay->dirty_count, sizeof *overlay->sorted, sort_order);
    return true;
}

/* Notes a chunk row, or its delete. */
static bool chunk_push(struct ms_overlay *overlay, const struct ms_user *user, uint32_t number, size_t value,
                       size_t value_bytes, bool remove)
{
    size_t start = overlay->chunk_keys.size;
    if (!grow(&overlay->chunks, &overlay->chunks_capacity, overlay->chunks_count + 1,
              sizeof *overlay->chunks) ||
        !ms_key_chunk(&overlay->key_bytes, user->partition, ms_user_id(user), number) ||
        !ms_buffer_append(&overlay->chunk_keys, overlay->key_bytes.data, overlay->key_bytes.size))
        return false;
    overlay->chunks[overlay->chunks_count++] = (struct chunk_row){
        .key = start,
        .value = value,
        .key_bytes = (uint32_t)(overlay->chunk_keys.size - start),
        .value_bytes = (uint32_t)value_bytes,
        .remove = remove};
    return true;
}

/* Encodes what a user's history has to write: the chunks that died and those that are full now. */
static bool encode_chunks(struct ms_overlay *overlay, const struct ms_user *user)
{
    for (uint32_t c = user->stored_first_chunk; c < user->first_chunk; c++) {
        if (!chunk_push(overlay, user, c, 0, 0, true))
            return false;
    }
    uint32_t sealable = ms_user_sealable(user);
    for (uint32_t i = 0; i < sealable; i++) {
        size_t start = overlay->chunk_values.size;
        if (!ms_user_encode_chunk(user, i, &overlay->chunk_values) ||
            !chunk_push(overlay, user, user->sealed + i, start, overlay->chunk_values.size - start, false))
            return false;
    }
    return true;
}

/* A user whose late events keep it out of order must be read whole now and then, or its dead chunks would
 * pile up. */
static enum ms_status before_settle(struct ms_overlay *overlay, uint32_t place, struct ms_error *error)
{
    const struct ms_user *user = overlay->entries[place].user;
    if (user->complete || user->ordered ||
        user->sealed - user->first_chunk <= 2 * (user->kept / MS_CHUNK) + HISTORY_SPARE)
        return MS_OK;
    return ms_overlay_complete(overlay, place, error);
}

static enum ms_status write_user(struct ms_overlay *overlay, struct ms_store_file *file, uint32_t place,
                                 struct ms_error *error)
{
    enum ms_status status = before_settle(overlay, place, error);
    if (status != MS_OK)
        return status;
    struct ms_user *user = overlay->entries[place].user;
    ms_user_settle(user);
    overlay->value.size = 0;
    if (!ms_key_user(&overlay->key_bytes, user->partition, ms_user_id(user)))
        return no_memory(error);
    struct ms_bytes key = {overlay->key_bytes.data, overlay->key_bytes.size};
    if (user->version == 0 && user->profile_bytes == 0) {
        status = user->stored ? ms_store_file_delete(file, key, error) : MS_OK;
    } else {
        if (!ms_user_encode_head(user, &overlay->value))
            return no_memory(error);
        status = ms_store_file_put(file, key, (struct ms_bytes){overlay->value.data, overlay->value.size},
                                   error);
    }
    return status != MS_OK || encode_chunks(overlay, user) ? status : no_memory(error);
}

static enum ms_status write_partition(struct ms_overlay *overlay, struct ms_store_file *file,
                                      const struct ms_flush_row *row, struct ms_error *error)
{
    char value[64];
    ms_partition_row_encode(&row->row, value);
    ms_key_partition(&overlay->key_bytes, row->partition);
    return ms_store_file_put(file, (struct ms_bytes){overlay->key_bytes.data, overlay->key_bytes.size},
                             (struct ms_bytes){value, sizeof value}, error);
}

static int chunk_order(const void *a, const void *b, void *context)
{
    const struct chunk_row *x = a, *y = b;
    const char *keys = context;
    uint32_t shorter = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
    int order = memcmp(keys + x->key, keys + y->key, shorter);
    return order ? order : (x->key_bytes > y->key_bytes) - (x->key_bytes < y->key_bytes);
}

static enum ms_status write_chunks(struct ms_overlay *overlay, struct ms_store_file *file,
                                   struct ms_error *error)
{
    if (overlay->chunks_count)
        qsort_r(overlay->chunks, overlay->chunks_count, sizeof *overlay->chunks, chunk_order,
                overlay->chunk_keys.data);
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < overlay->chunks_count; i++) {
        const struct chunk_row *row = &overlay->chunks[i];
        struct ms_bytes key = {overlay->chunk_keys.data + row->key, row->key_bytes};
        status = row->remove ? ms_store_file_delete(file, key, error)
                             : ms_store_file_put(file, key,
                                                 (struct ms_bytes){overlay->chunk_values.data + row->value,
                                                                   row->value_bytes},
                                                 error);
    }
    return status;
}

/* All rows in key order: each partition's row before its users, then the chunks of all. */
static enum ms_status write_rows(struct ms_overlay *overlay, struct ms_store_file *file,
                                 const struct ms_flush_row *rows, size_t count, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    size_t next = 0;
    overlay->chunks_count = overlay->chunk_keys.size = overlay->chunk_values.size = 0;
    for (uint32_t i = 0; status == MS_OK && i < overlay->dirty_count; i++) {
        const struct sort_item *item = &overlay->sorted[i];
        while (status == MS_OK && next < count && rows[next].partition <= item->partition)
            status = write_partition(overlay, file, &rows[next++], error);
        assert(next > 0 && rows[next - 1].partition == item->partition);
        if (i + 8 < overlay->dirty_count)
            __builtin_prefetch(overlay->sorted[i + 8].user);
        if (status == MS_OK)
            status = write_user(overlay, file, item->place, error);
    }
    while (status == MS_OK && next < count)
        status = write_partition(overlay, file, &rows[next++], error);
    return status == MS_OK ? write_chunks(overlay, file, error) : status;
}

static void clean(struct ms_overlay *overlay)
{
    for (uint32_t i = 0; i < overlay->dirty_count; i++) {
        struct ms_entry *entry = &overlay->entries[overlay->dirty[i]];
        ms_user_stored(entry->user);
        if (entry->user->version == 0 && entry->user->profile_bytes == 0)
            entry->user->stored = false;
        if (ms_may_trim(overlay->folder, entry->user))
            ms_user_trim(entry->user);
        entry->marks &= (uint16_t)~MS_MARK_DIRTY;
    }
    overlay->dirty_count = 0;
    overlay->dirty_bytes = 0;
}

static int by_partition(const void *a, const void *b)
{
    uint16_t x = ((const struct ms_flush_row *)a)->partition, y = ((const struct ms_flush_row *)b)->partition;
    return x < y ? -1 : x > y;
}

enum ms_status ms_overlay_flush(struct ms_overlay *overlay, const struct ms_flush_row *rows, size_t count,
                                bool *lost, struct ms_error *error)
{
    *lost = false;
    if (count == 0) {
        assert(overlay->dirty_count == 0);
        return MS_OK;
    }
    struct ms_flush_row *sorted = malloc(count * sizeof *sorted);
    uint16_t *partitions = malloc(count * sizeof *partitions);
    struct ms_store_file *file = NULL;
    enum ms_status status = MS_OK;
    if (!sorted || !partitions || !sort_dirty(overlay)) {
        status = no_memory(error);
        goto out;
    }
    memcpy(sorted, rows, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_partition);
    for (size_t i = 0; i < count; i++)
        partitions[i] = sorted[i].partition;
    status = ms_store_file_begin(&file, overlay->store, error);
    if (status == MS_OK)
        status = write_rows(overlay, file, sorted, count, error);
    if (status == MS_OK) {
        status = ms_store_file_ingest(file, partitions, count, overlay->owner, lost, error);
        file = NULL;
    }
    if (status == MS_OK && !*lost)
        clean(overlay);
out:
    ms_store_file_discard(file);
    free(sorted);
    free(partitions);
    return status;
}

void ms_overlay_drop(struct ms_overlay *overlay, uint16_t partition)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < overlay->dirty_count; i++) {
        const struct ms_entry *entry = &overlay->entries[overlay->dirty[i]];
        if (entry->user->partition == partition)
            overlay->dirty_bytes -= entry->user->block_bytes;
        else
            overlay->dirty[kept++] = overlay->dirty[i];
    }
    overlay->dirty_count = kept;
    for (uint32_t i = 0; i < overlay->count; i++) {
        if (overlay->entries[i].user && overlay->entries[i].user->partition == partition)
            entry_remove(overlay, i);
    }
}
