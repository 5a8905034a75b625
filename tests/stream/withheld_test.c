/* user.max.publish.rate: names in notes, and engines that live at random (commits, flushes, kills before and after the commit,
 * clean ends, models exchanged) with a clock of their own. The broker is a struct: what a commit brings is visible, offset and
 * note go with it.
 *
 * What must hold, whatever happens: no version of a user is seen twice, none goes back; the rate is kept within a life; when all
 * has ended in peace, every user was seen as of its last event, and the bytes are those that a run without a rate gives. */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/log.h"
#include "state/fixture.h"
#include "stream/engine.h"
#include "stream/source.h"
#include "stream/withheld.h"

/* ---- names in a note ---- */

static void names_there_and_back(void **state)
{
    static const struct {
        const char *id, *text;
        size_t size;
    } cases[] = {{"u1", "u1,", 2},
                 {"Az09._-", "Az09._-,", 7},
                 {"a b", "a%20b,", 3},
                 {"\xff%,", "%ff%25%2c,", 3},
                 {"a\0b", "a%00b,", 3}};
    char text[256], id[256];
    size_t size = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ms_bytes bytes = {cases[i].id, cases[i].size};
        const char *at = text;
        assert_int_equal(ms_withheld_bytes(bytes), strlen(cases[i].text));
        assert_int_equal(ms_withheld_write(text, bytes), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
        assert_true(ms_withheld_is(text, strlen(text)));
        size = ms_withheld_read(&at, id);
        assert_true(size == cases[i].size && memcmp(id, cases[i].id, size) == 0 && !*at);
    }
    for (const char *const *bad =
             (const char *const[]){"", ",", "u", "u,,", "u,v", "%,", "%2,", "%2X,", "%fg,", "a b,", NULL};
         *bad; bad++)
        assert_false(ms_withheld_is(*bad, strlen(*bad)));
}

/* ---- lives ---- */

enum { USERS = 40, EVENTS = 1200, SLOTS = 8, LIVES = 40 };

struct seen {
    uint64_t version; /* the last one, 0: none */
    int fold;         /* under which settings */
    double at_s;      /* when, in this life of the process; -1: not in this one */
    uint64_t digest;
    bool shown[SLOTS]; /* layout interest: slots whose last value is not null */
};

struct change {
    uint32_t user;
    bool null;
    int slot; /* -1: layout user */
    uint64_t version, digest;
};

struct rig {
    struct ms_config config;
    struct life_model model;
    char *dir;
    struct ms_store *store;
    struct ms_stats stats;
    struct ms_engine *engine;
    uint64_t random;
    double now_s;
    bool draining;
    int fold; /* counts the settings that were tried */
    /* the log */
    uint32_t user_of[EVENTS];
    bool forgets[EVENTS];
    size_t id_bytes, memory_bytes;
    /* the broker */
    int64_t committed;
    char note[MS_NOTE_BYTES];
    size_t note_bytes;
    struct seen seen[USERS];
    struct change open[2 * EVENTS];
    size_t open_count;
    uint64_t publications, early;
};

static uint64_t draw_of(struct rig *rig, uint64_t below)
{
    rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
    return (rig->random >> 33) % below;
}

static size_t id_of(const struct rig *rig, uint32_t user, char id[512])
{
    return (size_t)snprintf(id, 512, "%0*" PRIu32, (int)rig->id_bytes, user);
}

static enum ms_status take_output(void *context, const struct ms_output *output, struct ms_error *error)
{
    struct rig *rig = context;
    (void)error;
    char text[600];
    assert_true(output->key.size < sizeof text && rig->open_count < sizeof rig->open / sizeof *rig->open);
    memcpy(text, output->key.data, output->key.size);
    text[output->key.size] = '\0';
    const char *slot = strchr(text, '#');
    rig->open[rig->open_count++] = (struct change){
        .user = (uint32_t)strtoul(text, NULL, 10),
        .null = !output->value.data,
        .slot = slot ? atoi(slot + 1) : -1,
        .version = output->version,
        .digest = ms_digest_next(0, output->value.data, output->value.size)};
    return MS_OK;
}

