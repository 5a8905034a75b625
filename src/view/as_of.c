/* The behaviors of that moment make a new user, which is folded when it is looked at. */
#include "view/as_of.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "event/time.h"
#include "user/restore.h"

#define VERSION_DIGITS 9 /* at most: a longer number is a time */

enum ms_status ms_moment_parse(struct ms_moment *moment, const char *text, struct ms_error *error)
{
    size_t digits = strspn(text, "0123456789");
    *moment = (struct ms_moment){0};
    if (digits > 0 && text[digits] == '\0' && digits <= VERSION_DIGITS) {
        moment->by_version = true;
        moment->version = strtoull(text, NULL, 10);
        return MS_OK;
    }
    const char *reason = ms_time_from_text(text, strlen(text), &moment->time_ms);
    return reason ? ms_fail(error, MS_USAGE, "--at: \"%s\" is neither a version nor a time: %s", text, reason)
                  : MS_OK;
}

/* What is kept of a user, in order of arrival. */
struct history {
    struct ms_restored_behavior *behaviors;
    uint32_t *places;
    uint32_t count;
};

/* Lists the behaviors up to the moment. */
static enum ms_status list_history(struct history *history, const struct ms_user *user,
                                   const struct ms_moment *moment, struct ms_error *error)
{
    const struct ms_behavior *kept = ms_user_behaviors(user);
    struct ms_restored_behavior *all = calloc((size_t)user->count + 1, sizeof *all);
    history->places = calloc((size_t)user->count + 1, sizeof *history->places);
    history->behaviors = calloc((size_t)user->count + 1, sizeof *history->behaviors);
    if (!all || !history->places || !history->behaviors) {
        free(all);
        return ms_fail(error, MS_MEMORY, "no memory for a history of %u behaviors", user->count);
    }
    ms_user_arrival_places(user, history->places);
    for (uint32_t i = 0; i < user->count; i++)
        all[history->places[i]] = (struct ms_restored_behavior){
            ms_behavior_item(user, &kept[i]), ms_behavior_type(user, &kept[i]), kept[i].time_ms};
    for (uint32_t i = 0; i < user->count; i++) {
        if (moment->by_version ? i < moment->version : all[i].time_ms <= moment->time_ms)
            history->behaviors[history->count++] = all[i];
    }
    free(all);
    return MS_OK;
}

/* How many of the listed behaviors the model knows. */
static uint32_t routable(const struct history *history, const struct ms_model *model)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        struct ms_bytes item = history->behaviors[i].item;
        count += ms_model_find(model, item.data, item.size) != MS_NO_ITEM;
    }
    return count;
}

/* Whether the listed behaviors tell what the interests were. */
static enum ms_status check_told(const struct history *history, const struct ms_fold_context *context,
                                 const struct ms_user *user, const struct ms_moment *moment,
                                 struct ms_error *error)
{
    uint32_t window = (uint32_t)ms_model_config(context->model)->max_behaviors;
    if (moment->by_version && moment->version > user->version)
        return ms_fail(error, MS_NOT_FOUND, "--at: the user has had %" PRIu64 " events", user->version);
    if (user->kept == user->version)
        return MS_OK;
    if (!moment->by_version && !context->incremental && routable(history, context->model) >= window)
        return MS_OK;
    return ms_fail(
        error, MS_NOT_FOUND,
        "--at: of %" PRIu64 " events the last %u are kept, which do not tell what the interests were then%s",
        user->version, user->kept, context->incremental ? " (the fold takes the whole history)" : "");
}

/* Folds the listed behaviors as they arrived into a user that has nothing but the profile. */
static enum ms_status fold_again(struct ms_user **user, struct ms_fold_context *context,
                                 const struct history *history, struct ms_error *error)
{
    for (uint32_t i = 0; i < history->count; i++) {
        const struct ms_restored_behavior *behavior = &history->behaviors[i];
        const struct ms_event event = {.user = ms_user_id(*user),
                                       .item = behavior->item,
                                       .type = behavior->type,
                                       .time_ms = behavior->time_ms};
        uint32_t item = ms_model_find(context->model, event.item.data, event.item.size);
        if (ms_fold(context, user, &event, item) == MS_NO_MEMORY)
            return ms_fail(error, MS_MEMORY, "no memory to fold the user again");
    }
    return MS_OK;
}

/* Whether the moment is not before the user's last event. */
static bool is_now(const struct ms_user *user, const struct ms_moment *moment)
{
    return moment->by_version ? moment->version == user->version : moment->time_ms >= user->last_time_ms;
}

static enum ms_status make_user(struct ms_user **out, struct ms_fold_context *context,
                                const struct ms_user *now, const struct history *history,
                                struct ms_error *error)
{
    struct ms_user *user = ms_user_new(now->partition, ms_user_id(now), context->first_floats);
    if (!user || !ms_user_set_profile(&user, ms_user_profile(now))) {
        free(user);
        return ms_fail(error, MS_MEMORY, "no memory for a user");
    }
    user->fold_id = context->fold_id;
    enum ms_status status = fold_again(&user, context, history, error);
    if (status != MS_OK) {
        free(user);
        return status;
    }
    user->version += now->version - now->kept; /* events that are not kept came before */
    *out = user;
    return MS_OK;
}

enum ms_status ms_user_as_of(struct ms_user **out, struct ms_viewer *viewer, const struct ms_user *user,
                             const struct ms_moment *moment, struct ms_error *error)
{
    struct ms_fold_context *context = ms_viewer_fold_context(viewer, user->fold_id);
    struct history history = {0};
    if (is_now(user, moment)) {
        *out = ms_user_copy(user);
        return *out ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for a user");
    }
    enum ms_status status = list_history(&history, user, moment, error);
    if (status == MS_OK)
        status = check_told(&history, context, user, moment, error);
    if (status == MS_OK)
        status = make_user(out, context, user, &history, error);
    free(history.behaviors);
    free(history.places);
    return status;
}

/* A history that has lost behaviors may have been sealed again, in order of time (user/history.c). One whose first chunk is
 * live has not. */
static bool order_is_known(const struct ms_user *user)
{
    return user->kept == user->version || user->first_chunk == 0;
}

enum ms_status ms_user_again(struct ms_user **again, struct ms_viewer *viewer, const struct ms_user *user,
                             bool *told, struct ms_error *error)
{
    struct ms_fold_context *context = ms_viewer_fold_context(viewer, user->fold_id);
    const struct ms_moment last = {.by_version = true, .version = user->count};
    struct history history = {0};
    enum ms_status status = list_history(&history, user, &last, error);
    bool all = user->kept == user->version || user->events_folded == user->routable;
    if (status == MS_OK)
        status = make_user(again, context, user, &history, error);
    if (status == MS_OK)
        *told = !context->incremental || (all && order_is_known(user));
    free(history.behaviors);
    free(history.places);
    return status;
}
