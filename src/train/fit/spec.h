/* What config.json of a model says, for training that goes on from it. (Its header and that of events do not go together.) */
#ifndef MS_TRAIN_FIT_SPEC_H
#define MS_TRAIN_FIT_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "mindstream/model.h"

/* The value of a key ("routing.bilinear") as text in |value|; "" where there is none. */
const char *ms_fit_spec_value(const struct ms_model *model, const char *key, char *value, size_t size);
/* Whether the model has a head. */
bool ms_fit_spec_has_head(const struct ms_model *model);
/* The object "training" as JSON; NULL where there is none. */
const char *ms_fit_spec_training(const struct ms_model *model);

#endif
