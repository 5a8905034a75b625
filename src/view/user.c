/* A copy of the user is brought to the viewer's fold id, and then asked. */
#include "view/user.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "view/score.h"

/* ---- interests ---- */

/* Copies the interests: they hold only until the extractor's next call. */
static enum ms_status view_interests(struct ms_user_view *view, struct ms_fold_context *context,
                                     struct ms_error *error)
{
    struct ms_interests interests = ms_user_interests(context, view->user);
    size_t count = (size_t)interests.count, dim = (size_t)view->dim;
    view->vectors = malloc((count * dim + 1) * sizeof *view->vectors);
    view->interests = calloc(count + 1, sizeof *view->interests);
    if (!view->vectors || !view->interests)
        return ms_fail(error, MS_MEMORY, "no memory for %zu interests", count);
    if (count)
        memcpy(view->vectors, interests.vectors, count * dim * sizeof *view->vectors);
    for (size_t k = 0; k < count; k++) {
        const float *vector = view->vectors + k * dim;
        view->interests[k] = (struct ms_view_interest){
            .weight = interests.weights[k],
            .norm = sqrt(ms_view_inner_product(vector, vector, view->dim)),
            .vector = vector};
    }
    view->interest_count = interests.count;
    return MS_OK;
}

/* Keeps the item where it is among the best. Of equal scores the item with the lower number stays first. */
static void keep_nearest(struct ms_view_interest *interest, const struct ms_catalogue *catalogue,
                         uint32_t item)
{
    struct ms_view_item *list = interest->nearest;
    size_t *count = &interest->nearest_count;
    double score = ms_view_inner_product(interest->vector, ms_catalogue_row(catalogue, item), catalogue->dim);
    if (*count == MS_VIEW_NEAREST && score <= list[*count - 1].score)
        return;
    size_t at = *count < MS_VIEW_NEAREST ? (*count)++ : *count - 1;
    for (; at > 0 && list[at - 1].score < score; at--)
        list[at] = list[at - 1];
    list[at].item = ms_catalogue_id(catalogue, item);
    list[at].score = score;
}

/* The items that retrieval by inner product would give. */
static enum ms_status view_nearest(struct ms_user_view *view, const struct ms_catalogue *catalogue,
                                   struct ms_error *error)
{
    struct ms_scorer scorer = {0};
    view->has_nearest = catalogue->dim == view->dim;
    if (!view->has_nearest || view->interest_count == 0)
        return MS_OK;
    bool good = ms_scorer_init(&scorer, view, catalogue);
    for (uint32_t first = 0, n; good && (n = ms_scorer_take(&scorer, first)) > 0; first += n) {
        for (size_t k = 0; k < scorer.count; k++) {
            struct ms_view_interest *interest = &view->interests[k];
            for (uint32_t i = 0; i < n; i++) {
                if (interest->nearest_count < MS_VIEW_NEAREST ||
                    ms_score_reaches(&scorer, k, i, interest->nearest[MS_VIEW_NEAREST - 1].score))
                    keep_nearest(interest, catalogue, first + i);
            }
        }
    }
    ms_scorer_free(&scorer);
    return good ? MS_OK : ms_fail(error, MS_MEMORY, "no memory to score items");
}

/* ---- behaviors ---- */

