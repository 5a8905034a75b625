/* SINE (Tan et al., WSDM'21), as its authors' published graph has it: K topics out of a pool, chosen by what
 * the user did, pool the items into K interests, and the topics in sequence foretell which of them count.
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
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "interest/extractor.h"

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

void ms_sine_bind(struct ms_extractor *x)
{
    struct ms_sine *s = &x->sine;
    s->heads = (size_t)x->config->sine_heads;
    s->topics = (size_t)x->config->sine_topics;
    s->topic_stride = (s->topics + MS_LANES - 1) / MS_LANES * MS_LANES;
    x->hidden = (size_t)ms_model_tensor(x->model, "sine.select.w1").shape[1];
    x->hidden_stride = (x->hidden + MS_LANES - 1) / MS_LANES * MS_LANES;
    x->logit_stride = (x->K * s->heads + MS_LANES - 1) / MS_LANES * MS_LANES;
    x->position = tensor(x, "sine.position");
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

void ms_sine_carve(struct ms_extractor *x, struct ms_carver *carver)
{
    struct ms_sine *s = &x->sine;
    size_t rows = x->K * s->heads;
    x->x64 = ms_carve(carver, x->L, x->stride, sizeof(double));
    x->a64 = ms_carve(carver, x->L, x->logit_stride, sizeof(double));
    x->hidden64 = ms_carve(carver, x->L, x->hidden_stride, sizeof(double));
    s->sequence = ms_carve(carver, x->L, x->stride, sizeof(double));
    s->belongs = ms_carve(carver, x->L, x->K, sizeof(double));
    s->attention = ms_carve(carver, x->L, rows, sizeof(double));
    s->foretelling = ms_carve(carver, x->L, s->heads, sizeof(double));
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
void ms_sine_prepare(struct ms_extractor *x)
{
    const float *pool = tensor(x, "sine.topics");
    for (size_t t = 0; t < x->sine.topics; t++)
        for (size_t c = 0; c < x->item_dim; c++)
            x->sine.topic_columns[c * x->sine.topics + t] = pool[t * x->item_dim + c];
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

/* e64 [n][item_dim] = rows of |v| [n][stride] plus their positions. */
static void add_positions(struct ms_extractor *x, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < x->item_dim; c++)
            x->e64[i * x->item_dim + c] = v[i * x->stride + c] +
                                          (x->position ? (double)x->position[i * x->item_dim + c] : 0.0);
}

