/* One user in memory: the kept behaviors, the counters, and the sums of the incremental fold, in one block of
 * memory.
 *
 * Pure: no I/O, no clock, no threads. A user belongs to one thread. What is stored of it, and how, is
 * user/codec.h; what an event does to it is user/apply.h.
 *
 * Kept behaviors are the last `behaviors_max` by (event time, arrival). In storage they lie in order of
 * arrival: full chunks of MS_CHUNK behaviors, each a row that is written once, and an open tail inside the
 * user's head row. So an event costs the same bytes whatever the length of the history. A user read without
 * its chunks (`complete` false) can take any event newer than `sealed_time_ms`; others need the chunks first.
 */
#ifndef MS_USER_USER_H
#define MS_USER_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_CHUNK 32 /* behaviors of a sealed chunk */

struct ms_behavior {
    int64_t time_ms;
    uint32_t arrival; /* order of arrival; below MS_CHUNK * sealed: in a chunk, else in the tail */
    uint32_t row;     /* item row of the model, MS_NO_ITEM when it does not know the item */
    uint32_t text;    /* where the item's bytes lie in the user's text; the type's follow */
    uint16_t item_bytes;
    uint8_t type_bytes;
    uint8_t unused;
};

struct ms_user {
    /* What storage keeps. */
    uint64_t version;       /* accepted events so far, 0: no such user */
    uint64_t fold_id;       /* model and settings under which slots and sums were folded */
    int64_t own_offset;     /* input offset up to which (exclusive) it is folded, -1: none */
    int64_t profile_offset; /* the same for the profile topic */
    int64_t last_time_ms;   /* greatest event time so far */
    int64_t sums_time_ms;   /* greatest event time in the sums, INT64_MIN: none */
    int64_t sealed_time_ms; /* greatest event time in a sealed chunk, INT64_MIN: none */
    uint64_t events_folded; /* routable events in the sums */
    uint32_t kept;          /* behaviors kept: in memory `count` of them */
    uint32_t first_chunk;   /* live sealed chunks are first_chunk .. sealed-1 */
    uint32_t sealed;
    uint16_t slots;     /* interests after the last event */
    uint16_t slots_max; /* most interests there ever were */
    /* What only memory knows. */
    uint32_t stored_first_chunk; /* chunks stored_first_chunk .. first_chunk-1 are dead and still stored */
    uint32_t next_arrival;
    uint32_t routable;  /* kept behaviors with a known item; of `complete` users only */
    bool complete;      /* all kept behaviors are in memory */
    bool ordered;       /* arrival order is time order for all that is stored */
    bool stored;        /* a head row exists */
    bool sums_of_kept;  /* the sums are the fold of the kept behaviors in order of arrival, of nothing else */
    bool sums_left_out; /* there are none: stored without, to be folded again (codec.h) */
    uint16_t partition;
    /* The block. */
    uint32_t block_bytes;
    uint32_t id_bytes;
    uint32_t floats; /* of sums: as many as the user's interests need */
    uint32_t first, count, capacity;
    uint32_t text_used, text_capacity;
    uint32_t profile_bytes, profile_capacity;
};

/* The id stands right behind the counters: finding a user touches the front of its block only. */
static inline char *ms_user_id_bytes(const struct ms_user *user)
{
    return (char *)(uintptr_t)(user + 1);
}

static inline float *ms_user_sums(const struct ms_user *user)
{
    return (float *)(void *)((char *)(uintptr_t)user + ((sizeof *user + user->id_bytes + 63) & ~(size_t)63));
}

static inline struct ms_behavior *ms_user_slots(const struct ms_user *user)
{
    return (struct ms_behavior *)(void *)((char *)ms_user_sums(user) +
                                          (((size_t)user->floats * sizeof(float) + 7) & ~(size_t)7));
}

/* Behaviors first..first+count-1, oldest first. */
static inline struct ms_behavior *ms_user_behaviors(const struct ms_user *user)
{
    return ms_user_slots(user) + user->first;
}

static inline char *ms_user_profile_bytes(const struct ms_user *user)
{
    return (char *)(ms_user_slots(user) + user->capacity);
}

static inline char *ms_user_text(const struct ms_user *user)
{
    return ms_user_profile_bytes(user) + user->profile_capacity;
}

static inline struct ms_bytes ms_user_id(const struct ms_user *user)
{
    return (struct ms_bytes){ms_user_id_bytes(user), user->id_bytes};
}

static inline struct ms_bytes ms_user_profile(const struct ms_user *user)
{
    return (struct ms_bytes){ms_user_profile_bytes(user), user->profile_bytes};
}

static inline struct ms_bytes ms_behavior_item(const struct ms_user *user, const struct ms_behavior *behavior)
{
    return (struct ms_bytes){ms_user_text(user) + behavior->text, behavior->item_bytes};
}

static inline struct ms_bytes ms_behavior_type(const struct ms_user *user, const struct ms_behavior *behavior)
{
    return (struct ms_bytes){ms_user_text(user) + behavior->text + behavior->item_bytes,
                             behavior->type_bytes};
}

/* Whether there is nothing to store of it: no event and no profile. */
static inline bool ms_user_is_empty(const struct ms_user *user)
{
    return user->version == 0 && user->profile_bytes == 0;
}

/* A user without events, with room for |floats| sums (zeros). NULL when memory ended. Free with free(). */
struct ms_user *ms_user_new(uint16_t partition, struct ms_bytes id, uint32_t floats);

/* A copy in a block of its own. NULL when memory ended. */
struct ms_user *ms_user_copy(const struct ms_user *user);

/* Back to a user without events; chunks that are stored become dead. Its block, offsets and profile_offset
 * stay. */
void ms_user_clear(struct ms_user *user);

/* Room for one more behavior with |text_bytes| of text, and for |behaviors_max| in all, and for |floats| sums
 * (the new ones are zeros; fewer than there are: no change). May move the user: *user is updated. Amortised
 * O(1): growth doubles, and slid-out behaviors are squeezed out once per half capacity. */
bool ms_user_make_room(struct ms_user **user, uint32_t text_bytes, uint32_t behaviors_max, uint32_t floats);

/* Puts a behavior where (time, arrival) says. The room is there (ms_user_make_room). Returns its place among
 * the behaviors. */
uint32_t ms_user_insert(struct ms_user *user, int64_t time_ms, uint32_t row, struct ms_bytes item,
                        struct ms_bytes type);

/* Whether a kept behavior equals (item, time, type). The user is complete, or time_ms > sealed_time_ms. */
bool ms_user_has(const struct ms_user *user, int64_t time_ms, struct ms_bytes item, struct ms_bytes type);

/* Drops the oldest behavior in memory. Its part in the sums stays. */
void ms_user_drop_oldest(struct ms_user *user);

/* Replaces the profile's raw bytes. May move the user. */
bool ms_user_set_profile(struct ms_user **user, struct ms_bytes profile);

/* Gives the user room for |floats| sums, all zero. May move the user. */
bool ms_user_reset_sums(struct ms_user **user, uint32_t floats);

#endif
