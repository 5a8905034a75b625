/* A user's view as text and as JSON. */
#include "app/inspect_user.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/inspect_json.h"
#include "app/table.h"

static double norm_of(const struct ms_user_view *view, int k)
{
    const float *v = view->vectors + (size_t)k * (size_t)view->dim;
    double sum = 0;
    for (int i = 0; i < view->dim; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static struct ms_bytes item_of(const struct ms_user_view *view, const struct ms_near_item *near)
{
    struct ms_bytes id;
    id.data = ms_model_item_id(view->model, near->row, &id.size);
    return id;
}

/* ---- text ---- */

static void text_partition(const struct ms_user_view *view, FILE *out)
{
    fprintf(out, "partition     %u", view->user->partition);
    if (view->partition_count > 1) {
        fputs("  (state of this user is also in", out);
        for (size_t i = 0; i < view->partition_count; i++) {
            if (view->partitions[i] != view->user->partition)
                fprintf(out, " %u", view->partitions[i]);
        }
        fputs(": the topic is not keyed by user; see --partition)", out);
    }
    fputc('\n', out);
}

static void text_head(const struct ms_user_view *view, FILE *out)
{
    const struct ms_user *user = view->user;
    char time[MS_TIME_TEXT_BYTES];
    ms_time_text(time, user->last_time_ms);
    fputs("user          ", out);
    ms_escape_print(out, ms_user_id(user));
    fputc('\n', out);
    text_partition(view, out);
    fprintf(out, "version       %" PRIu64 "\n", user->version);
    fprintf(out, "last event    %s\n", time);
    fprintf(out, "folded up to  input offset %" PRId64 "\n", user->own_offset);
    if (user->profile_bytes) {
        fputs("profile       ", out);
        ms_escape_print(out, ms_user_profile(user));
        fputc('\n', out);
    }
    fprintf(out, "behaviors     %" PRIu32 " kept", user->kept);
    if (view->model)
        fprintf(out, ", %" PRIu32 " of them in the window of %d", view->window,
                ms_model_config(view->model)->max_behaviors);
    fprintf(out, "\ninterests     %d (K'u)\n", view->model ? view->count : view->stored_slots);
    if (view->model)
        fprintf(out, "model         %s, routing.mode=%s\n", ms_model_config(view->model)->id,
                view->incremental ? "incremental" : "full");
    fprintf(out, "fold id       %016" PRIx64 "\n", view->stored_fold_id);
    if (view->refolded)
        fprintf(out,
                "              not that of this model and these settings (%016" PRIx64
                "): the interests below are of a\n"
                "              copy that was folded again from the kept behaviors\n",
                view->fold_id);
    if (!view->model)
        fputs(
            "\nInterests and couplings need the model: give --model DIR, or -c FILE with model.dir in it.\n",
            out);
}

static bool nearest_text(const struct ms_user_view *view, int k, struct ms_buffer *text)
{
    bool good = true;
    for (size_t i = 0; good && i < view->nearest_count; i++) {
        const struct ms_near_item *near = &view->nearest[(size_t)k * MS_VIEW_NEAREST + i];
        good = (i == 0 || ms_buffer_append(text, "  ", 2)) && ms_escape(text, item_of(view, near)) &&
               ms_buffer_printf(text, " %.3f", near->score);
    }
    return good && ms_buffer_append(text, "", 1);
}

static enum ms_status text_interests(const struct ms_user_view *view, FILE *out, struct ms_error *error)
{
    struct ms_table table = {0};
    ms_table_column(&table, "slot", true);
    ms_table_column(&table, "weight", true);
    ms_table_column(&table, "norm", true);
    ms_table_column(&table, view->nearest ? "nearest items (inner product)" : "", false);
    for (int k = 0; k < view->count; k++) {
        struct ms_buffer near = {0};
        ms_table_cell(&table, "%d", k);
        ms_table_cell(&table, "%.3f", (double)view->weights[k]);
        ms_table_cell(&table, "%.3f", norm_of(view, k));
        if (!view->nearest || !nearest_text(view, k, &near))
            ms_table_cell(&table, "%s", "");
        else
            ms_table_raw(&table, near.data);
        ms_buffer_free(&near);
    }
    fputs("\ninterests\n", out);
    if (view->count == 0) {
        ms_table_free(&table);
        fputs("  none: no kept behavior has an item that the model knows\n", out);
        return MS_OK;
    }
    return ms_table_print(&table, out, 2, error);
}

static void behavior_cells(const struct ms_user_view *view, uint32_t i, struct ms_table *table)
{
    const struct ms_behavior *behavior = ms_user_behaviors(view->user) + i;
    char time[MS_TIME_TEXT_BYTES];
    ms_time_text(time, behavior->time_ms);
    ms_table_cell(table, "%s", time);
    ms_table_bytes(table, ms_behavior_item(view->user, behavior));
    ms_table_bytes(table, ms_behavior_type(view->user, behavior));
    if (!view->model)
        return;
    int64_t place = view->place[i];
    for (int k = 0; k < view->columns; k++) {
        if (place < 0)
            ms_table_cell(table, "-");
        else
            ms_table_cell(table, "%.3f", (double)view->coupling[place * view->stride + k]);
    }
    ms_table_cell(table, "%s", place == -2 ? "unknown to the model" : place == -1 ? "before the window" : "");
}

static enum ms_status text_behaviors(const struct ms_user_view *view, FILE *out, size_t limit,
                                     struct ms_error *error)
{
    struct ms_table table = {0};
    uint32_t count = view->user->count, first = limit && count > limit ? count - (uint32_t)limit : 0;
    ms_table_column(&table, "time", false);
    ms_table_column(&table, "item", false);
    ms_table_column(&table, "type", false);
    for (int k = 0; view->model && k < view->columns; k++) {
        char title[16];
        snprintf(title, sizeof title, "to %d", k);
        ms_table_column(&table, title, true);
    }
    if (view->model)
        ms_table_column(&table, "", false);
    for (uint32_t i = first; i < count; i++)
        behavior_cells(view, i, &table);
    fputs("\nbehaviors, oldest first", out);
    if (view->model && view->columns)
        fputs(view->incremental
                  ? ", with their coupling to each interest by full routing over the kept window"
                  : ", with their coupling to each interest",
              out);
    fputc('\n', out);
    if (first)
        fprintf(out, "  (%" PRIu32 " older ones are not shown)\n", first);
    return ms_table_print(&table, out, 2, error);
}

enum ms_status ms_user_view_text(const struct ms_user_view *view, FILE *out, size_t limit,
                                 struct ms_error *error)
{
    text_head(view, out);
    enum ms_status status = view->model ? text_interests(view, out, error) : MS_OK;
    return status == MS_OK ? text_behaviors(view, out, limit, error) : status;
}

/* ---- JSON ---- */

/* JSON has no infinity: null. */
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

static json_t *interests_json(const struct ms_user_view *view)
{
    json_t *array = json_array();
    for (int k = 0; k < view->count; k++) {
        json_t *near = view->nearest ? json_array() : json_null();
        for (size_t i = 0; view->nearest && i < view->nearest_count; i++) {
            const struct ms_near_item *item = &view->nearest[(size_t)k * MS_VIEW_NEAREST + i];
            json_array_append_new(near, json_pack("{s:o, s:o}", "item", ms_json_text(item_of(view, item)),
                                                  "score", number_json(item->score)));
        }
        json_array_append_new(
            array, json_pack("{s:i, s:o, s:o, s:o, s:o}", "slot", k, "weight",
                             number_json((double)view->weights[k]), "norm", number_json(norm_of(view, k)),
                             "vector", floats_json(view->vectors + (size_t)k * (size_t)view->dim, view->dim),
                             "nearest", near));
    }
    return array;
}

static json_t *behaviors_json(const struct ms_user_view *view)
{
    json_t *array = json_array();
    const struct ms_behavior *behaviors = ms_user_behaviors(view->user);
    for (uint32_t i = 0; i < view->user->count; i++) {
        json_t *one = json_pack("{s:o, s:I, s:o}", "item",
                                ms_json_text(ms_behavior_item(view->user, &behaviors[i])), "time",
                                (json_int_t)behaviors[i].time_ms, "type",
                                ms_json_text(ms_behavior_type(view->user, &behaviors[i])));
        if (view->model) {
            int64_t place = view->place[i];
            json_object_set_new(one, "known", json_boolean(place != -2));
            json_object_set_new(
                one, "coupling",
                place < 0 ? json_null() : floats_json(view->coupling + place * view->stride, view->columns));
        }
        json_array_append_new(array, one);
    }
    return array;
}

/* A time, null where there is none. */
static json_t *time_json(int64_t time_ms)
{
    return time_ms == INT64_MIN ? json_null() : json_integer(time_ms);
}

static json_t *view_json(const struct ms_user_view *view)
{
    const struct ms_user *user = view->user;
    json_t *partitions = json_array();
    for (size_t i = 0; i < view->partition_count; i++)
        json_array_append_new(partitions, json_integer(view->partitions[i]));
    json_t *root = json_pack(
        "{s:o, s:i, s:o, s:I, s:o, s:I, s:I, s:i, s:i, s:o}", "user_id", ms_json_text(ms_user_id(user)),
        "partition", (int)user->partition, "partitions", partitions, "version", (json_int_t)user->version,
        "event_time", time_json(user->last_time_ms), "own_offset", (json_int_t)user->own_offset, "kept",
        (json_int_t)user->kept, "slots", view->model ? view->count : view->stored_slots, "slots_max",
        (int)user->slots_max, "fold_id", ms_json_fold_id(view->stored_fold_id));
    json_object_set_new(root, "profile",
                        user->profile_bytes ? ms_json_text(ms_user_profile(user)) : json_null());
    if (view->model) {
        json_object_set_new(root, "model", json_string(ms_model_config(view->model)->id));
        json_object_set_new(root, "routing_mode", json_string(view->incremental ? "incremental" : "full"));
        json_object_set_new(root, "refolded", json_boolean(view->refolded));
        json_object_set_new(root, "model_fold_id", ms_json_fold_id(view->fold_id));
        json_object_set_new(root, "dim", json_integer(view->dim));
        json_object_set_new(root, "window", json_integer(view->window));
        json_object_set_new(root, "coupling_by", json_string("full routing over the kept window"));
        json_object_set_new(root, "interests", interests_json(view));
    } else {
        json_object_set_new(root, "model", json_null());
    }
    json_object_set_new(root, "behaviors", behaviors_json(view));
    return root;
}

enum ms_status ms_user_view_json(const struct ms_user_view *view, FILE *out, struct ms_error *error)
{
    return ms_json_print(view_json(view), out, error);
}
