/* What others see of a user while transactions come and go: never what is not committed, never what is older than the last commit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/model_writer.h"
#include "state/fixture.h"
#include "stream/engine.h"
#include "stream/gate.h"
#include "stream/source.h"

struct rig {
    struct ms_config config;
    struct ms_model *model;
    char *dir, *model_dir;
    struct ms_store *store;
    struct ms_engine *engine;
    struct ms_gate gate;
    struct ms_stats stats;
    int64_t next;
};

static enum ms_status swallow(void *context, const struct ms_output *output, struct ms_error *error)
{
    (void)context;
    (void)output;
    (void)error;
    return MS_OK;
}

/* A click, or a null value where |value| is NULL. */
static void event(struct rig *rig, const char *user, const char *value)
{
    struct ms_error error;
    const struct ms_input input = {.source = MS_SOURCE_CLICKS,
                                   .offset = rig->next,
                                   .time_ms = 1000 + rig->next,
                                   .key = {user, strlen(user)},
                                   .value = {value, value ? strlen(value) : 0}};
    rig->next++;
    assert_int_equal(ms_engine_process(rig->engine, &input, 1, &error), MS_OK);
}

#define CLICK "{\"item_id\":\"i0\"}"

static void commit(struct rig *rig)
{
    struct ms_error error;
    assert_int_equal(ms_engine_before_commit(rig->engine, INFINITY, &error), MS_OK);
    ms_engine_committed(rig->engine);
}

/* The version that is shown of a user; -1: the next commit will show it, -2: the database has it or nobody, -3: it replays. */
static int shown(struct rig *rig, const char *id)
{
    const struct ms_user *user;
    switch (ms_engine_peek(rig->engine, ms_positions_partition(ms_engine_positions(rig->engine), 0),
                           (struct ms_bytes){id, strlen(id)}, &user)) {
    case MS_SIGHT_COMMITTED:
        return (int)user->version;
    case MS_SIGHT_UNCOMMITTED:
        return -1;
    case MS_SIGHT_STORED:
        return -2;
    case MS_SIGHT_REPLAYING:
        return -3;
    }
    return -4;
}

static void start(struct rig *rig, int64_t committed)
{
    static const struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    const struct ms_engine_options options = {.config = &rig->config,
                                              .model = rig->model,
                                              .store = rig->store,
                                              .decay = &decay,
                                              .memory_bytes = 1 << 20,
                                              .owner = 1,
                                              .sink = {rig, swallow},
                                              .stats = &rig->stats,
                                              .gate = &rig->gate};
    const struct ms_position position = {
        .committed = committed, .replay_until = committed, .flushed = -1, .origin = 0};
    struct ms_partition_row row;
    struct ms_error error;
    assert_int_equal(ms_engine_new(&rig->engine, &options, &error), MS_OK);
    assert_int_equal(ms_engine_claim(rig->engine, 0, &row, &error), MS_OK);
    ms_engine_open(rig->engine, &position);
    rig->next = 0;
}

static void only_what_is_committed(void **state)
{
    struct rig *rig = *state;
    start(rig, 0);
    assert_int_equal(shown(rig, "u1"), -2);
    event(rig, "u1", CLICK);
    assert_int_equal(shown(rig, "u1"), -1); /* nobody has asked: no image */
    rig->gate.images_until_ms = INT64_MAX;
    event(rig, "u1", CLICK);
    assert_int_equal(shown(rig, "u1"), -1); /* they are kept from the next transaction on */
    commit(rig);
    assert_int_equal(shown(rig, "u1"), 2);
    event(rig, "u1", CLICK);
    event(rig, "u1", CLICK);
    event(rig, "u2", CLICK);
    assert_int_equal(shown(rig, "u1"), 2);
    assert_int_equal(shown(rig, "u2"), 0); /* there is none yet */
    commit(rig);
    assert_int_equal(shown(rig, "u1"), 4);
    assert_int_equal(shown(rig, "u2"), 1);
    event(rig, "u1", NULL); /* is forgotten */
    assert_int_equal(shown(rig, "u1"), 4);
    event(rig, "u1", CLICK);
    assert_int_equal(shown(rig, "u1"), 4);
    commit(rig);
    assert_int_equal(shown(rig, "u1"), 1);
    rig->gate.images_until_ms = 0;
    commit(rig);
    event(rig, "u1", CLICK);
    assert_int_equal(shown(rig, "u1"), -1);
}

