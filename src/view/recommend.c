/* Every item is scored against every interest; the best are kept in a sorted list. */
#include "view/recommend.h"

#include <stdlib.h>
#include <string.h>

#include "view/score.h"

/* Which interest scores the item highest, and how high. */
static struct ms_view_recommendation score(const struct ms_user_view *view, const float *embedding)
{
    struct ms_view_recommendation best = {.slot = -1};
    for (int k = 0; k < view->interest_count; k++) {
        double one = ms_view_inner_product(view->interests[k].vector, embedding, view->dim);
        if (best.slot < 0 || one > best.score)
            best = (struct ms_view_recommendation){.slot = k, .score = one};
    }
    return best;
}

static void keep(struct ms_user_view *view, size_t max, const struct ms_view_recommendation *one)
{
    struct ms_view_recommendation *list = view->recommended;
    size_t *count = &view->recommended_count;
    if (*count == max && one->score <= list[*count - 1].score)
        return;
    size_t at = *count < max ? (*count)++ : *count - 1;
    for (; at > 0 && list[at - 1].score < one->score; at--)
        list[at] = list[at - 1];
    list[at] = *one;
}

/* Whether a kept behavior has this item. By the ids: a model of a few items has numbers of its own. */
static bool in_history(const struct ms_user *user, struct ms_bytes id)
{
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    for (uint32_t i = 0; i < user->count; i++) {
        struct ms_bytes item = ms_behavior_item(user, &behaviors[i]);
        if (item.size == id.size && memcmp(item.data, id.data, id.size) == 0)
            return true;
    }
    return false;
}

/* Whether item |i| of the batch may come among the best |max|. */
static bool may_enter(const struct ms_user_view *view, const struct ms_scorer *scorer, uint32_t i, size_t max)
{
    if (view->recommended_count < max)
        return true;
    for (size_t k = 0; k < scorer->count; k++) {
        if (ms_score_reaches(scorer, k, i, view->recommended[max - 1].score))
            return true;
    }
    return false;
}

static bool choose(struct ms_user_view *view, const struct ms_catalogue *catalogue, size_t count)
{
    struct ms_scorer scorer = {0};
    bool good = ms_scorer_init(&scorer, view, catalogue);
    for (uint32_t first = 0, n; good && (n = ms_scorer_take(&scorer, first)) > 0; first += n) {
        for (uint32_t i = 0; i < n; i++) {
            if (!may_enter(view, &scorer, i, count))
                continue;
            struct ms_view_recommendation one = score(view, ms_catalogue_row(catalogue, first + i));
            one.number = first + i;
            keep(view, count, &one);
        }
    }
    ms_scorer_free(&scorer);
    return good;
}

enum ms_status ms_user_view_recommend(struct ms_user_view *view, const struct ms_viewer *viewer, size_t count,
                                      struct ms_error *error)
{
    if (!view->model)
        return ms_fail(error, MS_CONFIG,
                       "items are recommended by a model: give --model DIR, or -c FILE with model.dir");
    if (!view->has_nearest)
        return ms_fail(error, MS_CONFIG,
                       "the items of %s have %d floats, the interests %d: there is no inner product",
                       view->model, ms_viewer_catalogue(viewer)->dim, view->dim);
    const struct ms_catalogue *catalogue = ms_viewer_catalogue(viewer);
    free(view->recommended);
    view->recommended_count = 0;
    view->recommended = calloc(count + 1, sizeof *view->recommended);
    if (!view->recommended)
        return ms_fail(error, MS_MEMORY, "no memory for %zu items", count);
    if (view->interest_count && count && !choose(view, catalogue, count))
        return ms_fail(error, MS_MEMORY, "no memory to score items");
    for (size_t i = 0; i < view->recommended_count; i++) {
        struct ms_view_recommendation *one = &view->recommended[i];
        one->item = ms_catalogue_id(catalogue, one->number);
        one->in_history = in_history(view->user, one->item);
    }
    return MS_OK;
}
