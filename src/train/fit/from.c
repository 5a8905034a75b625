/* A model that may be gone on with has the options that the trainer writes, and no others. */
#include "train/fit/from.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "train/fit/spec.h"

/* Keys of config.json that must be as the trainer writes them. */
static const struct {
    const char *key, *value;
} needed[] = {
    {"extractor", "mind"},
    {"interest_count", "fixed"},
    {"normalize", "false"},
    {"routing.iterations", "3"},
    {"routing.softmax", "interests"},
    {"routing.softmax_scale", "1"},
    {"routing.update", "accumulate"},
    {"routing.agreement_interest", "squashed"},
    {"routing.agreement_item", "raw"},
    {"routing.agreement_scale", "1"},
    {"routing.squash.when", "every"},
    {"routing.squash.power", "1"},
    {"routing.squash.scale", "1"},
};

static enum ms_status check(const struct ms_model *model, const char *dir, struct ms_error *error)
{
    const struct ms_model_config *config = ms_model_config(model);
    char value[600];
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (strcmp(ms_fit_spec_value(model, needed[i].key, value, sizeof value), needed[i].value) != 0)
            return ms_fail(error, MS_CONFIG, "%s cannot be gone on with: its %s is %s, not %s", dir,
                           needed[i].key, value, needed[i].value);
    if (ms_fit_spec_has_head(model) || config->profile_fields || ms_model_weighs_events(model) ||
        ms_model_tensor(model, "routing.bilinear_bias").data)
        return ms_fail(error, MS_CONFIG,
                       "%s cannot be gone on with: it has a head, a profile, a bias or event weights", dir);
    if (config->item_dim != config->dim || !ms_model_tensor(model, "routing.decay").data)
        return ms_fail(error, MS_CONFIG, "%s cannot be gone on with: it %s", dir,
                       config->item_dim != config->dim ? "maps items to another width"
                                                       : "has no tensor routing.decay");
    return MS_OK;
}

/* The model's shape is the training's. */
static enum ms_status take_shape(const struct ms_model *model, struct ms_fit_options *o,
                                 struct ms_error *error)
{
    const struct ms_model_config *config = ms_model_config(model);
    char value[600];
    if (o->dim && o->dim != (size_t)config->dim)
        return ms_fail(error, MS_CONFIG, "--dim is %zu, but the vectors of %s have %d floats", o->dim,
                       o->from, config->dim);
    if (o->interests && o->interests != (size_t)config->interests)
        return ms_fail(error, MS_CONFIG, "--interests is %zu, but %s has %d", o->interests, o->from,
                       config->interests);
    o->dim = (size_t)config->dim;
    o->interests = (size_t)config->interests;
    o->map_per_interest = strcmp(ms_fit_spec_value(model, "routing.bilinear", value, sizeof value),
                                 "per-interest") == 0;
    if (!o->map_per_interest && strcmp(value, "shared") != 0)
        return ms_fail(error, MS_CONFIG, "%s cannot be gone on with: its routing.bilinear is %s", o->from,
                       value);
    o->logits_drawn = strcmp(ms_fit_spec_value(model, "routing.initial_logits", value, sizeof value),
                             "item-normal") == 0;
    if (!o->logits_drawn && strcmp(value, "item") != 0)
        return ms_fail(error, MS_CONFIG, "%s cannot be gone on with: its routing.initial_logits is %s",
                       o->from, value);
    o->stddev = strtod(ms_fit_spec_value(model, "routing.stddev", value, sizeof value), NULL);
    o->logit_seed = strtoull(ms_fit_spec_value(model, "routing.seed", value, sizeof value), NULL, 10);
    const float *decay = ms_model_tensor(model, "routing.decay").data;
    for (size_t j = 0; j < o->interests; j++)
        o->decays[j] = 1.0 / (1.0 + exp(-(double)decay[j]));
    if (ms_model_tensor(model, "routing.decay_gate").data)
        o->decay = MS_FIT_DECAY_ITEM;
    else if (o->decay == MS_FIT_DECAY_ITEM)
        o->decay = MS_FIT_DECAY_LEARNED;
    return MS_OK;
}

enum ms_status ms_fit_from_load(struct ms_model **out, struct ms_fit_options *options, struct ms_error *error)
{
    struct ms_model *model = NULL;
    enum ms_status status = ms_model_load(&model, options->from, error);
    if (status == MS_OK)
        status = check(model, options->from, error);
    if (status == MS_OK)
        status = take_shape(model, options, error);
    if (status == MS_OK)
        *out = model;
    else
        ms_model_destroy(model);
    return status;
}

/* The factor of scores that the model was trained with; 0 where it does not say. */
static double scale_of(const struct ms_model *model)
{
    const char *training = ms_fit_spec_training(model);
    struct ms_json *json = training ? ms_json_new() : NULL;
    struct ms_json_value root, scale;
    double value = 0.0;
    if (json && !ms_json_read(json, training, strlen(training), &root) &&
        ms_json_member(root, "scale", 5, &scale) && ms_json_type(scale) == MS_JSON_DOUBLE)
        value = ms_json_double(scale);
    ms_json_destroy(json);
    return value;
}

static void take_rows(float *rows, size_t stride, const float *taken, size_t count, size_t width)
{
    for (size_t r = 0; r < count; r++)
        memcpy(rows + r * stride, taken + r * width, width * sizeof *rows);
}

void ms_fit_from_take(struct ms_fit_learned *l, const struct ms_model *model)
{
    size_t d = l->shape.dim, D = l->shape.stride, K = l->shape.interests, items = ms_model_item_count(model);
    const float *logits = ms_model_tensor(model, "routing.item_logits").data,
                *maps = ms_model_tensor(model, "routing.bilinear").data,
                *gates = ms_model_tensor(model, "routing.decay_gate").data;
    take_rows(l->items.values, D, ms_model_item_embedding(model, 0), items, d);
    if (logits)
        take_rows(l->logits.values, l->logit_stride, logits, items, K);
    for (size_t m = 0; m < l->shape.maps; m++)
        take_rows(l->dense.values + m * D * D, D, maps + m * d * d, d, d);
    for (size_t i = 0; gates && i < d; i++)
        for (size_t j = 0; j < K; j++)
            l->dense.values[l->gates + j * D + i] = gates[i * K + j];
    memcpy(l->dense.values + l->decay, ms_model_tensor(model, "routing.decay").data, K * sizeof(float));
    double scale = scale_of(model);
    if (scale > 0)
        l->dense.values[l->log_scale] = (float)log(scale);
}
