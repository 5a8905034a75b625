/* Encoding a flush: from users and partition rows to rows in key order. Pure: where the rows go is the
 * caller's. */
#ifndef MS_STATE_FLUSH_H
#define MS_STATE_FLUSH_H

#include "base/buffer.h"
#include "state/partition_row.h"
#include "user/apply.h"

/* Takes the rows of a flush, in strictly ascending key order. Keys and values hold during the call only. A
 * status other than MS_OK ends the flush with it. */
struct ms_row_writer {
    void *context;
    enum ms_status (*put)(void *context, struct ms_bytes key, struct ms_bytes value, struct ms_error *error);
    enum ms_status (*remove)(void *context, struct ms_bytes key, struct ms_error *error);
};

/* Scratch of an encoder, kept from flush to flush so that a warm one does not allocate. Zeroed, it is empty. */
struct ms_flush {
    struct ms_buffer key, value;
    /* Chunk rows come after the head rows of all users, so they wait here. */
    struct ms_buffer chunk_keys, chunk_values;
    struct ms_chunk_row *chunks;
    size_t chunks_count, chunks_capacity;
};

void ms_flush_free(struct ms_flush *flush);

/* Whether the user's history must be complete before it is encoded. A user whose late events keep it out of
 * order would pile up dead chunks otherwise. */
bool ms_flush_needs_history(const struct ms_user *user);

/* Gives |writer| the partition rows, the head rows of |users|, and their chunk rows: those that are full now
 * and the deletes of those that died. A forgotten user's head row is deleted.
 *
 * |rows| ascend by partition, |users| by key; every user's partition is among the rows, and none needs its
 * history (ms_flush_needs_history). Each user counts as stored afterwards, and goes without the behaviors of
 * its chunks where |fold_context| says that it may; no user moves. */
enum ms_status ms_flush_encode(struct ms_flush *flush, const struct ms_fold_context *fold_context,
                               const struct ms_flush_row *rows, size_t rows_count,
                               struct ms_user *const *users, size_t users_count,
                               const struct ms_row_writer *writer, struct ms_error *error) MS_MUST_CHECK;

#endif
