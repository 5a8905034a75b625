/* The kind sine: SINE (Tan et al., WSDM'21), as its authors' published graph has it: K topics out of a pool, chosen by what
 * the user did, pool the items into K interests, and the topics in sequence predict which of them count.
 *
 *     z    = sum_i softmax_i(net_select(e_i + p_i)) e_i                   what the user did
 *     C    = the K rows of the pool with the greatest s = <topic, z>      (topic_norm: cosine)
 *     G_k  = sigmoid(s_k) C_k
 *     P    = softmax_k(cos(e_i, C_k) / temperature)                       what each item is about
 *     f_k  = sum_i softmax_i(P_ik net_pool(e_i + p_i)_k) e_i              the interests
 *     x_i  = sum_k P_ik G_k (+ e_i)
 *     t    = sum_i softmax_i(net_concept(x_i + p_i)) x_i
 *     q    = [mean_k f_k, t] Q + b
 *     v    = sum_k softmax_k(<q, f_k>) f_k                                the one vector that is published
 *
 * A net is tanh(. w1 + b1) w2 + b2. With several heads, f_k and t are made once a head; the heads' mean,
 * through a dense layer of its own, weighs them (f: sum; t: mean, as the graph has it). All in double. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "interest/net.h"

#define MAX_HIDDEN (4 * MS_MAX_DIM)
#define MAX_HEADS  16

struct options {
    int heads;            /* attention heads of each interest, and of the concept sequence */
    int topics;           /* rows of the concept pool: the tensors give them */
    bool topic_norm;      /* choose topics by cosine instead of the inner product */
    bool concept_feature; /* the concept sequence is topics plus items */
    bool interests;       /* publish the K interests; false: the one vector they are aggregated to */
    double temperature;
};

static const char *const output_names[] = {"aggregated", "interests", NULL};

#define AT(field) offsetof(struct options, field)

static const struct ms_key keys[] = {
    {"sine.heads", MS_KEY_INT, AT(heads), 1, MAX_HEADS, NULL, false},
    {"sine.temperature", MS_KEY_DOUBLE, AT(temperature), 1e-6, 1e6, NULL, false},
    {"sine.topic_norm", MS_KEY_BOOL, AT(topic_norm), 0, 0, NULL, false},
    {"sine.concept_feature", MS_KEY_BOOL, AT(concept_feature), 0, 0, NULL, false},
    {"sine.output", MS_KEY_CHOICE, AT(interests), 0, 0, output_names, false},
    {NULL, MS_KEY_INT, 0, 0, 0, NULL, false},
};

enum { TOPICS, HIDDEN, HEADS };
enum { SYM_TOPICS = MS_SYM_OWN + TOPICS, SYM_HIDDEN = MS_SYM_OWN + HIDDEN, SYM_HEADS = MS_SYM_OWN + HEADS };
static const struct ms_symbol_rule symbols[] = {[TOPICS] = {"topics", (int64_t)1 << 20},
                                                [HIDDEN] = {"a", MAX_HIDDEN},
                                                [HEADS] = {"heads", MAX_HEADS},
                                                {NULL, 0}};

/* One head needs no query to weigh it against others. */
static bool many_heads(const void *options)
{
    return ((const struct options *)options)->heads > 1;
}

static const struct ms_tensor_rule tensors[] = {
    {"sine.topics", true, NULL, 2, {SYM_TOPICS, MS_SYM_D}},
    {"sine.position", false, NULL, 2, {MS_SYM_L, MS_SYM_D}},
    {"sine.select.w1", true, NULL, 2, {MS_SYM_D, SYM_HIDDEN}},
    {"sine.select.b1", false, NULL, 1, {SYM_HIDDEN}},
    {"sine.select.w2", true, NULL, 1, {SYM_HIDDEN}},
    {"sine.pool.w1", true, NULL, 2, {MS_SYM_D, SYM_HIDDEN}},
    {"sine.pool.b1", false, NULL, 1, {SYM_HIDDEN}},
    {"sine.pool.w2", true, NULL, 3, {SYM_HIDDEN, MS_SYM_K, SYM_HEADS}},
    {"sine.pool.b2", false, NULL, 2, {MS_SYM_K, SYM_HEADS}},
    {"sine.pool.query", true, many_heads, 2, {MS_SYM_D, MS_SYM_D}},
    {"sine.pool.query_bias", false, many_heads, 1, {MS_SYM_D}},
    {"sine.concept.w1", true, NULL, 2, {MS_SYM_D, SYM_HIDDEN}},
    {"sine.concept.b1", false, NULL, 1, {SYM_HIDDEN}},
    {"sine.concept.w2", true, NULL, 2, {SYM_HIDDEN, SYM_HEADS}},
    {"sine.concept.query", true, many_heads, 2, {MS_SYM_D, MS_SYM_D}},
    {"sine.concept.query_bias", false, many_heads, 1, {MS_SYM_D}},
    {"sine.aggregate.query", true, NULL, 2, {MS_SYM_TWICE_D, MS_SYM_D}},
    {"sine.aggregate.query_bias", false, NULL, 1, {MS_SYM_D}},
    {NULL, false, NULL, 0, {0}},
};