static void replays_are_not_shown(void **state)
{
    struct rig *rig = *state;
    start(rig, 2);
    assert_int_equal(shown(rig, "u1"), -3);
    event(rig, "u1", CLICK);
    assert_int_equal(shown(rig, "u1"), -3);
    event(rig, "u1", CLICK);
    assert_int_equal(shown(rig, "u1"), 2);
}

static void look(void *context, struct ms_engine *engine)
{
    struct rig *rig = context;
    assert_ptr_equal(engine, rig->engine);
    rig->stats.restarts++;
}

static void *ask(void *context)
{
    struct rig *rig = context;
    return ms_gate_ask(&rig->gate, look, rig, 60000) ? rig : NULL;
}

/* A flush of many users lets a reader in. */
static void flushes_let_readers_in(void **state)
{
    struct rig *rig = *state;
    struct ms_error error;
    pthread_t thread;
    void *asked;
    bool lost;
    start(rig, 0);
    ms_gate_shut(&rig->gate);
    ms_gate_engine(&rig->gate, rig->engine);
    for (int i = 0; i < 400; i++) {
        char id[16];
        snprintf(id, sizeof id, "u%d", i);
        event(rig, id, CLICK);
    }
    commit(rig);
    assert_int_equal(pthread_create(&thread, NULL, ask, rig), 0);
    while (atomic_load(&rig->gate.waiting) == 0)
        ;
    assert_int_equal(rig->stats.restarts, 0);
    assert_int_equal(ms_engine_flush_begin(rig->engine, &error), MS_OK);
    assert_int_equal(rig->stats.restarts, 1);
    assert_int_equal(ms_engine_flush_end(rig->engine, &lost, &error), MS_OK);
    pthread_join(thread, &asked);
    assert_ptr_equal(asked, rig);
    ms_gate_open(&rig->gate);
}

static int setup(void **state)
{
    static const float items[2][3] = {{1, 0, 0}, {0, 1, 0}};
    static const float map[3][3] = {{1, 0.5f, 0}, {0, 1, 0}, {0.25f, 0, 1}};
    static const char *const ids[] = {"i0", "i1"};
    static const char config[] =
        "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"mind\","
        "\"dim\":3,\"interests\":2,\"max_behaviors\":50}";
    const struct writer_tensor tensors[] = {{"item_embedding", items[0], 2, {2, 3}, false},
                                            {"routing.bilinear", map[0], 2, {3, 3}, false}};
    struct ms_error error;
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->config = (struct ms_config){.application_id = "app",
                                     .input_topic = "clicks",
                                     .profile_topic = "",
                                     .input_user_field = "user_id",
                                     .input_item_field = "item_id",
                                     .input_time_field = "timestamp",
                                     .input_type_field = "event_type",
                                     .input_types = "",
                                     .input_id_max_bytes = 31,
                                     .dead_letter_topic = "",
                                     .state_behaviors_max = 100};
    rig->model_dir = writer_temp_dir();
    writer_model(rig->model_dir, config, ids, 2, tensors, 2);
    assert_int_equal(ms_model_load(&rig->model, rig->model_dir, &error), MS_OK);
    pthread_mutex_init(&rig->stats.lock, NULL);
    ms_gate_init(&rig->gate);
    rig->dir = state_dir_new();
    rig->store = state_open(rig->dir);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    ms_engine_destroy(rig->engine);
    ms_store_close(rig->store);
    ms_gate_destroy(&rig->gate);
    ms_model_destroy(rig->model);
    state_dir_remove(rig->dir);
    writer_remove(rig->model_dir);
    free(rig->model_dir);
    free(rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_is_committed, setup, teardown),
        cmocka_unit_test_setup_teardown(replays_are_not_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(flushes_let_readers_in, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
