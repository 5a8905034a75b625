/* Bounds of what a model computes. */
#include "interest/overflow.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "interest/kind.h"

static double largest(const float *numbers, size_t n)
{
    double most = 0.0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)numbers[i]));
    return most;
}

static size_t count_of(struct ms_tensor tensor)
{
    size_t n = tensor.data ? 1 : 0;
    for (int i = 0; i < tensor.rank; i++)
        n *= (size_t)tensor.shape[i];
    return n;
}

double ms_largest_of(const struct ms_model *model, const char *name)
{
    struct ms_tensor tensor = ms_model_tensor(model, name);
    return largest(tensor.data, count_of(tensor));
}

double ms_product_bound(const struct ms_model *model, const char *name, double most)
{
    struct ms_tensor tensor = ms_model_tensor(model, name);
    size_t in = (size_t)tensor.shape[tensor.rank - 2], out = (size_t)tensor.shape[tensor.rank - 1];
    double bound = 0.0;
    for (size_t first = 0, n = count_of(tensor); first < n; first += in * out) {
        for (size_t o = 0; o < out; o++) {
            double sum = 0.0;
            for (size_t i = 0; i < in; i++)
                sum += fabs((double)tensor.data[first + i * out + o]);
            bound = fmax(bound, sum * most);
        }
    }
    return bound;
}

double ms_items_in_sum(const struct ms_model *model)
{
    return fmax(10.0, (double)ms_model_config(model)->max_behaviors);
}

bool ms_overflows(const struct ms_model *model, const char *tensor, const char *what, double bound,
                  struct ms_overflow *found)
{
    if (bound <= (double)FLT_MAX)
        return false;
    snprintf(found->tensor, sizeof found->tensor, "%s", tensor);
    found->largest = ms_largest_of(model, tensor);
    found->what = what;
    found->bound = bound;
    return true;
}

/* One layer of the head: rows of the weight are outputs. */
static double layer_bound(struct ms_tensor weight, const float *bias, double most)
{
    double bound = 0.0;
    for (int64_t o = 0; o < weight.shape[0]; o++) {
        double sum = bias ? fabs((double)bias[o]) : 0.0;
        for (int64_t i = 0; i < weight.shape[1]; i++)
            sum += fabs((double)weight.data[o * weight.shape[1] + i]) * most;
        bound = fmax(bound, sum);
    }
    return bound;
}

static bool head_overflows(const struct ms_model *model, double most, struct ms_overflow *found)
{
    for (int n = 0; n < ms_model_spec(model)->head_layers; n++) {
        char name[32], bias[32];
        snprintf(name, sizeof name, "head.%d.weight", n);
        snprintf(bias, sizeof bias, "head.%d.bias", n);
        most = layer_bound(ms_model_tensor(model, name), ms_model_tensor(model, bias).data, most);
        if (ms_overflows(model, name, "the output of its layer", most, found))
            return true;
    }
    return false;
}

/* The largest number of any profile's embedding. */
static double largest_profile(const struct ms_model *model)
{
    struct ms_tensor tensor;
    const char *name;
    double most = 0.0;
    for (size_t i = 0; (tensor = ms_model_tensor_at(model, i, &name)).data; i++) {
        if (strncmp(name, "profile.", 8) == 0)
            most = fmax(most, largest(tensor.data, count_of(tensor)));
    }
    return most;
}

bool ms_overflow_possible(const struct ms_model *model, struct ms_overflow *found)
{
    const struct ms_kind *kind = ms_kind_of(model);
    double capsule = ms_largest_of(model, "item_embedding"); /* a mean of items is no larger */
    if (kind->overflows && kind->overflows(model, &capsule, found))
        return true;
    return ms_overflows(model, "item_embedding", "an interest", capsule, found) ||
           head_overflows(model, fmax(capsule, largest_profile(model)), found);
}
