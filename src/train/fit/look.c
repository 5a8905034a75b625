/* Held-out users, one after the other: folded or routed as they are served, and ranked. */
#include "train/fit/look.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_text.h"
#include "mindstream/extract.h"
#include "train/fit/judge.h"
#include "train/scorer.h"

#define TARGETS_MAX  4000
#define TARGETS_MIN  200
#define WORK         4e10 /* multiplications of all, about */
#define USER_EVENTS  MS_FIT_JUDGE_EVENTS
#define SHOWN_EVENTS 50
#define SHOWN_LEAST  8 /* events of a user that is shown */
#define SHOWN_DIGITS 4

struct looker {
    const struct ms_fit_clicks *clicks;
    const struct ms_fit_options *options;
    struct ms_fit_look *look;
    struct ms_model *model;
    struct ms_extractor *extractor;
    struct ms_catalogue catalogue;
    struct ms_scorer *scorer;
    float *state;
    uint32_t *by_count; /* [item_count]: clicks of the items, the greatest first */
    size_t targets_max, shown;
};

static const struct ms_decay own_decays = {.count = 0};

static int descending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x > y ? -1 : x < y;
}

/* 1 and the number of items that were clicked more often. */
static size_t popular_rank(const struct looker *l, uint32_t item)
{
    uint32_t count = l->clicks->counts[item];
    size_t low = 0, high = l->clicks->item_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->by_count[middle] > count)
            low = middle + 1;
        else
            high = middle;
    }
    return low + 1;
}

static void count_rank(struct ms_ranks *ranks, size_t rank)
{
    ranks->counts[rank <= MS_RANKS ? rank - 1 : MS_RANKS]++;
}

/* The interests after |n| of the items, of which |folded| are in the state already. */
static struct ms_interests interests_after(struct looker *l, const uint32_t *items, size_t n, size_t *folded)
{
    if (l->options->full_routing)
        return ms_extract_full(l->extractor, items, n, NULL, 0, NULL);
    for (; *folded < n; ++*folded)
        ms_fold_event(l->extractor, &own_decays, l->state, *folded + 1, items[*folded], 0, 0, 1.0);
    return ms_fold_interests(l->extractor, l->state, n);
}

static void count_entropy(struct ms_fit_look *look, const struct ms_interests *interests)
{
    double entropy = 0.0;
    if (interests->count < 2)
        return;
    for (int j = 0; j < interests->count; j++)
        if (interests->weights[j] > 0.0f)
            entropy -= (double)interests->weights[j] * log((double)interests->weights[j]);
    int bin = (int)(entropy / log((double)interests->count) * MS_FIT_LOOK_BINS);
    look->entropy[bin < 0 ? 0 : bin < MS_FIT_LOOK_BINS ? bin : MS_FIT_LOOK_BINS - 1]++;
    look->users++;
}

/* ---- users to look at ---- */

static bool put_vector(struct ms_buffer *out, const float *vector, int dim)
{
    bool good = ms_buffer_append(out, "[", 1);
    for (int c = 0; good && c < dim; c++)
        good = ms_buffer_printf(out, "%s%.*g", c ? "," : "", SHOWN_DIGITS,
                                isfinite(vector[c]) ? (double)vector[c] : 0.0);
    return good && ms_buffer_append(out, "]", 1);
}

static bool put_items(struct ms_buffer *out, const struct looker *l, const uint32_t *items, size_t n)
{
    bool good = ms_buffer_printf(out, "\"items\":[");
    for (size_t i = 0; good && i < n; i++)
        good = ms_buffer_printf(out, "%s{\"id\":", i ? "," : "") &&
               ms_json_text_string(out, l->clicks->ids[items[i]]) && ms_buffer_printf(out, ",\"vector\":") &&
               put_vector(out, ms_model_item_embedding(l->model, items[i]),
                          ms_model_config(l->model)->item_dim) &&
               ms_buffer_append(out, "}", 1);
    return good && ms_buffer_append(out, "]", 1);
}

static bool put_user(struct looker *l, const uint32_t *items, size_t n, const struct ms_interests *interests)
{
    struct ms_buffer *out = &l->look->sample;
    size_t shown = n < SHOWN_EVENTS ? n : SHOWN_EVENTS;
    bool good = ms_buffer_printf(out, "%s{", l->shown++ ? ",\n" : "") &&
                put_items(out, l, items + n - shown, shown) && ms_buffer_printf(out, ",\"interests\":[");
    for (int j = 0; good && j < interests->count; j++)
        good = ms_buffer_printf(out, "%s{\"weight\":%.4f,\"vector\":", j ? "," : "",
                                (double)interests->weights[j]) &&
               put_vector(out, interests->vectors + j * interests->dim, interests->dim) &&
               ms_buffer_append(out, "}", 1);
    return good && ms_buffer_printf(out, "]}");
}

/* ---- one user ---- */