/* What each behavior gave to each interest, by full routing over the kept window. */
static enum ms_status view_couplings(struct ms_user_view *view, struct ms_fold_context *context,
                                     struct ms_error *error)
{
    const struct ms_model_config *config = ms_model_config(context->model);
    size_t window = (size_t)config->max_behaviors, stride = (size_t)config->interests;
    const struct ms_behavior *behaviors = ms_user_behaviors(view->user);
    uint32_t *numbers = malloc(window * sizeof *numbers); /* which behaviors are in the window */
    view->coupling = calloc(window * stride, sizeof *view->coupling);
    if (!numbers || !view->coupling) {
        free(numbers);
        return ms_fail(error, MS_MEMORY, "no memory for a window of %zu behaviors", window);
    }
    view->window = ms_user_window(context, view->user, context->items, numbers);
    for (size_t i = 0; i < view->behavior_count; i++)
        view->behaviors[i].known = behaviors[i].item != MS_NO_ITEM;
    for (uint32_t i = 0; i < view->window; i++)
        view->behaviors[numbers[i]].coupling = view->coupling + i * stride;
    free(numbers);
    if (view->window > 0) {
        struct ms_interests full = ms_extract_full(context->extractor, context->items, view->window, NULL, 0,
                                                   view->coupling);
        view->coupling_count = full.count > view->interest_count ? full.count : view->interest_count;
    }
    return MS_OK;
}

static enum ms_status view_behaviors(struct ms_user_view *view, struct ms_error *error)
{
    const struct ms_user *user = view->user;
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    view->behaviors = calloc((size_t)user->count + 1, sizeof *view->behaviors);
    if (!view->behaviors)
        return ms_fail(error, MS_MEMORY, "no memory for %u behaviors", user->count);
    for (uint32_t i = 0; i < user->count; i++)
        view->behaviors[i] = (struct ms_view_behavior){.item = ms_behavior_item(user, &behaviors[i]),
                                                       .type = ms_behavior_type(user, &behaviors[i]),
                                                       .time_ms = behaviors[i].time_ms};
    view->behavior_count = user->count;
    return MS_OK;
}

/* ---- the user ---- */

static void view_counters(struct ms_user_view *view)
{
    const struct ms_user *user = view->user;
    view->id = ms_user_id(user);
    view->profile = ms_user_profile(user);
    view->partition = user->partition;
    view->partitions[0] = user->partition;
    view->partition_count = 1;
    view->version = user->version;
    view->last_time_ms = user->last_time_ms;
    view->own_offset = user->own_offset;
    view->slots_max = user->slots_max;
    view->kept = user->kept;
}

/* All of the view but what a model adds. */
static enum ms_status view_stored(struct ms_user_view *view, struct ms_error *error)
{
    view_counters(view);
    return view_behaviors(view, error);
}

static enum ms_status view_with_model(struct ms_user_view *view, struct ms_viewer *viewer,
                                      struct ms_error *error)
{
    struct ms_fold_context *context;
    enum ms_status status = ms_viewer_fold(viewer, &view->user, &context, &view->refolded, error);
    const struct ms_model_config *config = ms_model_config(context->model);
    view->model = config->id;
    view->dim = config->dim;
    view->max_behaviors = config->max_behaviors;
    view->model_fold_id = context->fold_id;
    view->incremental = context->incremental;
    if (status == MS_OK)
        status = view_stored(view, error);
    if (status == MS_OK)
        status = view_interests(view, context, error);
    if (status == MS_OK)
        status = view_couplings(view, context, error);
    if (status == MS_OK)
        status = view_nearest(view, ms_viewer_catalogue(viewer), error);
    return status;
}

enum ms_status ms_user_view_new(struct ms_user_view **out, struct ms_viewer *viewer,
                                const struct ms_user *user, struct ms_error *error)
{
    assert(user->complete);
    struct ms_user_view *view = calloc(1, sizeof *view);
    if (!view || !(view->user = ms_user_copy(user))) {
        free(view);
        return ms_fail(error, MS_MEMORY, "no memory for a view of a user");
    }
    view->fold_id = user->fold_id;
    view->interest_count = user->slots;
    enum ms_status status = viewer ? view_with_model(view, viewer, error) : view_stored(view, error);
    if (status != MS_OK) {
        ms_user_view_destroy(view);
        return status;
    }
    *out = view;
    return MS_OK;
}

void ms_user_view_destroy(struct ms_user_view *view)
{
    if (!view)
        return;
    free(view->user);
    free(view->behaviors);
    free(view->interests);
    free(view->recommended);
    free(view->vectors);
    free(view->coupling);
    free(view);
}
