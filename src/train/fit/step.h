/* A training step through the fold: the loss of a batch and its gradient, in float32 for training and in double for tests.
 *
 * The fold (docs/routing.md) of a user's events i = 1, 2, ..:
 *
 *     x_ij = (dropout of e_i) S            or S_j, a map per interest
 *     w_i  = softmax_j(b0_j(i) + 2 <x_ij, u_j>)            u_j = squash(z_j) of before the event
 *     z_j <- g_j(i) z_j + w_ij x_ij        g_j(i) = sigmoid(G_j + <a_j, e_i>)
 *
 * After each event the next one is a target: its item y scores s max_j <u_j, e_y>, and so do all negatives, minus the logarithm
 * of how often each is drawn. The loss is the mean of -log softmax of the target's score, over all targets of the batch.
 *
 * With |window|, the vectors are those of full routing over the events of a window (MIND, section 4.2), and the one target is the
 * event after them: b begins with b0 and grows by <x_ij, u_j> after each iteration but the last.
 *
 * The agreements <x_ij, u_j> count as constants, as in the published graphs of MIND; b0 does not. Then z is linear in the
 * items, so one pass back through time gives the gradient for all targets at once. */
#ifndef MS_TRAIN_FIT_STEP_H
#define MS_TRAIN_FIT_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MS_FIT_LANE 16 /* rows are padded to a multiple of this */

/* What the model is. */
struct ms_fit_shape {
    size_t dim, stride; /* of a vector; padded */
    size_t interests;   /* K */
    size_t maps;        /* 1, or K */
    bool window;    /* full routing over the events before a target, not the fold; decays are not used then */
    bool by_max;    /* a negative is scored by its best interest; false: by the one that the target chose */
    double dropout; /* share of the numbers of a folded item that are left out */
    double iterations; /* routing.iterations: the agreement counts this less 1 times */
};

/* The largest batch. */
struct ms_fit_limits {
    size_t events;        /* of all windows of a batch */
    size_t window_events; /* of a window */
    size_t negatives;
    bool gates;
};

/* Events of one user one after the other, at |first| in the batch. The first |context| of them are folded but are no
 * targets; at least 1, for nothing is known before the first event. */
struct ms_fit_window {
    uint32_t first, count, context;
};

struct ms_fit_batch {
    const struct ms_fit_window *windows;
    size_t window_count;
    const uint32_t *items; /* of all windows' events */
    size_t event_count, target_count;
    const uint32_t *negatives;
    size_t negative_count;
    uint64_t seed; /* of this batch's dropout */
};

/* Adam at one step. */
struct ms_fit_adam {
    double rate; /* of learning */
    double beta1, beta2, epsilon;
    double correction1, correction2; /* 1 - beta^t */
};

#define MS_FIT_REAL     float
#define MS_FIT_NAMED(x) x##_f32
#include "train/fit/step_types.inc"
#undef MS_FIT_REAL
#undef MS_FIT_NAMED
#define MS_FIT_REAL     double
#define MS_FIT_NAMED(x) x##_f64
#include "train/fit/step_types.inc"
#undef MS_FIT_REAL
#undef MS_FIT_NAMED

/* The functions for the instruction set of this machine. */
const struct ms_fit_functions_f32 *ms_fit_functions(void);
/* In double: slow, for tests. */
extern const struct ms_fit_functions_f64 ms_fit_functions_double;

#endif
