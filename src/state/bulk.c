/* Users gather, are put in key order, and go into a file that is ingested. */
#include "state/bulk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "state/flush.h"

#define OWNER 1

struct ms_bulk {
    struct ms_store *store;
    struct ms_flush flush;
    struct ms_user **users;
    size_t count, capacity;
    size_t bytes, max_bytes;
    struct ms_flush_row *rows; /* of the partitions of the users at hand */
    size_t rows_capacity;
    uint16_t *partitions;
    size_t partitions_capacity;
};

enum ms_status ms_bulk_begin(struct ms_bulk **out, struct ms_store *store, size_t memory_bytes,
                             struct ms_error *error)
{
    struct ms_bulk *bulk = calloc(1, sizeof *bulk);
    if (!bulk)
        return ms_fail(error, MS_MEMORY, "no memory to write users in bulk");
    bulk->store = store;
    bulk->max_bytes = memory_bytes;
    for (unsigned partition = 0; partition < MS_MAX_PARTITIONS; partition++)
        ms_store_acquire(store, (uint16_t)partition, OWNER);
    *out = bulk;
    return MS_OK;
}

static void drop_users(struct ms_bulk *bulk)
{
    for (size_t i = 0; i < bulk->count; i++)
        free(bulk->users[i]);
    bulk->count = bulk->bytes = 0;
}

void ms_bulk_end(struct ms_bulk *bulk)
{
    if (!bulk)
        return;
    drop_users(bulk);
    ms_flush_free(&bulk->flush);
    free(bulk->users);
    free(bulk->rows);
    free(bulk->partitions);
    free(bulk);
}

/* ---- a file ---- */

static enum ms_status put(void *context, struct ms_bytes key, struct ms_bytes value, struct ms_error *error)
{
    return ms_store_file_put(context, key, value, error);
}

static enum ms_status removed(void *context, struct ms_bytes key, struct ms_error *error)
{
    return ms_store_file_delete(context, key, error);
}

static int by_key(const void *a, const void *b)
{
    const struct ms_user *x = *(struct ms_user *const *)a, *y = *(struct ms_user *const *)b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    struct ms_bytes left = ms_user_id(x), right = ms_user_id(y);
    int order = memcmp(left.data, right.data, left.size < right.size ? left.size : right.size);
    return order ? order : (left.size > right.size) - (left.size < right.size);
}

/* Writes the users at hand with these rows, in one file. */
static enum ms_status write_file(struct ms_bulk *bulk, const struct ms_flush_row *rows, size_t count,
                                 struct ms_error *error)
{
    static const struct ms_fold_context never_trims = {.incremental = false};
    struct ms_store_file *file = NULL;
    bool lost = false;
    if (!ms_array_reserve(&bulk->partitions, &bulk->partitions_capacity, count, sizeof *bulk->partitions))
        return ms_fail(error, MS_MEMORY, "no memory for %zu partitions", count);
    for (size_t i = 0; i < count; i++)
        bulk->partitions[i] = rows[i].partition;
    enum ms_status status = ms_store_file_begin(&file, bulk->store, error);
    if (status != MS_OK)
        return status;
    const struct ms_row_writer writer = {.context = file, .put = put, .remove = removed};
    status = ms_flush_encode(&bulk->flush, &never_trims, rows, count, bulk->users, bulk->count, &writer,
                             error);
    if (status == MS_OK)
        status = ms_store_file_ingest(file, bulk->partitions, count, OWNER, &lost, error);
    else
        ms_store_file_discard(file);
    assert(!lost);
    drop_users(bulk);
    return status;
}

/* Rows without offsets for the partitions of the users at hand, which are in order. */
static bool empty_rows(struct ms_bulk *bulk, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < bulk->count; i++) {
        uint16_t partition = bulk->users[i]->partition;
        if (*count > 0 && bulk->rows[*count - 1].partition == partition)
            continue;
        if (!ms_array_reserve(&bulk->rows, &bulk->rows_capacity, *count + 1, sizeof *bulk->rows))
            return false;
        bulk->rows[(*count)++] = (struct ms_flush_row){partition, MS_EMPTY_ROW};
    }
    return true;
}

static void sort_users(struct ms_bulk *bulk)
{
    bool sorted = true;
    for (size_t i = 1; sorted && i < bulk->count; i++)
        sorted = by_key(&bulk->users[i - 1], &bulk->users[i]) < 0;
    if (!sorted)
        qsort(bulk->users, bulk->count, sizeof *bulk->users, by_key);
}

enum ms_status ms_bulk_add(struct ms_bulk *bulk, struct ms_user *user, struct ms_error *error)
{
    size_t count;
    if (!ms_array_reserve(&bulk->users, &bulk->capacity, bulk->count + 1, sizeof *bulk->users)) {
        free(user);
        return ms_fail(error, MS_MEMORY, "no memory for another user");
    }
    bulk->users[bulk->count++] = user;
    bulk->bytes += user->block_bytes;
    if (bulk->bytes < bulk->max_bytes)
        return MS_OK;
    sort_users(bulk);
    if (!empty_rows(bulk, &count))
        return ms_fail(error, MS_MEMORY, "no memory for the rows of partitions");
    return write_file(bulk, bulk->rows, count, error);
}

enum ms_status ms_bulk_finish(struct ms_bulk *bulk, const struct ms_flush_row *rows, size_t count,
                              struct ms_error *error)
{
    sort_users(bulk);
    return bulk->count || count ? write_file(bulk, rows, count, error) : MS_OK;
}
