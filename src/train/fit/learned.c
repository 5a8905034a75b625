/* Rows of an item lie in two tables, each with its means and squares. */
#include "train/fit/learned.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/fit/draw.h"

#define BETA1   0.9
#define BETA2   0.999
#define EPSILON 1e-8

/* What a stream of draws is for. */
enum { DRAW_ITEMS = 1, DRAW_MAPS, DRAW_LOGITS, DRAW_GATES };

static size_t padded(size_t n)
{
    return (n + MS_FIT_LANE - 1) / MS_FIT_LANE * MS_FIT_LANE;
}

static float *zeroed(size_t count)
{
    float *numbers = aligned_alloc(64, padded(count ? count : 1) * sizeof *numbers);
    if (numbers)
        memset(numbers, 0, padded(count ? count : 1) * sizeof *numbers);
    return numbers;
}

static bool numbers_new(struct ms_fit_numbers *numbers, size_t count)
{
    *numbers = (struct ms_fit_numbers){zeroed(count), zeroed(count), zeroed(count)};
    return numbers->values && numbers->means && numbers->squares;
}

static void numbers_free(struct ms_fit_numbers *numbers)
{
    free(numbers->values);
    free(numbers->means);
    free(numbers->squares);
}

static void lay_out(struct ms_fit_learned *l)
{
    size_t D = l->shape.stride, K = l->shape.interests;
    l->logit_stride = padded(K);
    l->gates = l->shape.maps * D * D;
    l->decay = l->gates + (l->gated ? K * D : 0);
    l->log_scale = l->decay + padded(K);
    l->dense_count = l->log_scale + MS_FIT_LANE;
}

static size_t item_numbers(const struct ms_fit_learned *l)
{
    return l->item_count * l->shape.stride;
}

static size_t logit_numbers(const struct ms_fit_learned *l)
{
    return l->item_count * l->logit_stride;
}

/* |rows| rows of |count| normal numbers. */
static void draw_rows(float *values, size_t rows, size_t count, size_t stride, double deviation,
                      uint64_t seed)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < count; i++)
            values[r * stride + i] = (float)(deviation * ms_draw_normal(seed, r * count + i));
}

static void begin(struct ms_fit_learned *l, const struct ms_fit_start *start)
{
    size_t D = l->shape.stride, d = l->shape.dim, K = l->shape.interests;
    float *dense = l->dense.values;
    draw_rows(l->items.values, l->item_count, d, D, 0.1, ms_draw(start->seed, DRAW_ITEMS));
    draw_rows(l->logits.values, l->item_count, K, l->logit_stride, 0.3, ms_draw(start->seed, DRAW_LOGITS));
    for (size_t m = 0; m < l->shape.maps; m++) {
        draw_rows(dense + m * D * D, d, d, D, 0.1, ms_draw(start->seed + m, DRAW_MAPS));
        for (size_t i = 0; i < d; i++)
            dense[(m * D + i) * D + i] += 1.0f;
    }
    if (l->gated)
        draw_rows(dense + l->gates, K, d, D, 0.01, ms_draw(start->seed, DRAW_GATES));
    for (size_t j = 0; j < K; j++)
        dense[l->decay + j] = (float)log(start->decays[j] / (1.0 - start->decays[j]));
    dense[l->log_scale] = (float)log(start->scale);
}

enum ms_status ms_fit_learned_new(struct ms_fit_learned *learned, const struct ms_fit_shape *shape,
                                  uint32_t item_count, const struct ms_fit_start *start,
                                  struct ms_error *error)
{
    struct ms_fit_learned made = {.shape = *shape,
                                  .item_count = item_count,
                                  .gated = start->gated,
                                  .decays_learned = start->decays_learned,
                                  .logits_learned = start->logits_learned,
                                  .scale_learned = start->scale_learned,
                                  .rate = start->rate};
    lay_out(&made);
    bool good = numbers_new(&made.items, item_numbers(&made));
    good = numbers_new(&made.logits, logit_numbers(&made)) && good;
    good = numbers_new(&made.dense, made.dense_count) && good;
    made.current = calloc((size_t)item_count + 1, sizeof *made.current);
    if (!good || !made.current) {
        ms_fit_learned_free(&made);
        *learned = made;
        return ms_fail(error, MS_MEMORY, "no memory for %u items of %zu numbers", item_count, shape->dim);
    }
    begin(&made, start);
    *learned = made;
    return MS_OK;
}

void ms_fit_learned_free(struct ms_fit_learned *learned)
{
    numbers_free(&learned->items);
    numbers_free(&learned->logits);
    numbers_free(&learned->dense);
    free(learned->current);
    *learned = (struct ms_fit_learned){0};
}

