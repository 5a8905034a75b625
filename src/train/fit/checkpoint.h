/* A training as a file, to go on from after a kill. It is written beside the last one, synced and renamed, so there is always a
 * whole one. */
#ifndef MS_TRAIN_FIT_CHECKPOINT_H
#define MS_TRAIN_FIT_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "mindstream/status.h"
#include "train/fit/learned.h"
#include "train/fit/output.h"

#define MS_FIT_CHECKPOINT_NEW ".new" /* the end of the name of one that is being written */

#define MS_FIT_PASSES      64 /* that are kept for the report; when there are more, every other one goes */
#define MS_FIT_PASS_DECAYS 8  /* of them, the first */

/* A pass that is over. */
struct ms_fit_pass {
    uint64_t number, targets; /* so far */
    double loss, at_20, at_50, error_50, rate;
    double decays[MS_FIT_PASS_DECAYS]; /* 0: there is none */
};

/* Where a training is, beside the numbers that it has learned. */
struct ms_fit_course {
    uint64_t epoch;        /* the pass at hand, from 1; 0 before the first */
    uint64_t next;         /* ms_fit_plan.next */
    uint64_t targets;      /* so far */
    uint64_t pass_targets; /* of the pass at hand */
    double loss_sum;       /* over these */
    uint64_t worse;        /* passes since the best */
    uint64_t lowered;      /* how often the learning rate was */
    uint64_t in_pass;      /* 1: the pass at hand is not over */
    uint64_t ended;        /* 1: nothing is left to do */
    struct ms_fit_recall best;
    struct ms_fit_result result;
    uint64_t pass_count;
    struct ms_fit_pass passes[MS_FIT_PASSES];
};

/* Writes the file. |identity| tells log and options. MS_IO, and the file before stays. */
enum ms_status ms_fit_checkpoint_write(const char *path, uint64_t identity,
                                       const struct ms_fit_course *course,
                                       const struct ms_fit_learned *learned, const struct ms_fit_kept *best,
                                       struct ms_error *error) MS_MUST_CHECK;
/* Reads one into numbers of the same shape; *found is false where there is no file. MS_CONFIG where it is of another training,
 * MS_FORMAT where it is damaged, MS_IO. After a failure the numbers may be anything. */
enum ms_status ms_fit_checkpoint_read(const char *path, uint64_t identity, struct ms_fit_course *course,
                                      struct ms_fit_learned *learned, struct ms_fit_kept *best, bool *found,
                                      struct ms_error *error) MS_MUST_CHECK;

#endif
