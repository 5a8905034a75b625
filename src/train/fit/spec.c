/* Looks into a model's config. */
#include "train/fit/spec.h"

#include <string.h>

#include "model/config.h"

const char *ms_fit_spec_value(const struct ms_model *model, const char *key, char *value, size_t size)
{
    const char *found;
    for (size_t i = 0; (found = ms_model_spec_key(ms_model_spec(model), i, value, size)); i++)
        if (strcmp(found, key) == 0)
            return value;
    return "";
}

bool ms_fit_spec_has_head(const struct ms_model *model)
{
    return ms_model_spec(model)->head_layers > 0;
}

const char *ms_fit_spec_training(const struct ms_model *model)
{
    return ms_model_spec(model)->training;
}
