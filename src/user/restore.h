/* A user made from its parts, as an export lists them. Pure. */
#ifndef MS_USER_RESTORE_H
#define MS_USER_RESTORE_H

#include "user/user.h"

struct ms_restored_behavior {
    struct ms_bytes item, type;
    int64_t time_ms;
};

/* What a user consists of. Counters are as in struct ms_user. */
struct ms_user_parts {
    uint16_t partition;
    struct ms_bytes id, profile;
    uint64_t version, fold_id, events_folded, owed;
    int64_t own_offset, profile_offset, last_time_ms, sums_time_ms;
    uint16_t slots, slots_max;
    bool sums_left_out;
    const float *sums;
    uint32_t floats;
    const struct ms_restored_behavior *behaviors; /* in order of arrival */
    uint32_t behavior_count;
};

/* Makes the user; free with free(). Its items are not resolved, and all of its history is yet to be sealed. MS_FORMAT
 * where the parts cannot be those of a user (ids or types that are too long, sums that were left out and are there);
 * MS_MEMORY. */
enum ms_status ms_user_restore(struct ms_user **user, const struct ms_user_parts *parts,
                               struct ms_error *error) MS_MUST_CHECK;

/* The place of each behavior of a complete user in the order of arrival, from 0: |places| has user->count numbers. True
 * where that is the order of the behaviors themselves. */
bool ms_user_arrival_places(const struct ms_user *user, uint32_t *places);

#endif
