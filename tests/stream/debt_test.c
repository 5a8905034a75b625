/* Debts: the rules by which one begins, how far it is paid, and sessions that are killed between every two
 * steps of one. The broker is a struct: what a commit brings is visible, offset and note go with it. */
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
#include "stream/session.h"
#include "stream/source.h"

/* ---- how far it is paid ---- */

static struct ms_bytes text(const char *id)
{
    return (struct ms_bytes){id, strlen(id)};
}

static void everybody_up_to_the_last_is_paid(void **state)
{
    struct ms_paid paid = {.users = 0};
    uint64_t alike = 0;
    (void)state;
    assert_false(ms_paid_covers(&paid, text("a"), &alike));
    ms_paid_add(&paid, text("ab"));
    ms_paid_add(&paid, text("b"));
    assert_true(ms_paid_covers(&paid, text("ab"), &alike));
    assert_true(ms_paid_covers(&paid, text("az"), &alike)); /* nobody owed it anything then */
    assert_true(ms_paid_covers(&paid, text("b"), &alike));
    assert_false(ms_paid_covers(&paid, text("b\1"), &alike));
    assert_false(ms_paid_covers(&paid, text("c"), &alike));
    ms_paid_add(&paid, text("\xff"));
    assert_true(ms_paid_covers(&paid, text("z"), &alike)); /* bytes are unsigned */
}

/* Ids that are longer than what is kept of them are counted. */
static void long_ids_are_counted(void **state)
{
    char ids[4][MS_PAID_PREFIX + 3];
    struct ms_paid paid = {.users = 0};
    uint64_t alike = 0;
    (void)state;
    memset(ids, 'x', sizeof ids);
    for (int i = 0; i < 4; i++)
        snprintf(ids[i] + MS_PAID_PREFIX, 3, "%d", i);
    ids[0][MS_PAID_PREFIX] = '\0'; /* the prefix itself */
    for (int i = 0; i < 3; i++)
        ms_paid_add(&paid, text(ids[i]));
    assert_int_equal(paid.users, 3);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ms_paid_covers(&paid, text(ids[i]), &alike), i < 3);
    assert_true(ms_paid_covers(&paid, text("xx"), &alike));
    assert_false(ms_paid_covers(&paid, text("y"), &alike));
}

/* ---- how it begins ---- */

