/* Event in, user and interests brought up to date. */
#include "user/apply.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "user/history.h"

#define ITEMS_AHEAD       4  /* how far ahead of a refold an item is brought towards the CPU's cache */
#define RESOLVED_TOGETHER 32 /* items looked up at once: their cache misses overlap */

/* Everything that changes what a fold yields, hashed in a fixed layout. */
static uint64_t fold_id_of(const struct ms_fold_context *fold_context)
{
    struct {
        uint64_t layout, model, incremental, behaviors_max, decays;
        double per_event[MS_MAX_DECAYS];
        int64_t half_life_ms[MS_MAX_DECAYS];
    } key;
    memset(&key, 0, sizeof key);
    key.layout = 1;
    key.model = ms_model_hash(fold_context->model);
    key.incremental = fold_context->incremental;
    key.behaviors_max = fold_context->behaviors_max;
    if (fold_context->incremental) {
        key.decays = (uint64_t)fold_context->decay.count;
        memcpy(key.per_event, fold_context->decay.per_event, sizeof key.per_event);
        memcpy(key.half_life_ms, fold_context->decay.half_life_ms, sizeof key.half_life_ms);
    }
    uint64_t id = XXH64(&key, sizeof key, 0);
    return id ? id : 1;
}

enum ms_status ms_fold_context_init(struct ms_fold_context *fold_context, const struct ms_model *model,
                                    struct ms_extractor *extractor, bool incremental,
                                    const struct ms_decay *decay, uint32_t behaviors_max,
                                    struct ms_error *error)
{
    struct ms_fold_context made = {.model = model,
                                   .extractor = extractor,
                                   .incremental = incremental,
                                   .weighs = ms_model_weighs_events(model),
                                   .behaviors_max = behaviors_max,
                                   .first_floats = incremental ? (uint32_t)ms_fold_floats_at(model, 1) : 0};
    if (decay)
        made.decay = *decay;
    made.fold_id = fold_id_of(&made);
    made.items = malloc((size_t)ms_model_config(model)->max_behaviors * sizeof *made.items);
    int profile_dim = ms_model_config(model)->profile_dim;
    if (profile_dim) {
        made.json = ms_json_new();
        made.profile = malloc((size_t)profile_dim * sizeof *made.profile);
    }
    bool profile_room = profile_dim == 0 ||
                        (made.profile && made.json && ms_json_reserve(made.json, MS_PROFILE_MAX_BYTES));
    if (!made.items || !profile_room) {
        ms_fold_context_free(&made);
        return ms_fail(error, MS_MEMORY, "no memory for a window of %d behaviors",
                       ms_model_config(model)->max_behaviors);
    }
    *fold_context = made;
    return MS_OK;
}

void ms_fold_context_free(struct ms_fold_context *fold_context)
{
    free(fold_context->items);
    free(fold_context->profile);
    ms_json_destroy(fold_context->json);
    fold_context->items = NULL;
    fold_context->profile = NULL;
    fold_context->json = NULL;
}

uint32_t ms_fold_context_floats(const struct ms_fold_context *fold_context, const struct ms_user *user)
{
    return fold_context->incremental ? (uint32_t)ms_fold_floats_at(fold_context->model, user->events_folded)
                                     : 0;
}

bool ms_fold_needs_history(const struct ms_fold_context *fold_context, const struct ms_user *user,
                           int64_t time_ms)
{
    return !user->complete && (!ms_may_trim(fold_context, user) || user->fold_id != fold_context->fold_id ||
                               time_ms <= user->sealed_time_ms);
}

bool ms_may_trim(const struct ms_fold_context *fold_context, const struct ms_user *user)
{
    return fold_context->incremental &&
           (user->kept < fold_context->behaviors_max || !ms_user_reaches_back(user));
}

