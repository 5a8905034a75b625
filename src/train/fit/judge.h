/* How good the model is now: recall of the next click of held-out users, by the rule of evaluate (train/README.md), with the vectors
 * that the fold serves. */
#ifndef MS_TRAIN_FIT_JUDGE_H
#define MS_TRAIN_FIT_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "mindstream/status.h"
#include "train/fit/clicks.h"
#include "train/fit/step.h"

#define MS_FIT_JUDGE_EVENTS     200 /* of a user, the first */
#define MS_FIT_JUDGE_MIN_EVENTS 10  /* users with fewer are left out, if there are others */

struct ms_fit_recall {
    double at_20, at_50, error_50; /* standard error of at_50 */
    uint64_t targets;
};

struct ms_fit_judge;

/* A judge of the log's held-out users, of at most about |targets| targets. Where |step| routes fully, it is over the last |window| events. MS_NOT_FOUND where no held-out user has three events.
 * All arguments outlive it. |step| is one of this |shape|; its parameters are taken at each call. */
enum ms_status ms_fit_judge_new(struct ms_fit_judge **judge, const struct ms_fit_clicks *clicks,
                                const struct ms_fit_functions_f32 *functions, struct ms_fit_step_f32 *step,
                                struct ms_pool *pool, int threads, size_t window, size_t targets,
                                struct ms_error *error) MS_MUST_CHECK;
void ms_fit_judge_free(struct ms_fit_judge *judge);

/* Ranks all targets. The rows of all items must be up to date. */
enum ms_status ms_fit_judge_recall(struct ms_fit_judge *judge, struct ms_fit_recall *recall,
                                   struct ms_error *error) MS_MUST_CHECK;

#endif