static void a_debt_begins_or_goes_on(void **state)
{
    const struct ms_paid some = {.users = 1, .bytes = 1, .prefix = "m"};
    static const struct ms_debt_note none = {.number = 0};
    const struct {
        const char *what;
        uint64_t row_debt;
        int64_t row_from;
        struct ms_debt_note note;
        bool republish;
        uint64_t number; /* expected */
        int64_t from;
        bool paid, carried;
    } cases[] = {
        {"nothing", 0, -1, none, false, 0, -1, false, false},
        {"the first", 0, -1, none, true, 1, 50, false, false},
        {"one after a paid one", 3, -1, {.number = 3}, true, 4, 50, false, false},
        {"one after one of another place", 2, -1, {.number = 3}, true, 4, 50, false, false},
        {"stored, nobody paid", 4, 20, {.number = 3}, true, 4, 20, false, true},
        {"stored, nobody paid, at C", 4, 20, {.number = 3}, false, 4, 20, false, true},
        {"stored, by another's offset", 4, 20, none, false, 4, 20, false, true},
        {"some paid", 4, 20, {4, true, 2, some, 0}, false, 4, 20, true, true},
        {"all paid, not stored so", 4, 20, {.number = 4}, false, 4, -1, false, false},
        {"some paid, the state is lost", 0, -1, {4, true, 2, some, 0}, false, 4, 50, true, true},
        {"some paid, the state is lost, the same replay",
         0,
         -1,
         {4, true, 2, some, 50},
         false,
         4,
         50,
         true,
         true},
        {"some paid, the state is lost, an earlier replay",
         0,
         -1,
         {4, true, 2, some, 51},
         false,
         5,
         50,
         false,
         true},
        {"some paid, not stored so, an earlier replay",
         4,
         51,
         {4, true, 2, some, 51},
         false,
         4,
         51,
         true,
         true},
        {"some paid, the state is lost, a third fold",
         0,
         -1,
         {4, true, 2, some, 0},
         true,
         5,
         50,
         false,
         true},
        {"an old state of one that is paid", 3, 10, {.number = 4}, false, 4, -1, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ms_partition_row row = MS_EMPTY_ROW;
        row.debt = cases[i].row_debt;
        row.owed_from = cases[i].row_from;
        row.shown_slots = 3;
        struct ms_debt debt = ms_debt_begin(&row, &cases[i].note, cases[i].republish, 50, 1);
        if (debt.number != cases[i].number || debt.owed_from != cases[i].from ||
            (debt.paid.users > 0) != cases[i].paid || debt.carried != cases[i].carried)
            fail_msg("%s: number %d from %d paid %d carried %d", cases[i].what, (int)debt.number,
                     (int)debt.owed_from, debt.paid.users > 0, debt.carried);
        if (ms_debt_is_open(&debt))
            assert_int_equal(debt.shown_slots, debt.carried ? 3 : 1);
        struct ms_debt_note note = ms_debt_note(&debt);
        assert_true(note.number == debt.number && note.open == ms_debt_is_open(&debt));
        assert_memory_equal(&note.paid, &debt.paid, note.open ? sizeof note.paid : 0);
    }
}

/* ---- sessions ---- */

#define MOST_USERS 4000

struct shown {
    uint32_t user;
    int fold;
    uint64_t version;
    bool null;
};

struct rig {
    struct ms_config config;
    struct life_model model;
    char *dir;
    struct ms_store *store;
    struct ms_stats stats;
    struct ms_session session;
    size_t memory_bytes, pay_records;
    int fold; /* counts the settings that were tried */
    /* the log: event i is of user i % users; |forgotten| is forgotten at its end */
    uint32_t users;
    int64_t events;
    uint32_t forgotten; /* UINT32_MAX: nobody is */
    bool long_ids;
    /* the broker */
    int64_t committed;
    char note[MS_NOTE_BYTES];
    size_t note_bytes;
    struct shown *visible, *open;
    size_t visible_count, open_count, most_open;
    uint64_t most_bytes; /* of users in memory, at a commit */
    int fuel;            /* steps to the kill */
};

/* Ids in an order of their own; the long ones have the same beginning. */
static size_t id_of(const struct rig *rig, uint32_t user, char id[100])
{
    uint32_t number = user * 7919 % MOST_USERS;
    return (size_t)(rig->long_ids && user % 2 ? snprintf(id, 100, "%070u%04u", 0, number)
                                              : snprintf(id, 100, "%04u", number));
}

static uint32_t user_of(const struct rig *rig, struct ms_bytes key)
{
    for (uint32_t user = 0; user < rig->users; user++) {
        char id[100];
        size_t size = id_of(rig, user, id);
        if (key.size == size && memcmp(key.data, id, size) == 0)
            return user;
    }
    fail_msg("key %.*s", (int)key.size, key.data);
    return 0;
}

static bool killed(struct rig *rig)
{
    return rig->fuel-- == 0;
}

static enum ms_status take_output(void *context, const struct ms_output *output, struct ms_error *error)
{
    struct rig *rig = context;
    (void)error;
    assert_true(rig->open_count < 2 * MOST_USERS);
    rig->open[rig->open_count++] = (struct shown){.user = user_of(rig, output->key),
                                                  .fold = rig->fold,
                                                  .version = output->version,
                                                  .null = output->value.data == NULL};
    return MS_OK;
}

/* All that was emitted, with offset and note, or nothing; or all, but nobody hears of it. */
static enum ms_status take_commit(void *context, struct ms_error *error)
{
    struct rig *rig = context;
    const struct ms_position *position = ms_positions_find(ms_engine_positions(rig->session.engine), 0, 0);
    assert_non_null(position);
    if (killed(rig))
        return ms_fail(error, MS_KAFKA_ABORT, "killed");
    assert_true(ms_position_to_send(position) && position->next >= rig->committed);
    rig->committed = position->next;
    rig->note_bytes = ms_engine_note(rig->session.engine, position, rig->note);
    memcpy(rig->visible + rig->visible_count, rig->open, rig->open_count * sizeof *rig->open);
    rig->visible_count += rig->open_count;
    if (rig->open_count > rig->most_open)
        rig->most_open = rig->open_count;
    rig->open_count = 0;
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
                                              .memory_bytes = rig->memory_bytes,
                                              .pay_records = rig->pay_records,
                                              .owner = 1,
                                              .sink = {rig, take_output},
                                              .stats = &rig->stats};
    struct ms_known known = {.committed = rig->committed, .high = rig->events};
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
    rig->open_count = 0;
    ms_store_close(rig->store);
    rig->store = state_open(rig->dir);
}

