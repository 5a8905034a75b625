/* One step of training: the next batch forward and back, and Adam.
 *
 * A batch is cut into MS_FIT_SHARDS shards of windows, whatever the number of threads. Every sum runs over the shards in order, so
 * the numbers do not depend on the threads. */
#ifndef MS_TRAIN_FIT_ENGINE_H
#define MS_TRAIN_FIT_ENGINE_H

#include "base/pool.h"
#include "train/fit/batch.h"
#include "train/fit/learned.h"

#define MS_FIT_SHARDS 8

struct ms_fit_engine {
    const struct ms_fit_functions_f32 *functions;
    struct ms_fit_learned *learned;
    struct ms_fit_plan *plan;
    struct ms_pool *pool;
    int threads;
    struct ms_fit_step_f32 step;
    struct ms_fit_shard_f32 shards[MS_FIT_SHARDS];
    float *d_dense;
    float *d_rows; /* [threads][stride + logit_stride] */
    size_t row_numbers;
};

/* Memory for the plan's batches. All arguments outlive the engine. MS_MEMORY. Freeing a zeroed one is legal. */
enum ms_status ms_fit_engine_new(struct ms_fit_engine *engine, struct ms_fit_learned *learned,
                                 struct ms_fit_plan *plan, struct ms_pool *pool, int threads,
                                 struct ms_error *error) MS_MUST_CHECK;
void ms_fit_engine_free(struct ms_fit_engine *engine);

/* Trains on the plan's batch at hand; *loss is the mean over its targets. Where that is no finite number, nothing is changed. */
enum ms_status ms_fit_engine_step(struct ms_fit_engine *engine, double *loss,
                                  struct ms_error *error) MS_MUST_CHECK;
/* Brings the rows of all items up to date, and the step's parameters. */
enum ms_status ms_fit_engine_settle(struct ms_fit_engine *engine, struct ms_error *error) MS_MUST_CHECK;

#endif
