/* Training: a click log in, a model directory out. */
#ifndef MS_TRAIN_FIT_FIT_H
#define MS_TRAIN_FIT_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/model.h"
#include "train/events.h"

#define MS_FIT_MAX_THREADS 64

/* How decays are had. */
enum ms_fit_decay {
    MS_FIT_DECAY_ITEM,    /* sigmoid(G_j + <a_j, e>), learned */
    MS_FIT_DECAY_LEARNED, /* sigmoid(G_j), learned */
    MS_FIT_DECAY_GIVEN,   /* as they are given */
};

struct ms_fit_options {
    struct ms_events_options events;
    const char *out;
    const char *from;           /* a model to go on from; NULL: none */
    bool force;                 /* also over a model that this program did not write */
    const char *name, *version; /* NULL: the last part of |out|; a digest of log and options */
    const char *log_path;       /* JSON lines; NULL: none */
    bool page;                  /* write the report beside the model (page.h) */
    double holdout;             /* share of users, in (0, 1) */
    bool split_by_time;         /* instead: train on the clicks before a time, judge by those after it */
    int64_t split_ms;
    uint64_t seed;
    int threads;
    size_t dim;       /* 0: that of |from| */
    size_t interests; /* 0: the number of 1, 2, 4 and 8 with the highest recall */
    enum ms_fit_decay decay;
    double decays[MS_MAX_INTERESTS]; /* [interests], of MS_FIT_DECAY_GIVEN */
    bool full_routing; /* the published objective: full routing over a window, one target each; no decays */
    bool by_max;
    bool map_per_interest;
    bool logits_drawn; /* initial logits are item-normal, of |stddev| and |seed|; false: learned */
    double stddev;
    uint64_t logit_seed; /* of drawn logits */
    size_t epochs;       /* at most */
    size_t patience;     /* passes without a better recall before it ends */
    double minutes;      /* 0: no limit */
    double checkpoint;   /* minutes from one to the next; 0: none */
    bool resume;         /* go on from the checkpoint, if there is one */
    size_t batch, negatives, window, context;
    double dropout, rate;
};

/* Trains, says how it goes on stderr, and writes the model. MS_USAGE, MS_IO, MS_MEMORY, MS_FORMAT as reading a log and writing a
 * model do; MS_NOT_FOUND where the log has nothing to train on or to judge by; MS_MODEL where no learning rate was small
 * enough. Nothing is written then. */
enum ms_status ms_fit(const struct ms_fit_options *options, struct ms_error *error) MS_MUST_CHECK;

#endif
