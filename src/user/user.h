/* One user in memory: the kept behaviors, the counters, and the sums of the incremental fold, in one block of
 * memory.
 *
 * Pure: no I/O, no clock, no threads. A user belongs to one thread. What is stored of it, and how, is
 * user/codec.h; what an event does to it is user/apply.h.
 *
 * Kept behaviors are the last `behaviors_max` by (event time, arrival). How they are cut into chunks for
 * storage is user/history.h. A user that was read without its chunks (`complete` is false) can take any event
 * newer than `sealed_time_ms`. Other events need the chunks first.
 */
#ifndef MS_USER_USER_H
#define MS_USER_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_CHUNK         32         /* behaviors of a sealed chunk */
#define MS_CHUNK_NUMBERS (1u << 27) /* chunks are counted modulo this, so their arrivals modulo 2^32 */

struct ms_behavior {
    int64_t time_ms;
    uint32_t arrival; /* order of arrival; before MS_CHUNK * sealed: in a chunk, else in the tail */
    uint32_t item;    /* the model's number of the item, MS_NO_ITEM when the model does not know it */
    uint32_t text;    /* offset of the item's bytes in the user's text; the type's follow */
    uint16_t item_bytes;
    uint8_t type_bytes;
    uint8_t unused;
};

struct ms_user {
    /* What storage keeps. */
    uint64_t version;       /* accepted events so far, 0: no such user */
    uint64_t fold_id;       /* model and settings under which slots and sums were folded */
    uint64_t owed;          /* number of the debt that owes it a record (stream/debt.h), 0: none */
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
    bool ordered;       /* arrival order is time order for all that is stored, without gaps */
    bool stored;        /* a head row exists */
    bool sums_of_kept;  /* the sums are the fold of the kept behaviors in order of arrival, of nothing else */
    bool sums_left_out; /* stored without sums, which must be folded again (codec.h) */
    uint16_t partition;
    /* The block. */
    uint32_t block_bytes;
    uint32_t id_bytes;
    uint32_t floats; /* of sums: as many as the user's interests need */
    uint32_t first, count, capacity;
    uint32_t text_used, text_capacity;
    uint32_t profile_bytes, profile_capacity;
};

/* Arrivals and chunks are counted for ever, so their numbers come round. What a user keeps is a small part of a
 * round: the difference tells which of two came first. */
static inline bool ms_arrived_before(uint32_t arrival, uint32_t other)
{
    return (int32_t)(arrival - other) < 0;
}

static inline uint32_t ms_chunk_number(uint32_t number)
{
    return number % MS_CHUNK_NUMBERS;
}

/* Chunks first_chunk .. sealed-1: how many are live. */
static inline uint32_t ms_user_live_chunks(const struct ms_user *user)
{
    return ms_chunk_number(user->sealed - user->first_chunk);
}

/* The id is right behind the counters, so that finding a user touches only the front of its block. */
static inline char *ms_user_id_bytes(const struct ms_user *user)
{
    return (char *)(uintptr_t)(user + 1);
}

static inline float *ms_user_sums(const struct ms_user *user)
{
    return (float *)(void *)((char *)(uintptr_t)user + ((sizeof *user + user->id_bytes + 63) & ~(size_t)63));
}

static inline struct ms_behavior *ms_user_behavior_array(const struct ms_user *user)
{
    return (struct ms_behavior *)(void *)((char *)ms_user_sums(user) +
                                          (((size_t)user->floats * sizeof(float) + 7) & ~(size_t)7));
}

/* Behaviors first..first+count-1, oldest first. */
static inline struct ms_behavior *ms_user_behaviors(const struct ms_user *user)
{
    return ms_user_behavior_array(user) + user->first;
}

static inline char *ms_user_profile_bytes(const struct ms_user *user)
{
    return (char *)(ms_user_behavior_array(user) + user->capacity);
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

/* Whether there is nothing to store of it: no event, no profile, and nothing that is owed for it. */
static inline bool ms_user_is_empty(const struct ms_user *user)
{
    return user->version == 0 && user->profile_bytes == 0 && user->owed == 0;
}

/* A user without events, with room for |floats| sums (zeros). NULL when memory ended. Free with free(). */
struct ms_user *ms_user_new(uint16_t partition, struct ms_bytes id, uint32_t floats);

/* A copy in a block of its own. NULL when memory ended. */
struct ms_user *ms_user_copy(const struct ms_user *user);

/* Makes it a user without events and profile. Chunks that are stored become dead. Its block and its offsets
 * stay. */
void ms_user_clear(struct ms_user *user);

/* Makes room for one more behavior with |text_bytes| of text, and for |floats| sums; new sums are zeros, and
 * sums never get fewer. |behaviors_max| bounds the growth. May move the user: *user is updated. Amortised O(1):
 * growth doubles, and behaviors that slid out are squeezed out once per half capacity. False when memory ended
 * or the block would pass 4 GiB. */
bool ms_user_make_room(struct ms_user **user, uint32_t text_bytes, uint32_t behaviors_max, uint32_t floats);

/* Inserts a behavior in order of (time, arrival). The room is there (ms_user_make_room). |item| is the model's
 * number of the item, or MS_NO_ITEM. Returns the behavior's index. */
uint32_t ms_user_insert(struct ms_user *user, int64_t time_ms, uint32_t item, struct ms_bytes item_id,
                        struct ms_bytes type);

/* Whether a kept behavior equals (item, time, type). The user is complete, or time_ms > sealed_time_ms. */
bool ms_user_has(const struct ms_user *user, int64_t time_ms, struct ms_bytes item, struct ms_bytes type);

/* Drops the oldest behavior in memory. Its share of the sums stays. */
void ms_user_drop_oldest(struct ms_user *user);

/* Replaces the profile's raw bytes. May move the user. False when memory ended. */
bool ms_user_set_profile(struct ms_user **user, struct ms_bytes profile);

/* Gives the user |floats| sums, all zero. May move the user. False when memory ended. */
bool ms_user_reset_sums(struct ms_user **user, uint32_t floats);

#endif
