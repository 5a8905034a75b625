/* Writing to the database: files that become visible as a whole, and who may write.
 *
 * All rows are written by ingested files, never by write batches: RocksDB 7.8.3 can misorder the two. A file
 * collects puts and deletes in key order, partition rows included. One ingestion runs at a time, under the lock
 * that guards the owners, so a file is written by the present owner of its partitions or not at all. */
#ifndef MS_STATE_INGEST_H
#define MS_STATE_INGEST_H

#include <stdatomic.h>

#include "state/store.h"

#define MS_NO_OWNER 0

/* Ownership of partitions within the process. acquire takes a partition from whoever has it; release does
 * nothing where |owner| has it no longer. Any thread. */
void ms_store_acquire(struct ms_store *store, uint16_t partition, uint32_t owner);
void ms_store_release(struct ms_store *store, uint16_t partition, uint32_t owner);
bool ms_store_owns(struct ms_store *store, uint16_t partition, uint32_t owner);

/* A file of rows, in strictly ascending key order. It belongs to one thread at a time. */
struct ms_store_file;
enum ms_status ms_store_file_begin(struct ms_store_file **file, struct ms_store *store,
                                   struct ms_error *error) MS_MUST_CHECK;
enum ms_status ms_store_file_put(struct ms_store_file *file, struct ms_bytes key, struct ms_bytes value,
                                 struct ms_error *error) MS_MUST_CHECK;
enum ms_status ms_store_file_delete(struct ms_store_file *file, struct ms_bytes key,
                                    struct ms_error *error) MS_MUST_CHECK;

/* Waits while level 0 holds more files than compactions should leave there: each costs every look-up, and
 * RocksDB itself holds back write batches alone. Ends when *|hurry| is set, when no compaction runs that could
 * mend it, and in any case after 20 s. */
void ms_store_file_wait(struct ms_store_file *file, const atomic_bool *hurry);

/* Ingests the file if |owner| owns all |partitions|. *lost tells that it does not; nothing was written then.
 * Frees the file in any case. */
enum ms_status ms_store_file_ingest(struct ms_store_file *file, const uint16_t *partitions, size_t count,
                                    uint32_t owner, bool *lost, struct ms_error *error) MS_MUST_CHECK;

/* Removes and frees a file that is not to be ingested. NULL does nothing. */
void ms_store_file_discard(struct ms_store_file *file);

#endif
