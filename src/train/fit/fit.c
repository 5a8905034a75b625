/* Passes over the log until held-out recall no longer rises; the best pass is written. */
#include "train/fit/fit.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/pool.h"
#include "base/progress.h"
#include "model/write.h"
#include "train/clicks.h"
#include "train/fit/batch.h"
#include "train/fit/clicks.h"
#include "train/fit/engine.h"
#include "train/fit/judge.h"
#include "train/fit/learned.h"
#include "train/fit/output.h"
#include "train/fit/report.h"

#define JUDGE_TARGETS_MAX 10000
#define JUDGE_TARGETS_MIN 500
#define JUDGE_WORK        2e11 /* multiplications of one judging, about */
#define LOWERED_MAX       6    /* how often a learning rate that is too large is lowered */
#define LOWERED_BY        0.25
#define FIRST_DECAY       0.70 /* the decays begin evenly between these */
#define LAST_DECAY        0.97
#define FIRST_SCALE       10.0

struct trainer {
    const struct ms_fit_options *options;
    struct ms_fit_clicks clicks;
    struct ms_fit_shape shape;
    struct ms_fit_learned learned;
    struct ms_fit_kept best;
    struct ms_fit_plan plan;
    struct ms_fit_engine engine;
    struct ms_fit_judge *judge;
    struct ms_pool *pool;
    struct ms_fit_report report;
    struct ms_fit_state state;
    struct ms_fit_result result;
    float decays[MS_MAX_INTERESTS];
    double started_s;
};

static struct ms_fit_shape shape_of(const struct ms_fit_options *o)
{
    return (struct ms_fit_shape){.dim = o->dim,
                                 .stride = (o->dim + MS_FIT_LANE - 1) / MS_FIT_LANE * MS_FIT_LANE,
                                 .interests = o->interests,
                                 .maps = o->map_per_interest ? o->interests : 1,
                                 .by_max = o->by_max,
                                 .dropout = o->dropout,
                                 .iterations = 3};
}

static struct ms_fit_start start_of(const struct ms_fit_options *o)
{
    struct ms_fit_start start = {.seed = o->seed,
                                 .gated = o->decay == MS_FIT_DECAY_ITEM,
                                 .decays_learned = o->decay != MS_FIT_DECAY_GIVEN,
                                 .logits_learned = !o->logits_drawn,
                                 .scale_learned = true,
                                 .scale = FIRST_SCALE,
                                 .rate = o->rate};
    for (size_t j = 0; j < o->interests; j++)
        start.decays[j] = o->decay == MS_FIT_DECAY_GIVEN ? o->decays[j]
                          : o->interests > 1 ? FIRST_DECAY + (LAST_DECAY - FIRST_DECAY) * (double)j /
                                                                 (double)(o->interests - 1)
                                             : FIRST_DECAY;
    return start;
}

static void show_passed(struct trainer *t)
{
    const struct ms_passed_counts *passed = &t->clicks.passed;
    for (unsigned reason = 0; reason < MS_PASSED_COUNT; reason++)
        if (passed->count[reason] && reason != MS_PASSED_BLANK)
            ms_fit_report_say(&t->report, "passed over: %" PRIu64 " %s (%s)%s%s", passed->count[reason],
                              ms_passed_text((enum ms_passed)reason), ms_passed_name((enum ms_passed)reason),
                              passed->count[reason] > 1 ? "; the first: " : ": ", passed->first[reason]);
}

static enum ms_status read_log(struct trainer *t, struct ms_error *error)
{
    const struct ms_fit_options *o = t->options;
    enum ms_status status = ms_fit_clicks_read(&t->clicks, &o->events, ms_holdout_buckets(o->holdout), error);
    if (status != MS_OK)
        return status;
    size_t held_out = 0;
    for (uint32_t u = 0; u < t->clicks.user_count; u++)
        held_out += t->clicks.held_out[u];
    show_passed(t);
    ms_fit_report_say(&t->report, "%zu events (%s, %s), %u users of whom %zu are held out, %u items",
                      t->clicks.event_count, t->clicks.csv ? "CSV" : "JSON",
                      t->clicks.timed ? "in order of time" : "in order of the file", t->clicks.user_count,
                      held_out, t->clicks.item_count);
    if (t->clicks.item_count < 2)
        return ms_fail(error, MS_NOT_FOUND, "nothing to train on: the log has %u item%s",
                       t->clicks.item_count, t->clicks.item_count == 1 ? "" : "s");
    return MS_OK;
}