/* What a reader makes of a record. */
static void see(struct rig *rig, const struct change *change)
{
    struct seen *seen = &rig->seen[change->user];
    if (change->slot >= 0)
        seen->shown[change->slot] = !change->null;
    if (change->null && change->slot <= 0) { /* forgotten: a user that is there has slot 0 */
        seen->version = seen->digest = 0;
        seen->at_s = -1;
    }
    if (change->null || change->slot > 0)
        return;
    bool again = change->version == seen->version && rig->fold > seen->fold; /* owed under other settings */
    if (change->version <= seen->version && !again)
        fail_msg("user %" PRIu32 ": version %d after %d", change->user, (int)change->version,
                 (int)seen->version);
    double interval_s = rig->config.user_max_publish_rate ? 1.0 / (double)rig->config.user_max_publish_rate
                                                          : 0;
    if (seen->at_s >= 0 && !rig->draining && rig->now_s - seen->at_s < interval_s - 0.002)
        rig->early++;
    seen->version = change->version;
    seen->digest = change->digest;
    seen->at_s = rig->now_s;
    seen->fold = rig->fold;
    rig->publications++;
}

static void open_engine(struct rig *rig)
{
    static const struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    const struct ms_engine_options options = {.config = &rig->config,
                                              .model = rig->model.model,
                                              .store = rig->store,
                                              .decay = &decay,
                                              .incremental = true,
                                              .memory_bytes = rig->memory_bytes,
                                              .owner = 1,
                                              .sink = {rig, take_output},
                                              .stats = &rig->stats};
    struct ms_known known = {.committed = rig->committed, .high = EVENTS};
    struct ms_error error;
    struct ms_partition_row row;
    struct ms_position position;
    int64_t gap;
    assert_int_equal(ms_engine_new(&rig->engine, &options, &error), MS_OK);
    assert_int_equal(ms_engine_claim(rig->engine, 0, &row, &error), MS_OK);
    known.row = row.sources[0];
    known.ours = ms_offset_note_read(rig->note, rig->note_bytes, &known.note);
    const struct ms_begin_rule rule = {.fold_id = ms_engine_fold_id(rig->engine),
                                       .decode_id = ms_engine_decode_id(rig->engine)};
    assert_int_equal(ms_decide(&known, &rule, &position, &gap), MS_FITS);
    ms_engine_open(rig->engine, &position);
    for (int user = 0; user < USERS; user++)
        rig->seen[user].at_s = -1;
}

static void kill_engine(struct rig *rig)
{
    ms_engine_destroy(rig->engine);
    rig->open_count = 0;
    ms_store_close(rig->store);
    rig->store = state_open(rig->dir);
}

static void flush(struct rig *rig)
{
    struct ms_error error;
    bool lost;
    if (!ms_engine_pending(rig->engine) && ms_engine_dirty(rig->engine))
        assert_int_equal(ms_engine_flush(rig->engine, &lost, &error), MS_OK);
}

/* False where the process was killed: before the commit, or after it without hearing of it. */
static bool commit(struct rig *rig, double withhold_s, bool trouble)
{
    struct ms_error error;
    uint64_t fate = trouble ? draw_of(rig, 12) : 2;
    const struct ms_position *position = ms_positions_find(ms_engine_positions(rig->engine), 0, 0);
    rig->draining = isinf(withhold_s) != 0;
    assert_int_equal(ms_engine_before_commit(rig->engine, withhold_s, &error), MS_OK);
    if (!ms_engine_pending(rig->engine)) {
        assert_int_equal(rig->open_count, 0);
        return true;
    }
    if (fate == 0) {
        kill_engine(rig);
        return false;
    }
    assert_true(ms_position_to_send(position));
    rig->committed = position->next;
    rig->note_bytes = ms_engine_note(rig->engine, position, rig->note);
    for (size_t i = 0; i < rig->open_count; i++)
        see(rig, &rig->open[i]);
    rig->open_count = 0;
    if (fate == 1) {
        kill_engine(rig);
        return false;
    }
    ms_engine_committed(rig->engine);
    return true;
}

/* The debt of a replay under other settings. */
static bool pay(struct rig *rig, bool trouble)
{
    struct ms_error error;
    while (ms_engine_owes(rig->engine)) {
        if (!commit(rig, rig->now_s, trouble))
            return false;
        flush(rig);
        assert_int_equal(ms_engine_pay(rig->engine, &error), MS_OK);
        if (!commit(rig, rig->now_s, trouble))
            return false;
    }
    return true;
}

