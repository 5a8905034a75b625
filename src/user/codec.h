/* Stored bytes of a user: the head row and its chunk rows. The layouts stand at the top of codec.c. Pure. */
#ifndef MS_USER_CODEC_H
#define MS_USER_CODEC_H

#include "base/buffer.h"
#include "user/history.h"
#include "user/user.h"

#define MS_VALUE_VERSION 2
#define MS_OWED_VERSION  3 /* of the head row of a user that is owed a record */

/* Appends the chunk row |index| (0 .. sealable-1) of a settled user: number sealed + index. */
bool ms_user_encode_chunk(const struct ms_user *user, uint32_t index, struct ms_buffer *out);

/* Appends the head row of a settled user, as it is once its sealable chunks are sealed. The sums are left out
 * where few behaviors give them again (sums_of_kept). */
bool ms_user_encode_head(const struct ms_user *user, struct ms_buffer *out);

/* The number of the debt that the user of a head row belongs to, 0: to none. Reads no further. */
uint64_t ms_user_head_owed(struct ms_bytes value);

/* Decodes a head row into a new user (free with free()). The user is incomplete when it has chunks. Its items
 * are not resolved: every behavior has MS_NO_ITEM. Where `sums_left_out` is set, ms_refold must make the sums.
 * MS_STATE with the reason when the bytes are not such a row, MS_STATE_NEWER when a newer version wrote them. */
enum ms_status ms_user_decode_head(struct ms_user **user, uint16_t partition, struct ms_bytes id,
                                   struct ms_bytes value, struct ms_error *error) MS_MUST_CHECK;

/* Adds the behaviors of the chunk rows |values|, in order first_chunk .. sealed-1, to a user that has only its
 * tail and what arrived since it was read. The last `kept` by (time, arrival) stay; the user is complete then.
 * On MS_STATE or MS_STATE_NEWER the user is as it was, but may have moved. */
enum ms_status ms_user_decode_chunks(struct ms_user **user, const struct ms_bytes *values, size_t count,
                                     struct ms_error *error) MS_MUST_CHECK;

#endif