/* The logits that the service draws (docs/embedding.md): ms_draw_normal is the normal number of item-normal. */
static void draw_logits(struct trainer *t)
{
    for (uint32_t i = 0; i < t->clicks.item_count; i++) {
        uint64_t state = XXH64(t->clicks.ids[i].data, t->clicks.ids[i].size, t->options->seed);
        for (size_t j = 0; j < t->shape.interests; j++)
            t->learned.logits.values[i * t->learned.logit_stride + j] = (float)(t->options->stddev *
                                                                                ms_draw_normal(state, j));
    }
}

/* So many targets that a judging takes a few seconds, however many items there are. */
static size_t judge_targets(const struct trainer *t)
{
    double one = (double)t->clicks.item_count * (double)(t->shape.interests * t->shape.stride);
    double targets = JUDGE_WORK / one;
    return targets > JUDGE_TARGETS_MAX   ? JUDGE_TARGETS_MAX
           : targets < JUDGE_TARGETS_MIN ? JUDGE_TARGETS_MIN
                                         : (size_t)targets;
}

static enum ms_status prepare(struct trainer *t, struct ms_error *error)
{
    const struct ms_fit_options *o = t->options;
    struct ms_fit_start start = start_of(o);
    /* More negatives than items would score items twice. */
    size_t negatives = o->negatives < t->clicks.item_count - 1 ? o->negatives : t->clicks.item_count - 1;
    const struct ms_fit_plan_options plan = {.seed = o->seed,
                                             .targets = o->batch,
                                             .window = o->window,
                                             .context = o->context,
                                             .negatives = negatives};
    enum ms_status status;
    t->shape = shape_of(o);
    if ((status = ms_fit_plan_new(&t->plan, &t->clicks, &plan, error)) ||
        (status = ms_fit_learned_new(&t->learned, &t->shape, t->clicks.item_count, &start, error)) ||
        (status = ms_fit_kept_new(&t->best, &t->learned, error)) ||
        (status = ms_pool_new(&t->pool, o->threads, error)) ||
        (status = ms_fit_engine_new(&t->engine, &t->learned, &t->plan, t->pool, o->threads, error)) ||
        (status = ms_fit_engine_settle(&t->engine, error)) ||
        (status = ms_fit_judge_new(&t->judge, &t->clicks, t->engine.functions, &t->engine.step, t->pool,
                                   o->threads, judge_targets(t), error)))
        return status;
    if (o->logits_drawn)
        draw_logits(t);
    ms_fit_keep(&t->best, &t->learned);
    return MS_OK;
}

/* ---- passes ---- */

static bool is_late(const struct trainer *t)
{
    return t->options->minutes > 0 && ms_monotonic_s() - t->started_s >= 60 * t->options->minutes;
}

static void show_decays(struct trainer *t)
{
    for (size_t j = 0; j < t->shape.interests; j++)
        t->decays[j] = 1.0f / (1.0f + expf(-t->learned.dense.values[t->learned.decay + j]));
}

/* The learning rate was too large: back to the best pass with a lower one. */
static enum ms_status lower(struct trainer *t, size_t *lowered, struct ms_error *error)
{
    double rate = t->learned.rate * LOWERED_BY;
    if (++*lowered > LOWERED_MAX)
        return ms_fail(error, MS_MODEL, "the loss is no number even with a learning rate of %g",
                       t->learned.rate);
    ms_fit_report_say(
        &t->report,
        "the loss is no number in pass %zu: back to the best pass, with a learning rate of %g, not %g",
        t->state.epoch, rate, t->learned.rate);
    ms_fit_return(&t->learned, &t->best);
    t->learned.rate = rate;
    return MS_OK;
}

/* One pass. *good is false where the loss was no number. */
static enum ms_status run_pass(struct trainer *t, bool *good, struct ms_error *error)
{
    enum ms_status status = ms_fit_plan_epoch(&t->plan, t->state.epoch, error);
    double sum = 0.0, loss = 0.0;
    size_t targets = 0;
    *good = true;
    while (status == MS_OK && *good && !is_late(t) && ms_fit_plan_next(&t->plan)) {
        double began_s = ms_monotonic_s();
        status = ms_fit_engine_step(&t->engine, &loss, error);
        t->report.trained_s += ms_monotonic_s() - began_s;
        *good = isfinite(loss);
        size_t count = t->plan.batch.target_count;
        targets += count;
        sum += loss * (double)count;
        t->state.targets += count;
        t->state.share = (double)targets / (double)t->plan.epoch_targets;
        t->state.loss = sum / (double)targets;
        show_decays(t);
        ms_fit_report_step(&t->report, &t->state);
    }
    return status;
}

