/* The rule that decides whether a window is routed in float32: by the options, by the model, by the window. */
#ifndef MS_INTEREST_MIND_FLOAT32_H
#define MS_INTEREST_MIND_FLOAT32_H

#include "interest/mind/mind.h"

/* Beyond this |softmax_scale * logit| routing amplifies float32's rounding too far. Measured on random models: up to
 * here the worst error is 3e-6 of the largest value, and it grows with the logits. */
#define MS_FLOAT32_LOGITS 30.0f

/* Whether the options are those of the vectorized steps: one map or none, softmax over the interests. Pure. */
bool ms_float_steps_know(const struct ms_routing *routing);
/* Whether float32 can follow them exactly enough, too. Pure. */
bool ms_float32_knows(const struct ms_routing *routing);
/* A bound on |softmax_scale * logit| over all windows, by the lengths of what is multiplied. |longest_item| and
 * |largest_logit| are the greatest of the model. */
double ms_float32_logit_bound(const struct ms_routing *routing, double longest_item, double largest_logit,
                              int max_behaviors);
/* How far agreements can carry a logit for each unit of the longest item's length; 0: not known. */
double ms_float32_logit_per_length(const struct ms_routing *routing);
/* Whether a window is likely to pass MS_FLOAT32_LOGITS, so that float32 is not worth a try. */
bool ms_float32_likely_beyond(const struct ms_mind *m, const struct ms_window *window);

#endif
