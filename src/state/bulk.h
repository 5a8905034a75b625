/* Writing many users into a database that nobody reads yet: sorted files instead of flushes. */
#ifndef MS_STATE_BULK_H
#define MS_STATE_BULK_H

#include "state/ingest.h"
#include "user/user.h"

struct ms_bulk;

/* Begins to write into |store|, which must outlive it, and takes all its partitions. Users are kept in memory until they
 * take |memory_bytes|; a file of them is written then. One thread at a time. MS_MEMORY. */
enum ms_status ms_bulk_begin(struct ms_bulk **bulk, struct ms_store *store, size_t memory_bytes,
                             struct ms_error *error) MS_MUST_CHECK;

/* Adds a complete user of which nothing is in the database, and takes it: the caller does not free it, also where this
 * fails. Any order, but a user comes once. */
enum ms_status ms_bulk_add(struct ms_bulk *bulk, struct ms_user *user, struct ms_error *error) MS_MUST_CHECK;

/* Writes what is left, and the rows of the partitions, which ascend. Until then a partition's row says that nothing was
 * applied. Every user's partition is among the rows. */
enum ms_status ms_bulk_finish(struct ms_bulk *bulk, const struct ms_flush_row *rows, size_t count,
                              struct ms_error *error) MS_MUST_CHECK;

/* Frees it, and what was not written. ms_bulk_end(NULL) is legal. */
void ms_bulk_end(struct ms_bulk *bulk);

#endif
