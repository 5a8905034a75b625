/* Decays of the model: what the sums of an interest keep at an event, by interest or by interest and item. */
#include <math.h>
#include <stdlib.h>

#include "interest/mind/mind.h"
#include "model/file.h"

/* How far a list in config.json may be from the decays that the tensor says. */
#define SAME_DECAY 1e-4

static const struct ms_routing *routing_of(const struct ms_model *model)
{
    return (const struct ms_routing *)(const void *)ms_model_spec(model)->options;
}

bool ms_mind_has_decays(const struct ms_model *model)
{
    return routing_of(model)->decay.count || ms_model_tensor(model, "routing.decay").data ||
           ms_model_tensor(model, "routing.decay_gate").data;
}

/* 1 - sigmoid(x), with all digits where the sigmoid is close to 1. */
static double forget_of(double x)
{
    return 1.0 / (1.0 + exp(x));
}

enum ms_status ms_mind_check_decay_list(const struct ms_model_config *config, const void *options,
                                        const char *config_path, struct ms_error *error)
{
    const struct ms_numbers *list = &((const struct ms_routing *)options)->decay;
    if (list->count && list->count != (size_t)config->interests)
        return ms_fail(error, MS_MODEL,
                       "%s: routing.decay has %zu numbers, expected K=%d, one for each interest", config_path,
                       list->count, config->interests);
    for (size_t j = 0; j < list->count; j++)
        if (!(list->values[j] > 0.0))
            return ms_fail(error, MS_MODEL, "%s: routing.decay[%zu] is %g; a decay is above 0, at most 1",
                           config_path, j, list->values[j]);
    return MS_OK;
}

/* The tensors and the list have to agree with one another. */
static enum ms_status check_tensors(const struct ms_model *model, const float *bias, const float *gate,
                                    const char *dir, struct ms_error *error)
{
    const struct ms_numbers *list = &routing_of(model)->decay;
    if (gate && !bias)
        return ms_fail(error, MS_MODEL,
                       "%s: tensor routing.decay is missing, tensor routing.decay_gate needs it", dir);
    if (gate && list->count)
        return ms_fail(error, MS_MODEL,
                       "%s: routing.decay of config.json and tensor routing.decay_gate exclude each other",
                       dir);
    for (size_t j = 0; bias && j < list->count; j++) {
        double decay = 1.0 - forget_of((double)bias[j]);
        if (fabs(decay - list->values[j]) > SAME_DECAY)
            return ms_fail(error, MS_MODEL,
                           "%s: routing.decay[%zu] of config.json is %g, but tensor routing.decay says %g "
                           "(the sigmoid of %g)",
                           dir, j, list->values[j], decay, (double)bias[j]);
    }
    return MS_OK;
}

/* One row: 1 - g_j(x) for every interest. */
static void forget_item(const struct ms_model *model, const float *bias, const float *gate, uint32_t item,
                        float *forgets)
{
    size_t K = (size_t)ms_model_config(model)->interests, d = (size_t)ms_model_config(model)->item_dim;
    const float *e = ms_model_item_embedding(model, item);
    double x[MS_MAX_INTERESTS];
    for (size_t j = 0; j < K; j++)
        x[j] = (double)bias[j];
    for (size_t c = 0; c < d && gate; c++)
        for (size_t j = 0; j < K; j++)
            x[j] += (double)e[c] * (double)gate[c * K + j];
    for (size_t j = 0; j < K; j++)
        forgets[j] = (float)forget_of(x[j]);
}

enum ms_status ms_mind_make_forgets(const struct ms_model *model, struct ms_mind_tables *tables,
                                    const char *dir, struct ms_error *error)
{
    const float *bias = ms_model_tensor(model, "routing.decay").data,
                *gate = ms_model_tensor(model, "routing.decay_gate").data;
    const struct ms_numbers *list = &routing_of(model)->decay;
    size_t K = (size_t)ms_model_config(model)->interests,
           bytes = (size_t)ms_model_item_count(model) * K * sizeof(float);
    enum ms_status status = check_tensors(model, bias, gate, dir, error);
    if (status != MS_OK)
        return status;
    tables->forgets = ms_block_alloc(bytes);
    if (!tables->forgets)
        return ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes of decays", dir, bytes);
    for (uint32_t item = 0; item < ms_model_item_count(model); item++) {
        float *row = tables->forgets + (size_t)item * K;
        if (bias)
            forget_item(model, bias, gate, item, row);
        for (size_t j = 0; j < K && !bias; j++)
            row[j] = (float)(1.0 - list->values[j]);
    }
    return MS_OK;
}