static void process(struct rig *rig, size_t count)
{
    struct ms_error error;
    struct ms_position *position = ms_positions_find(ms_engine_positions(rig->engine), 0, 0);
    if (!ms_engine_waits(rig->engine, position))
        position->passed_over = false;
    for (int64_t offset = position->next; offset < EVENTS && count > 0; offset++, count--) {
        char id[512], value[64];
        size_t size = id_of(rig, rig->user_of[offset], id);
        int n = snprintf(value, sizeof value, "{\"item_id\":\"item-%d\",\"timestamp\":%lld}",
                         (int)(offset % 7), 1700000000000 + (long long)offset);
        bool forgets = rig->forgets[offset];
        const struct ms_input input = {.offset = offset,
                                       .time_ms = -1,
                                       .key = {id, size},
                                       .value = {forgets ? NULL : value, forgets ? 0 : (size_t)n}};
        assert_int_equal(ms_engine_process(rig->engine, &input, 1, &error), MS_OK);
    }
    if (position->next == EVENTS || (position->next < position->replay_until && count > 0))
        ms_engine_reached(rig->engine, 0, 0, EVENTS);
}

static struct rig *rig_new(uint64_t seed, int64_t rate, int layout, size_t id_bytes)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig->random = seed;
    rig->id_bytes = id_bytes;
    rig->memory_bytes = seed % 2 ? 8 << 20
                                 : 20000; /* a user that has left memory is taken for one not published yet */
    rig->config = (struct ms_config){.application_id = "app",
                                     .input_topic = "clicks",
                                     .input_user_field = "user_id",
                                     .input_item_field = "item_id",
                                     .input_time_field = "timestamp",
                                     .input_type_field = "event_type",
                                     .input_types = "",
                                     .input_id_max_bytes = 512,
                                     .output_layout = layout,
                                     .publish_mode = MS_PUBLISH_LATEST,
                                     .user_max_publish_rate = rate,
                                     .dead_letter_topic = "",
                                     .commit_interval_ms = 10,
                                     .state_behaviors_max = 100};
    life_model_open(&rig->model, 3, 3, 4);
    pthread_mutex_init(&rig->stats.lock, NULL);
    rig->committed = -1;
    rig->now_s = 1000;
    rig->dir = state_dir_new();
    rig->store = state_open(rig->dir);
    for (int i = 0; i < EVENTS; i++) { /* half of the traffic is one user's */
        rig->user_of[i] = draw_of(rig, 2) ? 0 : (uint32_t)draw_of(rig, USERS);
        rig->forgets[i] = draw_of(rig, 60) == 0;
    }
    open_engine(rig);
    return rig;
}

static void rig_free(struct rig *rig)
{
    ms_engine_destroy(rig->engine);
    ms_store_close(rig->store);
    state_dir_remove(rig->dir);
    life_model_close(&rig->model);
    pthread_mutex_destroy(&rig->stats.lock);
    free(rig);
}

/* From the first event to a peaceful end. */
static void live(struct rig *rig, bool trouble)
{
    const struct ms_position *position;
    for (;;) {
        position = ms_positions_find(ms_engine_positions(rig->engine), 0, 0);
        if (position->next == EVENTS && position->committed == EVENTS && !ms_engine_owes(rig->engine))
            break;
        process(rig, 1 + draw_of(rig, 30));
        rig->now_s += (double)draw_of(rig, 300) / 1000;
        bool alive = pay(rig, trouble) && (draw_of(rig, 3) == 0 || commit(rig, rig->now_s, trouble));
        if (alive && draw_of(rig, 8) == 0)
            flush(rig);
        if (alive && trouble && draw_of(rig, 40) == 0) { /* the partition goes, in peace */
            (void)commit(rig, INFINITY, false);
            flush(rig);
            position = ms_positions_find(ms_engine_positions(rig->engine), 0, 0);
            if (!ms_position_replays(position) && !ms_engine_waits(rig->engine, position))
                assert_null(strstr(rig->note, "withheld="));
            kill_engine(rig);
            alive = false;
        }
        if (!alive) {
            if (trouble && draw_of(rig, 6) == 0) { /* other settings: a debt */
                rig->config.state_behaviors_max ^= 1;
                rig->fold++;
            }
            if (trouble && draw_of(rig, 8) == 0) { /* what the note names was withheld by another mode */
                rig->config.publish_mode = MS_PUBLISH_EVERY;
                rig->config.user_max_publish_rate = 0;
            }
            open_engine(rig);
        }
    }
    assert_true(commit(rig, INFINITY, false));
    flush(rig);
}

