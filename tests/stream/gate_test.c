/* Readers get in while a worker is busy, and see an engine that stands still; images are what users were before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/gate.h"
#include "stream/images.h"

#define READERS 3
#define ASKS    300

struct rig {
    struct ms_gate gate;
    int value; /* the worker's: odd while it is changed */
    atomic_int readers;
    atomic_int torn;
};

static void look(void *context, struct ms_engine *engine)
{
    struct rig *rig = context;
    if (engine && rig->value % 2)
        atomic_fetch_add(&rig->torn, 1);
}

static void *reader(void *context)
{
    struct rig *rig = context;
    for (int i = 0; i < ASKS; i++) {
        if (!ms_gate_ask(&rig->gate, look, rig, 60000))
            atomic_fetch_add(&rig->torn, 1000);
    }
    atomic_fetch_sub(&rig->readers, 1);
    return NULL;
}

/* A worker that hardly ever opens the gate answers all the same, between two changes. */
static void readers_beside_a_worker(void **state)
{
    static struct rig rig;
    pthread_t threads[READERS];
    (void)state;
    ms_gate_init(&rig.gate);
    rig.readers = READERS;
    assert_false(ms_gate_shut(&rig.gate));
    ms_gate_engine(&rig.gate, (struct ms_engine *)&rig);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &rig), 0);
    while (atomic_load(&rig.readers) > 0) {
        rig.value++;
        for (int i = 0; i < 1000; i++)
            __asm__ volatile("");
        rig.value++;
        if (rig.value % 64 == 0)
            ms_gate_open(&rig.gate);
        else
            ms_gate_serve(&rig.gate);
        ms_gate_shut(&rig.gate);
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(rig.torn, 0);
    assert_true(ms_gate_shut(&rig.gate));
    ms_gate_open(&rig.gate);
    ms_gate_destroy(&rig.gate);
}

static void count(void *context, struct ms_engine *engine)
{
    (void)engine;
    ++*(int *)context;
}

/* A call that nobody makes is taken back. */
static void worker_that_hangs(void **state)
{
    struct ms_gate gate;
    int calls = 0;
    (void)state;
    ms_gate_init(&gate);
    assert_true(ms_gate_ask(&gate, count, &calls, 60000)); /* open: it looks itself */
    assert_int_equal(calls, 1);
    pthread_mutex_lock(&gate.lock); /* as a worker's thread would hold it */
    assert_false(ms_gate_ask(&gate, count, &calls, 20));
    assert_int_equal(gate.waiting, 0);
    pthread_mutex_unlock(&gate.lock);
    assert_true(ms_gate_ask(&gate, count, &calls, 60000));
    assert_int_equal(calls, 2);
    ms_gate_destroy(&gate);
}

static struct ms_user *user_of(uint16_t partition, const char *id)
{
    return ms_user_new(partition, (struct ms_bytes){id, strlen(id)}, 4);
}

static void images_are_what_was(void **state)
{
    struct ms_images images = {.on = false};
    struct ms_user *user = user_of(3, "u1");
    (void)state;
    ms_images_begin(&images, true);
    if (user && images.on) {
        const struct ms_bytes id = ms_user_id(user);
        user->version = 5;
        ms_images_keep(&images, 77, user);
        user->version = 6;
        ms_images_keep(&images, 77, user); /* the first stays */
        const struct ms_user *image = ms_images_find(&images, 77, 3, id);
        assert_true(!image || image->version == 5);
        assert_null(ms_images_find(&images, 77, 4, id));
        assert_null(ms_images_find(&images, 78, 3, id));
        ms_images_begin(&images, true);
        assert_null(ms_images_find(&images, 77, 3, id));
        for (uint64_t i = 0; i < 3000; i++)
            ms_images_keep(&images, i << 32 | i, user);
        ms_images_begin(&images, false);
        assert_false(images.on);
        assert_int_equal(images.count, 0);
    }
    free(user);
    ms_images_free(&images);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_beside_a_worker),
        cmocka_unit_test(worker_that_hangs),
        cmocka_unit_test(images_are_what_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