struct ms_fit_parameters_f32 ms_fit_learned_parameters(const struct ms_fit_learned *l)
{
    return (struct ms_fit_parameters_f32){.items = l->items.values,
                                          .logits = l->logits.values,
                                          .logit_stride = l->logit_stride,
                                          .maps = l->dense.values,
                                          .decay = l->dense.values + l->decay,
                                          .gates = l->gated ? l->dense.values + l->gates : NULL,
                                          .log_scale = l->dense.values[l->log_scale]};
}

/* ---- Adam ---- */

static struct ms_fit_adam adam_at(const struct ms_fit_learned *l, uint64_t step)
{
    return (struct ms_fit_adam){.rate = l->rate,
                                .beta1 = BETA1,
                                .beta2 = BETA2,
                                .epsilon = EPSILON,
                                .correction1 = 1.0 - pow(BETA1, (double)step),
                                .correction2 = 1.0 - pow(BETA2, (double)step)};
}

void ms_fit_learned_rest(struct ms_fit_learned *l, const struct ms_fit_functions_f32 *functions,
                         uint32_t item)
{
    uint64_t missed = l->steps - l->current[item];
    size_t at = item * l->shape.stride, logit = item * l->logit_stride;
    bool fresh = l->current[item] == 0; /* never touched: its means are 0 */
    l->current[item] = (uint32_t)l->steps;
    if (missed == 0 || fresh)
        return;
    struct ms_fit_adam adam = adam_at(l, l->steps);
    functions->adam_rest(&adam, missed, l->shape.stride, l->items.values + at, l->items.means + at,
                         l->items.squares + at);
    if (l->logits_learned)
        functions->adam_rest(&adam, missed, l->logit_stride, l->logits.values + logit,
                             l->logits.means + logit, l->logits.squares + logit);
}

void ms_fit_learned_row(struct ms_fit_learned *l, const struct ms_fit_functions_f32 *functions, uint32_t item,
                        const float *d_item, const float *d_logits)
{
    size_t at = item * l->shape.stride, logit = item * l->logit_stride;
    struct ms_fit_adam adam = adam_at(l, l->steps + 1);
    functions->adam(&adam, l->shape.stride, l->items.values + at, l->items.means + at, l->items.squares + at,
                    d_item);
    if (l->logits_learned)
        functions->adam(&adam, l->logit_stride, l->logits.values + logit, l->logits.means + logit,
                        l->logits.squares + logit, d_logits);
    l->current[item] = (uint32_t)(l->steps + 1);
}

void ms_fit_learned_dense(struct ms_fit_learned *l, const struct ms_fit_functions_f32 *functions,
                          const float *d)
{
    struct ms_fit_adam adam = adam_at(l, l->steps + 1);
    float *values = l->dense.values, *means = l->dense.means, *squares = l->dense.squares;
    functions->adam(&adam, l->decay, values, means, squares, d);
    if (l->decays_learned)
        functions->adam(&adam, l->log_scale - l->decay, values + l->decay, means + l->decay,
                        squares + l->decay, d + l->decay);
    if (l->scale_learned)
        functions->adam(&adam, MS_FIT_LANE, values + l->log_scale, means + l->log_scale,
                        squares + l->log_scale, d + l->log_scale);
    l->steps++;
}

/* ---- the best so far ---- */

enum ms_status ms_fit_kept_new(struct ms_fit_kept *kept, const struct ms_fit_learned *learned,
                               struct ms_error *error)
{
    *kept = (struct ms_fit_kept){zeroed(item_numbers(learned)), zeroed(logit_numbers(learned)),
                                 zeroed(learned->dense_count)};
    if (kept->items && kept->logits && kept->dense)
        return MS_OK;
    ms_fit_kept_free(kept);
    return ms_fail(error, MS_MEMORY, "no memory for a copy of %u items", learned->item_count);
}

void ms_fit_kept_free(struct ms_fit_kept *kept)
{
    free(kept->items);
    free(kept->logits);
    free(kept->dense);
    *kept = (struct ms_fit_kept){0};
}

void ms_fit_keep(struct ms_fit_kept *kept, const struct ms_fit_learned *l)
{
    memcpy(kept->items, l->items.values, item_numbers(l) * sizeof(float));
    memcpy(kept->logits, l->logits.values, logit_numbers(l) * sizeof(float));
    memcpy(kept->dense, l->dense.values, l->dense_count * sizeof(float));
}

static void forget(struct ms_fit_numbers *numbers, const float *values, size_t count)
{
    memcpy(numbers->values, values, count * sizeof(float));
    memset(numbers->means, 0, count * sizeof(float));
    memset(numbers->squares, 0, count * sizeof(float));
}

void ms_fit_return(struct ms_fit_learned *l, const struct ms_fit_kept *kept)
{
    forget(&l->items, kept->items, item_numbers(l));
    forget(&l->logits, kept->logits, logit_numbers(l));
    forget(&l->dense, kept->dense, l->dense_count);
    memset(l->current, 0, l->item_count * sizeof *l->current);
    l->steps = 0;
}
