/* Threads sleep until the number of the job changes. An atomic counter gives out the indices; all else is under the mutex. */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct worker {
    struct ms_pool *pool;
    int number;
    pthread_t thread;
};

struct ms_pool {
    pthread_mutex_t mutex;
    pthread_cond_t begun, ended;
    uint64_t job; /* number of the last job begun */
    bool closed;  /* no more jobs */
    int running;  /* threads that have not finished the job */

    /* The job: */
    size_t count;
    ms_pool_function function;
    void *context;
    atomic_size_t next;  /* the index that is given out next */
    size_t failed_index; /* the lowest index that failed, or count */
    struct ms_error error;

    int thread_count;
    struct worker workers[];
};

static void note_failure(struct ms_pool *pool, size_t index, const struct ms_error *error)
{
    pthread_mutex_lock(&pool->mutex);
    if (index < pool->failed_index) {
        pool->failed_index = index;
        pool->error = *error;
    }
    pthread_mutex_unlock(&pool->mutex);
    atomic_store(&pool->next, pool->count); /* higher indices need not be run */
}

static void run_job(struct ms_pool *pool, int thread)
{
    for (;;) {
        size_t index = atomic_fetch_add(&pool->next, 1);
        if (index >= pool->count)
            return;
        struct ms_error error = {MS_OK, ""};
        enum ms_status status = pool->function(pool->context, thread, index, &error);
        if (status != MS_OK) {
            error.status = status;
            note_failure(pool, index, &error);
        }
    }
}

static void *worker_main(void *context)
{
    const struct worker *worker = context;
    struct ms_pool *pool = worker->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->job == seen && !pool->closed)
            pthread_cond_wait(&pool->begun, &pool->mutex);
        if (pool->job == seen)
            break;
        seen = pool->job;
        pthread_mutex_unlock(&pool->mutex);
        run_job(pool, worker->number);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->running == 0)
            pthread_cond_signal(&pool->ended);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

enum ms_status ms_pool_new(struct ms_pool **out, int threads, struct ms_error *error)
{
    assert(threads >= 1 && threads <= MS_POOL_MAX_THREADS);
    struct ms_pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof *pool->workers);
    if (!pool)
        return ms_fail(error, MS_MEMORY, "no memory for %d threads", threads);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->begun, NULL);
    pthread_cond_init(&pool->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (int i = 0; i < threads; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->number = i;
        int code = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (code) {
            ms_pool_destroy(pool);
            return ms_fail(error, MS_MEMORY, "cannot start thread %d: %s", i + 1, strerror(code));
        }
        pool->thread_count++;
    }
    *out = pool;
    return MS_OK;
}

void ms_pool_destroy(struct ms_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->closed = true;
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->thread_count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->ended);
    pthread_cond_destroy(&pool->begun);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

void ms_pool_start(struct ms_pool *pool, size_t count, ms_pool_function function, void *context)
{
    pthread_mutex_lock(&pool->mutex);
    assert(pool->running == 0);
    pool->count = pool->failed_index = count;
    pool->function = function;
    pool->context = context;
    atomic_store(&pool->next, 0);
    pool->running = pool->thread_count;
    pool->job++;
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->mutex);
}

bool ms_pool_wait(struct ms_pool *pool, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    int code = 0;
    pthread_mutex_lock(&pool->mutex);
    while (pool->running > 0 && code == 0)
        code = pthread_cond_timedwait(&pool->ended, &pool->mutex, &until);
    bool ended = pool->running == 0;
    pthread_mutex_unlock(&pool->mutex);
    return ended;
}

enum ms_status ms_pool_finish(struct ms_pool *pool, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    pthread_mutex_lock(&pool->mutex);
    while (pool->running > 0)
        pthread_cond_wait(&pool->ended, &pool->mutex);
    if (pool->failed_index < pool->count) {
        *error = pool->error;
        status = pool->error.status;
    }
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

enum ms_status ms_pool_for(struct ms_pool *pool, size_t count, ms_pool_function function, void *context,
                           struct ms_error *error)
{
    ms_pool_start(pool, count, function, context);
    return ms_pool_finish(pool, error);
}
