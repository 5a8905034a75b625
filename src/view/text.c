/* Lines of names and values, then a table of interests and one of behaviors. */
#include "view/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "view/escape.h"
#include "view/table.h"

/* The text on its way. Once memory has ended nothing more is appended. */
struct sink {
    struct ms_buffer *out;
    const struct ms_palette *palette;
    bool failed;
};

#define PUT(sink, ...) ((sink)->failed = (sink)->failed || !ms_buffer_printf((sink)->out, __VA_ARGS__))

static void put_bytes(struct sink *sink, const char *name, struct ms_bytes bytes)
{
    PUT(sink, "%s", name);
    sink->failed = sink->failed || !ms_escape(sink->out, bytes);
    PUT(sink, "\n");
}

static void put_partition(struct sink *sink, const struct ms_user_view *view)
{
    PUT(sink, "partition     %u", view->partition);
    if (view->partition_count > 1) {
        PUT(sink, "  %s(state of this user is also in", sink->palette->warning);
        for (size_t i = 0; i < view->partition_count; i++) {
            if (view->partitions[i] != view->partition)
                PUT(sink, " %u", view->partitions[i]);
        }
        PUT(sink, ": the topic is not keyed by user; see --partition)%s", sink->palette->off);
    }
    PUT(sink, "\n");
}

static void put_as_of(struct sink *sink, const struct ms_user_view *view)
{
    if (view->as_of)
        PUT(sink, "as of         that moment: folded again from the kept behaviors; a profile is today's\n");
}

static void put_model(struct sink *sink, const struct ms_user_view *view)
{
    if (view->model)
        PUT(sink, "model         %s, routing.mode=%s\n", view->model,
            view->incremental ? "incremental" : "full");
    PUT(sink, "fold id       %016" PRIx64 "\n", view->fold_id);
    if (view->refolded)
        PUT(sink,
            "              %snot that of this model and these settings (%016" PRIx64
            "): the interests below are of a\n"
            "              copy that was folded again from the kept behaviors%s\n",
            sink->palette->warning, view->model_fold_id, sink->palette->off);
    if (!view->model)
        PUT(sink,
            "\nInterests and couplings need the model: give --model DIR, or -c FILE with model.dir in it.\n");
}

static void put_head(struct sink *sink, const struct ms_user_view *view)
{
    char time[MS_TIME_TEXT_BYTES];
    ms_time_text(time, view->last_time_ms);
    put_bytes(sink, "user          ", view->id);
    put_partition(sink, view);
    PUT(sink, "version       %" PRIu64 "\n", view->version);
    put_as_of(sink, view);
    PUT(sink, "last event    %s\n", time);
    if (!view->as_of)
        PUT(sink, "folded up to  input offset %" PRId64 "\n", view->own_offset);
    if (view->profile.size)
        put_bytes(sink, "profile       ", view->profile);
    PUT(sink, "behaviors     %" PRIu32 " kept", view->kept);
    if (view->model)
        PUT(sink, ", %" PRIu32 " of them in the window of %d", view->window, view->max_behaviors);
    PUT(sink, "\ninterests     %d (K'u)\n", view->interest_count);
    put_model(sink, view);
}

static void put_table(struct sink *sink, struct ms_table *table)
{
    table->palette = sink->palette;
    sink->failed = sink->failed || ms_table_text(table, 2, sink->out, NULL) != MS_OK;
    ms_table_free(table);
}

/* "item score  item score  ..." */
static void nearest_cell(struct ms_table *table, const struct ms_view_interest *interest)
{
    struct ms_buffer text = {0};
    bool good = true;
    for (size_t i = 0; good && i < interest->nearest_count; i++) {
        const struct ms_view_item *near = &interest->nearest[i];
        good = (i == 0 || ms_buffer_append(&text, "  ", 2)) && ms_escape(&text, near->item) &&
               ms_buffer_printf(&text, " %.3f", near->score);
    }
    if (good && ms_buffer_append(&text, "", 1))
        ms_table_raw(table, text.data);
    else
        table->failed = true;
    ms_buffer_free(&text);
}