static void lose_state(struct rig *rig)
{
    ms_store_close(rig->store);
    state_dir_remove(rig->dir);
    rig->dir = state_dir_new();
    rig->store = state_open(rig->dir);
}

static void other_settings(struct rig *rig)
{
    rig->config.state_behaviors_max--;
    rig->fold++;
}

/* One record of the log, as the next of a batch of one. */
static void process(struct rig *rig, int64_t offset)
{
    char id[100], value[64];
    bool forgets = rig->forgotten != UINT32_MAX && offset == rig->events - 1;
    uint32_t user = forgets ? rig->forgotten : (uint32_t)(offset % rig->users);
    size_t size = id_of(rig, user, id);
    int n = snprintf(value, sizeof value, "{\"item_id\":\"item-1\",\"timestamp\":%lld}",
                     1700000000000 + (long long)offset);
    const struct ms_input input = {.offset = offset,
                                   .time_ms = -1,
                                   .key = {id, size},
                                   .value = {forgets ? NULL : value, forgets ? 0 : (size_t)n}};
    ms_session_process(&rig->session, &input, 1, (struct ms_end){.partition = -1});
}

/* Up to |count| records, the end where it is reached, and what the worker does then. False: it was killed. */
static bool step(struct rig *rig, int count)
{
    struct ms_session *session = &rig->session;
    struct ms_position *position = ms_positions_find(ms_engine_positions(session->engine), 0, 0);
    assert_non_null(position);
    if (killed(rig))
        return false;
    ms_session_flush_end(session, true); /* or the steps would be too many to try them all */
    position->passed_over = false;       /* the consumer has gone back */
    for (int64_t offset = position->next; offset < rig->events && count > 0; offset++, count--)
        process(rig, offset);
    ms_session_process(
        session, NULL, 0,
        (struct ms_end){.partition = position->next == rig->events ? 0 : -1, .offset = rig->events});
    ms_session_maintain(session, true, false);
    if (ms_counted(&rig->stats.user_bytes) > rig->most_bytes)
        rig->most_bytes = ms_counted(&rig->stats.user_bytes);
    return !session->broken;
}

/* To the end of the log. Where |fuel| ends, the process does; false then. */
static bool run(struct rig *rig, int count, int fuel)
{
    const struct ms_position *position;
    rig->fuel = fuel;
    start(rig);
    position = ms_positions_find(ms_engine_positions(rig->session.engine), 0, 0);
    while (step(rig, count)) {
        if (position->next == rig->events && position->committed == rig->events &&
            !ms_engine_owes(rig->session.engine) && !ms_engine_pending(rig->session.engine))
            return true;
    }
    return false;
}

static struct rig *rig_new(uint32_t users, int64_t events)
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
                                     .publish_mode = MS_PUBLISH_LATEST,
                                     .dead_letter_topic = "",
                                     .commit_interval_ms = 10,
                                     .state_behaviors_max = 100};
    life_model_open(&rig->model, 3, 3, 4);
    pthread_mutex_init(&rig->stats.lock, NULL);
    rig->memory_bytes = 8 << 20;
    rig->users = users;
    rig->events = events;
    rig->forgotten = UINT32_MAX;
    rig->committed = -1;
    rig->visible = calloc(4 * MOST_USERS, sizeof *rig->visible);
    rig->open = calloc(2 * MOST_USERS, sizeof *rig->open);
    assert_true(rig->visible && rig->open);
    rig->dir = state_dir_new();
    rig->store = state_open(rig->dir);
    return rig;
}

static void rig_free(struct rig *rig)
{
    ms_engine_destroy(rig->session.engine);
    ms_store_close(rig->store);
    state_dir_remove(rig->dir);
    life_model_close(&rig->model);
    pthread_mutex_destroy(&rig->stats.lock);
    free(rig->visible);
    free(rig->open);
    free(rig);
}

/* How often a user was published under a fold from |fold| on; each time as of C. */
static int times_published(const struct rig *rig, uint32_t user, int fold)
{
    int times = 0;
    uint64_t version = (uint64_t)(rig->events / rig->users);
    for (size_t i = 0; i < rig->visible_count; i++) {
        const struct shown *shown = &rig->visible[i];
        if (shown->user != user || shown->fold < fold)
            continue;
        assert_false(shown->null);
        assert_int_equal(shown->version, version);
        times++;
    }
    return times;
}

