/* Users and partition rows to the rows of one file. */
#include "state/flush.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "state/key.h"
#include "user/codec.h"

#define SPARE_DEAD_CHUNKS 8 /* that a user out of order may keep before its history is read */

/* How many users ahead the front of a user, and the rest of it, are brought towards the CPU's cache. */
enum { USERS_AHEAD = 16, REST_AHEAD = 8 };

/* A chunk row, or its delete. */
struct ms_chunk_row {
    size_t key, value; /* where they begin in the buffers */
    uint32_t key_bytes, value_bytes;
    bool remove;
};

void ms_flush_free(struct ms_flush *flush)
{
    ms_buffer_free(&flush->key);
    ms_buffer_free(&flush->value);
    ms_buffer_free(&flush->chunk_keys);
    ms_buffer_free(&flush->chunk_values);
    free(flush->chunks);
    *flush = (struct ms_flush){0};
}

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory to write the users");
}

static struct ms_bytes bytes_of(const struct ms_buffer *buffer)
{
    return (struct ms_bytes){buffer->data, buffer->size};
}

bool ms_flush_needs_history(const struct ms_user *user)
{
    return !user->complete && !user->ordered &&
           ms_user_live_chunks(user) > 2 * (user->kept / MS_CHUNK) + SPARE_DEAD_CHUNKS;
}

/* ---- chunks ---- */

/* Notes a chunk row whose value begins at |value| and ends where chunk_values ends now. */
static bool note_chunk(struct ms_flush *flush, const struct ms_user *user, uint32_t number, size_t value,
                       bool remove)
{
    size_t key = flush->chunk_keys.size;
    if (!ms_array_reserve(&flush->chunks, &flush->chunks_capacity, flush->chunks_count + 1,
                          sizeof *flush->chunks) ||
        !ms_key_append_chunk(&flush->chunk_keys, user->partition, ms_user_id(user), number))
        return false;
    flush->chunks[flush->chunks_count++] = (struct ms_chunk_row){
        .key = key,
        .value = value,
        .key_bytes = (uint32_t)(flush->chunk_keys.size - key),
        .value_bytes = (uint32_t)(flush->chunk_values.size - value),
        .remove = remove};
    return true;
}

/* Notes what a settled user's history has to write: the chunks that died and those that are full now. */
static bool encode_chunks(struct ms_flush *flush, const struct ms_user *user)
{
    for (uint32_t c = user->stored_first_chunk; c != user->first_chunk; c = ms_chunk_number(c + 1)) {
        if (!note_chunk(flush, user, c, flush->chunk_values.size, true))
            return false;
    }
    uint32_t sealable = ms_user_sealable(user);
    for (uint32_t i = 0; i < sealable; i++) {
        size_t value = flush->chunk_values.size;
        if (!ms_user_encode_chunk(user, i, &flush->chunk_values) ||
            !note_chunk(flush, user, ms_chunk_number(user->sealed + i), value, false))
            return false;
    }
    return true;
}

static int by_key(const void *a, const void *b, void *context)
{
    const struct ms_chunk_row *x = a, *y = b;
    const char *keys = context;
    uint32_t shorter = x->key_bytes < y->key_bytes ? x->key_bytes : y->key_bytes;
    int order = memcmp(keys + x->key, keys + y->key, shorter);
    return order ? order : (x->key_bytes > y->key_bytes) - (x->key_bytes < y->key_bytes);
}

static enum ms_status write_chunks(struct ms_flush *flush, const struct ms_row_writer *writer,
                                   struct ms_error *error)
{
    if (flush->chunks_count)
        qsort_r(flush->chunks, flush->chunks_count, sizeof *flush->chunks, by_key, flush->chunk_keys.data);
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < flush->chunks_count; i++) {
        const struct ms_chunk_row *row = &flush->chunks[i];
        struct ms_bytes key = {flush->chunk_keys.data + row->key, row->key_bytes};
        struct ms_bytes value = {flush->chunk_values.data + row->value, row->value_bytes};
        status = row->remove ? writer->remove(writer->context, key, error)
                             : writer->put(writer->context, key, value, error);
    }
    return status;
}

