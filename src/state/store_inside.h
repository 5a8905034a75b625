/* The insides of a store, shared by store.c (opening, reading) and ingest.c (ownership, writing). For these
 * two alone. */
#ifndef MS_STATE_STORE_INSIDE_H
#define MS_STATE_STORE_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include <rocksdb/c.h>

#include "state/contents.h"
#include "state/identity.h"
#include "state/key.h"
#include "state/store.h"

struct ms_store {
    char *dir;
    struct ms_identity identity;
    int lock_fd;
    bool reader;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *rows;
    rocksdb_readoptions_t *read;
    rocksdb_envoptions_t *env;
    rocksdb_ingestexternalfileoptions_t *ingest;
    pthread_mutex_t ingesting; /* held during an ingestion; guards owners and contents */
    struct ms_contents contents;
    uint32_t owners[MS_MAX_PARTITIONS];
    atomic_uint next_file;
};

/* Brings the file `contents` up to date with the open database. Under the lock that guards ingestion, or before
 * and after there are other threads. */
enum ms_status ms_store_note_contents(struct ms_store *store, enum ms_contents_state state,
                                      struct ms_error *error) MS_MUST_CHECK;

/* Turns RocksDB's error text, if there is one, into |status|, and frees it. MS_OK where there is none. |what|
 * is put before the text. */
static inline enum ms_status ms_rocksdb_error(char *text, enum ms_status status, struct ms_error *error,
                                              const char *what)
{
    if (!text)
        return MS_OK;
    ms_fail(error, status, "%s: %s", what, text);
    rocksdb_free(text);
    return status;
}

#endif