/* State lost and other settings: what is in memory stays within its bound, and so does a transaction. */
static void a_debt_is_bounded(void **state)
{
    struct rig *rig = rig_new(MOST_USERS, 2 * MOST_USERS);
    (void)state;
    rig->memory_bytes = 256 << 10;
    rig->pay_records = 500;
    assert_true(run(rig, 64, INT_MAX));
    kill_session(rig);
    lose_state(rig);
    other_settings(rig);
    rig->most_open = 0;
    rig->most_bytes = 0;
    assert_true(run(rig, 64, INT_MAX));
    for (uint32_t user = 0; user < rig->users; user++)
        assert_int_equal(times_published(rig, user, 1), 1);
    print_message("records of a transaction: %zu, bytes of users: %llu of %zu\n", rig->most_open,
                  (unsigned long long)rig->most_bytes, rig->memory_bytes);
    assert_true(rig->most_open <= 500);
    assert_true(rig->most_bytes <= 2 * rig->memory_bytes);
    rig_free(rig);
}

enum then { GOES_ON, STATE_IS_LOST, THIRD_FOLD };

/* Killed after |fuel| steps of the debt, then |then|, killed again after |fuel2|, and on to its end. False when
 * it ends before the first kill. */
static bool killed_once(int fuel, enum then then, int fuel2, bool lost)
{
    struct rig *rig = rig_new(24, lost ? 49 : 24);
    rig->long_ids = true;
    rig->pay_records = 3;
    if (!lost) { /* what is stored is behind what is committed */
        assert_true(run(rig, 7, INT_MAX));
        ms_session_flush_end(&rig->session, true);
        kill_session(rig);
        rig->config.state_flush_interval_ms = 3600000;
        rig->events = 49;
    }
    rig->forgotten = 5;
    assert_true(run(rig, 7, INT_MAX));
    kill_session(rig);
    if (lost)
        lose_state(rig);
    rig->config.state_flush_interval_ms = 0;
    other_settings(rig);
    bool early = run(rig, 7, fuel);
    if (!early) {
        kill_session(rig);
        if (then == STATE_IS_LOST)
            lose_state(rig);
        if (then == THIRD_FOLD)
            other_settings(rig);
        if (!run(rig, 7, fuel2)) {
            kill_session(rig);
            assert_true(run(rig, 7, INT_MAX));
        }
    }
    for (uint32_t user = 0; user < rig->users; user++) {
        int expected = user != rig->forgotten, times = times_published(rig, user, 1);
        if (times != expected)
            fail_msg("killed after %d and %d steps, then %d: user %u was published %d times", fuel, fuel2,
                     then, user, times);
    }
    rig->events += rig->users; /* life goes on, and each is published once more */
    struct ms_position *position = ms_positions_find(ms_engine_positions(rig->session.engine), 0, 0);
    size_t before = rig->visible_count;
    rig->forgotten = UINT32_MAX;
    rig->fuel = INT_MAX;
    assert_non_null(position);
    while (position->next < rig->events || ms_engine_pending(rig->session.engine))
        assert_true(step(rig, 7));
    assert_int_equal(rig->visible_count, before + rig->users);
    rig_free(rig);
    return !early;
}

static void a_kill_neither_loses_nor_doubles(void **state)
{
    (void)state;
    int kills = 0;
    for (int fuel = 0; killed_once(fuel, GOES_ON, fuel / 2, true); fuel++)
        kills++;
    assert_true(kills > 20);
    for (int fuel = 0; killed_once(fuel, STATE_IS_LOST, 3 * fuel / 2, true); fuel++)
        continue;
    for (int fuel = 0; killed_once(fuel, GOES_ON, 1, false); fuel++)
        continue;
}

/* Other settings again in the middle of a debt: who is paid stays so, the others are paid under the new ones. */
static void a_third_fold_goes_on(void **state)
{
    (void)state;
    for (int fuel = 0; killed_once(fuel, THIRD_FOLD, fuel / 2, true); fuel++)
        continue;
}

int main(void)
{
    ms_log_set_level(MS_LOG_ERROR);
    if (access("/dev/shm", W_OK) == 0) /* hundreds of databases, none of which outlives the machine */
        setenv("TMPDIR", "/dev/shm", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_up_to_the_last_is_paid), cmocka_unit_test(long_ids_are_counted),
        cmocka_unit_test(a_debt_begins_or_goes_on),         cmocka_unit_test(a_debt_is_bounded),
        cmocka_unit_test(a_kill_neither_loses_nor_doubles), cmocka_unit_test(a_third_fold_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
