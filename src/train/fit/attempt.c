/* Passes, checkpoints, and the best pass. */
#include "train/fit/attempt.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/progress.h"
#include "train/fit/draw.h"
#include "train/fit/from.h"

#define JUDGE_TARGETS_MAX 10000
#define JUDGE_TARGETS_MIN 500
#define JUDGE_WORK        2e11 /* multiplications of one judging, about */
#define LOWERED_MAX       6    /* how often a learning rate that is too large is lowered */
#define LOWERED_BY        0.25
#define FIRST_DECAY       0.70 /* the decays begin evenly between these */
#define LAST_DECAY        0.97
#define FIRST_SCALE       10.0

static struct ms_fit_shape shape_of(const struct ms_fit_options *o)
{
    return (struct ms_fit_shape){.dim = o->dim,
                                 .stride = (o->dim + MS_FIT_LANE - 1) / MS_FIT_LANE * MS_FIT_LANE,
                                 .interests = o->interests,
                                 .maps = o->map_per_interest ? o->interests : 1,
                                 .window = o->full_routing,
                                 .by_max = o->by_max,
                                 .dropout = o->dropout,
                                 .iterations = 3};
}

static struct ms_fit_start start_of(const struct ms_fit_options *o)
{
    struct ms_fit_start start = {.seed = o->seed,
                                 .gated = o->decay == MS_FIT_DECAY_ITEM && !o->full_routing,
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

/* The logits that the service draws (docs/embedding.md): ms_draw_normal is the normal number of item-normal. */
static void draw_logits(struct ms_fit_attempt *t)
{
    for (uint32_t i = 0; i < t->clicks->item_count; i++) {
        uint64_t state = XXH64(t->clicks->ids[i].data, t->clicks->ids[i].size, t->options.logit_seed);
        for (size_t j = 0; j < t->learned.shape.interests; j++)
            t->learned.logits.values[i * t->learned.logit_stride + j] = (float)(t->options.stddev *
                                                                                ms_draw_normal(state, j));
    }
}

/* So many targets that a judging takes a few seconds, however many items there are. */
static size_t judge_targets(const struct ms_fit_attempt *t)
{
    double one = (double)t->clicks->item_count *
                 (double)(t->learned.shape.interests * t->learned.shape.stride);
    double targets = JUDGE_WORK / one;
    return targets > JUDGE_TARGETS_MAX   ? JUDGE_TARGETS_MAX
           : targets < JUDGE_TARGETS_MIN ? JUDGE_TARGETS_MIN
                                         : (size_t)targets;
}

static enum ms_status prepare(struct ms_fit_attempt *t, struct ms_error *error)
{
    const struct ms_fit_options *o = &t->options;
    const struct ms_fit_shape shape = shape_of(o);
    struct ms_fit_start start = start_of(o);
    /* More negatives than items would score items twice. */
    size_t negatives = o->negatives < t->clicks->item_count - 1 ? o->negatives : t->clicks->item_count - 1;
    const struct ms_fit_plan_options plan = {.seed = o->seed,
                                             .targets = o->batch,
                                             .window = o->full_routing ? 1 : o->window,
                                             .context = o->full_routing ? o->window : o->context,
                                             .negatives = negatives};
    enum ms_status status;
    if ((status = ms_fit_plan_new(&t->plan, t->clicks, &plan, error)) ||
        (status = ms_fit_learned_new(&t->learned, &shape, t->clicks->item_count, &start, error)) ||
        (status = ms_fit_kept_new(&t->best, &t->learned, error)) ||
        (status = ms_fit_engine_new(&t->engine, &t->learned, &t->plan, t->pool, o->threads, error)))
        return status;
    if (o->logits_drawn)
        draw_logits(t);
    if (t->from)
        ms_fit_from_take(&t->learned, t->from);
    ms_fit_keep(&t->best, &t->learned);
    t->engine.step.parameters = ms_fit_learned_parameters(&t->learned);
    return ms_fit_judge_new(&t->judge, t->clicks, t->engine.functions, &t->engine.step, t->pool, o->threads,
                            o->window, judge_targets(t), error);
}

/* Goes on where the checkpoint was written, in the middle of a pass. */
static enum ms_status go_on(struct ms_fit_attempt *t, struct ms_error *error)
{
    bool found;
    enum ms_status status = ms_fit_checkpoint_read(t->checkpoint, t->identity, &t->course, &t->learned,
                                                   &t->best, &found, error);
    if (status != MS_OK || !found)
        return status;
    if (t->course.in_pass) {
        status = ms_fit_plan_epoch(&t->plan, t->course.epoch, error);
        t->plan.next = (size_t)t->course.next;
    }
    ms_fit_report_say(t->report, "%s: going on in pass %" PRIu64 ", after %" PRIu64 " targets", t->checkpoint,
                      t->course.epoch, t->course.targets);
    return status;
}

bool ms_fit_attempt_name(struct ms_fit_attempt *t, size_t interests)
{
    size_t length = strlen(t->options.out);
    while (length > 1 && t->options.out[length - 1] == '/')
        length--;
    return snprintf(t->checkpoint, sizeof t->checkpoint, "%.*s.checkpoint-%zu", (int)length, t->options.out,
                    interests) < (int)sizeof t->checkpoint;
}

enum ms_status ms_fit_attempt_new(struct ms_fit_attempt *t, const struct ms_fit_common *common,
                                  size_t interests, bool resume, struct ms_error *error)
{
    *t = (struct ms_fit_attempt){.options = *common->options,
                                 .clicks = common->clicks,
                                 .from = common->from,
                                 .pool = common->pool,
                                 .report = common->report,
                                 .started_s = ms_monotonic_s(),
                                 .saved_s = ms_monotonic_s()};
    t->options.interests = interests;
    t->identity = ms_fit_identity(&t->options, t->clicks);
    if (!ms_fit_attempt_name(t, interests))
        return ms_fail(error, MS_USAGE, "%s: the name is too long", t->options.out);
    enum ms_status status = prepare(t, error);
    return status == MS_OK && resume ? go_on(t, error) : status;
}

void ms_fit_attempt_free(struct ms_fit_attempt *t)
{
    ms_fit_judge_free(t->judge);
    ms_fit_engine_free(&t->engine);
    ms_fit_kept_free(&t->best);
    ms_fit_learned_free(&t->learned);
    ms_fit_plan_free(&t->plan);
    *t = (struct ms_fit_attempt){0};
}

void ms_fit_attempt_forget(const struct ms_fit_attempt *t)
{
    char half[PATH_MAX + 8]; /* one that a kill left */
    snprintf(half, sizeof half, "%s" MS_FIT_CHECKPOINT_NEW, t->checkpoint);
    unlink(half);
    unlink(t->checkpoint);
}

static enum ms_status save(struct ms_fit_attempt *t, struct ms_error *error)
{
    t->course.next = t->plan.next;
    t->saved_s = ms_monotonic_s();
    return ms_fit_checkpoint_write(t->checkpoint, t->identity, &t->course, &t->learned, &t->best, error);
}

/* ---- passes ---- */

static bool is_late(const struct ms_fit_attempt *t)
{
    return t->options.minutes > 0 && ms_monotonic_s() - t->started_s >= 60 * t->options.minutes;
}

static bool is_due(const struct ms_fit_attempt *t)
{
    return t->options.checkpoint > 0 && ms_monotonic_s() - t->saved_s >= 60 * t->options.checkpoint;
}

static void show(struct ms_fit_attempt *t)
{
    const struct ms_fit_course *course = &t->course;
    for (size_t j = 0; j < t->options.interests; j++)
        t->decays[j] = 1.0f / (1.0f + expf(-t->learned.dense.values[t->learned.decay + j]));
    t->state.epoch = (size_t)course->epoch;
    t->state.epochs = t->options.epochs;
    t->state.targets = course->targets;
    t->state.all_targets = t->plan.epoch_targets * t->options.epochs;
    t->state.minutes = t->options.minutes;
    t->state.share = (double)course->pass_targets / (double)t->plan.epoch_targets;
    t->state.loss = course->pass_targets ? course->loss_sum / (double)course->pass_targets : 0.0;
    t->state.best = course->best;
    t->state.decays = t->decays;
    t->state.interests = t->options.full_routing ? 0 : t->options.interests; /* whose decays are shown */
    t->state.rate = t->learned.rate;
}

/* The learning rate was too large: back to the best pass with a lower one. */
static enum ms_status lower(struct ms_fit_attempt *t, struct ms_error *error)
{
    double rate = t->learned.rate * LOWERED_BY;
    t->course.in_pass = 0;
    if (++t->course.lowered > LOWERED_MAX)
        return ms_fail(error, MS_MODEL, "the loss is no number even with a learning rate of %g",
                       t->learned.rate);
    ms_fit_report_say(t->report,
                      "the loss is no number in pass %" PRIu64
                      ": back to the best pass, with a learning rate of %g, not %g",
                      t->course.epoch, rate, t->learned.rate);
    ms_fit_return(&t->learned, &t->best);
    t->learned.rate = rate;
    return MS_OK;
}

/* The next step of the pass at hand. *good is false where the loss was no number. */
static enum ms_status run_step(struct ms_fit_attempt *t, bool *good, struct ms_error *error)
{
    double began_s = ms_monotonic_s(), loss = 0.0;
    size_t count = t->plan.batch.target_count;
    enum ms_status status = ms_fit_engine_step(&t->engine, &loss, error);
    t->report->trained_s += ms_monotonic_s() - began_s;
    t->report->trained += count;
    *good = isfinite(loss);
    t->course.pass_targets += count;
    t->course.targets += count;
    t->course.loss_sum += loss * (double)count;
    show(t);
    ms_fit_report_step(t->report, &t->state);
    if (status == MS_OK && *good && is_due(t))
        status = save(t, error);
    return status;
}

/* The rest of the pass at hand, or a new one. */
static enum ms_status run_pass(struct ms_fit_attempt *t, bool *good, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    *good = true;
    if (!t->course.in_pass) {
        t->course.in_pass = 1;
        t->course.epoch++;
        t->course.pass_targets = 0;
        t->course.loss_sum = 0.0;
        status = ms_fit_plan_epoch(&t->plan, t->course.epoch, error);
    }
    while (status == MS_OK && *good && !is_late(t) && ms_fit_plan_next(&t->plan))
        status = run_step(t, good, error);
    return status;
}

static void keep_best(struct ms_fit_attempt *t)
{
    t->course.best = t->state.recall;
    t->course.result.best_epoch = (size_t)t->course.epoch;
    t->course.result.targets = t->course.targets;
    t->course.result.recall = t->state.recall;
    ms_fit_keep(&t->best, &t->learned);
}

/* Every other pass but the best goes where there is no room for another. */
static void thin_out(struct ms_fit_course *course)
{
    size_t kept = 0;
    for (size_t i = 0; i < course->pass_count; i++)
        if (i % 2 == 0 || course->passes[i].number == course->result.best_epoch)
            course->passes[kept++] = course->passes[i];
    course->pass_count = kept;
}

/* Keeps what the report shows of the pass. */
static void note_pass(struct ms_fit_attempt *t)
{
    struct ms_fit_course *course = &t->course;
    if (course->pass_count == MS_FIT_PASSES)
        thin_out(course);
    struct ms_fit_pass *pass = &course->passes[course->pass_count++];
    *pass = (struct ms_fit_pass){.number = course->epoch,
                                 .targets = course->targets,
                                 .loss = t->state.loss,
                                 .at_20 = t->state.recall.at_20,
                                 .at_50 = t->state.recall.at_50,
                                 .error_50 = t->state.recall.error_50,
                                 .rate = t->learned.rate};
    for (size_t j = 0; j < t->state.interests && j < MS_FIT_PASS_DECAYS; j++)
        pass->decays[j] = (double)t->decays[j];
}

/* Judges the pass and keeps it if it is the best. */
static enum ms_status judge_pass(struct ms_fit_attempt *t, bool *good, struct ms_error *error)
{
    enum ms_status status = ms_fit_engine_settle(&t->engine, error);
    if (status == MS_OK)
        status = ms_fit_judge_recall(t->judge, &t->state.recall, error);
    if (status != MS_OK)
        return status;
    t->course.in_pass = 0;
    for (size_t i = 0; i < t->learned.dense_count; i++)
        *good = *good && isfinite(t->learned.dense.values[i]);
    t->state.better = *good && (t->course.best.targets == 0 || t->state.recall.at_50 > t->course.best.at_50);
    if (t->state.better)
        keep_best(t);
    t->course.worse = t->state.better ? 0 : t->course.worse + 1;
    show(t);
    note_pass(t);
    ms_fit_report_epoch(t->report, &t->state);
    return MS_OK;
}

static enum ms_status run_passes(struct ms_fit_attempt *t, struct ms_error *error)
{
    const struct ms_fit_options *o = &t->options;
    while (!t->course.ended &&
           (t->course.in_pass || (t->course.epoch < o->epochs && t->course.worse < o->patience)) &&
           !is_late(t)) {
        bool good;
        enum ms_status status = run_pass(t, &good, error);
        if (status == MS_OK && good)
            status = judge_pass(t, &good, error);
        if (status == MS_OK && !good)
            status = lower(t, error);
        if (status != MS_OK)
            return status;
    }
    t->course.result.epochs = (size_t)t->course.epoch;
    t->course.result.rate = t->learned.rate;
    t->course.result.scale = exp((double)t->best.dense[t->learned.log_scale]);
    return MS_OK;
}

enum ms_status ms_fit_attempt_run(struct ms_fit_attempt *t, bool keep, struct ms_error *error)
{
    enum ms_status status = run_passes(t, error);
    if (status != MS_OK)
        return status;
    if (t->course.best.targets == 0)
        return ms_fail(error, MS_MODEL, "no pass was judged, so there is no model to write");
    if (keep && !t->course.ended) {
        t->course.ended = 1;
        status = save(t, error);
    }
    ms_fit_return(&t->learned, &t->best);
    return status;
}
