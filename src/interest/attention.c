/* ComiRec's self-attentive extraction, full and incremental (Cen et al., KDD'20, eq. 3 to 5, with the
 * positions and biases of their code):
 *
 *     A = softmax over the behaviors of (tanh((H + P) w1 + b1) w2 + b2),    V = A^T H */
#include <math.h>
#include <string.h>

#include "interest/extractor.h"

void ms_attention_bind(struct ms_extractor *x)
{
    struct ms_tensor w1 = ms_model_tensor(x->model, "attention.w1");
    x->hidden = (size_t)w1.shape[1];
    x->hidden_stride = (x->hidden + MS_LANES - 1) / MS_LANES * MS_LANES;
    x->logit_stride = (x->K + MS_LANES - 1) / MS_LANES * MS_LANES;
    x->position = ms_model_tensor(x->model, "attention.position").data;
    x->attention = (struct ms_net){.w1 = w1.data,
                                   .b1 = ms_model_tensor(x->model, "attention.b1").data,
                                   .w2 = ms_model_tensor(x->model, "attention.w2").data,
                                   .b2 = ms_model_tensor(x->model, "attention.b2").data,
                                   .out = x->K};
}

void ms_attention_carve(struct ms_extractor *x, struct ms_carver *carver)
{
    x->x64 = ms_carve(carver, x->L, x->stride, sizeof(double));
    x->a64 = ms_carve(carver, x->L, x->logit_stride, sizeof(double));
    x->hidden64 = ms_carve(carver, x->L, x->hidden_stride, sizeof(double));
}

void ms_net_logits(struct ms_extractor *x, const struct ms_net *net, size_t n)
{
    x->kernels->project_f64(x->e64, n, x->item_dim, x->item_dim, net->w1, x->hidden, net->b1, x->hidden64,
                            x->hidden_stride);
    x->kernels->tanh_f64(x->hidden64, n * x->hidden_stride);
    x->kernels->project_f64(x->hidden64, n, x->hidden_stride, x->hidden, net->w2, net->out, net->b2, x->a64,
                            x->logit_stride);
}

/* Items to x64, items plus positions to e64. */
static void gather(struct ms_extractor *x, const struct ms_window *window)
{
    for (size_t i = 0; i < window->n; i++) {
        const float *item = ms_model_item_embedding(x->model, window->rows[i]);
        size_t slot = x->config->attention_from_newest ? window->n - 1 - i : i;
        const float *position = x->position ? x->position + slot * x->item_dim : NULL;
        double *plain = x->x64 + i * x->stride, *input = x->e64 + i * x->item_dim;
        for (size_t c = 0; c < x->item_dim; c++) {
            plain[c] = (double)item[c];
            input[c] = plain[c] + (position ? (double)position[c] : 0.0);
        }
        memset(plain + x->item_dim, 0, (x->stride - x->item_dim) * sizeof *plain);
    }
}

void ms_attend(struct ms_extractor *x, const struct ms_window *window)
{
    size_t k = window->interests;
    gather(x, window);
    ms_net_logits(x, &x->attention, window->n);
    for (size_t i = 0; i < window->n; i++)
        memcpy(x->b64 + i * k, x->a64 + i * x->logit_stride, k * sizeof *x->b64);
    for (size_t j = 0; j < k; j++) {
        ms_softmax(x->b64 + j, x->w64 + j, window->n, window->n, k, 1.0);
        x->mass64[j] = 1.0;
    }
    x->kernels->sums_f64(x->x64, window->n, x->stride, 0, x->w64, k, x->stride, x->z64);
    for (size_t i = 0; i < window->n && window->coupling; i++)
        for (size_t j = 0; j < x->K; j++)
            window->coupling[i * x->K + j] = j < k ? (float)x->w64[i * k + j] : 0.0f;
}

/* Below this a running softmax's denominator is brought back to 1, before float32 loses its digits. */
#define SMALLEST_MASS 1e-12

/* The softmax over all events so far, run along: the sums and their masses are relative to e^top, and top
 * follows the largest logit. All K interests are fed from the first event on, as full extraction would have
 * it. */
void ms_fold_attention(struct ms_extractor *x, float *state, uint32_t row, const double *keeps,
                       const double *worths, size_t numbers)
{
    double keep[MS_MAX_INTERESTS], add[MS_MAX_INTERESTS];
    float *mass = state, *top = mass + x->K;
    const float *item = ms_model_item_embedding(x->model, row);
    for (size_t c = 0; c < x->item_dim; c++)
        x->e64[c] = (double)item[c];
    ms_net_logits(x, &x->attention, 1);
    for (size_t j = 0; j < x->K; j++) {
        float base = mass[j] > 0.0f ? fmaxf(top[j], (float)x->a64[j]) : (float)x->a64[j];
        keep[j] = mass[j] > 0.0f ? keeps[j % numbers] * exp((double)(top[j] - base)) : 0.0;
        add[j] = worths[j % numbers] * exp(x->a64[j] - (double)base);
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
    struct ms_fold_step step = {
        .z = state + x->lead, .dim = x->capsule_dim, .interests = x->K, .x = item, .x_stride = 0};
    x->kernels->fold_update(&step, keep, add);
}
