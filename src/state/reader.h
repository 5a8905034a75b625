/* Single users read from the database, from any thread, while a worker writes. */
#ifndef MS_STATE_READER_H
#define MS_STATE_READER_H

#include "state/store.h"
#include "user/user.h"

/* Reads a user's head row; *user is NULL where there is none, else the caller's to free(). */
enum ms_status ms_store_read_head(struct ms_store *store, uint16_t partition, struct ms_bytes id,
                                  struct ms_user **user, struct ms_error *error) MS_MUST_CHECK;

/* Reads the chunks of a user that lacks them; it may move. MS_STATE also where its chunks were written or replaced since it was copied:
 * a newer copy tells. */
enum ms_status ms_store_read_chunks(struct ms_store *store, struct ms_user **user,
                                    struct ms_error *error) MS_MUST_CHECK;

#endif
