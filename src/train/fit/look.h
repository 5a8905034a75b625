/* What a written model makes of held-out users: how it compares with simple rules, how many interests a user really has, and
 * a few users to look at. For the report (page.h). */
#ifndef MS_TRAIN_FIT_LOOK_H
#define MS_TRAIN_FIT_LOOK_H

#include <stdint.h>

#include "base/buffer.h"
#include "train/evaluate.h"
#include "train/fit/clicks.h"
#include "train/fit/fit.h"

#define MS_FIT_LOOK_BINS  20 /* of the entropy of a user's weights over its largest value */
#define MS_FIT_LOOK_USERS 8  /* to look at */

/* Ways of predicting the next click. */
enum ms_fit_rival { MS_FIT_RIVAL_MODEL, MS_FIT_RIVAL_LAST, MS_FIT_RIVAL_POPULAR, MS_FIT_RIVALS };

struct ms_fit_look {
    uint64_t targets;
    struct ms_ranks
        ranks[MS_FIT_RIVALS]; /* the model as it is served; the last item alone; the most clicked items */
    uint64_t users;           /* whose weights are counted */
    uint64_t entropy[MS_FIT_LOOK_BINS];
    struct ms_buffer sample;   /* a JSON list of users: items, their vectors, interests */
    struct ms_buffer model;    /* its id, as JSON */
    struct ms_buffer training; /* what config.json has under "training", as JSON */
};

/* Looks with the model of the directory |dir| at held-out users, at so many targets that it takes a few seconds. On success the
 * caller frees *look with ms_fit_look_free (legal on a zeroed one). Fails as ms_model_load does; MS_MEMORY. */
enum ms_status ms_fit_look(const char *dir, const struct ms_fit_clicks *clicks,
                           const struct ms_fit_options *options, struct ms_fit_look *look,
                           struct ms_error *error) MS_MUST_CHECK;
void ms_fit_look_free(struct ms_fit_look *look);

#endif
