/* Other settings of the decoder after a kill: what readers saw of [L, C) under the ones before is put right, of users
 * that have no event there any more, too, wherever the process is killed meanwhile. The broker is a struct. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "state/fixture.h"
#include "stream/earlier.h"
#include "stream/session.h"

#define USERS  30
#define EVENTS 150
#define KEYS   (USERS * 4) /* of a user, and of its slots */

#ifdef MINDSTREAM_SANITIZED
#define STRIDE 7 /* steps from one kill to the next: all take too long there */
#else
#define STRIDE 1
#endif

/* ---- whose a record may have been ---- */

static struct ms_bytes text(const char *id)
{
    return (struct ms_bytes){id, strlen(id)};
}

static void expect_users(struct ms_earlier *earlier, struct ms_bytes key, struct ms_bytes user,
                         const char *first, const char *second)
{
    const struct ms_input input = {.partition = 7, .key = key};
    const struct ms_decoded decoded = {.event = {.user = user}};
    const char *expected[] = {first, second};
    struct ms_arena arena = {0};
    struct ms_error error;
    size_t count, wants = second ? 2 : first ? 1 : 0;
    assert_int_equal(ms_earlier_add(earlier, &input, &decoded, &arena, &error), MS_OK);
    const struct ms_wanted *wanted = ms_earlier_take(earlier, &count);
    assert_int_equal(count, wants);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(wanted[i].partition, 7);
        assert_int_equal(wanted[i].id.size, strlen(expected[i]));
        assert_memory_equal(wanted[i].id.data, expected[i], wanted[i].id.size);
        assert_true(wanted[i].hash == ms_overlay_hash(7, wanted[i].id));
    }
    ms_arena_free(&arena);
}

static void whoever_key_or_event_names(void **state)
{
    const struct ms_config config = {
        .input_topic = "clicks", .input_user_field = "user_id", .input_id_max_bytes = 8};
    const struct ms_bytes none = {NULL, 0};
    struct ms_earlier *earlier = NULL;
    struct ms_error error;
    (void)state;
    ms_log_set_level(MS_LOG_ERROR);
    if (ms_earlier_new(&earlier, &config, &error) != MS_OK)
        fail_msg("%s", error.text);
    expect_users(earlier, text("u1"), none, "u1", NULL); /* a bad event */
    expect_users(earlier, text("u1"), text("u2"), "u1", "u2");
    expect_users(earlier, none, text("u2"), "u2", NULL);
    expect_users(earlier, none, none, NULL, NULL);
    expect_users(earlier, text(""), none, NULL, NULL);
    expect_users(earlier, text("too-long-"), none, NULL, NULL);
    expect_users(earlier, text("\xff"), none, NULL, NULL);
    expect_users(earlier, text("\"u1\""), none, "\"u1\"", "u1"); /* in whatever format the key was read */
    expect_users(earlier, (struct ms_bytes){"\0\0\0\0\0\0\0\xff", 8}, none, "255", NULL);
    expect_users(earlier, text("12345678"), none, "12345678", NULL);
    ms_earlier_destroy(earlier);
    ms_earlier_destroy(NULL);
}

/* ---- sessions ---- */

struct rig {
    struct ms_config config;
    struct life_model model;
    char *dir;
    struct ms_store *store;
    struct ms_stats stats;
    struct ms_session session;
    int64_t
        committed; /* the broker: C, its note, and the last version that readers see of each key, 0: null */
    char note[MS_NOTE_BYTES];
    size_t note_bytes;
    uint64_t visible[KEYS], open[KEYS];
    bool touched[KEYS];
    int fuel;
};

/* Users 0 to 9 have clicks alone, 10 to 19 both, 20 to 29 views alone. */
static bool is_click(int64_t offset)
{
    uint32_t user = (uint32_t)(offset % USERS);
    return user < 10 || (user < 20 && offset / USERS % 2 == 0);
}

static uint64_t clicks_of(uint32_t user)
{
    uint64_t clicks = 0;
    for (int64_t offset = user; offset < EVENTS; offset += USERS)
        clicks += is_click(offset);
    return clicks;
}

static bool killed(struct rig *rig)
{
    return rig->fuel-- == 0;
}

