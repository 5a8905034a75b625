/* The database: one RocksDB for all partitions of the process, in one state directory.
 *
 * All rows are written by ingested files, never by write batches (RocksDB 7.8.3 can misorder the two): a
 * store file collects puts and deletes in key order and becomes visible as a whole, partition rows included.
 * One ingestion runs at a time, under a lock under which the owner of each partition is checked.
 *
 * Key space:   partition (u16 big-endian)                              partition row
 *              partition (u16 big-endian) + user id                    head row of a user
 *              partition | 0x8000 (u16 big-endian) + user id + u32 be  chunk row of a user
 *
 * The state directory holds: LOCK (held while a process uses it), identity (format, application, topic,
 * instance), db/ (RocksDB), ingest/ (files on their way in). */
#ifndef MS_STATE_STORE_H
#define MS_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"
#include "state/key.h"
#include "state/partition_row.h"

#define MS_NO_OWNER 0

struct ms_store;

struct ms_store_options {
    const char *dir;
    const char *application_id,
        *input_topic;        /* checked against the directory's identity; "" when not known */
    const char *instance_id; /* "" = keep the directory's, or make one */
    size_t block_cache_bytes;
};

/* Opens the state directory for writing, made (0700) when it is not there. MS_STATE_BUSY when another process
 * holds it, MS_STATE_NEWER when a newer version wrote it, MS_STATE when it belongs to another application or
 * topic. */
enum ms_status ms_store_open(struct ms_store **store, const struct ms_store_options *options,
                             struct ms_error *error) MS_MUST_CHECK;

/* Opens it for reading, beside a running service (as a secondary instance, a consistent view as of now) or
 * alone. */
enum ms_status ms_store_open_reader(struct ms_store **store, const char *dir,
                                    struct ms_error *error) MS_MUST_CHECK;
void ms_store_close(struct ms_store *store);

const char *ms_store_instance_id(const struct ms_store *store);
const char *ms_store_application_id(const struct ms_store *store);
const char *ms_store_input_topic(const struct ms_store *store);
const char *ms_store_rocksdb_version(void);

/* The greatest number of workers that ever ran on this directory, and telling it of more (kept in the
 * identity). */
int ms_store_workers(const struct ms_store *store);
enum ms_status ms_store_set_workers(struct ms_store *store, int workers,
                                    struct ms_error *error) MS_MUST_CHECK;

/* Ownership of partitions within the process: only the owner's files are ingested. Any thread. */
void ms_store_acquire(struct ms_store *store, uint16_t partition, uint32_t owner);
void ms_store_release(struct ms_store *store, uint16_t partition, uint32_t owner);
bool ms_store_owns(struct ms_store *store, uint16_t partition, uint32_t owner);

/* Reads a partition's row. Any thread. */
enum ms_status ms_store_partition(struct ms_store *store, uint16_t partition, struct ms_partition_row *row,
                                  bool *found, struct ms_error *error) MS_MUST_CHECK;

/* Looks |count| keys up together; values[i].data is NULL where there is none. The values hold until
 * ms_store_values_free. Any thread. Keys in ascending order are faster. */
struct ms_store_values {
    struct ms_bytes *values;
    void **pinned; /* RocksDB's handles */
    size_t count, capacity;
};
enum ms_status ms_store_get(struct ms_store *store, const struct ms_bytes *keys, size_t count,
                            struct ms_store_values *values, struct ms_error *error) MS_MUST_CHECK;
void ms_store_values_release(struct ms_store_values *values); /* lets the values go, keeps the arrays */
void ms_store_values_free(struct ms_store_values *values);

/* Walks all rows in key order: partition rows and head rows, then chunk rows. A callback may be NULL. A
 * status other than MS_OK of a callback ends the walk with it. */
struct ms_store_visitor {
    void *context;
    enum ms_status (*on_partition)(void *context, uint16_t partition, const struct ms_partition_row *row,
                                   struct ms_error *error);
    enum ms_status (*on_user)(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                              struct ms_error *error);
    enum ms_status (*on_chunk)(void *context, uint16_t partition, struct ms_bytes id, uint32_t number,
                               struct ms_bytes value, struct ms_error *error);
};
enum ms_status ms_store_walk(struct ms_store *store, const struct ms_store_visitor *visitor,
                             struct ms_error *error) MS_MUST_CHECK;

/* A file on its way in. Rows in strictly ascending key order. */
struct ms_store_file;
enum ms_status ms_store_file_begin(struct ms_store_file **file, struct ms_store *store,
                                   struct ms_error *error) MS_MUST_CHECK;
enum ms_status ms_store_file_put(struct ms_store_file *file, struct ms_bytes key, struct ms_bytes value,
                                 struct ms_error *error) MS_MUST_CHECK;
enum ms_status ms_store_file_delete(struct ms_store_file *file, struct ms_bytes key,
                                    struct ms_error *error) MS_MUST_CHECK;
/* Ingests the file if |owner| owns all |partitions|; *lost tells that it does not, and then nothing was
 * written. The file is gone afterwards, whatever happened. */
enum ms_status ms_store_file_ingest(struct ms_store_file *file, const uint16_t *partitions, size_t count,
                                    uint32_t owner, bool *lost, struct ms_error *error) MS_MUST_CHECK;
void ms_store_file_discard(struct ms_store_file *file);

/* RocksDB's own statistics text (level sizes, compactions); free with free(). NULL when there is none. */
char *ms_store_stats(struct ms_store *store);

#endif
