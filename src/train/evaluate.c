/* A pool of threads goes over the users. Each thread has its own vectors, scores and counts, and the counts of ranks are
 * added at the end. They are whole numbers, so the sums do not depend on which thread had which user. */
#include "train/evaluate.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/progress.h"

#define PROGRESS_MS 100 /* how often progress is looked at */

/* What the threads share. */
struct work {
    const struct ms_model *model;
    const struct ms_histories *histories;
    const struct ms_column *columns;
    int column_count;
    struct ms_catalogue catalogue;
    struct worker *workers; /* [threads] */
    atomic_ullong steps_done;
};

/* One thread's. */
struct worker {
    struct work *work;
    struct ms_extractor *extractor;
    struct ms_scorer *scorer;
    struct ms_ranks *ranks; /* [column_count] */
    double *seconds;        /* [column_count] */
    struct ms_evaluation evaluation;
    /* The history at hand: */
    uint32_t *items;   /* [max] items of the known clicks */
    int64_t *times_ms; /* [max] times of the known clicks */
    float *masses;     /* [max] what the known clicks count; NULL: 1 */
    uint32_t *known;   /* [max + 1] number of known clicks before click t */
    uint32_t *targets; /* [max] items of the known clicks to predict */
    float *state;      /* of the fold */
};

enum ms_status ms_column_supported(const struct ms_model *model, enum ms_column_kind kind,
                                   struct ms_error *error)
{
    const struct ms_model_config *config = ms_model_config(model);
    if (config->dim != config->item_dim)
        return ms_fail(
            error, MS_CONFIG,
            "model %s: dim is %d, but tensor item_embedding is %d wide; items are scored by their inner "
            "product with the vectors, so both must be equal",
            config->id, config->dim, config->item_dim);
    if (kind == MS_COLUMN_INCREMENTAL)
        return ms_fold_supported(model, error);
    int width = ms_item_vector_dim(model);
    if (kind == MS_COLUMN_LAST && width != config->item_dim)
        return ms_fail(
            error, MS_CONFIG,
            "model %s: a projected item has %d floats, but tensor item_embedding is %d wide, so that one "
            "cannot score the other",
            config->id, width, config->item_dim);
    return MS_OK;
}

/* ---- one history ---- */

/* Fills items, times, masses, known and targets for a history. Returns the number of targets. A click on an item that the model
 * does not know is not a known click. */
static size_t prepare_history(struct worker *w, const struct ms_click *clicks, const float *weights,
                              uint32_t n)
{
    uint32_t known = 0, half = n / 2;
    size_t targets = 0;
    for (uint32_t t = 0; t < n; t++) {
        w->known[t] = known;
        if (clicks[t].item == MS_NO_ITEM) {
            w->evaluation.skipped += t > half;
            continue;
        }
        w->items[known] = clicks[t].item;
        if (weights)
            w->masses[known] = weights[clicks[t].order];
        w->times_ms[known++] = clicks[t].time_ms;
        if (t > half)
            w->targets[targets++] = clicks[t].item;
    }
    w->known[n] = known;
    return targets;
}

static void ask(struct worker *w, int column, struct ms_interests interests, uint32_t target)
{
    if (target != MS_NO_ITEM)
        ms_scorer_add(w->scorer, column, interests.vectors, interests.count, &target, 1);
}

static void run_full(struct worker *w, int column, const struct ms_click *clicks, uint32_t n)
{
    for (uint32_t t = n / 2 + 1; t < n; t++)
        ask(w, column, ms_extract_full(w->extractor, w->items, w->known[t], NULL, 0, NULL), clicks[t].item);
}

static void run_stale(struct worker *w, int column, uint32_t n, size_t targets)
{
    struct ms_interests interests = ms_extract_full(w->extractor, w->items, w->known[n / 2 + 1], NULL, 0,
                                                    NULL);
    ms_scorer_add(w->scorer, column, interests.vectors, interests.count, w->targets, targets);
}

static void run_last(struct worker *w, int column, const struct ms_click *clicks, uint32_t n)
{
    size_t window = (size_t)ms_model_config(w->work->model)->max_behaviors;
    for (uint32_t t = n / 2 + 1; t < n; t++) {
        size_t known = w->known[t];
        struct ms_interests last = {0};
        if (known > 0)
            last.vectors = ms_item_vectors(w->extractor, w->items[known - 1],
                                           (known < window ? known : window) - 1, &last.count);
        ask(w, column, last, clicks[t].item);
    }
}

/* Folds known click number |index| of the history. */
static void fold_click(struct worker *w, const struct ms_decay *decay, uint32_t index)
{
    int64_t age_ms = index > 0 ? w->times_ms[index] - w->times_ms[index - 1] : 0;
    ms_fold_event(w->extractor, decay, w->state, (uint64_t)index + 1, w->items[index], age_ms, 0,
                  w->masses ? (double)w->masses[index] : 1.0);
}