static void gather(struct ms_extractor *x, const struct ms_window *window)
{
    for (size_t i = 0; i < window->n; i++) {
        const float *item = ms_model_item_embedding(x->model, window->rows[i]);
        double *row = x->x64 + i * x->stride;
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
    struct ms_sine *s = &x->sine;
    const float *pool = tensor(x, "sine.topics");
    double *z = s->pooled,
           length = x->config->sine_topic_norm ? inverse_length(squares(z, x->item_dim)) : 1.0;
    x->kernels->project_f64(z, 1, x->stride, x->item_dim, s->topic_columns, s->topics, NULL, s->scores,
                            s->topic_stride);
    for (size_t t = 0; t < s->topics && x->config->sine_topic_norm; t++) {
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
    struct ms_sine *s = &x->sine;
    double topic_lengths[MS_MAX_INTERESTS];
    for (size_t k = 0; k < x->K; k++)
        topic_lengths[k] = inverse_length(squares(s->chosen + k * x->stride, x->item_dim));
    x->kernels->dots_f64(x->x64, n, x->stride, 0, s->chosen, x->K, x->stride, s->belongs);
    for (size_t i = 0; i < n; i++) {
        double *row = s->belongs + i * x->K;
        double length = inverse_length(squares(x->x64 + i * x->stride, x->item_dim));
        for (size_t k = 0; k < x->K; k++)
            row[k] *= length * topic_lengths[k];
        ms_softmax(row, row, x->K, x->K, 1, 1.0 / x->config->sine_temperature);
    }
}

/* Weighs the heads [heads][stride] with their own mean as the query; |weights| [heads] sum to 1. */
static void weigh_heads(struct ms_extractor *x, const double *heads, const float *map, const float *bias,
                        double *weights)
{
    struct ms_sine *s = &x->sine;
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
    struct ms_sine *s = &x->sine;
    size_t rows = x->K * s->heads;
    ms_net_logits(x, &s->pool, n);
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < rows; at++)
            s->attention[i * rows + at] = x->a64[i * x->logit_stride + at] *
                                          s->belongs[i * x->K + at / s->heads];
    for (size_t at = 0; at < rows; at++)
        ms_softmax(s->attention + at, s->attention + at, n, n, rows, 1.0);
    x->kernels->sums_f64(x->x64, n, x->stride, 0, s->attention, rows, x->stride, s->pooled);
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
static void foretell(struct ms_extractor *x, size_t n)
{
    struct ms_sine *s = &x->sine;
    double weights[16];
    for (size_t i = 0; i < n; i++) {
        double *row = s->sequence + i * x->stride;
        if (x->config->sine_concept_feature)
            memcpy(row, x->x64 + i * x->stride, x->stride * sizeof *row);
        else
            memset(row, 0, x->stride * sizeof *row);
        for (size_t k = 0; k < x->K; k++)
            for (size_t c = 0; c < x->item_dim; c++)
                row[c] += s->belongs[i * x->K + k] * s->gated[k * x->stride + c];
    }
    add_positions(x, s->sequence, n);
    ms_net_logits(x, &s->concept, n);
    for (size_t i = 0; i < n; i++)
        memcpy(s->foretelling + i * s->heads, x->a64 + i * x->logit_stride,
               s->heads * sizeof *s->foretelling);
    for (size_t h = 0; h < s->heads; h++)
        ms_softmax(s->foretelling + h, s->foretelling + h, n, n, s->heads, 1.0);
    x->kernels->sums_f64(s->sequence, n, x->stride, 0, s->foretelling, s->heads, x->stride, s->pooled);
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
    struct ms_sine *s = &x->sine;
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
    const struct ms_sine *s = &x->sine;
    size_t rows = x->K * s->heads;
    for (size_t i = 0; i < window->n; i++) {
        float *to = window->coupling + i * x->K;
        double all = 0.0;
        for (size_t k = 0; k < x->K; k++) {
            double share = 0.0;
            for (size_t h = 0; h < s->heads; h++)
                share += s->attention[i * rows + k * s->heads + h] * s->head_weights[k * s->heads + h];
            all += x->mass64[k] * share;
            to[k] = x->config->sine_interests && k < window->interests ? (float)share : 0.0f;
        }
        if (!x->config->sine_interests)
            to[0] = (float)all;
    }
}

void ms_sine_extract(struct ms_extractor *x, const struct ms_window *window)
{
    struct ms_sine *s = &x->sine;
    size_t n = window->n;
    gather(x, window);
    add_positions(x, x->x64, n);
    ms_net_logits(x, &s->select, n);
    for (size_t i = 0; i < n; i++)
        x->w64[i] = x->a64[i * x->logit_stride];
    ms_softmax(x->w64, x->w64, n, n, 1, 1.0);
    x->kernels->sums_f64(x->x64, n, x->stride, 0, x->w64, 1, x->stride, s->pooled);
    choose_topics(x);
    assign_items(x, n);
    pool_interests(x, n);
    foretell(x, n);
    weigh_interests(x);
    if (window->coupling)
        write_coupling(x, window);
    if (x->config->sine_interests)
        return;
    for (size_t c = 0; c < x->item_dim; c++) {
        double sum = 0.0;
        for (size_t k = 0; k < x->K; k++)
            sum += x->mass64[k] * x->z64[k * x->stride + c];
        x->z64[c] = sum;
    }
    x->mass64[0] = 1.0;
}