/* "u12", or in layout interest "u12#1". */
static enum ms_status take_output(void *context, const struct ms_output *output, struct ms_error *error)
{
    struct rig *rig = context;
    char key[32];
    unsigned user, slot = 0;
    (void)error;
    snprintf(key, sizeof key, "%.*s", (int)output->key.size, output->key.data);
    assert_true(sscanf(key, "u%u%*[^0-9]%u", &user, &slot) >= 1 && user < USERS && slot < 4);
    rig->touched[user * 4 + slot] = true;
    rig->open[user * 4 + slot] = output->value.data ? output->version : 0;
    return MS_OK;
}

static enum ms_status take_commit(void *context, struct ms_error *error)
{
    struct rig *rig = context;
    const struct ms_position *position = ms_positions_find(ms_engine_positions(rig->session.engine), 0, 0);
    assert_non_null(position);
    if (killed(rig))
        return ms_fail(error, MS_KAFKA_ABORT, "killed");
    rig->committed = position->next;
    rig->note_bytes = ms_engine_note(rig->session.engine, position, rig->note);
    for (int i = 0; i < KEYS; i++) {
        if (rig->touched[i])
            rig->visible[i] = rig->open[i];
        rig->touched[i] = false;
    }
    return killed(rig) ? ms_fail(error, MS_KAFKA_ABORT, "killed") : MS_OK;
}

static void start(struct rig *rig)
{
    static const struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    const struct ms_engine_options options = {.config = &rig->config,
                                              .model = rig->model.model,
                                              .store = rig->store,
                                              .decay = &decay,
                                              .incremental = true,
                                              .memory_bytes = 8 << 20,
                                              .pay_records = 5,
                                              .owner = 1,
                                              .sink = {rig, take_output},
                                              .stats = &rig->stats};
    struct ms_known known = {.committed = rig->committed, .high = EVENTS};
    struct ms_error error;
    struct ms_partition_row row;
    struct ms_position position;
    int64_t gap;
    ms_session_begin(&rig->session, &rig->config, &rig->stats, (struct ms_committer){rig, take_commit});
    assert_int_equal(ms_engine_new(&rig->session.engine, &options, &error), MS_OK);
    assert_int_equal(ms_engine_claim(rig->session.engine, 0, &row, &error), MS_OK);
    known.row = row.sources[0];
    known.ours = ms_offset_note_read(rig->note, rig->note_bytes, &known.note);
    const struct ms_begin_rule rule = {.fold_id = ms_engine_fold_id(rig->session.engine),
                                       .decode_id = ms_engine_decode_id(rig->session.engine)};
    assert_int_equal(ms_decide(&known, &rule, &position, &gap), MS_FITS);
    ms_engine_open(rig->session.engine, &position);
}

static void kill_session(struct rig *rig)
{
    ms_engine_destroy(rig->session.engine);
    rig->session.engine = NULL;
    memset(rig->touched, 0, sizeof rig->touched);
    ms_store_close(rig->store);
    rig->store = state_open(rig->dir);
}

static void process(struct rig *rig, int64_t offset)
{
    char id[16], value[96];
    int size = snprintf(id, sizeof id, "u%d", (int)(offset % USERS));
    int n = snprintf(value, sizeof value, "{\"item_id\":\"item-1\",\"timestamp\":%lld,\"event_type\":\"%s\"}",
                     1700000000000 + (long long)offset, is_click(offset) ? "click" : "view");
    const struct ms_input input = {
        .offset = offset, .time_ms = -1, .key = {id, (size_t)size}, .value = {value, (size_t)n}};
    ms_session_process(&rig->session, &input, 1, (struct ms_end){.partition = -1});
}

/* Some records, the end where it is reached, and what the worker does then. False: it was killed. */
static bool step(struct rig *rig)
{
    struct ms_position *position = ms_positions_find(ms_engine_positions(rig->session.engine), 0, 0);
    assert_non_null(position);
    if (killed(rig))
        return false;
    position->passed_over = false;
    int64_t until = position->next + 40 < EVENTS ? position->next + 40 : EVENTS;
    for (int64_t offset = position->next; offset < until; offset++)
        process(rig, offset);
    ms_session_process(&rig->session, NULL, 0,
                       (struct ms_end){.partition = position->next == EVENTS ? 0 : -1, .offset = EVENTS});
    ms_session_maintain(&rig->session, true, false);
    return !rig->session.broken;
}

