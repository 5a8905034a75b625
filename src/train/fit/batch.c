/* A pass cuts long histories at another place each time, shuffles the stretches, and takes them one after the other. */
#include "train/fit/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "mindstream/model.h"

#define NO_ROW UINT32_MAX

/* What a stream of draws is for. */
enum { DRAW_PHASE = 16, DRAW_ORDER, DRAW_NEGATIVES, DRAW_DROPOUT };

/* Shares by (count + 1)^0.75: an item that only held-out users have clicked is drawn, too. */
static enum ms_status make_shares(struct ms_fit_plan *plan, struct ms_error *error)
{
    uint32_t n = plan->clicks->item_count;
    double *weights = calloc((size_t)n + 1, sizeof *weights), total = 0.0;
    plan->log_share = calloc((size_t)n + 1, sizeof *plan->log_share);
    bool good = weights && plan->log_share;
    for (uint32_t i = 0; good && i < n; i++)
        total += weights[i] = pow((double)plan->clicks->counts[i] + 1.0, 0.75);
    for (uint32_t i = 0; good && i < n; i++)
        plan->log_share[i] = (float)log(weights[i] / total * (double)plan->options.negatives);
    good = good && ms_alias_init(&plan->alias, weights, n);
    free(weights);
    return good ? MS_OK : ms_fail(error, MS_MEMORY, "no memory to draw from %u items", n);
}

static bool is_trained(const struct ms_fit_clicks *clicks, uint32_t user)
{
    return clicks->trained[user] >= 2;
}

static void measure(struct ms_fit_plan *plan)
{
    const struct ms_fit_clicks *clicks = plan->clicks;
    size_t longest = 0;
    for (uint32_t u = 0; u < clicks->user_count; u++) {
        if (!is_trained(clicks, u))
            continue;
        size_t targets = clicks->trained[u] - (size_t)1;
        plan->epoch_targets += targets;
        longest = targets > longest ? targets : longest;
    }
    size_t window = longest < plan->options.window ? longest : plan->options.window;
    /* A batch ends with the window that fills it. Each window has at least one target. */
    size_t targets = plan->options.targets + window;
    plan->limits = (struct ms_fit_limits){.window_events = window + plan->options.context,
                                          .events = targets + plan->options.targets * plan->options.context +
                                                    plan->options.context,
                                          .negatives = plan->options.negatives};
}

enum ms_status ms_fit_plan_new(struct ms_fit_plan *plan, const struct ms_fit_clicks *clicks,
                               const struct ms_fit_plan_options *options, struct ms_error *error)
{
    struct ms_fit_plan made = {.clicks = clicks, .options = *options};
    measure(&made);
    if (made.epoch_targets == 0) {
        *plan = (struct ms_fit_plan){0};
        return ms_fail(error, MS_NOT_FOUND,
                       "nothing to train on: no user of the log who is not held out has two events");
    }
    enum ms_status status = make_shares(&made, error);
    size_t occurrences = made.limits.events + options->negatives;
    if (status == MS_OK) {
        made.windows = calloc(options->targets + 1, sizeof *made.windows);
        made.items = calloc(made.limits.events, sizeof *made.items);
        made.negatives = calloc(options->negatives, sizeof *made.negatives);
        made.rows = calloc(occurrences, sizeof *made.rows);
        made.row_first = calloc(occurrences + 2, sizeof *made.row_first);
        made.occurrences = calloc(occurrences, sizeof *made.occurrences);
        made.row_of = malloc((size_t)clicks->item_count * sizeof *made.row_of);
        if (!made.windows || !made.items || !made.negatives || !made.rows || !made.row_first ||
            !made.occurrences || !made.row_of)
            status = ms_fail(error, MS_MEMORY, "no memory for batches of %zu events", made.limits.events);
    }
    if (status != MS_OK) {
        ms_fit_plan_free(&made);
        *plan = made;
        return status;
    }
    memset(made.row_of, 0xff, (size_t)clicks->item_count * sizeof *made.row_of);
    *plan = made;
    return MS_OK;
}

void ms_fit_plan_free(struct ms_fit_plan *plan)
{
    ms_alias_free(&plan->alias);
    free(plan->log_share);
    free(plan->stretches);
    free(plan->windows);
    free(plan->items);
    free(plan->negatives);
    free(plan->rows);
    free(plan->row_first);
    free(plan->occurrences);
    free(plan->row_of);
    *plan = (struct ms_fit_plan){0};
}

/* ---- a pass ---- */

static bool add_stretch(struct ms_fit_plan *plan, size_t begin, size_t first, size_t end)
{
    if (!ms_array_reserve(&plan->stretches, &plan->stretch_room, plan->stretch_count + 1,
                          sizeof *plan->stretches))
        return false;
    size_t before = first - begin, context = before < plan->options.context ? before : plan->options.context;
    plan->stretches[plan->stretch_count++] = (struct ms_fit_stretch){
        .first = first, .count = (uint32_t)(end - first), .context = (uint32_t)context};
    return true;
}

