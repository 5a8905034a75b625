/* A pool of threads that runs one function for every index of a range.
 *
 * Threads take indices in ascending order. What an index yields must depend on the index alone: the function writes only
 * to what belongs to its index or to its thread. So a result never depends on the number of threads. */
#ifndef MS_BASE_POOL_H
#define MS_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "mindstream/status.h"

#define MS_POOL_MAX_THREADS 256

struct ms_pool;

/* One index of a job, on thread |thread| (0 .. threads - 1). Two calls with one |thread| never overlap. */
typedef enum ms_status (*ms_pool_function)(void *context, int thread, size_t index, struct ms_error *error);

/* Starts |threads| threads, 1 to MS_POOL_MAX_THREADS, which wait for a job. MS_MEMORY. */
enum ms_status ms_pool_new(struct ms_pool **pool, int threads, struct ms_error *error) MS_MUST_CHECK;

/* Waits for the job at hand, then ends the threads. NULL is legal. */
void ms_pool_destroy(struct ms_pool *pool);

/* Has the threads run |function| for 0 .. count - 1 and returns at once. One job at a time: each is ended with
 * ms_pool_finish. One thread starts and finishes all jobs of a pool. |context| lives until then. */
void ms_pool_start(struct ms_pool *pool, size_t count, ms_pool_function function, void *context);

/* Waits for the end of the job, at most |ms| milliseconds. False: it still runs. */
bool ms_pool_wait(struct ms_pool *pool, int ms);

/* Waits for the end of the job. When indices failed, the status and the error are those of the lowest one. After a
 * failure, higher indices may not have been run; all lower ones have been. */
enum ms_status ms_pool_finish(struct ms_pool *pool, struct ms_error *error) MS_MUST_CHECK;

/* ms_pool_start and ms_pool_finish. */
enum ms_status ms_pool_for(struct ms_pool *pool, size_t count, ms_pool_function function, void *context,
                           struct ms_error *error) MS_MUST_CHECK;

#endif
