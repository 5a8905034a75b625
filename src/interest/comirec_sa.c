/* The kind comirec-sa: ComiRec's self-attentive extraction, full and incremental (Cen et al., KDD'20, eq. 3 to 5, with
 * the positions and biases of their code):
 *
 *     A = softmax over the behaviors of (tanh((H + P) w1 + b1) w2 + b2),    V = A^T H
 *
 * Fold state, in floats: mass [K] and the running maximum of the logits [K], together filled up to whole cache lines,
 * then z [K][capsule_dim]. */
#include <math.h>
#include <string.h>

#include "interest/net.h"

#define MAX_HIDDEN (4 * MS_MAX_DIM) /* ComiRec has 4 d */

struct options {
    bool from_newest; /* positions are counted from the newest behavior */
};

static const char *const position_names[] = {"from-oldest", "from-newest", NULL};

static const struct ms_key keys[] = {
    {"attention.positions", MS_KEY_CHOICE, offsetof(struct options, from_newest), 0, 0, position_names,
     false},
    {NULL, MS_KEY_INT, 0, 0, 0, NULL, false},
};

enum { SYM_HIDDEN = MS_SYM_OWN };
static const struct ms_symbol_rule symbols[] = {{"a", MAX_HIDDEN}, {NULL, 0}};

static const struct ms_tensor_rule tensors[] = {
    {"attention.position", false, NULL, 2, {MS_SYM_L, MS_SYM_D}},
    {"attention.w1", true, NULL, 2, {MS_SYM_D, SYM_HIDDEN}},
    {"attention.b1", false, NULL, 1, {SYM_HIDDEN}},
    {"attention.w2", true, NULL, 2, {SYM_HIDDEN, MS_SYM_K}},
    {"attention.b2", false, NULL, 1, {MS_SYM_K}},
    {NULL, false, NULL, 0, {0}},
};

struct comirec_sa {
    struct ms_net attention;
    struct ms_net_scratch net;
    double *items;            /* [L][stride] */
    double *logits, *weights; /* [L][K] */
};

static void bind_context(struct ms_extractor *x)
{
    struct comirec_sa *sa = x->context;
    struct ms_tensor w1 = ms_model_tensor(x->model, "attention.w1");
    ms_net_bind(&sa->net, (size_t)w1.shape[1], x->K);
    sa->net.position = ms_model_tensor(x->model, "attention.position").data;
    sa->attention = (struct ms_net){.w1 = w1.data,
                                    .b1 = ms_model_tensor(x->model, "attention.b1").data,
                                    .w2 = ms_model_tensor(x->model, "attention.w2").data,
                                    .b2 = ms_model_tensor(x->model, "attention.b2").data,
                                    .out = x->K};
}

static void carve(struct ms_extractor *x, struct ms_carver *carver)
{
    struct comirec_sa *sa = x->context;
    ms_net_carve(&sa->net, x, carver);
    sa->items = ms_carve(carver, x->L, x->stride, sizeof(double));
    sa->logits = ms_carve(carver, x->L, x->K, sizeof(double));
    sa->weights = ms_carve(carver, x->L, x->K, sizeof(double));
}

/* Items as they are, and with their positions for the net. */
static void gather_items(struct ms_extractor *x, const struct ms_window *window)
{
    struct comirec_sa *sa = x->context;
    for (size_t i = 0; i < window->n; i++) {
        const float *item = ms_model_item_embedding(x->model, window->items[i]);
        size_t slot = ((const struct options *)(const void *)x->spec->options)->from_newest
                          ? window->n - 1 - i
                          : i;
        const float *position = sa->net.position ? sa->net.position + slot * x->item_dim : NULL;
        double *plain = sa->items + i * x->stride, *input = sa->net.inputs + i * x->item_dim;
        for (size_t c = 0; c < x->item_dim; c++) {
            plain[c] = (double)item[c];
            input[c] = plain[c] + (position ? (double)position[c] : 0.0);
        }
        memset(plain + x->item_dim, 0, (x->stride - x->item_dim) * sizeof *plain);
    }
}

static struct ms_interests extract(struct ms_extractor *x, const struct ms_window *window)
{
    struct comirec_sa *sa = x->context;
    size_t k = window->interests;
    gather_items(x, window);
    ms_net_logits(x, &sa->net, &sa->attention, window->n);
    for (size_t i = 0; i < window->n; i++)
        memcpy(sa->logits + i * k, sa->net.logits + i * sa->net.logit_stride, k * sizeof *sa->logits);
    for (size_t j = 0; j < k; j++) {
        ms_softmax(sa->logits + j, sa->weights + j, window->n, window->n, k, 1.0);
        x->mass64[j] = 1.0;
    }
    x->kernels->sums_f64(sa->items, window->n, x->stride, 0, sa->weights, k, x->stride, x->z64);
    for (size_t i = 0; i < window->n && window->coupling; i++)
        for (size_t j = 0; j < x->K; j++)
            window->coupling[i * x->K + j] = j < k ? (float)sa->weights[i * k + j] : 0.0f;
    return ms_finish_f64(x, x->z64, x->mass64, k);
}

