/* Items of a view as JSON. */
#include "serve/user_items.h"

#include "view/json.h"

struct teller {
    json_t *items;
    const struct ms_model *model;
    const struct ms_titles *titles;
    bool vectors;
};

static json_t *vector_json(const struct ms_model *model, uint32_t item)
{
    const float *embedding = ms_model_item_embedding(model, item);
    json_t *list = json_array();
    for (int c = 0; c < ms_model_config(model)->item_dim; c++)
        json_array_append_new(list, json_real((double)embedding[c]));
    return list;
}

static void tell(const struct teller *teller, struct ms_bytes item)
{
    struct ms_title title = ms_titles_find(teller->titles, item);
    uint32_t number = teller->vectors ? ms_model_find(teller->model, item.data, item.size) : MS_NO_ITEM;
    if ((!title.title.size && !title.image.size && number == MS_NO_ITEM) ||
        json_object_getn(teller->items, item.data, item.size))
        return;
    json_t *one = json_object();
    if (title.title.size)
        json_object_set_new(one, "title", ms_view_json_bytes(title.title));
    if (title.image.size)
        json_object_set_new(one, "image", ms_view_json_bytes(title.image));
    if (number != MS_NO_ITEM)
        json_object_set_new(one, "vector", vector_json(teller->model, number));
    json_object_setn_new(teller->items, item.data, item.size, one);
}

json_t *ms_user_items_json(const struct ms_user_view *view, const struct ms_model *model,
                           const struct ms_titles *titles, bool vectors)
{
    const struct teller teller = {json_object(), model, titles, vectors};
    for (size_t i = 0; i < view->behavior_count; i++)
        tell(&teller, view->behaviors[i].item);
    for (int k = 0; view->interests && k < view->interest_count; k++)
        for (size_t i = 0; i < view->interests[k].nearest_count; i++)
            tell(&teller, view->interests[k].nearest[i].item);
    for (size_t i = 0; i < view->recommended_count; i++)
        tell(&teller, view->recommended[i].item);
    return teller.items;
}
