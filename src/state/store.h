/* The database: one RocksDB for all partitions of the process, in one state directory. Opening and reading;
 * writing is ingest.h.
 *
 * The state directory holds
 *
 *   LOCK      held while a process uses the directory; names the process
 *   identity  whose state it is (identity.h)
 *   contents  what the database held when it was last written (contents.h)
 *   db/       RocksDB
 *   ingest/   files on their way into the database */
#ifndef MS_STATE_STORE_H
#define MS_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"
#include "state/key.h"
#include "state/partition_row.h"

struct ms_store;

struct ms_store_options {
    const char *dir;
    /* Checked against the directory's identity; "" when not known. */
    const char *application_id, *input_topic;
    const char *instance_id; /* "": keep the directory's, or make one */
    size_t block_cache_bytes;
};

/* Opens the state directory for writing. Makes it (mode 0700) when it is not there. MS_STATE_BUSY when another
 * process holds it, MS_STATE_NEWER when a newer version wrote it, MS_STATE when it belongs to another
 * application or topic, to nobody and is not empty, or when a file of it is gone, cut or changed. */
enum ms_status ms_store_open(struct ms_store **store, const struct ms_store_options *options,
                             struct ms_error *error) MS_MUST_CHECK;

/* Opens it for reading, also while a service runs on it: read-only, with a consistent view as of
 * now. MS_STATE when a file is gone, cut or changed; beside a running service that may be a passing mistake. */
enum ms_status ms_store_open_reader(struct ms_store **store, const char *dir,
                                    struct ms_error *error) MS_MUST_CHECK;
/* Whether a process has the database of |dir| open for writing. Not for one that this process has open: the
 * question takes away RocksDB's own lock then. */
bool ms_store_in_use(const char *dir);
void ms_store_close(struct ms_store *store);
/* Changes the size of the block cache. Any thread. */
void ms_store_set_cache(struct ms_store *store, size_t block_cache_bytes);

const char *ms_store_instance_id(const struct ms_store *store);
const char *ms_store_application_id(const struct ms_store *store);
const char *ms_store_input_topic(const struct ms_store *store);
const char *ms_store_rocksdb_version(void);

/* The greatest number of workers that ever ran on this directory, as the identity file keeps it, and setting
 * it. */
int ms_store_workers(const struct ms_store *store);
enum ms_status ms_store_set_workers(struct ms_store *store, int workers,
                                    struct ms_error *error) MS_MUST_CHECK;

/* Reads a partition's row. Any thread. */
enum ms_status ms_store_partition(struct ms_store *store, uint16_t partition, struct ms_partition_row *row,
                                  bool *found, struct ms_error *error) MS_MUST_CHECK;

/* Lists the partitions that have a row, ascending; |partitions| has room for MS_MAX_PARTITIONS. Reads a few blocks a
 * partition, and no users. */
enum ms_status ms_store_list_partitions(struct ms_store *store, uint16_t *partitions, size_t *count,
                                        struct ms_error *error) MS_MUST_CHECK;

/* Values as RocksDB holds them. Zeroed, there are none. */
struct ms_store_values {
    struct ms_bytes *values;
    void **handles; /* RocksDB's, of the values */
    size_t count, capacity;
};

/* Looks |count| keys up together. values[i].data is NULL where there is no row. The values hold until they are
 * released or the next look-up into |values|. Any thread. Keys in ascending order are faster. */
enum ms_status ms_store_get(struct ms_store *store, const struct ms_bytes *keys, size_t count,
                            struct ms_store_values *values, struct ms_error *error) MS_MUST_CHECK;
/* Frees the values; the arrays stay for the next look-up. */
void ms_store_values_release(struct ms_store_values *values);
/* Frees both. */
void ms_store_values_free(struct ms_store_values *values);

/* Callbacks of a walk; each may be NULL. Keys and values hold during the call only. */
struct ms_store_visitor {
    void *context;
    enum ms_status (*on_partition)(void *context, uint16_t partition, const struct ms_partition_row *row,
                                   struct ms_error *error);
    enum ms_status (*on_user)(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                              struct ms_error *error);
    enum ms_status (*on_chunk)(void *context, uint16_t partition, struct ms_bytes id, uint32_t number,
                               struct ms_bytes value, struct ms_error *error);
};

/* Walks all rows in key order: partition rows and head rows, then chunk rows. A status other than MS_OK from a
 * callback ends the walk with it. */
enum ms_status ms_store_walk(struct ms_store *store, const struct ms_store_visitor *visitor,
                             struct ms_error *error) MS_MUST_CHECK;

/* Walks the head rows of |partition| in order of id, from the id |from| on, until |on_user| returns false. *ended
 * tells that it did not. */
enum ms_status ms_store_scan(struct ms_store *store, uint16_t partition, struct ms_bytes from, void *context,
                             bool (*on_user)(void *context, struct ms_bytes id, struct ms_bytes value),
                             bool *ended, struct ms_error *error) MS_MUST_CHECK;

/* RocksDB's own statistics text (level sizes, compactions); free with free(). NULL when there is none. */
char *ms_store_stats(struct ms_store *store);

#endif
