/* Inside of an overlay: shared by overlay.c (users in memory) and flush.c (their way to disk). Private to
 * this fold_context. */
#ifndef MS_STATE_OVERLAY_INSIDE_H
#define MS_STATE_OVERLAY_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/index.h"
#include "state/key_order.h"
#include "state/overlay.h"
#include "user/codec.h"

/* A chunk row (or its delete) that waits for the head rows to be written. */
struct ms_chunk_row {
    size_t key, value; /* places in the buffers */
    uint32_t key_bytes, value_bytes;
    bool remove;
};

/* A file on its way to disk, in a thread of its own. The users in it stay in memory until it is there. */
struct ms_flight {
    pthread_t thread;
    uint32_t number;  /* 1, 2, ...: each flush has its own */
    bool open;        /* not collected yet */
    bool running;     /* not joined yet */
    atomic_bool done; /* the thread has nothing more to do */
    struct ms_store_file *file;
    uint16_t *partitions;
    size_t count, capacity;
    uint32_t owner;
    size_t bytes; /* of its users in memory */
    bool lost;
    enum ms_status status;
    struct ms_error error;
};

struct ms_overlay {
    struct ms_store *store;
    struct ms_fold_context *fold_context;
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
    struct ms_sort_key *dirty; /* with room for all entries */
    uint32_t dirty_count;
    bool whole[MS_MAX_PARTITIONS]; /* nothing of the partition is stored that is not in memory too */
    struct ms_flight flight;
    /* scratch */
    uint32_t *missing;
    size_t missing_capacity;
    struct ms_key_list keys;
    struct ms_buffer key_bytes, value, chunk_keys, chunk_values;
    struct ms_store_values values;
    struct ms_sort_key *sort_scratch;
    size_t sort_capacity;
    struct ms_chunk_row *chunks;
    size_t chunks_count, chunks_capacity;
};

enum ms_status ms_overlay_no_memory(struct ms_error *error);

/* flush.c: waits until the file in flight, if any, has arrived or failed; the outcome stays to be collected.
 */
void ms_flight_join(struct ms_overlay *overlay);
void ms_flight_free(struct ms_overlay *overlay);

#endif
