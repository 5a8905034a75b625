/* Stored bytes of a user: the head row and its chunk rows. The layouts stand at the top of codec.c. Pure. */
#ifndef MS_USER_CODEC_H
#define MS_USER_CODEC_H

#include "base/buffer.h"
#include "mindstream/model.h"
#include "user/user.h"

#define MS_VALUE_VERSION 2

/* Readies a user for storing: gives the tail's behaviors consecutive arrival numbers, finds the first live
 * chunk, and, when late events have left too many nearly dead chunks, moves all behaviors of a complete user
 * to the tail, to be sealed anew. Call before the encoders; allocates nothing. */
void ms_user_settle(struct ms_user *user);

/* Moves all behaviors of a complete user to the tail, to be sealed anew; its chunks are dead then. */
void ms_user_reseal(struct ms_user *user);

/* How many full chunks the tail holds: rows that the next store seals. */
uint32_t ms_user_sealable(const struct ms_user *user);

/* Appends the chunk row |index| (0 .. sealable-1) of a settled user: number sealed + index. */
bool ms_user_encode_chunk(const struct ms_user *user, uint32_t index, struct ms_buffer *out);

/* Appends the head row of a settled user, as it is once its sealable chunks are sealed. The sums of a user of
 * few events are left out where its behaviors give them again (sums_of_kept). */
bool ms_user_encode_head(const struct ms_user *user, struct ms_buffer *out);

/* Tells the user that its rows have been written: head and chunks, or the delete of the head of an empty user.
 * It keeps its behaviors. */
void ms_user_stored(struct ms_user *user);

/* Whether the tail holds a behavior older than the newest in a sealed chunk: what slides out next may then be
 * in either. */
bool ms_user_reaches_back(const struct ms_user *user);

/* Lets go of the behaviors that lie in chunks; the user is incomplete then, if there were any. */
void ms_user_trim(struct ms_user *user);

/* Decodes a head row into a new user (free with free()). Incomplete when it has chunks. MS_STATE with the
 * reason when the bytes are not such a row, MS_STATE_NEWER when a newer version wrote them. Rows of items are
 * not resolved: every behavior has MS_NO_ITEM. Where `sums_left_out` says so, ms_refold has to bring the
 * sums. */
enum ms_status ms_user_decode_head(struct ms_user **user, uint16_t partition, struct ms_bytes id,
                                   struct ms_bytes value, struct ms_error *error) MS_MUST_CHECK;

/* Adds the behaviors of the chunk rows |values|, in order first_chunk .. sealed-1, to a user that has only
 * its tail (and what arrived since it was read), and leaves the last `kept` by (time, arrival). The user is
 * complete then. On MS_STATE or MS_STATE_NEWER it is as it was (but may have moved). */
enum ms_status ms_user_decode_chunks(struct ms_user **user, const struct ms_bytes *values, size_t count,
                                     struct ms_error *error) MS_MUST_CHECK;

/* Resolves the item rows of all behaviors in memory and counts the routable ones. */
void ms_user_resolve(struct ms_user *user, const struct ms_model *model);

#endif
