/* Writes what was learned as a model directory. */
#ifndef MS_TRAIN_FIT_OUTPUT_H
#define MS_TRAIN_FIT_OUTPUT_H

#include "train/fit/clicks.h"
#include "train/fit/fit.h"
#include "train/fit/judge.h"
#include "train/fit/learned.h"

#define MS_FIT_TRIED_MAX 8

/* How the training went, for the key "training" of config.json. */
struct ms_fit_result {
    size_t epochs, best_epoch;
    uint64_t targets; /* trained on until the best */
    struct ms_fit_recall recall;
    double rate;  /* of learning, as it was in the end */
    double scale; /* the factor of all scores */
    /* Where the number of interests was found: what was tried, and its recall@50. */
    size_t tried_count, tried[MS_FIT_TRIED_MAX];
    double tried_recall[MS_FIT_TRIED_MAX];
};

/* Tells one training from another: the log and every option that changes numbers. */
uint64_t ms_fit_identity(const struct ms_fit_options *options, const struct ms_fit_clicks *clicks);

/* Writes the model directory options->out (model/write.h). MS_MODEL where a number is not finite; nothing is written then. */
enum ms_status ms_fit_write(const struct ms_fit_options *options, const struct ms_fit_clicks *clicks,
                            const struct ms_fit_learned *learned, const struct ms_fit_result *result,
                            struct ms_error *error) MS_MUST_CHECK;

#endif
