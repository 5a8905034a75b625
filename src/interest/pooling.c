/* The kind pooling: one interest, the sum or the mean of the window's item embeddings, as the user tower of a two-tower
 * model or of YouTubeDNN has it (Covington et al., RecSys'16, section 3.2).
 *
 *     z = sum_i q^(n-1-i) e_i        q = decay for decayed-mean, else 1; i = n-1 is the newest
 *     m = sum_i q^(n-1-i)
 *     v = z (sum),  z / m (mean, decayed-mean)
 *
 * It folds exactly: z <- k q z + w e and m <- k q m + w, where k is what the settings let old sums keep and w what the
 * event counts. With k = w = 1 over a whole history that fits the window, the fold is full extraction.
 *
 * Fold state, in floats: m, filled up to a whole cache line, then z [item_dim]. */
#include <string.h>

#include "interest/kind.h"

enum method { SUM, MEAN, DECAYED_MEAN };

struct options {
    enum method method;
    double decay;
};

static const char *const method_names[] = {"sum", "mean", "decayed-mean", NULL};

static const struct ms_key keys[] = {
    {"pooling.method", MS_KEY_ENUM, offsetof(struct options, method), 0, 0, method_names, false},
    {"pooling.decay", MS_KEY_DOUBLE, offsetof(struct options, decay), 1e-6, 1, NULL, false},
    {NULL, MS_KEY_INT, 0, 0, 0, NULL, false},
};

static const struct options *options_of(const struct ms_model *model)
{
    return (const void *)ms_model_spec(model)->options;
}

/* What an event leaves of those before it. */
static double own_decay(const struct ms_model *model)
{
    const struct options *options = options_of(model);
    return options->method == DECAYED_MEAN ? options->decay : 1.0;
}

static enum ms_status check_config(const struct ms_model_config *config, const void *options,
                                   const char *path, struct ms_error *error)
{
    (void)options;
    if (config->interests != 1)
        return ms_fail(error, MS_MODEL,
                       "%s: interests is %d, allowed is 1 (extractor 'pooling' makes one interest)", path,
                       config->interests);
    return MS_OK;
}

static struct ms_interests extract(struct ms_extractor *x, const struct ms_window *window)
{
    double decay = own_decay(x->model), weight = 1.0, mass = 0.0;
    memset(x->z64, 0, x->stride * sizeof *x->z64);
    for (size_t i = window->n; i-- > 0; weight *= decay) {
        const float *item = ms_model_item_embedding(x->model, window->items[i]);
        for (size_t c = 0; c < x->item_dim; c++)
            x->z64[c] += weight * (double)item[c];
        mass += weight;
        if (window->coupling)
            window->coupling[i] = (float)weight;
    }
    double factor = options_of(x->model)->method == SUM ? 1.0 : 1.0 / mass;
    for (size_t c = 0; c < x->item_dim; c++)
        x->z64[c] *= factor;
    for (size_t i = 0; i < window->n && window->coupling; i++)
        window->coupling[i] = (float)((double)window->coupling[i] * factor);
    x->mass64[0] = mass;
    return ms_finish_f64(x, x->z64, x->mass64, 1);
}

static size_t fold_floats(const struct ms_model *model, uint64_t events_folded)
{
    (void)events_folded;
    return ms_fold_header_floats(model, 1) + (size_t)ms_model_config(model)->item_dim;
}

static void fold_event(struct ms_extractor *x, const struct ms_fold_event *event, float *state)
{
    double keep = event->keep[0] * own_decay(x->model), weight = event->weight[0];
    struct ms_fold_step step = {.z = state + ms_fold_header_floats(x->model, 1),
                                .dim = x->item_dim,
                                .interests = 1,
                                .x = ms_model_item_embedding(x->model, event->item)};
    state[0] = (float)(keep * (double)state[0] + weight);
    x->kernels->fold_update(&step, &keep, &weight);
}

static void fold_prefetch(const struct ms_extractor *x, uint32_t item)
{
    ms_fold_prefetch_row(ms_model_item_embedding(x->model, item), x->item_dim);
}

static struct ms_interests fold_interests(struct ms_extractor *x, const float *state, uint64_t events_folded)
{
    float factor = 1.0f;
    const float weight = 1.0f; /* of the one interest */
    if (options_of(x->model)->method != SUM)
        factor = state[0] > 0.0f ? 1.0f / state[0] : 0.0f;
    return ms_finish_f32(x, state + ms_fold_header_floats(x->model, 1), x->item_dim, &factor, &weight,
                         events_folded ? 1 : 0);
}

static const struct ms_fold_ops fold = {
    .floats = fold_floats, .event = fold_event, .prefetch = fold_prefetch, .interests = fold_interests};

static bool overflows(const struct ms_model *model, double *capsule, struct ms_overflow *found)
{
    double sum = *capsule * ms_items_in_sum(model);
    if (options_of(model)->method == SUM)
        *capsule = sum;
    return ms_overflows(model, "item_embedding", "the sum of a user's items", sum, found);
}

static const struct options defaults = {.method = MEAN, .decay = 0.9};

const struct ms_kind ms_kind_pooling = {
    .model = {.name = "pooling",
              .keys = keys,
              .options_bytes = sizeof(struct options),
              .defaults = &defaults,
              .interest_count = MS_COUNT_FIXED,
              .check_config = check_config},
    .count = ms_count_by_rule,
    .extract = extract,
    .fold = &fold,
    .overflows = overflows,
};