/* A user's targets, in stretches of |window|; the first and the last may be shorter. */
static bool add_user(struct ms_fit_plan *plan, uint32_t user, uint64_t seed)
{
    size_t begin = plan->clicks->first[user], end = begin + plan->clicks->trained[user],
           window = plan->options.window;
    size_t first = begin + 1, targets = end - first;
    size_t count = targets <= window ? targets : 1 + (size_t)ms_draw_below(seed, user, window);
    while (first < end) {
        if (!add_stretch(plan, begin, first, first + count))
            return false;
        first += count;
        count = end - first < window ? end - first : window;
    }
    return true;
}

static void shuffle(struct ms_fit_plan *plan, uint64_t seed)
{
    for (size_t i = plan->stretch_count; i > 1; i--) {
        size_t j = (size_t)ms_draw_below(seed, i, i);
        struct ms_fit_stretch stretch = plan->stretches[j];
        plan->stretches[j] = plan->stretches[i - 1];
        plan->stretches[i - 1] = stretch;
    }
}

enum ms_status ms_fit_plan_epoch(struct ms_fit_plan *plan, uint64_t epoch, struct ms_error *error)
{
    uint64_t seed = ms_draw(plan->options.seed, epoch);
    plan->epoch = epoch;
    plan->stretch_count = plan->next = 0;
    for (uint32_t u = 0; u < plan->clicks->user_count; u++)
        if (is_trained(plan->clicks, u) && !add_user(plan, u, ms_draw(seed, DRAW_PHASE)))
            return ms_fail(error, MS_MEMORY, "no memory for the order of %zu targets", plan->epoch_targets);
    shuffle(plan, ms_draw(seed, DRAW_ORDER));
    return MS_OK;
}

/* ---- a batch ---- */

static void take_windows(struct ms_fit_plan *plan)
{
    struct ms_fit_batch *batch = &plan->batch;
    *batch = (struct ms_fit_batch){.windows = plan->windows,
                                   .items = plan->items,
                                   .negatives = plan->negatives,
                                   .negative_count = plan->options.negatives};
    while (plan->next < plan->stretch_count && batch->target_count < plan->options.targets) {
        const struct ms_fit_stretch *stretch = &plan->stretches[plan->next++];
        uint32_t count = stretch->context + stretch->count;
        plan->windows[batch->window_count++] = (struct ms_fit_window){
            .first = (uint32_t)batch->event_count, .count = count, .context = stretch->context};
        memcpy(plan->items + batch->event_count, plan->clicks->events + stretch->first - stretch->context,
               count * sizeof *plan->items);
        batch->event_count += count;
        batch->target_count += stretch->count;
    }
}

static uint32_t item_at(const struct ms_fit_plan *plan, size_t occurrence)
{
    size_t events = plan->batch.event_count;
    return occurrence < events ? plan->items[occurrence] : plan->negatives[occurrence - events];
}

/* Lists the batch's items, and where they occur, in order. */
static void list_rows(struct ms_fit_plan *plan)
{
    size_t count = plan->batch.event_count + plan->batch.negative_count;
    for (size_t i = 0; i < plan->row_count; i++)
        plan->row_of[plan->rows[i]] = NO_ROW;
    plan->row_count = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t item = item_at(plan, i);
        if (plan->row_of[item] == NO_ROW) {
            plan->row_of[item] = (uint32_t)plan->row_count;
            plan->row_first[plan->row_count + 1] = 0;
            plan->rows[plan->row_count++] = item;
        }
        plan->row_first[plan->row_of[item] + 1]++;
    }
    plan->row_first[0] = 0;
    for (size_t i = 0; i < plan->row_count; i++)
        plan->row_first[i + 1] += plan->row_first[i];
    /* Each is put where its row begins, which moves on; in the end a row begins where the next one did. */
    for (size_t i = 0; i < count; i++)
        plan->occurrences[plan->row_first[plan->row_of[item_at(plan, i)]]++] = (uint32_t)i;
    for (size_t i = plan->row_count; i > 0; i--)
        plan->row_first[i] = plan->row_first[i - 1];
    plan->row_first[0] = 0;
}

bool ms_fit_plan_next(struct ms_fit_plan *plan)
{
    if (plan->next == plan->stretch_count)
        return false;
    /* The stretch that the batch begins with tells it from all others. */
    uint64_t seed = ms_draw(ms_draw(plan->options.seed, plan->epoch), (uint64_t)plan->next << 8);
    plan->batch.seed = ms_draw(seed, DRAW_DROPOUT);
    uint64_t dropout = plan->batch.seed;
    take_windows(plan);
    plan->batch.seed = dropout;
    for (size_t i = 0; i < plan->options.negatives; i++)
        plan->negatives[i] = ms_alias_draw(&plan->alias, ms_draw(seed, DRAW_NEGATIVES), i);
    list_rows(plan);
    return true;
}

size_t ms_fit_shard_end(const struct ms_fit_batch *batch, size_t i, size_t shards)
{
    size_t until = (batch->event_count * (i + 1) + shards - 1) / shards, end = 0;
    while (end < batch->window_count && batch->windows[end].first < until)
        end++;
    return i + 1 == shards ? batch->window_count : end;
}
