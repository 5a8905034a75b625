/* Users are judged by a pool; counts of ranks are whole numbers, so they do not depend on the threads. */
#include "train/fit/judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/model.h"
#include "train/evaluate.h"
#include "train/scorer.h"

struct judge_thread {
    struct ms_fit_shard_f32 shard;
    struct ms_scorer *scorer;
    struct ms_ranks ranks;
    float *vectors;
};

struct ms_fit_judge {
    const struct ms_fit_clicks *clicks;
    const struct ms_fit_functions_f32 *functions;
    struct ms_fit_step_f32 *step;
    struct ms_pool *pool;
    struct ms_catalogue catalogue;
    uint32_t *users;
    size_t user_count;
    size_t window; /* of full routing */
    int threads;
    struct judge_thread *thread; /* [threads] */
};

/* Users with something to predict, until they have |most| targets. */
static size_t choose_users(struct ms_fit_judge *judge, size_t least, size_t most)
{
    size_t found = 0;
    judge->user_count = 0;
    for (uint32_t u = 0; u < judge->clicks->user_count && found < most; u++) {
        struct ms_fit_targets targets;
        if (!ms_fit_clicks_targets(judge->clicks, u, least, MS_FIT_JUDGE_EVENTS, &targets))
            continue;
        judge->users[judge->user_count++] = u;
        found += targets.end - targets.from;
    }
    return found;
}

static enum ms_status thread_new(struct ms_fit_judge *judge, struct judge_thread *thread,
                                 struct ms_error *error)
{
    const struct ms_fit_shape *shape = &judge->step->shape;
    const struct ms_fit_limits limits = {.window_events = MS_FIT_JUDGE_EVENTS, .negatives = 1};
    thread->vectors = aligned_alloc(64,
                                    MS_FIT_JUDGE_EVENTS * shape->interests * shape->stride * sizeof(float));
    if (!thread->vectors || !judge->functions->shard_new(&thread->shard, shape, &limits))
        return ms_fail(error, MS_MEMORY, "no memory to rank held-out users");
    return ms_scorer_new(&thread->scorer, &judge->catalogue, &thread->ranks, error);
}

enum ms_status ms_fit_judge_new(struct ms_fit_judge **out, const struct ms_fit_clicks *clicks,
                                const struct ms_fit_functions_f32 *functions, struct ms_fit_step_f32 *step,
                                struct ms_pool *pool, int threads, size_t window, size_t targets,
                                struct ms_error *error)
{
    enum ms_status status = MS_OK;
    struct ms_fit_judge *judge = calloc(1, sizeof *judge);
    if (judge) {
        *judge = (struct ms_fit_judge){.clicks = clicks,
                                       .functions = functions,
                                       .step = step,
                                       .pool = pool,
                                       .threads = threads,
                                       .window = window};
        judge->users = calloc((size_t)clicks->user_count + 1, sizeof *judge->users);
        judge->thread = calloc((size_t)threads, sizeof *judge->thread);
    }
    if (!judge || !judge->users || !judge->thread) {
        ms_fit_judge_free(judge);
        return ms_fail(error, MS_MEMORY, "no memory to rank held-out users");
    }
    if (choose_users(judge, MS_FIT_JUDGE_MIN_EVENTS, targets) == 0 && choose_users(judge, 3, targets) == 0)
        status = ms_fail(error, MS_NOT_FOUND,
                         "no held-out user of the log has three events, so there is nothing to predict");
    /* The catalogue measures the items at each call; here it only makes sure of the library's memory. */
    if (status == MS_OK)
        status = ms_catalogue_init(&judge->catalogue, step->parameters.items, clicks->item_count,
                                   (int)step->shape.stride, error);
    for (int i = 0; status == MS_OK && i < threads; i++)
        status = thread_new(judge, &judge->thread[i], error);
    if (status == MS_OK)
        *out = judge;
    else
        ms_fit_judge_free(judge);
    return status;
}

void ms_fit_judge_free(struct ms_fit_judge *judge)
{
    if (!judge)
        return;
    for (int i = 0; judge->thread && i < judge->threads; i++) {
        judge->functions->shard_free(&judge->thread[i].shard);
        ms_scorer_destroy(judge->thread[i].scorer);
        free(judge->thread[i].vectors);
    }
    ms_catalogue_free(&judge->catalogue);
    free(judge->thread);
    free(judge->users);
    free(judge);
}

static enum ms_status judge_user(void *context, int number, size_t index, struct ms_error *error)
{
    struct ms_fit_judge *judge = context;
    struct judge_thread *thread = &judge->thread[number];
    uint32_t user = judge->users[index];
    size_t K = judge->step->shape.interests, D = judge->step->shape.stride;
    struct ms_fit_targets targets;
    (void)error;
    if (!ms_fit_clicks_targets(judge->clicks, user, 0, MS_FIT_JUDGE_EVENTS, &targets))
        return MS_OK;
    const uint32_t *items = judge->clicks->events + judge->clicks->first[user] + targets.begin;
    size_t from = targets.from - targets.begin, end = targets.end - targets.begin;
    if (!judge->step->shape.window)
        judge->functions->fold(judge->step, &thread->shard, items, end - 1, thread->vectors);
    for (size_t t = from; t < end; t++) {
        float *vectors = thread->vectors + (t - 1) * K * D;
        size_t count = t < judge->window ? t : judge->window;
        if (judge->step->shape.window)
            judge->functions->route(judge->step, &thread->shard, items + t - count, count, vectors);
        ms_scorer_add(thread->scorer, 0, vectors, (int)K, items + t, 1);
    }
    return MS_OK;
}

enum ms_status ms_fit_judge_recall(struct ms_fit_judge *judge, struct ms_fit_recall *recall,
                                   struct ms_error *error)
{
    struct ms_ranks all = {{0}};
    ms_catalogue_free(&judge->catalogue);
    enum ms_status status = ms_catalogue_init(&judge->catalogue, judge->step->parameters.items,
                                              judge->clicks->item_count, (int)judge->step->shape.stride,
                                              error);
    for (int i = 0; i < judge->threads; i++)
        judge->thread[i].ranks = (struct ms_ranks){{0}};
    if (status == MS_OK)
        status = ms_pool_for(judge->pool, judge->user_count, judge_user, judge, error);
    for (int i = 0; status == MS_OK && i < judge->threads; i++) {
        ms_scorer_flush(judge->thread[i].scorer);
        for (size_t r = 0; r <= MS_RANKS; r++)
            all.counts[r] += judge->thread[i].ranks.counts[r];
    }
    if (status != MS_OK)
        return status;
    struct ms_metric at_20 = ms_recall(&all, 20), at_50 = ms_recall(&all, 50);
    *recall = (struct ms_fit_recall){
        .at_20 = at_20.value, .at_50 = at_50.value, .error_50 = at_50.standard_error};
    for (size_t r = 0; r <= MS_RANKS; r++)
        recall->targets += all.counts[r];
    return MS_OK;
}
