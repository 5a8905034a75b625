/* Two iterators in step: head rows and chunk rows have the same order. */
#include "state/user_walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "state/store_inside.h"
#include "user/codec.h"

/* Chunk rows that are passed one by one before the iterator is asked to seek. */
#define STEPS_BEFORE_SEEK 8

struct ms_user_walk {
    struct ms_store *store;
    const rocksdb_snapshot_t *snapshot; /* NULL on a reader, which sees one state anyway */
    rocksdb_readoptions_t *read;
    rocksdb_iterator_t *heads, *chunks;
    struct ms_buffer key, text; /* of a chunk; the chunks of a user, one after the other */
    struct ms_bytes *values;
    size_t values_capacity;
    bool failed; /* at a row: of the user below */
    uint16_t failed_partition;
    struct ms_buffer failed_id;
};

enum ms_status ms_user_walk_begin(struct ms_user_walk **out, struct ms_store *store, struct ms_error *error)
{
    struct ms_user_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return ms_fail(error, MS_MEMORY, "no memory for a walk over the users");
    walk->store = store;
    walk->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(walk->read, 0);
    rocksdb_readoptions_set_readahead_size(walk->read, 1 << 20);
    if (!store->reader && (walk->snapshot = rocksdb_create_snapshot(store->db)))
        rocksdb_readoptions_set_snapshot(walk->read, walk->snapshot);
    walk->heads = rocksdb_create_iterator(store->db, walk->read);
    walk->chunks = rocksdb_create_iterator(store->db, walk->read);
    rocksdb_iter_seek_to_first(walk->heads);
    *out = walk;
    return MS_OK;
}

void ms_user_walk_end(struct ms_user_walk *walk)
{
    if (!walk)
        return;
    rocksdb_iter_destroy(walk->heads);
    rocksdb_iter_destroy(walk->chunks);
    rocksdb_readoptions_destroy(walk->read);
    if (walk->snapshot)
        rocksdb_release_snapshot(walk->store->db, walk->snapshot);
    ms_buffer_free(&walk->key);
    ms_buffer_free(&walk->failed_id);
    ms_buffer_free(&walk->text);
    free(walk->values);
    free(walk);
}

static enum ms_status iterator_error(struct ms_user_walk *walk, rocksdb_iterator_t *it,
                                     struct ms_error *error)
{
    char *text = NULL;
    rocksdb_iter_get_error(it, &text);
    return ms_rocksdb_error(text, MS_STATE, error, walk->store->dir);
}

static struct ms_bytes key_of(rocksdb_iterator_t *it)
{
    struct ms_bytes key;
    key.data = rocksdb_iter_key(it, &key.size);
    return key;
}

/* Negative: the iterator stands before |key|; 0: on it. */
static int compare(rocksdb_iterator_t *it, const struct ms_buffer *key)
{
    struct ms_bytes at = key_of(it);
    size_t shorter = at.size < key->size ? at.size : key->size;
    int order = memcmp(at.data, key->data, shorter);
    return order ? order : (at.size > key->size) - (at.size < key->size);
}

/* Puts the iterator of the chunks on walk->key. False where there is no such row. */
static bool find_chunk(struct ms_user_walk *walk)
{
    rocksdb_iterator_t *it = walk->chunks;
    for (int i = 0; i < STEPS_BEFORE_SEEK && rocksdb_iter_valid(it); i++) {
        int order = compare(it, &walk->key);
        if (order == 0)
            return true;
        if (order > 0) /* no such row, or the numbers of a user's chunks have come round */
            break;
        rocksdb_iter_next(it);
    }
    rocksdb_iter_seek(it, walk->key.data, walk->key.size);
    return rocksdb_iter_valid(it) && compare(it, &walk->key) == 0;
}

