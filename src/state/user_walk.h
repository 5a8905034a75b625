/* A walk over the users of a state directory, complete users one after the other. */
#ifndef MS_STATE_USER_WALK_H
#define MS_STATE_USER_WALK_H

#include "state/store.h"
#include "user/user.h"

struct ms_user_walk;

/* Begins a walk over the users of |store|, which must outlive it, in key order: by partition, then by the bytes of
 * their ids. The walk sees the database as of now. MS_MEMORY. ms_user_walk_end(NULL) is legal. */
enum ms_status ms_user_walk_begin(struct ms_user_walk **walk, struct ms_store *store,
                                  struct ms_error *error) MS_MUST_CHECK;
void ms_user_walk_end(struct ms_user_walk *walk);

/* The next user with all its kept behaviors, NULL behind the last. It is the caller's, who frees it with free(); its
 * items are not resolved (codec.h). |bytes|, where not NULL, is set to what the user's rows take, keys included.
 * MS_STATE where a row is damaged or a chunk is missing; *user is NULL then. */
enum ms_status ms_user_walk_next(struct ms_user_walk *walk, struct ms_user **user, uint64_t *bytes,
                                 struct ms_error *error) MS_MUST_CHECK;

/* After a failure: whether it was one row's, whose user is *partition and *id (they hold until the next call), so that the
 * next call goes on behind it. */
bool ms_user_walk_failed_at(const struct ms_user_walk *walk, uint16_t *partition, struct ms_bytes *id);

#endif