/* ---- head rows and partition rows ---- */

static enum ms_status write_head(struct ms_flush *flush, const struct ms_user *user,
                                 const struct ms_row_writer *writer, struct ms_error *error)
{
    if (!ms_key_user(&flush->key, user->partition, ms_user_id(user)))
        return no_memory(error);
    if (ms_user_is_empty(user))
        return user->stored ? writer->remove(writer->context, bytes_of(&flush->key), error) : MS_OK;
    flush->value.size = 0;
    if (!ms_user_encode_head(user, &flush->value))
        return no_memory(error);
    return writer->put(writer->context, bytes_of(&flush->key), bytes_of(&flush->value), error);
}

static enum ms_status write_user(struct ms_flush *flush, const struct ms_fold_context *fold_context,
                                 struct ms_user *user, const struct ms_row_writer *writer,
                                 struct ms_error *error)
{
    ms_user_settle(user);
    enum ms_status status = write_head(flush, user, writer, error);
    if (status != MS_OK)
        return status;
    if (!encode_chunks(flush, user))
        return no_memory(error);
    ms_user_stored(user);
    if (ms_may_trim(fold_context, user))
        ms_user_trim(user);
    return MS_OK;
}

static enum ms_status write_partition(struct ms_flush *flush, const struct ms_flush_row *row,
                                      const struct ms_row_writer *writer, struct ms_error *error)
{
    char value[MS_PARTITION_ROW_BYTES];
    ms_partition_row_encode(&row->row, value);
    if (!ms_key_partition(&flush->key, row->partition))
        return no_memory(error);
    return writer->put(writer->context, bytes_of(&flush->key), (struct ms_bytes){value, sizeof value}, error);
}

/* ---- a flush ---- */

/* Brings the users to come towards the CPU's cache: they have gone cold since their events. Inlined by force:
 * gcc takes a function that only prefetches to have no effect, and drops calls of it. */
static inline __attribute__((always_inline)) void prefetch_users(struct ms_user *const *users, size_t count,
                                                                 size_t i)
{
    if (i + USERS_AHEAD < count) {
        const char *user = (const char *)users[i + USERS_AHEAD];
        __builtin_prefetch(user, 1);
        __builtin_prefetch(user + 64, 1);
        __builtin_prefetch(user + 128);
    }
    if (i + REST_AHEAD < count) {
        const struct ms_user *user = users[i + REST_AHEAD];
        const char *behaviors = (const char *)ms_user_behaviors(user);
        __builtin_prefetch(behaviors);
        __builtin_prefetch(behaviors + 64);
        __builtin_prefetch(ms_user_text(user));
        __builtin_prefetch(ms_user_sums(user));
    }
}

enum ms_status ms_flush_encode(struct ms_flush *flush, const struct ms_fold_context *fold_context,
                               const struct ms_flush_row *rows, size_t rows_count,
                               struct ms_user *const *users, size_t users_count,
                               const struct ms_row_writer *writer, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    size_t next = 0;
    flush->chunks_count = flush->chunk_keys.size = flush->chunk_values.size = 0;
    /* The users in memory bound what a flush writes; the buffers need no bound of their own. */
    flush->chunk_keys.max = flush->chunk_values.max = SIZE_MAX;
    for (size_t i = 0; status == MS_OK && i < users_count; i++) {
        prefetch_users(users, users_count, i);
        while (status == MS_OK && next < rows_count && rows[next].partition <= users[i]->partition)
            status = write_partition(flush, &rows[next++], writer, error);
        if (status == MS_OK) {
            assert(next > 0 && rows[next - 1].partition == users[i]->partition);
            status = write_user(flush, fold_context, users[i], writer, error);
        }
    }
    while (status == MS_OK && next < rows_count)
        status = write_partition(flush, &rows[next++], writer, error);
    return status == MS_OK ? write_chunks(flush, writer, error) : status;
}