static void give_symbols(const void *options, int64_t *own)
{
    own[HEADS] = ((const struct options *)options)->heads;
}

static void take_symbols(void *options, const int64_t *own)
{
    ((struct options *)options)->topics = (int)own[TOPICS];
}

static enum ms_status check_tensors(const struct ms_model_config *config, const void *options,
                                    const char *path, struct ms_error *error)
{
    int topics = ((const struct options *)options)->topics;
    if (topics < config->interests)
        return ms_fail(error, MS_MODEL, "%s: tensor sine.topics has %d rows, expected interests=%d or more",
                       path, topics, config->interests);
    return MS_OK;
}

/* Tensors, and scratch in double (rows |stride| apart). */
struct sine {
    const struct options *options;
    size_t heads, topics, topic_stride;
    struct ms_net_scratch net;
    struct ms_net select, pool, concept;
    const float *pool_query, *pool_query_bias, *concept_query, *concept_query_bias;
    const float *aggregate_query, *aggregate_query_bias;
    float *topic_columns;                            /* [item_dim][topics] */
    double *items, *item_weights;                    /* [L] rows, [L] */
    double *sequence, *belongs, *attention, *pooled; /* [L] rows, [L][K], [L][K heads], [K heads] rows */
    double *chosen, *gated, *head_weights, *scores;  /* [K] rows, [K] rows, [K][heads], [topics] */
    double *predictions;                             /* [L][heads] */
    double *query_input, *query;                     /* two rows, one row */
};

static const float *tensor(const struct ms_extractor *x, const char *name)
{
    return ms_model_tensor(x->model, name).data;
}

static void bind_net(const struct ms_extractor *x, struct ms_net *net, const char *name, size_t out)
{
    char part[48];
    snprintf(part, sizeof part, "sine.%s.w1", name);
    net->w1 = tensor(x, part);
    snprintf(part, sizeof part, "sine.%s.b1", name);
    net->b1 = tensor(x, part);
    snprintf(part, sizeof part, "sine.%s.w2", name);
    net->w2 = tensor(x, part);
    snprintf(part, sizeof part, "sine.%s.b2", name);
    net->b2 = tensor(x, part);
    net->out = out;
}

static void bind_context(struct ms_extractor *x)
{
    struct sine *s = x->context;
    s->options = (const void *)x->spec->options;
    s->heads = (size_t)s->options->heads;
    s->topics = (size_t)s->options->topics;
    s->topic_stride = ms_round_up(s->topics, MS_LANES);
    ms_net_bind(&s->net, (size_t)ms_model_tensor(x->model, "sine.select.w1").shape[1], x->K * s->heads);
    s->net.position = tensor(x, "sine.position");
    bind_net(x, &s->select, "select", 1);
    bind_net(x, &s->pool, "pool", x->K * s->heads);
    bind_net(x, &s->concept, "concept", s->heads);
    s->pool_query = tensor(x, "sine.pool.query");
    s->pool_query_bias = tensor(x, "sine.pool.query_bias");
    s->concept_query = tensor(x, "sine.concept.query");
    s->concept_query_bias = tensor(x, "sine.concept.query_bias");
    s->aggregate_query = tensor(x, "sine.aggregate.query");
    s->aggregate_query_bias = tensor(x, "sine.aggregate.query_bias");
}

