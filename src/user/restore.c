/* Behaviors are inserted as they arrived, so that order and arrival come out as they were. */
#include "user/restore.h"

#include <stdlib.h>
#include <string.h>

#include "mindstream/model.h"

#define MAX_ITEM_BYTES UINT16_MAX
#define MAX_TYPE_BYTES UINT8_MAX

static enum ms_status check(const struct ms_user_parts *parts, struct ms_error *error)
{
    if (parts->id.size == 0)
        return ms_fail(error, MS_FORMAT, "a user without an id");
    if (parts->sums_left_out && parts->floats)
        return ms_fail(error, MS_FORMAT, "sums that are left out and there");
    if (parts->slots > parts->slots_max)
        return ms_fail(error, MS_FORMAT, "slots are more than slots_max");
    for (uint32_t i = 0; i < parts->behavior_count; i++) {
        const struct ms_restored_behavior *behavior = &parts->behaviors[i];
        if (behavior->item.size == 0 || behavior->item.size > MAX_ITEM_BYTES ||
            behavior->type.size > MAX_TYPE_BYTES)
            return ms_fail(error, MS_FORMAT, "behavior %u: an item of %zu bytes with a type of %zu", i,
                           behavior->item.size, behavior->type.size);
    }
    return MS_OK;
}

static void take_counters(struct ms_user *user, const struct ms_user_parts *parts)
{
    user->version = parts->version;
    user->fold_id = parts->fold_id;
    user->events_folded = parts->events_folded;
    user->owed = parts->owed;
    user->own_offset = parts->own_offset;
    user->profile_offset = parts->profile_offset;
    user->last_time_ms = parts->last_time_ms;
    user->sums_time_ms = parts->sums_time_ms;
    user->slots = parts->slots;
    user->slots_max = parts->slots_max;
    user->sums_left_out = parts->sums_left_out;
}

static bool take_behaviors(struct ms_user **user, const struct ms_user_parts *parts)
{
    for (uint32_t i = 0; i < parts->behavior_count; i++) {
        const struct ms_restored_behavior *behavior = &parts->behaviors[i];
        if (!ms_user_make_room(user, (uint32_t)(behavior->item.size + behavior->type.size),
                               parts->behavior_count, parts->floats))
            return false;
        ms_user_insert(*user, behavior->time_ms, MS_NO_ITEM, behavior->item, behavior->type);
    }
    return true;
}

enum ms_status ms_user_restore(struct ms_user **out, const struct ms_user_parts *parts,
                               struct ms_error *error)
{
    enum ms_status status = check(parts, error);
    if (status != MS_OK)
        return status;
    struct ms_user *user = ms_user_new(parts->partition, parts->id, parts->floats);
    if (!user || !ms_user_set_profile(&user, parts->profile) || !take_behaviors(&user, parts)) {
        free(user);
        return ms_fail(error, MS_MEMORY, "no memory for a user");
    }
    take_counters(user, parts);
    if (parts->floats)
        memcpy(ms_user_sums(user), parts->sums, parts->floats * sizeof(float));
    *out = user;
    return MS_OK;
}

bool ms_user_arrival_places(const struct ms_user *user, uint32_t *places)
{
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    bool in_order = true;
    for (uint32_t i = 1; in_order && i < user->count; i++)
        in_order = ms_arrived_before(behaviors[i - 1].arrival, behaviors[i].arrival);
    for (uint32_t i = 0; i < user->count; i++) {
        places[i] = in_order ? i : 0;
        for (uint32_t other = 0; !in_order && other < user->count; other++)
            places[i] += ms_arrived_before(behaviors[other].arrival, behaviors[i].arrival);
    }
    return in_order;
}
