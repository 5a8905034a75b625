/* The view as a tree of jansson's. */
#include "view/json.h"

#include <inttypes.h>
#include <math.h>

#include "view/escape.h"

json_t *ms_view_json_bytes(struct ms_bytes bytes)
{
    json_t *text = json_stringn(bytes.data, bytes.size);
    if (!text) {
        struct ms_buffer escaped = {0};
        if (ms_escape(&escaped, bytes))
            text = json_stringn(escaped.data, escaped.size);
        ms_buffer_free(&escaped);
    }
    return text;
}

json_t *ms_view_json_fold_id(uint64_t fold_id)
{
    return json_sprintf("%016" PRIx64, fold_id);
}

json_t *ms_view_json_time(int64_t time_ms)
{
    return time_ms == INT64_MIN ? json_null() : json_integer(time_ms);
}

static int append(const char *text, size_t size, void *out)
{
    return ms_buffer_append(out, text, size) ? 0 : -1;
}

enum ms_status ms_view_json_text(json_t *root, struct ms_buffer *out, struct ms_error *error)
{
    size_t start = out->size;
    bool good = root && json_dump_callback(root, append, out, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0;
    json_decref(root);
    if (good)
        return MS_OK;
    out->size = start;
    return ms_fail(error, MS_MEMORY, "no memory for JSON text");
}

/* JSON has no infinity and no NaN: null. */
static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *floats_json(const float *values, int count)
{
    json_t *array = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(array, number_json((double)values[i]));
    return array;
}

static json_t *nearest_json(const struct ms_view_interest *interest)
{
    json_t *array = json_array();
    for (size_t i = 0; i < interest->nearest_count; i++)
        json_array_append_new(array,
                              json_pack("{s:o, s:o}", "item", ms_view_json_bytes(interest->nearest[i].item),
                                        "score", number_json(interest->nearest[i].score)));
    return array;
}

static json_t *interests_json(const struct ms_user_view *view)
{
    json_t *array = json_array();
    for (int k = 0; k < view->interest_count; k++) {
        const struct ms_view_interest *interest = &view->interests[k];
        json_array_append_new(array, json_pack("{s:i, s:o, s:o, s:o, s:o}", "slot", k, "weight",
                                               number_json((double)interest->weight), "norm",
                                               number_json(interest->norm), "vector",
                                               floats_json(interest->vector, view->dim), "nearest",
                                               view->has_nearest ? nearest_json(interest) : json_null()));
    }
    return array;
}

static json_t *recommended_json(const struct ms_user_view *view)
{
    json_t *array = json_array();
    for (size_t i = 0; i < view->recommended_count; i++) {
        const struct ms_view_recommendation *one = &view->recommended[i];
        json_array_append_new(array, json_pack("{s:o, s:o, s:i, s:b}", "item", ms_view_json_bytes(one->item),
                                               "score", number_json(one->score), "slot", one->slot,
                                               "in_history", one->in_history));
    }
    return array;
}

static json_t *behaviors_json(const struct ms_user_view *view)
{
    json_t *array = json_array();
    for (size_t i = 0; i < view->behavior_count; i++) {
        const struct ms_view_behavior *behavior = &view->behaviors[i];
        json_t *one = json_pack("{s:o, s:I, s:o}", "item", ms_view_json_bytes(behavior->item), "time",
                                (json_int_t)behavior->time_ms, "type", ms_view_json_bytes(behavior->type));
        if (view->model) {
            json_object_set_new(one, "known", json_boolean(behavior->known));
            json_object_set_new(one, "coupling",
                                behavior->coupling ? floats_json(behavior->coupling, view->coupling_count)
                                                   : json_null());
        }
        json_array_append_new(array, one);
    }
    return array;
}

static json_t *partitions_json(const struct ms_user_view *view)
{
    json_t *array = json_array();
    for (size_t i = 0; i < view->partition_count; i++)
        json_array_append_new(array, json_integer(view->partitions[i]));
    return array;
}

json_t *ms_user_view_tree(const struct ms_user_view *view)
{
    json_t *root = json_pack(
        "{s:o, s:i, s:o, s:I, s:o, s:I, s:I, s:i, s:i, s:o, s:o}", "user_id", ms_view_json_bytes(view->id),
        "partition", (int)view->partition, "partitions", partitions_json(view), "version",
        (json_int_t)view->version, "event_time", ms_view_json_time(view->last_time_ms), "own_offset",
        (json_int_t)view->own_offset, "kept", (json_int_t)view->kept, "slots", view->interest_count,
        "slots_max", view->slots_max, "fold_id", ms_view_json_fold_id(view->fold_id), "profile",
        view->profile.size ? ms_view_json_bytes(view->profile) : json_null());
    json_object_set_new(root, "model", view->model ? json_string(view->model) : json_null());
    if (view->model) {
        json_object_set_new(root, "routing_mode", json_string(view->incremental ? "incremental" : "full"));
        json_object_set_new(root, "refolded", json_boolean(view->refolded));
        json_object_set_new(root, "model_fold_id", ms_view_json_fold_id(view->model_fold_id));
        json_object_set_new(root, "dim", json_integer(view->dim));
        json_object_set_new(root, "window", json_integer(view->window));
        json_object_set_new(root, "coupling_by", json_string("full routing over the kept window"));
        json_object_set_new(root, "interests", interests_json(view));
    }
    if (view->as_of)
        json_object_set_new(root, "as_of", json_true());
    if (view->recommended)
        json_object_set_new(root, "recommended", recommended_json(view));
    json_object_set_new(root, "behaviors", behaviors_json(view));
    return root;
}

enum ms_status ms_user_view_json(const struct ms_user_view *view, struct ms_buffer *out,
                                 struct ms_error *error)
{
    return ms_view_json_text(ms_user_view_tree(view), out, error);
}