/* Judges the pass and keeps it if it is the best. */
static enum ms_status judge_pass(struct trainer *t, bool *good, struct ms_error *error)
{
    enum ms_status status = ms_fit_engine_settle(&t->engine, error);
    if (status == MS_OK)
        status = ms_fit_judge_recall(t->judge, &t->state.recall, error);
    if (status != MS_OK)
        return status;
    *good = isfinite(t->learned.dense.values[0]);
    t->state.rate = t->learned.rate;
    t->state.better = *good && (t->state.best.targets == 0 || t->state.recall.at_50 > t->state.best.at_50);
    if (t->state.better) {
        t->state.best = t->state.recall;
        t->result.best_epoch = t->state.epoch;
        t->result.targets = t->state.targets;
        t->result.recall = t->state.recall;
        ms_fit_keep(&t->best, &t->learned);
    }
    ms_fit_report_epoch(&t->report, &t->state);
    return MS_OK;
}

static enum ms_status run_passes(struct trainer *t, struct ms_error *error)
{
    const struct ms_fit_options *o = t->options;
    size_t lowered = 0, worse = 0;
    t->state = (struct ms_fit_state){.epochs = o->epochs,
                                     .all_targets = t->plan.epoch_targets * o->epochs,
                                     .minutes = o->minutes,
                                     .decays = t->decays,
                                     .interests = t->shape.interests};
    while (t->state.epoch < o->epochs && worse < o->patience && !is_late(t)) {
        bool good;
        t->state.epoch++;
        enum ms_status status = run_pass(t, &good, error);
        if (status == MS_OK && good)
            status = judge_pass(t, &good, error);
        if (status == MS_OK && !good)
            status = lower(t, &lowered, error);
        if (status != MS_OK)
            return status;
        worse = t->state.better ? 0 : worse + 1;
    }
    t->result.epochs = t->state.epoch;
    t->result.rate = t->learned.rate;
    return MS_OK;
}

static enum ms_status write_best(struct trainer *t, struct ms_error *error)
{
    if (t->state.best.targets == 0)
        return ms_fail(error, MS_MODEL, "no pass was judged, so there is no model to write");
    ms_fit_return(&t->learned, &t->best);
    enum ms_status status = ms_fit_write(t->options, &t->clicks, &t->learned, &t->result, error);
    if (status == MS_OK)
        ms_fit_report_say(&t->report,
                          "%s: pass %zu of %zu, recall@20 %.4f, recall@50 %.4f +- %.4f of %" PRIu64
                          " held-out targets",
                          t->options->out, t->result.best_epoch, t->result.epochs, t->result.recall.at_20,
                          t->result.recall.at_50, t->result.recall.error_50, t->result.recall.targets);
    return status;
}

enum ms_status ms_fit(const struct ms_fit_options *options, struct ms_error *error)
{
    struct trainer *t = calloc(1, sizeof *t);
    if (!t)
        return ms_fail(error, MS_MEMORY, "no memory");
    t->options = options;
    t->started_s = ms_monotonic_s();
    enum ms_status status = ms_model_check_target(options->out, options->force, error);
    if (status == MS_OK)
        status = ms_fit_report_open(&t->report, options->log_path, error);
    if (status == MS_OK)
        status = read_log(t, error);
    if (status == MS_OK)
        status = prepare(t, error);
    if (status == MS_OK)
        status = run_passes(t, error);
    if (status == MS_OK)
        status = write_best(t, error);
    if (status == MS_OK)
        status = ms_fit_report_close(&t->report, error);
    else if (ms_fit_report_close(&t->report, NULL) != MS_OK)
        ms_fit_report_say(&t->report, "%s: it could not be written", options->log_path);
    ms_fit_judge_free(t->judge);
    ms_fit_engine_free(&t->engine);
    ms_pool_destroy(t->pool);
    ms_fit_kept_free(&t->best);
    ms_fit_learned_free(&t->learned);
    ms_fit_plan_free(&t->plan);
    ms_fit_clicks_free(&t->clicks);
    free(t);
    return status;
}