static void rank_target(struct looker *l, const uint32_t *items, size_t t,
                        const struct ms_interests *interests)
{
    int count = 0;
    ms_scorer_add(l->scorer, MS_FIT_RIVAL_MODEL, interests->vectors, interests->count, &items[t], 1);
    const float *last = ms_item_vectors(l->extractor, items[t - 1], 0, &count);
    ms_scorer_add(l->scorer, MS_FIT_RIVAL_LAST, last, count, &items[t], 1);
    count_rank(&l->look->ranks[MS_FIT_RIVAL_POPULAR], popular_rank(l, items[t]));
    l->look->targets++;
}

static bool look_at(struct looker *l, uint32_t user, size_t least)
{
    struct ms_fit_targets targets;
    if (!ms_fit_clicks_targets(l->clicks, user, least, USER_EVENTS, &targets))
        return true;
    const uint32_t *items = l->clicks->events + l->clicks->first[user] + targets.begin;
    size_t n = targets.end - targets.begin, folded = 0;
    memset(l->state, 0, ms_fold_floats(l->model) * sizeof *l->state);
    for (size_t t = targets.from - targets.begin; t < n; t++) {
        struct ms_interests interests = interests_after(l, items, t, &folded);
        rank_target(l, items, t, &interests);
    }
    struct ms_interests interests = interests_after(l, items, n, &folded);
    count_entropy(l->look, &interests);
    return l->shown >= MS_FIT_LOOK_USERS || n < SHOWN_LEAST || put_user(l, items, n, &interests);
}

/* ---- all of them ---- */

static enum ms_status prepare(struct looker *l, const char *dir, struct ms_error *error)
{
    enum ms_status status = ms_model_load(&l->model, dir, error);
    if (status != MS_OK)
        return status;
    const struct ms_model_config *config = ms_model_config(l->model);
    uint32_t count = l->clicks->item_count;
    double one = (double)count * (double)(config->interests * config->item_dim);
    l->targets_max = WORK / one > TARGETS_MAX   ? TARGETS_MAX
                     : WORK / one < TARGETS_MIN ? TARGETS_MIN
                                                : (size_t)(WORK / one);
    l->state = calloc(ms_fold_floats(l->model) + 16, sizeof *l->state);
    l->by_count = calloc((size_t)count + 1, sizeof *l->by_count);
    if (!l->state || !l->by_count)
        return ms_fail(error, MS_MEMORY, "no memory to look at users");
    memcpy(l->by_count, l->clicks->counts, count * sizeof *l->by_count);
    qsort(l->by_count, count, sizeof *l->by_count, descending);
    if ((status = ms_extractor_new(&l->extractor, l->model, error)) ||
        (status = ms_catalogue_init(&l->catalogue, ms_model_item_embedding(l->model, 0), count,
                                    config->item_dim, error)))
        return status;
    return ms_scorer_new(&l->scorer, &l->catalogue, l->look->ranks, error);
}

static void free_looker(struct looker *l)
{
    ms_scorer_destroy(l->scorer);
    ms_catalogue_free(&l->catalogue);
    ms_extractor_destroy(l->extractor);
    ms_model_destroy(l->model);
    free(l->by_count);
    free(l->state);
}

/* Users with at least |least| events, as long as there are targets to be ranked. */
static bool look_at_all(struct looker *l, size_t least)
{
    bool good = true;
    for (uint32_t user = 0; good && user < l->clicks->user_count && l->look->targets < l->targets_max; user++)
        good = look_at(l, user, least);
    return good;
}

/* What the model says of itself. */
static bool take_words(struct ms_fit_look *look, const struct ms_model *model)
{
    const char *id = ms_model_config(model)->id, *training = ms_model_training(model);
    return ms_json_text_string(&look->model, (struct ms_bytes){id, strlen(id)}) &&
           ms_buffer_printf(&look->training, "%s", training ? training : "{}");
}

enum ms_status ms_fit_look(const char *dir, const struct ms_fit_clicks *clicks,
                           const struct ms_fit_options *options, struct ms_fit_look *look,
                           struct ms_error *error)
{
    *look = (struct ms_fit_look){0};
    struct looker l = {.clicks = clicks, .options = options, .look = look};
    enum ms_status status = prepare(&l, dir, error);
    bool good = status == MS_OK && take_words(look, l.model) && ms_buffer_append(&look->sample, "[", 1);
    good = good && look_at_all(&l, MS_FIT_JUDGE_MIN_EVENTS);
    if (good && look->targets == 0) /* the log has none with so many */
        good = look_at_all(&l, 3);
    good = good && ms_buffer_append(&look->sample, "]", 1);
    if (status == MS_OK && !good)
        status = ms_fail(error, MS_MEMORY, "no memory for the report's users");
    if (status == MS_OK)
        ms_scorer_flush(l.scorer);
    free_looker(&l);
    if (status != MS_OK)
        ms_fit_look_free(look);
    return status;
}

void ms_fit_look_free(struct ms_fit_look *look)
{
    ms_buffer_free(&look->sample);
    ms_buffer_free(&look->model);
    ms_buffer_free(&look->training);
    *look = (struct ms_fit_look){0};
}