/* K'u: how many interests the user has now. */
static uint16_t interest_count(const struct ms_fold_context *fold_context, const struct ms_user *user)
{
    const struct ms_model_config *config = ms_model_config(fold_context->model);
    uint64_t n = fold_context->incremental ? user->events_folded : user->routable;
    uint64_t window = (uint64_t)config->max_behaviors;
    return (uint16_t)ms_interest_count(fold_context->model, (size_t)(n < window ? n : window));
}

static void count_interests(const struct ms_fold_context *fold_context, struct ms_user *user)
{
    user->slots = interest_count(fold_context, user);
    if (user->slots > user->slots_max)
        user->slots_max = user->slots;
}

/* One routable event into the sums. */
static void fold_sums(struct ms_fold_context *fold_context, struct ms_user *user, uint32_t item,
                      int64_t time_ms, struct ms_bytes type)
{
    double mass = fold_context->weighs ? ms_model_event_weight(fold_context->model, type.data, type.size)
                                       : 1.0;
    int64_t before_ms = user->sums_time_ms;
    int64_t age_ms = before_ms != INT64_MIN && time_ms > before_ms ? time_ms - before_ms : 0;
    int64_t late_ms = before_ms != INT64_MIN && time_ms < before_ms ? before_ms - time_ms : 0;
    user->events_folded++;
    if (time_ms > before_ms)
        user->sums_time_ms = time_ms;
    ms_fold_event(fold_context->extractor, &fold_context->decay, ms_user_sums(user), user->events_folded,
                  item, age_ms, late_ms, mass);
}

enum ms_folded ms_fold(struct ms_fold_context *fold_context, struct ms_user **at,
                       const struct ms_event *event, uint32_t item)
{
    struct ms_user *user = *at;
    assert(!ms_fold_needs_history(fold_context, user, event->time_ms));
    if (event->time_ms <= user->last_time_ms && ms_user_has(user, event->time_ms, event->item, event->type))
        return MS_DUPLICATE;
    bool folds = fold_context->incremental && item != MS_NO_ITEM;
    uint32_t floats = folds ? (uint32_t)ms_fold_floats_at(fold_context->model, user->events_folded + 1) : 0;
    if (!ms_user_make_room(at, (uint32_t)(event->item.size + event->type.size), fold_context->behaviors_max,
                           floats))
        return MS_NO_MEMORY;
    user = *at;
    if (user->version == 0)
        user->sums_of_kept = true;
    if (folds)
        fold_sums(fold_context, user, item, event->time_ms, event->type);
    bool full = user->kept >= fold_context->behaviors_max;
    if (!full || !user->complete || user->count == 0 || event->time_ms >= ms_user_behaviors(user)[0].time_ms)
        ms_user_insert(user, event->time_ms, item, event->item, event->type);
    else
        user->sums_of_kept = false;
    if (user->count > fold_context->behaviors_max)
        ms_user_drop_oldest(user);
    if (user->kept > fold_context->behaviors_max) {
        user->kept = fold_context->behaviors_max;
        user->sums_of_kept = false;
    }
    if (event->time_ms > user->last_time_ms)
        user->last_time_ms = event->time_ms;
    user->version++;
    user->fold_id = fold_context->fold_id;
    count_interests(fold_context, user);
    return MS_FOLDED;
}

enum ms_status ms_fold_check(const struct ms_fold_context *fold_context, const struct ms_user *user,
                             struct ms_error *error)
{
    uint32_t needs = ms_fold_context_floats(fold_context, user);
    if (user->fold_id != fold_context->fold_id || user->sums_left_out || user->floats >= needs)
        return MS_OK;
    return ms_fail(error, MS_STATE, "user \"%.*s\": its sums are %u numbers, not %u",
                   (int)(user->id_bytes < 200 ? user->id_bytes : 200), ms_user_id_bytes(user), user->floats,
                   needs);
}

