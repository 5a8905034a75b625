/* Chunks, the tail, and the arrival numbers that tell them apart. */
#include "user/history.h"

#include <assert.h>
#include <stdlib.h>

#define SPARE_CHUNKS 4 /* beyond twice the full ones, before a history is resealed */

static int by_arrival(const void *a, const void *b)
{
    uint32_t x = ((const struct ms_behavior *)a)->arrival, y = ((const struct ms_behavior *)b)->arrival;
    return x == y ? 0 : ms_arrived_before(x, y) ? -1 : 1;
}

static int by_time(const void *a, const void *b)
{
    const struct ms_behavior *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return by_arrival(a, b);
}

/* Where the tail begins in the array, of a user whose arrival order is time order. */
static uint32_t tail_start(const struct ms_user *user)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    uint32_t at = user->count;
    while (at > 0 && !ms_arrived_before(b[at - 1].arrival, user->sealed * MS_CHUNK))
        at--;
    return at;
}

/* Renumbers the tail's behaviors without gaps, in order of arrival. There are gaps where some slid out. */
static void renumber_tail(struct ms_user *user)
{
    struct ms_behavior *b = ms_user_behaviors(user);
    uint32_t next = user->sealed * MS_CHUNK, in_tail = 0;
    for (uint32_t i = 0; !user->ordered && i < user->count; i++)
        in_tail += !ms_arrived_before(b[i].arrival, next);
    if (!user->ordered && in_tail == user->next_arrival - next)
        return;
    if (!user->ordered)
        qsort(b, user->count, sizeof *b, by_arrival);
    for (uint32_t i = tail_start(user); i < user->count; i++)
        b[i].arrival = next++;
    user->next_arrival = next;
    if (!user->ordered)
        ms_user_sort(user);
}

/* Whether late events have slid out, so that arrival order is time order again and the sealed part has no
 * gaps. */
static bool ordered_again(const struct ms_user *user)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    for (uint32_t i = 1; i < user->count; i++) {
        if (ms_arrived_before(b[i].arrival, b[i - 1].arrival))
            return false;
    }
    uint32_t tail = tail_start(user);
    return tail == 0 || user->sealed * MS_CHUNK - b[0].arrival == tail;
}

/* The first chunk with a behavior that is kept. */
static uint32_t first_live_chunk(const struct ms_user *user)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    if (!user->complete) { /* ordered: the kept ones are the last that arrived */
        uint32_t alive = user->kept - (user->count - tail_start(user));
        return ms_chunk_number(user->sealed - (alive + MS_CHUNK - 1) / MS_CHUNK);
    }
    uint32_t first = user->sealed * MS_CHUNK;
    for (uint32_t i = 0; i < user->count; i++) {
        if (ms_arrived_before(b[i].arrival, first))
            first = b[i].arrival;
        if (user->ordered)
            break;
    }
    return first / MS_CHUNK;
}

void ms_user_reseal(struct ms_user *user)
{
    struct ms_behavior *b = ms_user_behaviors(user);
    assert(user->complete);
    for (uint32_t i = 0; i < user->count; i++)
        b[i].arrival = user->sealed * MS_CHUNK + i; /* time order becomes the order of arrival */
    user->next_arrival = user->sealed * MS_CHUNK + user->count;
    user->first_chunk = user->sealed;
    user->sealed_time_ms = INT64_MIN;
    user->ordered = true;
}

void ms_user_settle(struct ms_user *user)
{
    if (user->count == user->kept)
        user->complete = true;
    if (user->complete && !user->ordered)
        user->ordered = ordered_again(user);
    if (user->complete || user->ordered)
        user->first_chunk = first_live_chunk(user);
    if (user->complete && ms_user_live_chunks(user) > 2 * (user->count / MS_CHUNK) + SPARE_CHUNKS)
        ms_user_reseal(user);
    renumber_tail(user);
    if (user->first_chunk == user->sealed)
        user->sealed_time_ms = INT64_MIN;
}

bool ms_user_reaches_back(const struct ms_user *user)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    if (user->ordered)
        return false;
    for (uint32_t i = 0; i < user->count && b[i].time_ms < user->sealed_time_ms; i++) {
        if (!ms_arrived_before(b[i].arrival, user->sealed * MS_CHUNK))
            return true;
    }
    return false;
}

void ms_user_trim(struct ms_user *user)
{
    if (user->ordered) {
        uint32_t tail = tail_start(user);
        user->first += tail;
        user->count -= tail;
    } else {
        struct ms_behavior *b = ms_user_behaviors(user);
        uint32_t left = 0;
        for (uint32_t i = 0; i < user->count; i++) {
            if (!ms_arrived_before(b[i].arrival, user->sealed * MS_CHUNK))
                b[left++] = b[i];
        }
        user->count = left;
    }
    user->complete = user->count == user->kept;
}

uint32_t ms_user_tail_count(const struct ms_user *user)
{
    return user->next_arrival - user->sealed * MS_CHUNK;
}

uint32_t ms_user_sealable(const struct ms_user *user)
{
    return ms_user_tail_count(user) / MS_CHUNK;
}

int64_t ms_user_sealed_time_after(const struct ms_user *user)
{
    int64_t time_ms = user->sealed_time_ms;
    uint32_t sealed = ms_user_sealable(user);
    if (sealed) {
        const struct ms_behavior *b = ms_user_behaviors(user);
        uint32_t base = user->sealed * MS_CHUNK;
        for (uint32_t i = user->count; i > 0 && b[i - 1].time_ms > time_ms; i--) {
            if (b[i - 1].arrival - base < sealed * MS_CHUNK) {
                time_ms = b[i - 1].time_ms;
                break;
            }
        }
    }
    return time_ms;
}

void ms_user_tail_pick(const struct ms_user *user, uint32_t from, uint32_t count,
                       const struct ms_behavior **list)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    uint32_t found = 0;
    uint32_t at = user->count;
    if (user->ordered) { /* consecutive, from the end backwards */
        at = tail_start(user) + (from - user->sealed * MS_CHUNK);
        for (; found < count; found++)
            list[found] = &b[at + found];
        return;
    }
    while (at > 0 && found < count) {
        at--;
        if (b[at].arrival - from < count) {
            list[b[at].arrival - from] = &b[at];
            found++;
        }
    }
    assert(found == count);
}

void ms_user_stored(struct ms_user *user)
{
    user->sealed_time_ms = ms_user_sealed_time_after(user);
    user->sealed = ms_chunk_number(user->sealed + ms_user_sealable(user));
    user->stored_first_chunk = user->first_chunk;
    user->stored = !ms_user_is_empty(user);
}

void ms_user_sort(struct ms_user *user)
{
    qsort(ms_user_behaviors(user), user->count, sizeof(struct ms_behavior), by_time);
}