/* Each user was seen as of its last event, and as the run without a rate has it. */
static void check_end(const struct rig *rig, const struct rig *plain)
{
    for (int user = 0; user < USERS; user++) {
        assert_int_equal(rig->seen[user].version, plain->seen[user].version);
        assert_memory_equal(rig->seen[user].shown, plain->seen[user].shown, sizeof rig->seen[user].shown);
        if (rig->fold == 0)
            assert_true(rig->seen[user].digest == plain->seen[user].digest);
    }
}

static void lives_at_random(void **state)
{
    uint64_t withheld = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= LIVES; seed++) {
        int layout = seed % 3 ? MS_LAYOUT_USER : MS_LAYOUT_INTEREST;
        size_t id_bytes = seed % 4 ? 6 : 300; /* a note has room for all of them, or for five */
        struct rig *plain = rig_new(seed, 0, layout, id_bytes);
        struct rig *rig = rig_new(seed, 1 + (int64_t)(seed % 3), layout, id_bytes);
        live(plain, false);
        live(rig, seed > 5);
        check_end(rig, plain);
        if (id_bytes < 300 && seed % 2 && rig->fold == 0 && rig->early > 0) /* a debt is paid at once */
            fail_msg("seed %d: %d publications before the rate allowed them", (int)seed, (int)rig->early);
        assert_true(seed > 5 || rig->publications < plain->publications);
        withheld += ms_counted(&rig->stats.withheld);
        assert_int_equal(ms_counted(&plain->stats.withheld), 0);
        rig_free(rig);
        rig_free(plain);
    }
    assert_true(withheld > 1000);
}

/* One hot user in publish.mode=latest: at most one record for a commit without a rate, and at most |rate| in a second with one. */
static void a_hot_user_is_coalesced(void **state)
{
    (void)state;
    for (int rate = 0; rate <= 2; rate += 2) {
        struct rig *rig = rig_new(7, rate, MS_LAYOUT_USER, 6);
        for (int i = 0; i < EVENTS; i++) {
            rig->user_of[i] = 0;
            rig->forgets[i] = false;
        }
        uint64_t commits = 0;
        for (int i = 0; i < EVENTS / 100; i++, commits++) { /* 1,000 events a second, a commit each 100 ms */
            process(rig, 100);
            assert_true(commit(rig, rig->now_s, false));
            assert_true(rate == 0 || isinf(ms_engine_due_s(rig->engine)) ||
                        ms_engine_due_s(rig->engine) <= rig->now_s + 0.51);
            rig->now_s += 0.1;
        }
        assert_int_equal(rig->publications, rate ? 3 : commits); /* 1.2 seconds: at 0, 0.5 and 1 */
        rig->now_s += 0.5;
        assert_true(rate == 0 || ms_engine_due_s(rig->engine) <= rig->now_s); /* without another event */
        assert_true(commit(rig, rig->now_s, false));
        assert_int_equal(rig->seen[0].version, EVENTS);
        assert_true(isinf(ms_engine_due_s(rig->engine)));
        rig_free(rig);
    }
}

/* A reload: without the rate, what is withheld goes out with the next commit. */
static void the_rate_is_taken_away(void **state)
{
    (void)state;
    struct rig *rig = rig_new(9, 1, MS_LAYOUT_USER, 6);
    memset(rig->forgets, 0, sizeof rig->forgets);
    process(rig, 50);
    assert_true(commit(rig, rig->now_s, false));
    process(rig, 50);
    assert_true(commit(rig, rig->now_s, false));
    assert_non_null(strstr(rig->note, "withheld="));
    assert_true(ms_engine_due_s(rig->engine) > rig->now_s);
    rig->config.user_max_publish_rate = 0;
    assert_true(commit(rig, rig->now_s, false));
    assert_null(strstr(rig->note, "withheld="));
    assert_true(isinf(ms_engine_due_s(rig->engine)));
    rig_free(rig);
}

int main(void)
{
    ms_log_set_level(MS_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_there_and_back),
        cmocka_unit_test(a_hot_user_is_coalesced),
        cmocka_unit_test(the_rate_is_taken_away),
        cmocka_unit_test(lives_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