/* Below this a running softmax's denominator is brought back to 1, before float32 loses its digits. */
#define SMALLEST_MASS 1e-12

/* The softmax over all events so far, run along: the sums and their masses are relative to e^top, and top
 * follows the largest logit. All K interests are fed from the first event on, as full extraction would have
 * it. */
static void fold_event(struct ms_extractor *x, const struct ms_fold_event *event, float *state)
{
    struct comirec_sa *sa = x->context;
    double keep[MS_MAX_INTERESTS], add[MS_MAX_INTERESTS];
    float *mass = state, *top = mass + x->K;
    const float *item = ms_model_item_embedding(x->model, event->item);
    for (size_t c = 0; c < x->item_dim; c++)
        sa->net.inputs[c] = (double)item[c];
    ms_net_logits(x, &sa->net, &sa->attention, 1);
    for (size_t j = 0; j < x->K; j++) {
        float base = mass[j] > 0.0f ? fmaxf(top[j], (float)sa->net.logits[j]) : (float)sa->net.logits[j];
        keep[j] = mass[j] > 0.0f ? event->keep[j % event->decays] * exp((double)(top[j] - base)) : 0.0;
        add[j] = event->weight[j % event->decays] * exp(sa->net.logits[j] - (double)base);
        double sum = keep[j] * (double)mass[j] + add[j];
        if (sum < SMALLEST_MASS && sum > 0.0) {
            float lower = (float)((double)base + log(sum));
            double factor = exp((double)base - (double)lower);
            keep[j] *= factor;
            add[j] *= factor;
            sum *= factor;
            base = lower;
        }
        mass[j] = (float)sum;
        top[j] = base;
    }
    struct ms_fold_step step = {.z = state + ms_fold_header_floats(x->model, 2),
                                .dim = x->capsule_dim,
                                .interests = x->K,
                                .x = item,
                                .x_stride = 0};
    x->kernels->fold_update(&step, keep, add);
}

static const char *fold_refusal(const struct ms_model *model)
{
    return ms_model_tensor(model, "attention.position").data
               ? "tensor 'attention.position' (an item's logits move with the window)"
               : NULL;
}

/* All K interests have sums from the first event on. */
static size_t fold_floats(const struct ms_model *model, uint64_t events_folded)
{
    (void)events_folded;
    return ms_fold_header_floats(model, 2) +
           (size_t)ms_model_config(model)->interests * (size_t)ms_model_spec(model)->capsule_dim;
}

static void fold_prefetch(const struct ms_extractor *x, uint32_t item)
{
    ms_fold_prefetch_row(ms_model_item_embedding(x->model, item), x->capsule_dim);
}

static struct ms_interests fold_interests(struct ms_extractor *x, const float *state, uint64_t events_folded)
{
    float factors[MS_MAX_INTERESTS], equal[MS_MAX_INTERESTS];
    size_t count = (size_t)ms_interest_count(x->model, (size_t)events_folded);
    for (size_t j = 0; j < count; j++) {
        factors[j] = state[j] > 0.0f ? 1.0f / state[j] : 0.0f;
        equal[j] = 1.0f; /* each interest's attention sums to one */
    }
    return ms_finish_f32(x, state + ms_fold_header_floats(x->model, 2), x->capsule_dim, factors, equal,
                         count);
}

static const struct ms_fold_ops fold = {.refusal = fold_refusal,
                                        .floats = fold_floats,
                                        .event = fold_event,
                                        .prefetch = fold_prefetch,
                                        .interests = fold_interests};

/* The net's hidden numbers lie in (-1, 1). */
static bool overflows(const struct ms_model *model, double *capsule, struct ms_overflow *found)
{
    double logit = ms_product_bound(model, "attention.w2", 1.0) + ms_largest_of(model, "attention.b2");
    return ms_overflows(model, "attention.w2", "the logit of an item", logit, found) ||
           ms_overflows(model, "item_embedding", "the sum of a user's items",
                        *capsule * ms_items_in_sum(model), found);
}

static const struct options defaults = {.from_newest = false};

const struct ms_kind ms_kind_comirec_sa = {
    .model = {.name = "comirec-sa",
              .keys = keys,
              .options_bytes = sizeof(struct options),
              .defaults = &defaults,
              .interest_count = MS_COUNT_FIXED,
              .symbols = symbols,
              .tensors = tensors},
    .count = ms_count_by_rule,
    .context_bytes = sizeof(struct comirec_sa),
    .bind = bind_context,
    .carve = carve,
    .extract = extract,
    .fold = &fold,
    .overflows = overflows,
};
