/* What is learned, with Adam's state: rows by item, and the dense rest. Rows that a batch does not touch cost nothing: what the
 * missed steps would have done to them is made up for when they are used next. */
#ifndef MS_TRAIN_FIT_LEARNED_H
#define MS_TRAIN_FIT_LEARNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"
#include "train/fit/step.h"

/* Numbers with Adam's means of them. */
struct ms_fit_numbers {
    float *values, *means, *squares;
};

struct ms_fit_learned {
    struct ms_fit_shape shape;
    uint32_t item_count;
    size_t logit_stride;          /* K, padded */
    struct ms_fit_numbers items;  /* [N][stride] */
    struct ms_fit_numbers logits; /* [N][logit_stride] */
    uint32_t *current;            /* [N]: the step after which the row is as it should be */
    struct ms_fit_numbers
        dense; /* maps [maps][stride][stride], gates [K][stride], decay, log_scale, all padded */
    size_t gates, decay, log_scale, dense_count; /* where these begin in |dense| */
    bool gated, decays_learned, logits_learned, scale_learned;
    uint64_t steps;
    double rate; /* of learning */
};

/* How learning begins. */
struct ms_fit_start {
    uint64_t seed;
    double decays[64]; /* [K], in (0, 1) */
    bool gated, decays_learned, logits_learned, scale_learned;
    double scale, rate;
};

/* Numbers as they are before the first step: embeddings N(0, 0.1^2), maps I + N(0, 0.1^2), logits N(0, 0.3^2), gates N(0,
 * 0.01^2), functions of the seed alone. MS_MEMORY; *learned is zeroed then. Freeing a zeroed one is legal. */
enum ms_status ms_fit_learned_new(struct ms_fit_learned *learned, const struct ms_fit_shape *shape,
                                  uint32_t item_count, const struct ms_fit_start *start,
                                  struct ms_error *error) MS_MUST_CHECK;
void ms_fit_learned_free(struct ms_fit_learned *learned);

/* The numbers as a step reads them. */
struct ms_fit_parameters_f32 ms_fit_learned_parameters(const struct ms_fit_learned *learned);

/* Brings the row of an item up to date: before a batch reads it, and before all are read. One thread a row. */
void ms_fit_learned_rest(struct ms_fit_learned *learned, const struct ms_fit_functions_f32 *functions,
                         uint32_t item);
/* Step |steps| + 1 for the row of an item, which is up to date; |d_logits| has logit_stride numbers. One thread a row. */
void ms_fit_learned_row(struct ms_fit_learned *learned, const struct ms_fit_functions_f32 *functions,
                        uint32_t item, const float *d_item, const float *d_logits);
/* The same for the dense numbers, |d| as long as they. Ends the step. */
void ms_fit_learned_dense(struct ms_fit_learned *learned, const struct ms_fit_functions_f32 *functions,
                          const float *d);

/* The numbers without Adam's state, to come back to. MS_MEMORY. */
struct ms_fit_kept {
    float *items, *logits, *dense;
};
enum ms_status ms_fit_kept_new(struct ms_fit_kept *kept, const struct ms_fit_learned *learned,
                               struct ms_error *error) MS_MUST_CHECK;
void ms_fit_kept_free(struct ms_fit_kept *kept);
void ms_fit_keep(struct ms_fit_kept *kept, const struct ms_fit_learned *learned);
/* Back to what was kept; Adam begins anew. */
void ms_fit_return(struct ms_fit_learned *learned, const struct ms_fit_kept *kept);

#endif
