/* Training that goes on from a model: its shape, its items and its numbers. */
#ifndef MS_TRAIN_FIT_FROM_H
#define MS_TRAIN_FIT_FROM_H

#include "mindstream/model.h"
#include "train/fit/fit.h"
#include "train/fit/learned.h"

/* Loads the model of options->from, and makes the options that give the shape (dim, interests, maps, decays, logits) those of the
 * model. MS_CONFIG where it is no model that this trainer could have made, or where options->dim or interests, if not 0, differ.
 * The caller owns *model. */
enum ms_status ms_fit_from_load(struct ms_model **model, struct ms_fit_options *options,
                                struct ms_error *error) MS_MUST_CHECK;

/* Puts the model's numbers in place of those that were drawn. Its items are the first rows. */
void ms_fit_from_take(struct ms_fit_learned *learned, const struct ms_model *model);

#endif
