/* Every item is scored against every interest in double; the best are kept in a sorted list. */
#include "view/recommend.h"

#include <stdlib.h>

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

/* Whether a kept behavior has this item. */
static bool in_history(const struct ms_user *user, uint32_t item)
{
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    for (uint32_t i = 0; i < user->count; i++) {
        if (behaviors[i].item == item)
            return true;
    }
    return false;
}

enum ms_status ms_user_view_recommend(struct ms_user_view *view, const struct ms_model *model, size_t count,
                                      struct ms_error *error)
{
    if (!view->model)
        return ms_fail(error, MS_CONFIG,
                       "items are recommended by a model: give --model DIR, or -c FILE with model.dir");
    if (!view->has_nearest)
        return ms_fail(error, MS_CONFIG,
                       "the items of %s have %d floats, the interests %d: there is no inner product",
                       view->model, ms_model_config(model)->item_dim, view->dim);
    free(view->recommended);
    view->recommended_count = 0;
    view->recommended = calloc(count + 1, sizeof *view->recommended);
    if (!view->recommended)
        return ms_fail(error, MS_MEMORY, "no memory for %zu items", count);
    uint32_t items = view->interest_count && count ? ms_model_item_count(model) : 0;
    for (uint32_t item = 0; item < items; item++) {
        struct ms_view_recommendation one = score(view, ms_model_item_embedding(model, item));
        one.number = item;
        keep(view, count, &one);
    }
    for (size_t i = 0; i < view->recommended_count; i++) {
        struct ms_view_recommendation *one = &view->recommended[i];
        one->item.data = ms_model_item_id(model, one->number, &one->item.size);
        one->in_history = in_history(view->user, one->number);
    }
    return MS_OK;
}