/* To the end of the log, or to where |fuel| ends; false then. */
static bool run(struct rig *rig, int fuel)
{
    rig->fuel = fuel;
    start(rig);
    const struct ms_position *position = ms_positions_find(ms_engine_positions(rig->session.engine), 0, 0);
    while (step(rig)) {
        if (position->next == EVENTS && position->committed == EVENTS &&
            !ms_engine_owes(rig->session.engine) && !ms_engine_pending(rig->session.engine))
            return true;
    }
    return false;
}

static enum ms_status count_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                                 struct ms_error *error)
{
    size_t *count = context;
    (void)partition;
    (void)id;
    (void)value;
    (void)error;
    *count += 1;
    return MS_OK;
}

static struct rig *rig_new(int layout)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->config = (struct ms_config){.application_id = "app",
                                     .input_topic = "clicks",
                                     .input_user_field = "user_id",
                                     .input_item_field = "item_id",
                                     .input_time_field = "timestamp",
                                     .input_type_field = "event_type",
                                     .input_types = "",
                                     .input_id_max_bytes = 256,
                                     .output_layout = layout,
                                     .publish_mode = MS_PUBLISH_LATEST,
                                     .dead_letter_topic = "",
                                     .commit_interval_ms = 10,
                                     .state_flush_interval_ms = 3600000,
                                     .state_behaviors_max = 100};
    life_model_open(&rig->model, 3, 3, 4);
    pthread_mutex_init(&rig->stats.lock, NULL);
    rig->committed = -1;
    rig->dir = state_dir_new();
    rig->store = state_open(rig->dir);
    return rig;
}

static void rig_free(struct rig *rig)
{
    ms_store_close(rig->store);
    state_dir_remove(rig->dir);
    pthread_mutex_destroy(&rig->stats.lock);
    life_model_close(&rig->model);
    free(rig);
}

/* All events as they come, then a kill, views that do not count, and a kill at every step that there is. */
static void change_types(int layout, int fuel, bool *finished)
{
    struct rig *rig = rig_new(layout);
    assert_true(run(rig, INT_MAX));
    for (uint32_t user = 0; user < USERS; user++)
        assert_int_equal(rig->visible[user * 4], EVENTS / USERS);
    kill_session(rig);
    rig->config.input_types = "click";
    *finished = run(rig, fuel);
    if (!*finished) {
        kill_session(rig);
        assert_true(run(rig, INT_MAX));
    }
    ms_session_release(&rig->session, false);
    for (uint32_t user = 0; user < USERS; user++) {
        for (uint32_t slot = 1; slot < 4; slot++)
            assert_true(clicks_of(user) > 0 || rig->visible[user * 4 + slot] == 0);
        if (rig->visible[user * 4] != clicks_of(user))
            fail_msg("fuel %d: user %u is shown as of version %d and has %d", fuel, user,
                     (int)rig->visible[user * 4], (int)clicks_of(user));
    }
    ms_engine_destroy(rig->session.engine);
    if (*finished) { /* nothing stays of those that have no events */
        size_t users = 0;
        struct ms_error error;
        const struct ms_store_visitor visitor = {.context = &users, .on_user = count_user};
        assert_int_equal(ms_store_walk(rig->store, &visitor, &error), MS_OK);
        assert_int_equal(users, 20);
    }
    rig_free(rig);
}

static void killed_at_every_step(int layout)
{
    bool finished = false;
    int fuel = 0;
    for (; !finished; fuel += STRIDE)
        change_types(layout, fuel, &finished);
    assert_true(fuel > 8);
}

static void users_are_put_right(void **state)
{
    (void)state;
    killed_at_every_step(MS_LAYOUT_USER);
}

static void slots_are_put_right(void **state)
{
    (void)state;
    killed_at_every_step(MS_LAYOUT_INTEREST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_key_or_event_names),
        cmocka_unit_test(users_are_put_right),
        cmocka_unit_test(slots_are_put_right),
    };
    ms_log_set_level(MS_LOG_ERROR);
    if (access("/dev/shm", W_OK) == 0) /* hundreds of databases, none of which outlives the machine */
        setenv("TMPDIR", "/dev/shm", 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
