/* The block that holds a user, and its behaviors in order of (time, arrival). */
#include "user/user.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/model.h"

#define FIRST_BEHAVIORS  3 /* grown by 2n + 1: 7, 15, 31; the paper's K'u = log2 n grows in the same move */
#define FIRST_TEXT_BYTES 40

static_assert(sizeof(struct ms_behavior) == 24, "a behavior takes 24 bytes in memory");

/* A block with the header of |like| and other capacities; nothing but the header is copied. The rest of the
 * last cache line is added to the text. */
static struct ms_user *block_new(const struct ms_user *like, uint32_t floats, uint32_t capacity,
                                 uint32_t profile_capacity, uint32_t text_capacity)
{
    struct ms_user shape = *like;
    shape.floats = floats;
    shape.capacity = capacity;
    shape.profile_capacity = profile_capacity;
    shape.text_capacity = text_capacity;
    size_t bytes = (size_t)(ms_user_text(&shape) - (char *)&shape) + text_capacity;
    bytes = (bytes + 63) & ~(size_t)63;
    if (bytes > UINT32_MAX)
        return NULL;
    struct ms_user *user = aligned_alloc(64, bytes);
    if (user) {
        *user = shape;
        user->block_bytes = (uint32_t)bytes;
        user->text_capacity = (uint32_t)(bytes - (size_t)(ms_user_text(&shape) - (char *)&shape));
    }
    return user;
}

/* Moves everything into a block of the given capacities, behaviors and text squeezed to the front. */
static bool move(struct ms_user **user, uint32_t floats, uint32_t capacity, uint32_t profile_capacity,
                 uint32_t text_capacity)
{
    const struct ms_user *old = *user;
    struct ms_user *new = block_new(old, floats, capacity, profile_capacity, text_capacity);
    if (!new)
        return false;
    uint32_t same = floats < old->floats ? floats : old->floats;
    memcpy(ms_user_sums(new), ms_user_sums(old), same * sizeof(float));
    memset(ms_user_sums(new) + same, 0, (floats - same) * sizeof(float));
    memcpy(ms_user_id_bytes(new), ms_user_id_bytes(old), old->id_bytes);
    memcpy(ms_user_profile_bytes(new), ms_user_profile_bytes(old), old->profile_bytes);
    new->first = 0;
    new->text_used = 0;
    const struct ms_behavior *from = ms_user_behaviors(old);
    struct ms_behavior *to = ms_user_behavior_array(new);
    for (uint32_t i = 0; i < old->count; i++) {
        uint32_t bytes = (uint32_t)from[i].item_bytes + from[i].type_bytes;
        to[i] = from[i];
        to[i].text = new->text_used;
        memcpy(ms_user_text(new) + new->text_used, ms_user_text(old) + from[i].text, bytes);
        new->text_used += bytes;
    }
    free(*user);
    *user = new;
    return true;
}

struct ms_user *ms_user_new(uint16_t partition, struct ms_bytes id, uint32_t floats)
{
    struct ms_user blank = {.own_offset = -1,
                            .profile_offset = -1,
                            .last_time_ms = INT64_MIN,
                            .sums_time_ms = INT64_MIN,
                            .sealed_time_ms = INT64_MIN,
                            .complete = true,
                            .ordered = true,
                            .partition = partition,
                            .id_bytes = (uint32_t)id.size};
    struct ms_user *user = block_new(&blank, floats, FIRST_BEHAVIORS, 0, FIRST_TEXT_BYTES);
    if (user) {
        memcpy(ms_user_id_bytes(user), id.data, id.size);
        memset(ms_user_sums(user), 0, floats * sizeof(float));
    }
    return user;
}

struct ms_user *ms_user_copy(const struct ms_user *user)
{
    struct ms_user *copy = aligned_alloc(64, user->block_bytes);
    if (copy)
        memcpy(copy, user, user->block_bytes);
    return copy;
}

void ms_user_clear(struct ms_user *user)
{
    user->version = 0;
    user->owed = 0;
    user->last_time_ms = INT64_MIN;
    user->sums_time_ms = user->sealed_time_ms = INT64_MIN;
    user->events_folded = 0;
    user->kept = user->count = user->first = user->routable = 0;
    user->text_used = 0;
    user->slots = user->slots_max = 0;
    user->first_chunk = user->sealed;
    user->next_arrival = user->sealed * MS_CHUNK;
    user->complete = user->ordered = true;
    user->sums_of_kept = user->sums_left_out = false;
    user->profile_bytes = 0;
    memset(ms_user_sums(user), 0, user->floats * sizeof(float));
}

/* Bytes of text in use; below 2 GiB, as the block is. */
static uint32_t live_text(const struct ms_user *user)
{
    uint32_t bytes = 0;
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    for (uint32_t i = 0; i < user->count; i++)
        bytes += (uint32_t)behaviors[i].item_bytes + behaviors[i].type_bytes;
    return bytes;
}