void ms_user_resolve(struct ms_user *user, const struct ms_model *model)
{
    struct ms_behavior *b = ms_user_behaviors(user);
    user->routable = 0;
    for (uint32_t at = 0; at < user->count; at += RESOLVED_TOGETHER) {
        const char *items[RESOLVED_TOGETHER];
        size_t bytes[RESOLVED_TOGETHER];
        uint32_t numbers[RESOLVED_TOGETHER];
        uint32_t n = user->count - at < RESOLVED_TOGETHER ? user->count - at : RESOLVED_TOGETHER;
        for (uint32_t i = 0; i < n; i++) {
            struct ms_bytes item = ms_behavior_item(user, &b[at + i]);
            items[i] = item.data;
            bytes[i] = item.size;
        }
        ms_model_find_many(model, items, bytes, n, numbers);
        for (uint32_t i = 0; i < n; i++) {
            b[at + i].item = numbers[i];
            user->routable += numbers[i] != MS_NO_ITEM;
        }
    }
}

bool ms_refold(struct ms_fold_context *fold_context, struct ms_user **at)
{
    struct ms_user *user = *at;
    assert(user->complete);
    while (user->count > fold_context->behaviors_max)
        ms_user_drop_oldest(user);
    ms_user_resolve(user, fold_context->model);
    if (!ms_user_reset_sums(at, fold_context->incremental
                                    ? (uint32_t)ms_fold_floats_at(fold_context->model, user->routable)
                                    : 0))
        return false;
    user = *at;
    user->sums_of_kept = true;
    user->events_folded = 0;
    user->sums_time_ms = INT64_MIN;
    if (fold_context->incremental) {
        const struct ms_behavior *b = ms_user_behaviors(user);
        for (uint32_t i = 0; i < user->count && i < ITEMS_AHEAD; i++) {
            if (b[i].item != MS_NO_ITEM)
                ms_fold_prefetch(fold_context->extractor, b[i].item);
        }
        for (uint32_t i = 0; i < user->count; i++) {
            if (i + ITEMS_AHEAD < user->count && b[i + ITEMS_AHEAD].item != MS_NO_ITEM)
                ms_fold_prefetch(fold_context->extractor, b[i + ITEMS_AHEAD].item);
            if (b[i].item != MS_NO_ITEM)
                fold_sums(fold_context, user, b[i].item, b[i].time_ms, ms_behavior_type(user, &b[i]));
        }
    }
    user->fold_id = fold_context->fold_id;
    count_interests(fold_context, user);
    /* The kept ones are the newest of what the live chunks hold, but not if the window was narrower once: a
     * late event may now lie before those that had slid out. */
    ms_user_reseal(user);
    return true;
}

uint32_t ms_user_window(const struct ms_fold_context *fold_context, const struct ms_user *user,
                        uint32_t *items, uint32_t *indices)
{
    uint32_t window = (uint32_t)ms_model_config(fold_context->model)->max_behaviors;
    const struct ms_behavior *b = ms_user_behaviors(user);
    uint32_t n = user->routable < window ? user->routable : window;
    uint32_t to = n;
    for (uint32_t i = user->count; to > 0; i--) {
        assert(i > 0);
        if (b[i - 1].item != MS_NO_ITEM) {
            items[--to] = b[i - 1].item;
            if (indices)
                indices[to] = i - 1;
        }
    }
    return n;
}

struct ms_interests ms_user_interests(struct ms_fold_context *fold_context, const struct ms_user *user)
{
    if (fold_context->profile) {
        ms_profile_embed_text(fold_context->model, fold_context->json, ms_user_profile(user).data,
                              user->profile_bytes, fold_context->profile);
        ms_extractor_set_profile(fold_context->extractor, fold_context->profile);
    }
    if (fold_context->incremental)
        return ms_fold_interests(fold_context->extractor, ms_user_sums(user), user->events_folded);
    uint32_t n = ms_user_window(fold_context, user, fold_context->items, NULL);
    return ms_extract_full(fold_context->extractor, fold_context->items, n, NULL, 0, NULL);
}