/* Copies the chunk under the iterator: moving on may free what it holds. */
static bool take_chunk(struct ms_user_walk *walk, size_t index)
{
    struct ms_bytes value;
    value.data = rocksdb_iter_value(walk->chunks, &value.size);
    if (!ms_array_reserve(&walk->values, &walk->values_capacity, index + 1, sizeof *walk->values))
        return false;
    walk->values[index].size = value.size;
    return ms_buffer_append(&walk->text, value.data, value.size);
}

/* Completes |user| with its chunks, and adds their bytes to *bytes. */
static enum ms_status complete(struct ms_user_walk *walk, struct ms_user **user, uint64_t *bytes,
                               struct ms_error *error)
{
    size_t count = 0;
    walk->text.size = 0;
    for (uint32_t chunk = (*user)->first_chunk; chunk != (*user)->sealed;
         chunk = ms_chunk_number(chunk + 1), count++) {
        if (!ms_key_chunk(&walk->key, (*user)->partition, ms_user_id(*user), chunk))
            return ms_fail(error, MS_MEMORY, "no memory for a key");
        if (!find_chunk(walk)) {
            enum ms_status status = iterator_error(walk, walk->chunks, error);
            return status != MS_OK ? status
                                   : ms_fail(error, MS_STATE, "partition %u: chunk %u of a user is missing",
                                             (*user)->partition, chunk);
        }
        if (!take_chunk(walk, count))
            return ms_fail(error, MS_MEMORY, "no memory for a history");
        *bytes += walk->key.size + walk->values[count].size;
    }
    const char *at = walk->text.data;
    for (size_t i = 0; i < count; at += walk->values[i].size, i++)
        walk->values[i].data = at;
    return ms_user_decode_chunks(user, walk->values, count, error);
}

/* Decodes the user under the iterator of the heads. */
static enum ms_status take_user(struct ms_user_walk *walk, const struct ms_key *key, struct ms_user **user,
                                uint64_t *bytes, struct ms_error *error)
{
    struct ms_bytes value;
    value.data = rocksdb_iter_value(walk->heads, &value.size);
    *bytes = 2 + key->id.size + value.size;
    enum ms_status status = ms_user_decode_head(user, key->partition, key->id, value, error);
    if (status == MS_OK && !(*user)->complete)
        status = complete(walk, user, bytes, error);
    return status;
}

static void note_failure(struct ms_user_walk *walk, const struct ms_key *key)
{
    walk->failed_id.size = 0;
    walk->failed_partition = key->partition;
    walk->failed = ms_buffer_append(&walk->failed_id, key->id.data, key->id.size);
}

bool ms_user_walk_failed_at(const struct ms_user_walk *walk, uint16_t *partition, struct ms_bytes *id)
{
    if (!walk->failed)
        return false;
    *partition = walk->failed_partition;
    *id = (struct ms_bytes){walk->failed_id.data, walk->failed_id.size};
    return true;
}

enum ms_status ms_user_walk_next(struct ms_user_walk *walk, struct ms_user **user, uint64_t *bytes,
                                 struct ms_error *error)
{
    enum ms_status status = MS_OK;
    uint64_t taken = 0;
    struct ms_user *next = NULL;
    walk->failed = false;
    for (; status == MS_OK && !next && rocksdb_iter_valid(walk->heads); rocksdb_iter_next(walk->heads)) {
        struct ms_key key;
        if (!ms_key_parse(key_of(walk->heads), &key))
            status = ms_fail(error, MS_STATE, "%s: a key that is none", walk->store->dir);
        else if (key.kind == MS_KEY_CHUNK) /* the chunks come last */
            break;
        else if (key.kind == MS_KEY_USER && (status = take_user(walk, &key, &next, &taken, error)) != MS_OK)
            note_failure(walk, &key);
    }
    if (status == MS_OK && !next)
        status = iterator_error(walk, walk->heads, error);
    if (status != MS_OK) {
        free(next);
        next = NULL;
    }
    *user = next;
    if (bytes)
        *bytes = taken;
    return status;
}