bool ms_user_make_room(struct ms_user **user, uint32_t text_bytes, uint32_t behaviors_max, uint32_t floats)
{
    const struct ms_user *u = *user;
    bool array_ends = u->first + u->count == u->capacity;
    bool text_ends = u->text_capacity - u->text_used < text_bytes;
    if (floats < u->floats)
        floats = u->floats;
    if (!array_ends && !text_ends && floats == u->floats)
        return true;
    /* Half as many again, so that behaviors are squeezed to the front once per half capacity. */
    uint32_t limit = behaviors_max + behaviors_max / 2 + 2;
    uint32_t capacity = u->capacity;
    if (array_ends && u->count + u->count / 2 + 1 > capacity)
        capacity = 2 * capacity + 1 < limit ? 2 * capacity + 1 : limit;
    if (capacity < u->count + 1)
        capacity = u->count + 1;
    /* Text for |capacity| behaviors like those so far, and always a quarter more than is needed now. */
    uint64_t need = (uint64_t)live_text(u) + text_bytes;
    uint64_t text_capacity = need * capacity / (u->count + 1);
    if (text_capacity < need + need / 4)
        text_capacity = need + need / 4;
    if (text_capacity < u->text_capacity)
        text_capacity = u->text_capacity;
    if (text_capacity > UINT32_MAX / 2) /* offsets in a block are 32 bits */
        return false;
    return move(user, floats, capacity, u->profile_capacity, (uint32_t)text_capacity);
}

uint32_t ms_user_insert(struct ms_user *user, int64_t time_ms, uint32_t item, struct ms_bytes item_id,
                        struct ms_bytes type)
{
    assert(user->first + user->count < user->capacity);
    assert(user->text_capacity - user->text_used >= item_id.size + type.size);
    struct ms_behavior *behaviors = ms_user_behaviors(user);
    uint32_t at = user->count;
    while (at > 0 && behaviors[at - 1].time_ms > time_ms)
        at--;
    memmove(behaviors + at + 1, behaviors + at, (user->count - at) * sizeof *behaviors);
    behaviors[at] = (struct ms_behavior){.time_ms = time_ms,
                                         .arrival = user->next_arrival++,
                                         .item = item,
                                         .text = user->text_used,
                                         .item_bytes = (uint16_t)item_id.size,
                                         .type_bytes = (uint8_t)type.size};
    char *text = ms_user_text(user) + user->text_used;
    memcpy(text, item_id.data, item_id.size);
    if (type.size)
        memcpy(text + item_id.size, type.data, type.size);
    user->text_used += (uint32_t)(item_id.size + type.size);
    user->count++;
    user->kept++;
    if (item != MS_NO_ITEM)
        user->routable++;
    if (at + 1 < user->count || time_ms < user->sealed_time_ms)
        user->ordered = false;
    return at;
}

bool ms_user_has(const struct ms_user *user, int64_t time_ms, struct ms_bytes item, struct ms_bytes type)
{
    assert(user->complete || time_ms > user->sealed_time_ms);
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    for (uint32_t i = user->count; i > 0 && behaviors[i - 1].time_ms >= time_ms; i--) {
        const struct ms_behavior *b = &behaviors[i - 1];
        if (b->time_ms == time_ms && b->item_bytes == item.size && b->type_bytes == type.size) {
            const char *text = ms_user_text(user) + b->text;
            if (memcmp(text, item.data, item.size) == 0 &&
                (type.size == 0 || memcmp(text + item.size, type.data, type.size) == 0))
                return true;
        }
    }
    return false;
}

void ms_user_drop_oldest(struct ms_user *user)
{
    assert(user->count > 0);
    if (ms_user_behaviors(user)->item != MS_NO_ITEM)
        user->routable--;
    user->first++;
    user->count--;
    user->kept--;
    user->sums_of_kept = false;
    if (user->count == 0)
        user->first = 0;
}

bool ms_user_set_profile(struct ms_user **user, struct ms_bytes profile)
{
    if (profile.size > (*user)->profile_capacity &&
        !move(user, (*user)->floats, (*user)->capacity, ((uint32_t)profile.size + 63) & ~(uint32_t)63,
              (*user)->text_capacity))
        return false;
    if (profile.size)
        memcpy(ms_user_profile_bytes(*user), profile.data, profile.size);
    (*user)->profile_bytes = (uint32_t)profile.size;
    return true;
}

bool ms_user_reset_sums(struct ms_user **user, uint32_t floats)
{
    if (floats != (*user)->floats &&
        !move(user, floats, (*user)->capacity, (*user)->profile_capacity, (*user)->text_capacity))
        return false;
    memset(ms_user_sums(*user), 0, floats * sizeof(float));
    (*user)->sums_left_out = false;
    return true;
}