static void carve(struct ms_extractor *x, struct ms_carver *carver)
{
    struct sine *s = x->context;
    size_t rows = x->K * s->heads;
    ms_net_carve(&s->net, x, carver);
    s->items = ms_carve(carver, x->L, x->stride, sizeof(double));
    s->item_weights = ms_carve(carver, x->L, 1, sizeof(double));
    s->sequence = ms_carve(carver, x->L, x->stride, sizeof(double));
    s->belongs = ms_carve(carver, x->L, x->K, sizeof(double));
    s->attention = ms_carve(carver, x->L, rows, sizeof(double));
    s->predictions = ms_carve(carver, x->L, s->heads, sizeof(double));
    s->pooled = ms_carve(carver, rows, x->stride, sizeof(double));
    s->chosen = ms_carve(carver, x->K, x->stride, sizeof(double));
    s->gated = ms_carve(carver, x->K, x->stride, sizeof(double));
    s->head_weights = ms_carve(carver, x->K, s->heads, sizeof(double));
    s->scores = ms_carve(carver, 1, s->topic_stride, sizeof(double));
    s->query_input = ms_carve(carver, 2, x->stride, sizeof(double));
    s->query = ms_carve(carver, 1, x->stride, sizeof(double));
    s->topic_columns = ms_carve(carver, x->item_dim, s->topics, sizeof(float));
}

/* The pool once more, [d][topics]: so a user's scores are one pass of the projection. */
static void prepare(struct ms_extractor *x)
{
    struct sine *s = x->context;
    const float *pool = tensor(x, "sine.topics");
    for (size_t t = 0; t < s->topics; t++)
        for (size_t c = 0; c < x->item_dim; c++)
            s->topic_columns[c * s->topics + t] = pool[t * x->item_dim + c];
}

static double squares(const double *v, size_t n)
{
    double sum = 0.0;
    for (size_t c = 0; c < n; c++)
        sum += v[c] * v[c];
    return sum;
}

/* The graph's way of dividing by a length. */
static double inverse_length(double norm)
{
    return 1.0 / sqrt(norm > 1e-12 ? norm : 1e-12);
}

static double inner(const double *a, const double *b, size_t n)
{
    double sum = 0.0;
    for (size_t c = 0; c < n; c++)
        sum += a[c] * b[c];
    return sum;
}

/* The nets' inputs [n][item_dim] = rows of |v| [n][stride] plus their positions. */
static void add_positions(struct ms_extractor *x, const double *v, size_t n)
{
    struct sine *s = x->context;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < x->item_dim; c++)
            s->net.inputs[i * x->item_dim + c] =
                v[i * x->stride + c] + (s->net.position ? (double)s->net.position[i * x->item_dim + c] : 0.0);
}

static void gather_items(struct ms_extractor *x, const struct ms_window *window)
{
    struct sine *s = x->context;
    for (size_t i = 0; i < window->n; i++) {
        const float *item = ms_model_item_embedding(x->model, window->items[i]);
        double *row = s->items + i * x->stride;
        for (size_t c = 0; c < x->item_dim; c++)
            row[c] = (double)item[c];
        memset(row + x->item_dim, 0, (x->stride - x->item_dim) * sizeof *row);
    }
}

/* The index of the greatest score, the first among equals; it is then out of the race. */
static size_t take_best(double *scores, size_t n, double *best)
{
    size_t at = 0;
    for (size_t t = 1; t < n; t++)
        if (scores[t] > scores[at])
            at = t;
    *best = scores[at];
    scores[at] = -HUGE_VAL;
    return at;
}

/* chosen and gated [K][stride], from the user's summary in pooled row 0. */
static void choose_topics(struct ms_extractor *x)
{
    struct sine *s = x->context;
    const float *pool = tensor(x, "sine.topics");
    double *z = s->pooled, length = s->options->topic_norm ? inverse_length(squares(z, x->item_dim)) : 1.0;
    x->kernels->project_f64(z, 1, x->stride, x->item_dim, s->topic_columns, s->topics, NULL, s->scores,
                            s->topic_stride);
    for (size_t t = 0; t < s->topics && s->options->topic_norm; t++) {
        double norm = 0.0;
        for (size_t c = 0; c < x->item_dim; c++)
            norm += (double)pool[t * x->item_dim + c] * (double)pool[t * x->item_dim + c];
        s->scores[t] *= length * inverse_length(norm);
    }
    for (size_t k = 0; k < x->K; k++) {
        double score, *chosen = s->chosen + k * x->stride, *gated = s->gated + k * x->stride;
        const float *topic = pool + take_best(s->scores, s->topics, &score) * x->item_dim;
        double gate = 1.0 / (1.0 + exp(-score));
        memset(chosen, 0, x->stride * sizeof *chosen);
        memset(gated, 0, x->stride * sizeof *gated);
        for (size_t c = 0; c < x->item_dim; c++) {
            chosen[c] = (double)topic[c];
            gated[c] = gate * chosen[c];
        }
    }
}

