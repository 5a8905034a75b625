/* One training with a given number of interests: passes over the log until held-out recall no longer rises. */
#ifndef MS_TRAIN_FIT_ATTEMPT_H
#define MS_TRAIN_FIT_ATTEMPT_H

#include <limits.h>

#include "base/pool.h"
#include "train/fit/checkpoint.h"
#include "train/fit/engine.h"
#include "train/fit/fit.h"
#include "train/fit/judge.h"
#include "train/fit/report.h"

struct ms_fit_attempt {
    struct ms_fit_options options; /* with this attempt's interests */
    const struct ms_fit_clicks *clicks;
    const struct ms_model *from; /* NULL: none */
    struct ms_pool *pool;
    struct ms_fit_report *report;
    double started_s, saved_s; /* when training began; when the last checkpoint was written */
    char checkpoint[PATH_MAX];
    uint64_t identity;
    struct ms_fit_learned learned;
    struct ms_fit_kept best;
    struct ms_fit_plan plan;
    struct ms_fit_engine engine;
    struct ms_fit_judge *judge;
    struct ms_fit_course course;
    struct ms_fit_state state; /* what is shown of it */
    float decays[MS_MAX_INTERESTS];
};

/* What attempts share; it outlives them. */
struct ms_fit_common {
    const struct ms_fit_options *options;
    const struct ms_fit_clicks *clicks;
    const struct ms_model *from; /* to go on from; NULL: none */
    struct ms_pool *pool;
    struct ms_fit_report *report;
};

/* Memory and first numbers, or with |resume| those of the checkpoint, if there is one. Everything that is given outlives the attempt. A zeroed
 * *attempt may be freed. */
enum ms_status ms_fit_attempt_new(struct ms_fit_attempt *attempt, const struct ms_fit_common *common,
                                  size_t interests, bool resume, struct ms_error *error) MS_MUST_CHECK;
void ms_fit_attempt_free(struct ms_fit_attempt *attempt);

/* All passes, or what a checkpoint has left of them. learned and course.result are those of the best pass then. MS_MODEL where there
 * is none. With |keep| the end is a checkpoint, too. */
enum ms_status ms_fit_attempt_run(struct ms_fit_attempt *attempt, bool keep,
                                  struct ms_error *error) MS_MUST_CHECK;

/* Names the checkpoint after options.out and a number of interests; false where the path is too long. */
bool ms_fit_attempt_name(struct ms_fit_attempt *attempt, size_t interests);
/* Removes the attempt's checkpoint, if there is one. */
void ms_fit_attempt_forget(const struct ms_fit_attempt *attempt);

#endif
