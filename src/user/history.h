/* How a user's history is cut: sealed chunks, each a row that is written once, and an open tail in the head
 * row. Pure.
 *
 * Every behavior has an arrival number, counted up in order of arrival. Chunk c holds the arrivals
 * c * MS_CHUNK .. c * MS_CHUNK + MS_CHUNK - 1; both are counted round and round (user.h). The tail holds those from sealed * MS_CHUNK on. A chunk is live
 * while one of its behaviors is kept; the live ones are first_chunk .. sealed-1.
 *
 *     settle -> encode (codec.h) -> stored -> perhaps trim */
#ifndef MS_USER_HISTORY_H
#define MS_USER_HISTORY_H

#include "user/user.h"

/* Readies a user for storing: numbers the tail's arrivals without gaps and finds the first live chunk. Where
 * late events have left too many nearly dead chunks, a complete user is resealed. Allocates nothing. */
void ms_user_settle(struct ms_user *user);

/* Moves all behaviors of a complete user to the tail, to be sealed again; its chunks are dead then. */
void ms_user_reseal(struct ms_user *user);

/* Tells the user that its rows have been written: head and chunks, or the delete of the head of an empty user.
 * It keeps its behaviors. */
void ms_user_stored(struct ms_user *user);

/* Frees memory of the behaviors that lie in chunks. The user is incomplete then, if there were any. */
void ms_user_trim(struct ms_user *user);

/* Whether the tail holds a behavior older than the newest in a sealed chunk. The next behavior to slide out
 * may then be in either. */
bool ms_user_reaches_back(const struct ms_user *user);

/* Behaviors of a settled user's tail, and how many full chunks they make: rows that the next store seals. */
uint32_t ms_user_tail_count(const struct ms_user *user);
uint32_t ms_user_sealable(const struct ms_user *user);

/* Greatest event time in a chunk once the sealable ones are sealed, INT64_MIN: none. The user is settled. */
int64_t ms_user_sealed_time_after(const struct ms_user *user);

/* The behaviors with arrivals from .. from+count-1 of a settled user, in that order; at most MS_CHUNK. All are
 * in the tail. */
void ms_user_tail_pick(const struct ms_user *user, uint32_t from, uint32_t count,
                       const struct ms_behavior **list);

/* Puts the behaviors in order of (event time, arrival), as they always are but while chunks are being added. */
void ms_user_sort(struct ms_user *user);

#endif