/* belongs [n][K]: what each item is about. */
static void assign_items(struct ms_extractor *x, size_t n)
{
    struct sine *s = x->context;
    double topic_lengths[MS_MAX_INTERESTS];
    for (size_t k = 0; k < x->K; k++)
        topic_lengths[k] = inverse_length(squares(s->chosen + k * x->stride, x->item_dim));
    x->kernels->dots_f64(s->items, n, x->stride, 0, s->chosen, x->K, x->stride, s->belongs);
    for (size_t i = 0; i < n; i++) {
        double *row = s->belongs + i * x->K;
        double length = inverse_length(squares(s->items + i * x->stride, x->item_dim));
        for (size_t k = 0; k < x->K; k++)
            row[k] *= length * topic_lengths[k];
        ms_softmax(row, row, x->K, x->K, 1, 1.0 / s->options->temperature);
    }
}

/* Weighs the heads [heads][stride] with their own mean as the query; |weights| [heads] sum to 1. */
static void weigh_heads(struct ms_extractor *x, const double *heads, const float *map, const float *bias,
                        double *weights)
{
    struct sine *s = x->context;
    if (s->heads == 1) {
        weights[0] = 1.0;
        return;
    }
    for (size_t c = 0; c < x->item_dim; c++) {
        s->query_input[c] = 0.0;
        for (size_t h = 0; h < s->heads; h++)
            s->query_input[c] += heads[h * x->stride + c] / (double)s->heads;
    }
    x->kernels->project_f64(s->query_input, 1, x->stride, x->item_dim, map, x->item_dim, bias, s->query,
                            x->stride);
    for (size_t h = 0; h < s->heads; h++)
        weights[h] = inner(heads + h * x->stride, s->query, x->item_dim);
    ms_softmax(weights, weights, s->heads, s->heads, 1, 1.0);
}

/* The interests, z64 [K][stride]. attention [n][K heads] and head_weights [K][heads] tell how they were
 * pooled. */
static void pool_interests(struct ms_extractor *x, size_t n)
{
    struct sine *s = x->context;
    size_t rows = x->K * s->heads;
    ms_net_logits(x, &s->net, &s->pool, n);
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < rows; at++)
            s->attention[i * rows + at] = s->net.logits[i * s->net.logit_stride + at] *
                                          s->belongs[i * x->K + at / s->heads];
    for (size_t at = 0; at < rows; at++)
        ms_softmax(s->attention + at, s->attention + at, n, n, rows, 1.0);
    x->kernels->sums_f64(s->items, n, x->stride, 0, s->attention, rows, x->stride, s->pooled);
    memset(x->z64, 0, x->K * x->stride * sizeof *x->z64);
    for (size_t k = 0; k < x->K; k++) {
        const double *heads = s->pooled + k * s->heads * x->stride;
        double *weights = s->head_weights + k * s->heads;
        weigh_heads(x, heads, s->pool_query, s->pool_query_bias, weights);
        for (size_t h = 0; h < s->heads; h++)
            for (size_t c = 0; c < x->item_dim; c++)
                x->z64[k * x->stride + c] += weights[h] * heads[h * x->stride + c];
    }
}

/* The concept sequence, summed up to pooled row 0. */
static void predict(struct ms_extractor *x, size_t n)
{
    struct sine *s = x->context;
    double weights[16];
    for (size_t i = 0; i < n; i++) {
        double *row = s->sequence + i * x->stride;
        if (s->options->concept_feature)
            memcpy(row, s->items + i * x->stride, x->stride * sizeof *row);
        else
            memset(row, 0, x->stride * sizeof *row);
        for (size_t k = 0; k < x->K; k++)
            for (size_t c = 0; c < x->item_dim; c++)
                row[c] += s->belongs[i * x->K + k] * s->gated[k * x->stride + c];
    }
    add_positions(x, s->sequence, n);
    ms_net_logits(x, &s->net, &s->concept, n);
    for (size_t i = 0; i < n; i++)
        memcpy(s->predictions + i * s->heads, s->net.logits + i * s->net.logit_stride,
               s->heads * sizeof *s->predictions);
    for (size_t h = 0; h < s->heads; h++)
        ms_softmax(s->predictions + h, s->predictions + h, n, n, s->heads, 1.0);
    x->kernels->sums_f64(s->sequence, n, x->stride, 0, s->predictions, s->heads, x->stride, s->pooled);
    weigh_heads(x, s->pooled, s->concept_query, s->concept_query_bias, weights);
    for (size_t c = 0; c < x->item_dim; c++) {
        double sum = 0.0;
        for (size_t h = 0; h < s->heads; h++)
            sum += weights[h] * s->pooled[h * x->stride + c];
        s->pooled[c] = sum / (double)s->heads;
    }
}

