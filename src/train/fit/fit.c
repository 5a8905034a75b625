/* Reads the log, trains once or once for each number of interests, and writes the best. */
#include "train/fit/fit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/progress.h"
#include "model/write.h"
#include "train/clicks.h"
#include "train/fit/attempt.h"
#include "train/fit/clicks.h"
#include "train/fit/from.h"
#include "train/fit/look.h"
#include "train/fit/output.h"
#include "train/fit/page.h"
#include "train/fit/report.h"

/* What is tried where the number of interests is to be found. */
static const size_t candidates[] = {1, 2, 4, 8};
#define CANDIDATES (sizeof candidates / sizeof *candidates)

struct trainer {
    struct ms_fit_options options;
    struct ms_model *from; /* NULL: none */
    struct ms_fit_clicks clicks;
    struct ms_pool *pool;
    struct ms_fit_report report;
    struct ms_fit_attempt attempt;
};

static void show_passed(struct trainer *t)
{
    const struct ms_passed_counts *passed = &t->clicks.passed;
    for (unsigned reason = 0; reason < MS_PASSED_COUNT; reason++)
        if (passed->count[reason] && reason != MS_PASSED_BLANK)
            ms_fit_report_say(&t->report, "passed over: %" PRIu64 " %s (%s)%s%s", passed->count[reason],
                              ms_passed_text((enum ms_passed)reason), ms_passed_name((enum ms_passed)reason),
                              passed->count[reason] > 1 ? "; the first: " : ": ", passed->first[reason]);
}

static void show_log(struct trainer *t)
{
    const struct ms_fit_clicks *clicks = &t->clicks;
    struct ms_fit_targets targets;
    size_t judged = 0;
    for (uint32_t u = 0; u < clicks->user_count; u++)
        judged += ms_fit_clicks_targets(clicks, u, 0, SIZE_MAX / 2, &targets);
    show_passed(t);
    ms_fit_report_say(&t->report, "%zu events (%s, %s), %u users of whom %zu %s, %u items",
                      clicks->event_count, clicks->csv ? "CSV" : "JSON",
                      clicks->timed ? "in order of time" : "in order of the file", clicks->user_count, judged,
                      clicks->split_by_time ? "have later clicks" : "are held out", clicks->item_count);
}

static enum ms_status read_log(struct trainer *t, struct ms_error *error)
{
    const struct ms_fit_options *o = &t->options;
    const struct ms_fit_split split = {
        .buckets = ms_holdout_buckets(o->holdout), .by_time = o->split_by_time, .time_ms = o->split_ms};
    enum ms_status status = ms_fit_clicks_read(&t->clicks, &o->events, &split, t->from, error);
    if (status != MS_OK)
        return status;
    show_log(t);
    if (t->clicks.item_count < 2)
        return ms_fail(error, MS_NOT_FOUND, "nothing to train on: the log has %u item%s",
                       t->clicks.item_count, t->clicks.item_count == 1 ? "" : "s");
    return MS_OK;
}

static enum ms_status begin(struct trainer *t, size_t interests, bool resume, struct ms_error *error)
{
    struct ms_fit_common common = {
        .options = &t->options, .clicks = &t->clicks, .from = t->from, .pool = t->pool, .report = &t->report};
    return ms_fit_attempt_new(&t->attempt, &common, interests, resume, error);
}

/* One number of interests; |result| gets what it came to. */
static enum ms_status try_interests(struct trainer *t, size_t interests, struct ms_fit_result *result,
                                    struct ms_error *error)
{
    enum ms_status status = begin(t, interests, t->options.resume, error);
    if (status == MS_OK)
        status = ms_fit_attempt_run(&t->attempt, true, error);
    if (status != MS_OK)
        return status;
    const struct ms_fit_recall *best = &t->attempt.course.best;
    result->tried[result->tried_count] = interests;
    result->tried_recall[result->tried_count++] = best->at_50;
    ms_fit_report_say(&t->report, "%zu interests: recall@50 %.4f +- %.4f", interests, best->at_50,
                      best->error_50);
    ms_fit_attempt_free(&t->attempt);
    return MS_OK;
}