/* Folds the known clicks before click number half. */
static void begin_fold(struct worker *w, const struct ms_decay *decay, uint32_t n)
{
    memset(w->state, 0, ms_fold_floats(w->work->model) * sizeof *w->state);
    for (uint32_t i = 0; i < w->known[n / 2]; i++)
        fold_click(w, decay, i);
}

static void run_incremental(struct worker *w, int column, const struct ms_click *clicks, uint32_t n)
{
    const struct ms_decay *decay = &w->work->columns[column].decay;
    uint32_t folded = w->known[n / 2];
    for (uint32_t t = n / 2 + 1; t < n; t++) {
        for (; folded < w->known[t]; folded++)
            fold_click(w, decay, folded);
        ask(w, column, ms_fold_interests(w->extractor, w->state, folded), clicks[t].item);
    }
}

/* Runs one column over the prepared history and measures the time without scoring. */
static void run_column(struct worker *w, int column, const struct ms_click *clicks, uint32_t n,
                       size_t targets)
{
    const struct ms_column *settings = &w->work->columns[column];
    if (settings->kind == MS_COLUMN_INCREMENTAL)
        begin_fold(w, &settings->decay, n);
    double scoring = ms_scorer_seconds(w->scorer), started = ms_thread_seconds();
    switch (settings->kind) {
    case MS_COLUMN_FULL:
        run_full(w, column, clicks, n);
        break;
    case MS_COLUMN_INCREMENTAL:
        run_incremental(w, column, clicks, n);
        break;
    case MS_COLUMN_STALE:
        run_stale(w, column, n, targets);
        break;
    case MS_COLUMN_LAST:
        run_last(w, column, clicks, n);
        break;
    }
    w->seconds[column] += ms_thread_seconds() - started - (ms_scorer_seconds(w->scorer) - scoring);
}

static uint32_t steps_of(uint32_t n)
{
    return n - n / 2 - (n > 0);
}

static enum ms_status evaluate_user(void *context, int thread, size_t user, struct ms_error *error)
{
    struct work *work = context;
    struct worker *w = &work->workers[thread];
    struct ms_history history = work->histories->users[user];
    const struct ms_click *clicks = work->histories->clicks + history.first;
    const float *weights = work->histories->weights ? work->histories->weights + history.first : NULL;
    (void)error;
    if (steps_of(history.count) == 0)
        return MS_OK;
    size_t targets = prepare_history(w, clicks, weights, history.count);
    w->evaluation.targets += targets;
    for (int column = 0; column < work->column_count; column++)
        run_column(w, column, clicks, history.count, targets);
    atomic_fetch_add(&work->steps_done, steps_of(history.count));
    return MS_OK;
}

/* Ranks what is left in the scorer of worker number |index|. */
static enum ms_status flush_scorer(void *context, int thread, size_t index, struct ms_error *error)
{
    struct work *work = context;
    (void)thread, (void)error;
    ms_scorer_flush(work->workers[index].scorer);
    return MS_OK;
}

/* ---- all of them ---- */

static enum ms_status worker_init(struct worker *w, struct work *work, uint32_t longest,
                                  struct ms_error *error)
{
    size_t columns = (size_t)work->column_count, max = (size_t)longest + 1;
    w->work = work;
    w->ranks = calloc(columns, sizeof *w->ranks);
    w->seconds = calloc(columns, sizeof *w->seconds);
    w->items = calloc(max, sizeof *w->items);
    w->times_ms = calloc(max, sizeof *w->times_ms);
    w->masses = work->histories->weights ? calloc(max, sizeof *w->masses) : NULL;
    w->known = calloc(max, sizeof *w->known);
    w->targets = calloc(max, sizeof *w->targets);
    w->state = calloc(ms_fold_floats(work->model), sizeof *w->state);
    if (!w->ranks || !w->seconds || !w->items || !w->times_ms || (work->histories->weights && !w->masses) ||
        !w->known || !w->targets || !w->state)
        return ms_fail(error, MS_MEMORY, "no memory for a thread on histories of %" PRIu32 " clicks",
                       longest);
    enum ms_status status = ms_extractor_new(&w->extractor, work->model, error);
    return status ? status : ms_scorer_new(&w->scorer, &work->catalogue, w->ranks, error);
}

static void worker_free(struct worker *w)
{
    ms_scorer_destroy(w->scorer);
    ms_extractor_destroy(w->extractor);
    free(w->ranks);
    free(w->seconds);
    free(w->items);
    free(w->masses);
    free(w->times_ms);
    free(w->known);
    free(w->targets);
    free(w->state);
}