/* mass64 [K]: how much each interest counts. */
static void weigh_interests(struct ms_extractor *x)
{
    struct sine *s = x->context;
    size_t d = x->item_dim;
    for (size_t c = 0; c < d; c++) {
        double sum = 0.0;
        for (size_t k = 0; k < x->K; k++)
            sum += x->z64[k * x->stride + c];
        s->query_input[c] = sum / (double)x->K;
    }
    memcpy(s->query_input + d, s->pooled, d * sizeof *s->query_input);
    x->kernels->project_f64(s->query_input, 1, 2 * x->stride, 2 * d, s->aggregate_query, d,
                            s->aggregate_query_bias, s->query, x->stride);
    for (size_t k = 0; k < x->K; k++)
        x->mass64[k] = inner(x->z64 + k * x->stride, s->query, d);
    ms_softmax(x->mass64, x->mass64, x->K, x->K, 1, 1.0);
}

/* What each item gave to each interest, or to the one vector. */
static void write_coupling(const struct ms_extractor *x, const struct ms_window *window)
{
    const struct sine *s = x->context;
    size_t rows = x->K * s->heads;
    for (size_t i = 0; i < window->n; i++) {
        float *to = window->coupling + i * x->K;
        double all = 0.0;
        for (size_t k = 0; k < x->K; k++) {
            double share = 0.0;
            for (size_t h = 0; h < s->heads; h++)
                share += s->attention[i * rows + k * s->heads + h] * s->head_weights[k * s->heads + h];
            all += x->mass64[k] * share;
            to[k] = s->options->interests && k < window->interests ? (float)share : 0.0f;
        }
        if (!s->options->interests)
            to[0] = (float)all;
    }
}

static struct ms_interests extract(struct ms_extractor *x, const struct ms_window *window)
{
    struct sine *s = x->context;
    size_t n = window->n;
    gather_items(x, window);
    add_positions(x, s->items, n);
    ms_net_logits(x, &s->net, &s->select, n);
    for (size_t i = 0; i < n; i++)
        s->item_weights[i] = s->net.logits[i * s->net.logit_stride];
    ms_softmax(s->item_weights, s->item_weights, n, n, 1, 1.0);
    x->kernels->sums_f64(s->items, n, x->stride, 0, s->item_weights, 1, x->stride, s->pooled);
    choose_topics(x);
    assign_items(x, n);
    pool_interests(x, n);
    predict(x, n);
    weigh_interests(x);
    if (window->coupling)
        write_coupling(x, window);
    if (s->options->interests)
        return ms_finish_f64(x, x->z64, x->mass64, window->interests);
    for (size_t c = 0; c < x->item_dim; c++) {
        double sum = 0.0;
        for (size_t k = 0; k < x->K; k++)
            sum += x->mass64[k] * x->z64[k * x->stride + c];
        x->z64[c] = sum;
    }
    x->mass64[0] = 1.0;
    return ms_finish_f64(x, x->z64, x->mass64, window->interests);
}

/* The K interests may be aggregated to one vector. */
static int count(const struct ms_model_spec *spec, size_t n)
{
    const struct options *options = (const void *)spec->options;
    return options->interests ? ms_count_by_rule(spec, n) : 1;
}

static const struct options defaults = {.heads = 1, .concept_feature = true, .temperature = 0.07};

const struct ms_kind ms_kind_sine = {
    .model = {.name = "sine",
              .keys = keys,
              .options_bytes = sizeof(struct options),
              .defaults = &defaults,
              .interest_count = MS_COUNT_FIXED,
              .symbols = symbols,
              .tensors = tensors,
              .give_symbols = give_symbols,
              .take_symbols = take_symbols,
              .check_tensors = check_tensors},
    .count = count,
    .context_bytes = sizeof(struct sine),
    .bind = bind_context,
    .carve = carve,
    .prepare = prepare,
    .extract = extract,
};
