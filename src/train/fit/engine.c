/* Four jobs of the pool a step: rows up to date, shards, rows' gradients with Adam; the rest is short and serial. */
#include "train/fit/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_ROWS  128 /* of one index of the pool */
#define CHUNK_ITEMS 8192

enum ms_status ms_fit_engine_new(struct ms_fit_engine *engine, struct ms_fit_learned *learned,
                                 struct ms_fit_plan *plan, struct ms_pool *pool, int threads,
                                 struct ms_error *error)
{
    struct ms_fit_engine made = {
        .functions = ms_fit_functions(), .learned = learned, .plan = plan, .pool = pool, .threads = threads};
    struct ms_fit_limits limits = plan->limits;
    limits.gates = learned->gated;
    made.row_numbers = learned->shape.stride + learned->logit_stride;
    bool good = made.functions->step_new(&made.step, &learned->shape, &limits);
    for (size_t i = 0; good && i < MS_FIT_SHARDS; i++)
        good = made.functions->shard_new(&made.shards[i], &learned->shape, &limits);
    if (good) {
        made.d_dense = aligned_alloc(64, learned->dense_count * sizeof *made.d_dense);
        made.d_rows = aligned_alloc(64, (size_t)threads * made.row_numbers * sizeof *made.d_rows);
    }
    if (!made.d_dense || !made.d_rows) {
        ms_fit_engine_free(&made);
        *engine = (struct ms_fit_engine){0};
        return ms_fail(error, MS_MEMORY, "no memory for batches of %zu events and %zu negatives",
                       limits.events, limits.negatives);
    }
    made.step.log_share = plan->log_share;
    *engine = made;
    return MS_OK;
}

void ms_fit_engine_free(struct ms_fit_engine *engine)
{
    if (!engine->functions)
        return;
    engine->functions->step_free(&engine->step);
    for (size_t i = 0; i < MS_FIT_SHARDS; i++)
        engine->functions->shard_free(&engine->shards[i]);
    free(engine->d_dense);
    free(engine->d_rows);
    *engine = (struct ms_fit_engine){0};
}

static enum ms_status rest_rows(void *context, int thread, size_t index, struct ms_error *error)
{
    struct ms_fit_engine *engine = context;
    size_t end = (index + 1) * CHUNK_ROWS;
    (void)thread;
    (void)error;
    for (size_t i = index * CHUNK_ROWS; i < end && i < engine->plan->row_count; i++)
        ms_fit_learned_rest(engine->learned, engine->functions, engine->plan->rows[i]);
    return MS_OK;
}

static enum ms_status run_shard(void *context, int thread, size_t index, struct ms_error *error)
{
    struct ms_fit_engine *engine = context;
    const struct ms_fit_batch *batch = &engine->step.batch;
    size_t first = index ? ms_fit_shard_end(batch, index - 1, MS_FIT_SHARDS) : 0;
    (void)thread;
    (void)error;
    engine->functions->shard(&engine->step, &engine->shards[index], first,
                             ms_fit_shard_end(batch, index, MS_FIT_SHARDS));
    return MS_OK;
}

static void add(float *sum, const float *more, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += more[i];
}

/* The gradient of an item: of its events in order, then of the negatives that it is. */
static void sum_row(const struct ms_fit_engine *engine, size_t row, float *d_item, float *d_logits)
{
    const struct ms_fit_plan *plan = engine->plan;
    size_t D = engine->learned->shape.stride, K = engine->learned->shape.interests;
    memset(d_item, 0, engine->row_numbers * sizeof *d_item);
    for (uint32_t i = plan->row_first[row]; i < plan->row_first[row + 1]; i++) {
        size_t at = plan->occurrences[i];
        if (at < plan->batch.event_count) {
            add(d_item, engine->step.d_items + at * D, D);
            add(d_logits, engine->step.d_logits + at * K, K);
            continue;
        }
        for (size_t s = 0; s < MS_FIT_SHARDS; s++)
            add(d_item, engine->shards[s].d_negatives + (at - plan->batch.event_count) * D, D);
    }
}

static enum ms_status learn_rows(void *context, int thread, size_t index, struct ms_error *error)
{
    struct ms_fit_engine *engine = context;
    float *d_item = engine->d_rows + (size_t)thread * engine->row_numbers;
    float *d_logits = d_item + engine->learned->shape.stride;
    size_t end = (index + 1) * CHUNK_ROWS;
    (void)error;
    for (size_t i = index * CHUNK_ROWS; i < end && i < engine->plan->row_count; i++) {
        sum_row(engine, i, d_item, d_logits);
        ms_fit_learned_row(engine->learned, engine->functions, engine->plan->rows[i], d_item, d_logits);
    }
    return MS_OK;
}

static void sum_dense(struct ms_fit_engine *engine)
{
    const struct ms_fit_learned *learned = engine->learned;
    float *d = engine->d_dense;
    double d_scale = 0.0;
    memset(d, 0, learned->dense_count * sizeof *d);
    for (size_t s = 0; s < MS_FIT_SHARDS; s++) {
        const struct ms_fit_shard_f32 *shard = &engine->shards[s];
        add(d, shard->d_maps, learned->gates);
        if (learned->gated)
            add(d + learned->gates, shard->d_gates, learned->shape.interests * learned->shape.stride);
        add(d + learned->decay, shard->d_decay, learned->shape.interests);
        d_scale += shard->d_scale;
    }
    d[learned->log_scale] = (float)d_scale;
}

static size_t row_chunks(const struct ms_fit_engine *engine)
{
    return (engine->plan->row_count + CHUNK_ROWS - 1) / CHUNK_ROWS;
}

enum ms_status ms_fit_engine_step(struct ms_fit_engine *engine, double *loss, struct ms_error *error)
{
    double total = 0.0;
    enum ms_status status = ms_pool_for(engine->pool, row_chunks(engine), rest_rows, engine, error);
    if (status != MS_OK)
        return status;
    engine->step.parameters = ms_fit_learned_parameters(engine->learned);
    engine->step.batch = engine->plan->batch;
    engine->functions->prepare(&engine->step);
    status = ms_pool_for(engine->pool, MS_FIT_SHARDS, run_shard, engine, error);
    for (size_t s = 0; s < MS_FIT_SHARDS; s++)
        total += engine->shards[s].loss;
    *loss = total / (double)engine->plan->batch.target_count;
    if (status != MS_OK || !isfinite(total))
        return status;
    sum_dense(engine);
    status = ms_pool_for(engine->pool, row_chunks(engine), learn_rows, engine, error);
    ms_fit_learned_dense(engine->learned, engine->functions, engine->d_dense);
    return status;
}

static enum ms_status rest_items(void *context, int thread, size_t index, struct ms_error *error)
{
    struct ms_fit_engine *engine = context;
    size_t end = (index + 1) * CHUNK_ITEMS, count = engine->learned->item_count;
    (void)thread;
    (void)error;
    for (size_t i = index * CHUNK_ITEMS; i < end && i < count; i++)
        ms_fit_learned_rest(engine->learned, engine->functions, (uint32_t)i);
    return MS_OK;
}

enum ms_status ms_fit_engine_settle(struct ms_fit_engine *engine, struct ms_error *error)
{
    size_t chunks = (engine->learned->item_count + (size_t)CHUNK_ITEMS - 1) / CHUNK_ITEMS;
    enum ms_status status = ms_pool_for(engine->pool, chunks, rest_items, engine, error);
    engine->step.parameters = ms_fit_learned_parameters(engine->learned);
    return status;
}