static void put_interests(struct sink *sink, const struct ms_user_view *view)
{
    struct ms_table table = {0};
    PUT(sink, "\n%sinterests%s\n", sink->palette->title, sink->palette->off);
    if (view->interest_count == 0) {
        PUT(sink, "  none: no kept behavior has an item that the model knows\n");
        return;
    }
    ms_table_column(&table, "slot", true);
    ms_table_column(&table, "weight", true);
    ms_table_column(&table, "norm", true);
    ms_table_column(&table, view->has_nearest ? "nearest items (inner product)" : "", false);
    for (int k = 0; k < view->interest_count; k++) {
        const struct ms_view_interest *interest = &view->interests[k];
        ms_table_cell(&table, "%d", k);
        ms_table_cell(&table, "%.3f", (double)interest->weight);
        ms_table_cell(&table, "%.3f", interest->norm);
        nearest_cell(&table, interest);
    }
    put_table(sink, &table);
}

#define BAR_CHARACTERS 4

/* The bar is always as wide. */
static void coupling_cell(struct ms_table *table, float share)
{
    struct ms_buffer text = {0};
    if (ms_buffer_printf(&text, "%.3f ", (double)share) && ms_bar(&text, (double)share, BAR_CHARACTERS) &&
        ms_buffer_append(&text, "", 1))
        ms_table_raw(table, text.data);
    else
        table->failed = true;
    ms_buffer_free(&text);
}

static void behavior_cells(struct ms_table *table, const struct ms_user_view *view,
                           const struct ms_view_behavior *behavior)
{
    char time[MS_TIME_TEXT_BYTES];
    ms_time_text(time, behavior->time_ms);
    ms_table_cell(table, "%s", time);
    ms_table_bytes(table, behavior->item);
    ms_table_bytes(table, behavior->type);
    if (!view->model)
        return;
    for (int k = 0; k < view->coupling_count; k++) {
        if (behavior->coupling)
            coupling_cell(table, behavior->coupling[k]);
        else
            ms_table_cell(table, "-");
    }
    if (!behavior->known)
        ms_table_warning(table, "unknown to the model");
    else
        ms_table_raw(table, behavior->coupling ? "" : "before the window");
}

static void behavior_columns(struct ms_table *table, const struct ms_user_view *view)
{
    ms_table_column(table, "time", false);
    ms_table_column(table, "item", false);
    ms_table_column(table, "type", false);
    if (!view->model)
        return;
    for (int k = 0; k < view->coupling_count; k++) {
        char title[16];
        snprintf(title, sizeof title, "to %d", k);
        ms_table_column(table, title, true);
    }
    ms_table_column(table, "", false);
}

static void put_behaviors(struct sink *sink, const struct ms_user_view *view, size_t limit)
{
    struct ms_table table = {0};
    size_t count = view->behavior_count, first = limit && count > limit ? count - limit : 0;
    behavior_columns(&table, view);
    for (size_t i = first; i < count; i++)
        behavior_cells(&table, view, &view->behaviors[i]);
    PUT(sink, "\n%sbehaviors, oldest first", sink->palette->title);
    if (view->coupling_count)
        PUT(sink, ", with their coupling to each interest%s",
            view->incremental ? " by full routing over the kept window" : "");
    PUT(sink, "%s\n", sink->palette->off);
    if (first)
        PUT(sink, "  (%zu older ones are not shown)\n", first);
    put_table(sink, &table);
}

static void put_recommended(struct sink *sink, const struct ms_user_view *view)
{
    struct ms_table table = {0};
    ms_table_column(&table, "", true);
    ms_table_column(&table, "item", false);
    ms_table_column(&table, "score", true);
    ms_table_column(&table, "slot", true);
    ms_table_column(&table, "", false);
    for (size_t i = 0; i < view->recommended_count; i++) {
        const struct ms_view_recommendation *one = &view->recommended[i];
        ms_table_cell(&table, "%zu", i + 1);
        ms_table_bytes(&table, one->item);
        ms_table_cell(&table, "%.3f", one->score);
        ms_table_cell(&table, "%d", one->slot);
        ms_table_cell(&table, "%s", one->in_history ? "in the history" : "");
    }
    PUT(sink, "\n%sitems by their largest inner product with an interest%s\n", sink->palette->title,
        sink->palette->off);
    put_table(sink, &table);
}

enum ms_status ms_user_view_text(const struct ms_user_view *view, size_t limit,
                                 const struct ms_palette *palette, struct ms_buffer *out,
                                 struct ms_error *error)
{
    struct sink sink = {.out = out, .palette = palette ? palette : &ms_no_palette};
    size_t start = out->size;
    put_head(&sink, view);
    if (view->model)
        put_interests(&sink, view);
    if (view->recommended)
        put_recommended(&sink, view);
    put_behaviors(&sink, view, limit);
    if (!sink.failed)
        return MS_OK;
    out->size = start;
    return ms_fail(error, MS_MEMORY, "no memory for the text of a user");
}