/* Runs all users on |threads| threads and shows how far they are. */
static enum ms_status run_workers(struct work *work, int threads, uint64_t steps, struct ms_error *error)
{
    struct ms_pool *pool;
    struct ms_progress progress;
    enum ms_status status = ms_pool_new(&pool, threads, error);
    if (status != MS_OK)
        return status;
    ms_progress_start(&progress, "clicks predicted", steps);
    ms_pool_start(pool, work->histories->user_count, evaluate_user, work);
    while (!ms_pool_wait(pool, PROGRESS_MS))
        ms_progress_update(&progress, atomic_load(&work->steps_done));
    status = ms_pool_finish(pool, error);
    if (status == MS_OK)
        status = ms_pool_for(pool, (size_t)threads, flush_scorer, work, error);
    ms_progress_end(&progress, steps);
    ms_pool_destroy(pool);
    return status;
}

static void add_up(const struct worker *w, struct ms_column *columns, int column_count,
                   struct ms_evaluation *evaluation)
{
    for (int column = 0; column < column_count; column++) {
        for (int rank = 0; rank <= MS_RANKS; rank++)
            columns[column].ranks.counts[rank] += w->ranks[column].counts[rank];
        columns[column].seconds += w->seconds[column];
    }
    evaluation->targets += w->evaluation.targets;
    evaluation->skipped += w->evaluation.skipped;
}

/* The histories' clicks from half + 1 on, and the longest history. */
static uint64_t measure(const struct ms_histories *histories, uint32_t *longest)
{
    uint64_t steps = 0;
    *longest = 0;
    for (uint32_t u = 0; u < histories->user_count; u++) {
        uint32_t count = histories->users[u].count;
        steps += steps_of(count);
        *longest = count > *longest ? count : *longest;
    }
    return steps;
}

enum ms_status ms_evaluate(const struct ms_model *model, const struct ms_histories *histories,
                           struct ms_column *columns, int column_count, int threads,
                           struct ms_evaluation *evaluation, struct ms_error *error)
{
    struct work work = {
        .model = model, .histories = histories, .columns = columns, .column_count = column_count};
    struct ms_evaluation made = {0};
    uint32_t longest;
    uint64_t steps = measure(histories, &longest);
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    work.workers = workers;
    enum ms_status status = workers ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for %d threads", threads);
    if (status == MS_OK)
        status = ms_catalogue_init(&work.catalogue, ms_model_tensor(model, "item_embedding").data,
                                   ms_model_item_count(model), ms_model_config(model)->item_dim, error);
    for (int i = 0; i < threads && status == MS_OK; i++)
        status = worker_init(&workers[i], &work, longest, error);
    if (status == MS_OK)
        status = run_workers(&work, threads, steps, error);
    for (int i = 0; i < column_count && status == MS_OK; i++) {
        columns[i].ranks = (struct ms_ranks){{0}};
        columns[i].seconds = 0.0;
        columns[i].steps = steps;
    }
    for (int i = 0; i < threads && status == MS_OK; i++)
        add_up(&workers[i], columns, column_count, &made);
    for (int i = 0; workers && i < threads; i++)
        worker_free(&workers[i]);
    free(workers);
    ms_catalogue_free(&work.catalogue);
    if (status == MS_OK)
        *evaluation = made;
    return status;
}

/* ---- metrics ---- */

/* Mean and standard error of a gain that ranks 1 .. cut have and others lack. */
static struct ms_metric mean_gain(const struct ms_ranks *ranks, int cut, double (*gain)(int rank))
{
    double n = 0.0, sum = 0.0, squares = 0.0;
    assert(cut <= MS_RANKS);
    for (int rank = 1; rank <= MS_RANKS + 1; rank++) {
        double count = (double)ranks->counts[rank - 1], g = rank <= cut ? gain(rank) : 0.0;
        n += count;
        sum += count * g;
        squares += count * g * g;
    }
    if (n == 0.0)
        return (struct ms_metric){0.0, 0.0};
    double mean = sum / n, variance = squares / n - mean * mean;
    return (struct ms_metric){mean, sqrt(fmax(variance, 0.0) / n)};
}

static double hit(int rank)
{
    return rank > 0 ? 1.0 : 0.0;
}

static double discounted(int rank)
{
    return 1.0 / log2(1.0 + (double)rank);
}

struct ms_metric ms_recall(const struct ms_ranks *ranks, int cut)
{
    return mean_gain(ranks, cut, hit);
}

struct ms_metric ms_ndcg(const struct ms_ranks *ranks, int cut)
{
    return mean_gain(ranks, cut, discounted);
}
