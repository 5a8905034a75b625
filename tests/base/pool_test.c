/* The pool of threads: every index once, errors of the lowest index, jobs one after another. */
#include "base_test.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/pool.h"

static struct ms_pool *new_pool(int threads)
{
    struct ms_pool *pool = NULL;
    struct ms_error error;
    assert_int_equal(ms_pool_new(&pool, threads, &error), MS_OK);
    return pool;
}

/* ---- every index ---- */

#define INDICES 1000

struct counted {
    int threads;
    size_t offset;
    int runs[INDICES]; /* of each index */
    uint64_t sums
        [MS_POOL_MAX_THREADS]; /* of each thread: not atomic, so that a sanitizer sees two calls that overlap */
};

static enum ms_status count(void *context, int thread, size_t index, struct ms_error *error)
{
    struct counted *counted = context;
    (void)error;
    assert(thread >= 0 && thread < counted->threads);
    counted->runs[index]++;
    counted->sums[thread] += index + counted->offset;
    return MS_OK;
}

/* Jobs of many sizes on one pool: each index runs once, and sums over threads do not depend on their number. */
static void every_index_runs_once(void **state)
{
    static const int threads[] = {1, 2, 3, 16, MS_POOL_MAX_THREADS};
    static const size_t sizes[] = {INDICES, 1, 0, 2, 17, INDICES};
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct ms_pool *pool = new_pool(threads[t]);
        for (size_t job = 0; job < sizeof sizes / sizeof *sizes; job++) {
            struct counted counted = {.threads = threads[t], .offset = job};
            struct ms_error error;
            uint64_t sum = 0, n = sizes[job];
            assert_int_equal(ms_pool_for(pool, n, count, &counted, &error), MS_OK);
            for (size_t i = 0; i < INDICES; i++)
                assert_int_equal(counted.runs[i], i < n);
            for (int i = 0; i < threads[t]; i++)
                sum += counted.sums[i];
            assert_int_equal(sum, n * job + (n ? n * (n - 1) / 2 : 0));
        }
        ms_pool_destroy(pool);
    }
}

/* ---- errors ---- */

struct failing {
    size_t first; /* this index and every third after it fail */
    atomic_int runs[INDICES];
};

static enum ms_status fail_thirds(void *context, int thread, size_t index, struct ms_error *error)
{
    struct failing *failing = context;
    (void)thread;
    atomic_fetch_add(&failing->runs[index], 1);
    if (index < failing->first || (index - failing->first) % 3)
        return MS_OK;
    if (index == failing->first)
        usleep(1000); /* so that higher indices fail first */
    return ms_fail(error, index % 2 ? MS_FORMAT : MS_IO, "index %zu", index);
}

static void the_lowest_error_counts(void **state)
{
    static const size_t first[] = {0, 1, 2, 500, INDICES - 1};
    struct ms_pool *pool = new_pool(4);
    (void)state;
    for (size_t f = 0; f < sizeof first / sizeof *first; f++) {
        struct failing failing = {.first = first[f]};
        struct counted counted = {.threads = 4};
        struct ms_error error;
        char text[32];
        assert_int_equal(ms_pool_for(pool, INDICES, fail_thirds, &failing, &error),
                         first[f] % 2 ? MS_FORMAT : MS_IO);
        snprintf(text, sizeof text, "index %zu", first[f]);
        assert_string_equal(error.text, text);
        for (size_t i = 0; i <= first[f]; i++)
            assert_int_equal(failing.runs[i], 1);
        /* The pool is as good as before. */
        assert_int_equal(ms_pool_for(pool, INDICES, count, &counted, &error), MS_OK);
        assert_int_equal(counted.runs[INDICES - 1], 1);
    }
    ms_pool_destroy(pool);
}

static void a_failure_skips_what_follows(void **state)
{
    struct ms_pool *pool = new_pool(1);
    struct failing failing = {.first = 10};
    struct ms_error error;
    (void)state;
    assert_int_equal(ms_pool_for(pool, INDICES, fail_thirds, &failing, &error), MS_IO);
    for (size_t i = 0; i < INDICES; i++)
        assert_int_equal(failing.runs[i], i <= 10);
    ms_pool_destroy(pool);
}

/* ---- start, wait, finish ---- */

static enum ms_status wait_for_gate(void *context, int thread, size_t index, struct ms_error *error)
{
    atomic_bool *open = context;
    (void)thread, (void)index, (void)error;
    while (!atomic_load(open))
        usleep(1000);
    return MS_OK;
}

static void waiting_ends_with_time_or_job(void **state)
{
    struct ms_pool *pool = new_pool(2);
    atomic_bool open = false;
    struct ms_error error;
    (void)state;
    ms_pool_start(pool, 5, wait_for_gate, &open);
    assert_false(ms_pool_wait(pool, 0));
    assert_false(ms_pool_wait(pool, 20));
    atomic_store(&open, true);
    while (!ms_pool_wait(pool, 1000))
        ;
    assert_int_equal(ms_pool_finish(pool, &error), MS_OK);
    assert_true(ms_pool_wait(pool, 0));
    ms_pool_destroy(pool);
}

static void destroying_waits_for_the_job(void **state)
{
    struct ms_pool *pool = new_pool(3);
    static struct counted counted = {.threads = 3};
    (void)state;
    ms_pool_start(pool, INDICES, count, &counted);
    ms_pool_destroy(pool);
    for (size_t i = 0; i < INDICES; i++)
        assert_int_equal(counted.runs[i], 1);
    ms_pool_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_runs_once),        cmocka_unit_test(the_lowest_error_counts),
        cmocka_unit_test(a_failure_skips_what_follows), cmocka_unit_test(waiting_ends_with_time_or_job),
        cmocka_unit_test(destroying_waits_for_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
