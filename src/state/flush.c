/* The flush: dirty users in key order, encoded into one file, and the file's way to disk in a thread of its
 * own. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "state/overlay_inside.h"

#define HISTORY_SPARE 8 /* dead chunks that a user out of order may drag along before its history is read */

/* How far ahead of the writing an entry, the front of its user, and the rest are brought towards the cache.
 */
enum { ENTRY_AHEAD = 24, USER_AHEAD = 16, REST_AHEAD = 8 };

/* ---- the rows ---- */

static struct ms_bytes id_at(void *context, uint32_t place)
{
    return ms_user_id(((const struct ms_overlay *)context)->entries[place].user);
}

/* Notes a chunk row, or its delete. */
static bool chunk_push(struct ms_overlay *overlay, const struct ms_user *user, uint32_t number, size_t value,
                       size_t value_bytes, bool remove)
{
    size_t start = overlay->chunk_keys.size;
    if (!ms_array_reserve(&overlay->chunks, &overlay->chunks_capacity, overlay->chunks_count + 1,
                          sizeof *overlay->chunks) ||
        !ms_key_append_chunk(&overlay->chunk_keys, user->partition, ms_user_id(user), number))
        return false;
    overlay->chunks[overlay->chunks_count++] = (struct ms_chunk_row){
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

/* From now on the user counts as written. */
static void leave_clean(struct ms_overlay *overlay, struct ms_entry *entry)
{
    struct ms_user *user = entry->user;
    ms_user_stored(user);
    if (user->version == 0 && user->profile_bytes == 0)
        user->stored = false;
    if (ms_may_trim(overlay->fold_context, user))
        ms_user_trim(user);
    entry->marks &= (uint16_t)~MS_MARK_DIRTY;
    entry->flight = overlay->flight.number;
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
        return ms_overlay_no_memory(error);
    struct ms_bytes key = {overlay->key_bytes.data, overlay->key_bytes.size};
    if (user->version == 0 && user->profile_bytes == 0) {
        status = user->stored ? ms_store_file_delete(file, key, error) : MS_OK;
    } else {
        if (!ms_user_encode_head(user, &overlay->value))
            return ms_overlay_no_memory(error);
        status = ms_store_file_put(file, key, (struct ms_bytes){overlay->value.data, overlay->value.size},
                                   error);
    }
    if (status != MS_OK)
        return status;
    if (!encode_chunks(overlay, user))
        return ms_overlay_no_memory(error);
    leave_clean(overlay, &overlay->entries[place]);
    return MS_OK;
}

static enum ms_status write_partition(struct ms_overlay *overlay, struct ms_store_file *file,
                                      const struct ms_flush_row *row, struct ms_error *error)
{
    char value[MS_PARTITION_ROW_BYTES];
    ms_partition_row_encode(&row->row, value);
    if (!ms_key_partition(&overlay->key_bytes, row->partition))
        return ms_overlay_no_memory(error);
    return ms_store_file_put(file, (struct ms_bytes){overlay->key_bytes.data, overlay->key_bytes.size},
                             (struct ms_bytes){value, sizeof value}, error);
}

static int chunk_order(const void *a, const void *b, void *context)
{
    const struct ms_chunk_row *x = a, *y = b;
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
        const struct ms_chunk_row *row = &overlay->chunks[i];
        struct ms_bytes key = {overlay->chunk_keys.data + row->key, row->key_bytes};
        status = row->remove ? ms_store_file_delete(file, key, error)
                             : ms_store_file_put(file, key,
                                                 (struct ms_bytes){overlay->chunk_values.data + row->value,
                                                                   row->value_bytes},
                                                 error);
    }
    return status;
}

/* Users have gone cold since their events: brings those to come towards the cache. Inlined by force: a
 * function that does nothing but prefetch has no effect in gcc's eyes, and calls of it vanish. */
static inline __attribute__((always_inline)) void fetch_ahead(const struct ms_overlay *overlay, uint32_t i)
{
    if (i + ENTRY_AHEAD < overlay->dirty_count)
        __builtin_prefetch(&overlay->entries[overlay->dirty[i + ENTRY_AHEAD].place], 1);
    if (i + USER_AHEAD < overlay->dirty_count) {
        const char *user = (const char *)overlay->entries[overlay->dirty[i + USER_AHEAD].place].user;
        __builtin_prefetch(user, 1);
        __builtin_prefetch(user + 64, 1);
        __builtin_prefetch(user + 128);
    }
    if (i + REST_AHEAD < overlay->dirty_count) {
        const struct ms_user *user = overlay->entries[overlay->dirty[i + REST_AHEAD].place].user;
        const char *behaviors = (const char *)ms_user_behaviors(user);
        __builtin_prefetch(behaviors);
        __builtin_prefetch(behaviors + 64);
        __builtin_prefetch(ms_user_text(user));
        __builtin_prefetch(ms_user_sums(user));
    }
}

/* All rows in key order: each partition's row before its users, then the chunks of all. */
static enum ms_status write_rows(struct ms_overlay *overlay, struct ms_store_file *file,
                                 const struct ms_flush_row *rows, size_t count, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    size_t next = 0;
    overlay->chunks_count = overlay->chunk_keys.size = overlay->chunk_values.size = 0;
    for (uint32_t i = 0; status == MS_OK && i < overlay->dirty_count; i++) {
        const struct ms_sort_key *key = &overlay->dirty[i];
        while (status == MS_OK && next < count && rows[next].partition <= key->partition)
            status = write_partition(overlay, file, &rows[next++], error);
        assert(next > 0 && rows[next - 1].partition == key->partition);
        fetch_ahead(overlay, i);
        if (status == MS_OK)
            status = write_user(overlay, file, key->place, error);
    }
    while (status == MS_OK && next < count)
        status = write_partition(overlay, file, &rows[next++], error);
    return status == MS_OK ? write_chunks(overlay, file, error) : status;
}

/* ---- the flight ---- */

static void *fly(void *context)
{
    struct ms_flight *flight = context;
    flight->status = ms_store_file_ingest(flight->file, flight->partitions, flight->count, flight->owner,
                                          &flight->lost, &flight->error);
    atomic_store(&flight->done, true);
    return NULL;
}

static void launch(struct ms_overlay *overlay, struct ms_store_file *file)
{
    struct ms_flight *flight = &overlay->flight;
    flight->file = file;
    flight->owner = overlay->owner;
    flight->lost = false;
    flight->status = MS_OK;
    flight->open = true;
    atomic_store(&flight->done, false);
    flight->running = pthread_create(&flight->thread, NULL, fly, flight) == 0;
    if (!flight->running)
        fly(flight);
}

void ms_flight_join(struct ms_overlay *overlay)
{
    if (overlay->flight.running)
        pthread_join(overlay->flight.thread, NULL);
    overlay->flight.running = false;
}

void ms_flight_free(struct ms_overlay *overlay)
{
    ms_flight_join(overlay);
    free(overlay->flight.partitions);
}

bool ms_overlay_flush_arrived(const struct ms_overlay *overlay)
{
    return !overlay->flight.open || atomic_load(&overlay->flight.done);
}

enum ms_status ms_overlay_flush_end(struct ms_overlay *overlay, bool *lost, struct ms_error *error)
{
    struct ms_flight *flight = &overlay->flight;
    ms_flight_join(overlay);
    *lost = flight->open && flight->lost;
    if (!flight->open || flight->status == MS_OK) {
        flight->open = false;
        return MS_OK;
    }
    flight->open = false;
    return ms_fail(error, flight->status, "%s", flight->error.text);
}

/* ---- a flush ---- */

static int by_partition(const void *a, const void *b)
{
    uint16_t x = ((const struct ms_flush_row *)a)->partition, y = ((const struct ms_flush_row *)b)->partition;
    return x < y ? -1 : x > y;
}

enum ms_status ms_overlay_flush_begin(struct ms_overlay *overlay, const struct ms_flush_row *rows,
                                      size_t count, struct ms_error *error)
{
    struct ms_flight *flight = &overlay->flight;
    assert(!flight->open);
    if (count == 0) {
        assert(overlay->dirty_count == 0);
        return MS_OK;
    }
    struct ms_store_file *file = NULL;
    struct ms_flush_row *sorted = malloc(count * sizeof *sorted);
    enum ms_status status = MS_OK;
    if (!sorted ||
        !ms_array_reserve(&flight->partitions, &flight->capacity, count, sizeof *flight->partitions) ||
        !ms_array_reserve(&overlay->sort_scratch, &overlay->sort_capacity, overlay->dirty_count,
                          sizeof *overlay->sort_scratch)) {
        status = ms_overlay_no_memory(error);
        goto out;
    }
    memcpy(sorted, rows, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_partition);
    for (size_t i = 0; i < count; i++)
        flight->partitions[i] = sorted[i].partition;
    flight->count = count;
    flight->number++;
    ms_sort_keys(overlay->dirty, overlay->sort_scratch, overlay->dirty_count, id_at, overlay);
    status = ms_store_file_begin(&file, overlay->store, error);
    if (status == MS_OK)
        status = write_rows(overlay, file, sorted, count, error);
    if (status == MS_OK) {
        flight->bytes = overlay->dirty_bytes;
        overlay->dirty_count = 0;
        overlay->dirty_bytes = 0;
        launch(overlay, file);
        file = NULL;
    }
out:
    ms_store_file_discard(file);
    free(sorted);
    return status;
}

enum ms_status ms_overlay_flush(struct ms_overlay *overlay, const struct ms_flush_row *rows, size_t count,
                                bool *lost, struct ms_error *error)
{
    enum ms_status status = ms_overlay_flush_begin(overlay, rows, count, error);
    return status == MS_OK ? ms_overlay_flush_end(overlay, lost, error) : status;
}