/* Trains with each number of interests. What each came to stays in its checkpoint; the best is the attempt in the end. */
static enum ms_status find_interests(struct trainer *t, struct ms_error *error)
{
    struct ms_fit_result tried = {0};
    enum ms_status status = MS_OK;
    size_t best = 0;
    for (size_t i = 0; status == MS_OK && i < CANDIDATES; i++) {
        status = try_interests(t, candidates[i], &tried, error);
        if (status == MS_OK && tried.tried_recall[i] > tried.tried_recall[best])
            best = i;
    }
    if (status == MS_OK)
        status = begin(t, candidates[best], true, error);
    if (status == MS_OK)
        status = ms_fit_attempt_run(&t->attempt, true, error);
    struct ms_fit_result *result = &t->attempt.course.result;
    result->tried_count = tried.tried_count;
    memcpy(result->tried, tried.tried, sizeof tried.tried);
    memcpy(result->tried_recall, tried.tried_recall, sizeof tried.tried_recall);
    return status;
}

static enum ms_status train(struct trainer *t, struct ms_error *error)
{
    enum ms_status status = ms_pool_new(&t->pool, t->options.threads, error);
    if (status != MS_OK || t->options.interests == 0)
        return status == MS_OK ? find_interests(t, error) : status;
    status = begin(t, t->options.interests, t->options.resume, error);
    return status == MS_OK ? ms_fit_attempt_run(&t->attempt, false, error) : status;
}

static void forget_checkpoints(struct trainer *t)
{
    ms_fit_attempt_forget(&t->attempt);
    for (size_t i = 0; t->options.interests == 0 && i < CANDIDATES; i++) {
        ms_fit_attempt_name(&t->attempt, candidates[i]);
        ms_fit_attempt_forget(&t->attempt);
    }
}

/* The report beside the model. The model is there already: a report that cannot be written is said, no more. */
static void write_report(struct trainer *t)
{
    char path[PATH_MAX];
    struct ms_fit_look look = {0};
    struct ms_error error;
    size_t length = strlen(t->options.out);
    while (length > 1 && t->options.out[length - 1] == '/')
        length--;
    enum ms_status status = MS_USAGE;
    if (snprintf(path, sizeof path, "%.*s" MS_FIT_PAGE_END, (int)length, t->options.out) < (int)sizeof path)
        status = ms_fit_look(t->options.out, &t->clicks, &t->attempt.options, &look, &error);
    else
        ms_fail(&error, MS_USAGE, "the name of the report is too long");
    if (status == MS_OK)
        status = ms_fit_page_write(path, &t->attempt.course, &look, &error);
    if (status == MS_OK)
        ms_fit_report_say(&t->report, "%s: the report", path);
    else
        ms_fit_report_say(&t->report, "no report: %s", error.text);
    ms_fit_look_free(&look);
}

static enum ms_status write_best(struct trainer *t, struct ms_error *error)
{
    const struct ms_fit_attempt *a = &t->attempt;
    const struct ms_fit_result *result = &a->course.result;
    enum ms_status status = ms_fit_write(&a->options, &t->clicks, &a->learned, result, error);
    if (status != MS_OK)
        return status;
    forget_checkpoints(t);
    ms_fit_report_say(&t->report,
                      "%s: %zu interests, pass %zu of %zu, recall@20 %.4f, recall@50 %.4f +- %.4f of %" PRIu64
                      " held-out targets",
                      t->options.out, a->options.interests, result->best_epoch, result->epochs,
                      result->recall.at_20, result->recall.at_50, result->recall.error_50,
                      result->recall.targets);
    if (t->options.page)
        write_report(t);
    return MS_OK;
}

enum ms_status ms_fit(const struct ms_fit_options *options, struct ms_error *error)
{
    struct trainer *t = calloc(1, sizeof *t);
    if (!t)
        return ms_fail(error, MS_MEMORY, "no memory");
    t->options = *options;
    enum ms_status status = ms_model_check_target(options->out, options->force, error);
    if (status == MS_OK)
        status = ms_fit_report_open(&t->report, options->log_path, error);
    if (status == MS_OK && options->from)
        status = ms_fit_from_load(&t->from, &t->options, error);
    if (status == MS_OK)
        status = read_log(t, error);
    if (status == MS_OK)
        status = train(t, error);
    if (status == MS_OK)
        status = write_best(t, error);
    if (status == MS_OK)
        status = ms_fit_report_close(&t->report, error);
    else if (ms_fit_report_close(&t->report, NULL) != MS_OK)
        ms_fit_report_say(&t->report, "%s: it could not be written", options->log_path);
    ms_fit_attempt_free(&t->attempt);
    ms_pool_destroy(t->pool);
    ms_fit_clicks_free(&t->clicks);
    ms_model_destroy(t->from);
    free(t);
    return status;
}
