/* Random lives of engines between arrays, held against what an uninterrupted run would have done. A number as
 * argument is a seed to run alone, two are the first and the last seed. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "fake_worker.h"

#define MODELS 4

static struct life_model models[MODELS];
static uint64_t first_seed = 1, last_seed;

/* What happens between two processes. */
static void between(struct world *world)
{
    for (int p = 0; p < world->parts; p++) {
        struct part *part = &world->part[p];
        size_t more = part->count - part->seen;
        part->seen += draw(&world->random, more + 1);
        /* markers before the next record: an offset that lies behind them means the same */
        if (part->committed >= 0 && part->seen == part->count && draw(&world->random, 8) == 0 &&
            part->committed >= world_end(part))
            part->committed += 2;
    }
    if (draw(&world->random, 2) == 0)
        world->variant = (int)draw(&world->random, (uint64_t)world->variants);
    /* Another machine. Without its state the service cannot know which slots an earlier model has shown. */
    bool knows = !world->mixed || world->config.output_layout == MS_LAYOUT_USER;
    if (draw(&world->random, 6) == 0 && knows) {
        ms_store_close(world->store);
        state_dir_remove(world->dir);
        world->dir = state_dir_new();
        world->store = state_open(world->dir);
    } else if (draw(&world->random, 4) == 0) {
        ms_store_close(world->store);
        world->store = state_open(world->dir);
    }
}

static void *life_of_worker(void *context)
{
    struct fake_worker *worker = context;
    for (uint64_t steps = 20 + draw(&worker->random, 120); steps > 0; steps--)
        fake_step(worker);
    return NULL;
}

/* Two workers that take turns, or two threads. */
static void process(struct world *world, bool threads)
{
    struct fake_worker *workers = calloc(WORKERS, sizeof *workers);
    assert_non_null(workers);
    for (uint32_t i = 0; i < WORKERS; i++)
        fake_open(&workers[i], world, i + 1, life_random(&world->random));
    if (threads) {
        pthread_t thread[WORKERS];
        for (int i = 0; i < WORKERS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, life_of_worker, &workers[i]), 0);
        for (int i = 0; i < WORKERS; i++)
            pthread_join(thread[i], NULL);
    } else {
        for (uint64_t steps = 20 + draw(&world->random, 200); steps > 0; steps--)
            fake_step(&workers[draw(&world->random, WORKERS)]);
    }
    for (int i = 0; i < WORKERS; i++)
        fake_close(&workers[i]);
    free(workers);
}

static void one_world(uint64_t seed, bool threads)
{
    struct world *world = malloc(sizeof *world);
    struct fake_worker *last = malloc(sizeof *last);
    assert_true(world && last);
    world_new(world, seed, models, MODELS);
    for (uint64_t processes = 1 + draw(&world->random, 5); processes > 0; processes--) {
        between(world);
        process(world, threads);
    }
    for (int p = 0; p < world->parts; p++)
        world->part[p].seen = world->part[p].count;
    fake_open(last, world, 1, life_random(&world->random));
    fake_finish(last);
    fake_close(last);
    free(last);
    world_free(world);
    free(world);
}

static void take_turns(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed <= last_seed; seed++)
        one_world(seed, false);
}

static void in_threads(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed <= last_seed; seed++)
        one_world(seed + 1000000, true);
}

int main(int argc, char **argv)
{
#ifdef MINDSTREAM_SANITIZED
    last_seed = 40;
#else
    last_seed = 160;
#endif
    if (argc > 1 && isdigit((unsigned char)argv[1][0]))
        first_seed = last_seed = strtoull(argv[1], NULL, 10);
    if (argc > 2 && isdigit((unsigned char)argv[2][0]))
        last_seed = strtoull(argv[2], NULL, 10);
    ms_log_set_level(MS_LOG_ERROR);
    if (access("/dev/shm", W_OK) == 0) /* hundreds of databases, none of which outlives the machine */
        setenv("TMPDIR", "/dev/shm", 0);
    for (int i = 0; i < MODELS; i++)
        life_model_open(&models[i], (uint64_t)i + 5, (const int[]){4, 2, 3, 5}[i],
                        (const int[]){6, 6, 4, 9}[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(take_turns),
        cmocka_unit_test(in_threads),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < MODELS; i++)
        life_model_close(&models[i]);
    return failed;
}
