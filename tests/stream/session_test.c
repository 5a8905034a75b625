/* The half of a worker that knows no Kafka: when it commits and flushes, what ends its session, and what
 * follows then. The committer is a counter, or refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/progress.h"
#include "state/fixture.h"
#include "stream/restart.h"
#include "stream/session.h"
#include "stream/source.h"

/* ---- pace ---- */

static const struct ms_config intervals = {.commit_interval_ms = 100, .state_flush_interval_ms = 2000};

static void commits_when_due(void **state)
{
    struct ms_pace pace;
    (void)state;
    ms_pace_begin(&pace, &intervals, 50);
    ms_pace_pending(&pace, 51);
    ms_pace_pending(&pace, 51.05); /* the first pending record counts */
    assert_false(ms_pace_commit_due(&pace, false, false, 51.05));
    assert_false(ms_pace_commit_due(&pace, false, false, 51.099));
    assert_true(ms_pace_commit_due(&pace, false, false, 51.101));
    assert_true(ms_pace_commit_due(&pace, true, false, 51)); /* idle */
    assert_true(ms_pace_commit_due(&pace, false, true, 51)); /* full */
    ms_pace_committed(&pace);
    ms_pace_pending(&pace, 60);
    assert_false(ms_pace_commit_due(&pace, false, false, 60.05));
}

static void flushes_when_due(void **state)
{
    struct ms_pace pace;
    (void)state;
    ms_pace_begin(&pace, &intervals, 50);
    assert_false(ms_pace_flush_due(&pace, false, false, false, 51.9));
    assert_true(ms_pace_flush_due(&pace, false, false, false, 52));
    assert_false(ms_pace_flush_due(&pace, false, true, false, 99)); /* one is running */
    assert_false(ms_pace_flush_due(&pace, false, false, true, 59.9));
    assert_true(ms_pace_flush_due(&pace, false, false, true, 60)); /* lagging: five times as long */
    assert_true(ms_pace_flush_due(&pace, true, true, true, 50));   /* full: whatever else */
    ms_pace_flushed(&pace, 52);
    assert_false(ms_pace_flush_due(&pace, false, false, false, 53.9));
}

static void waits_no_longer_than_it_may(void **state)
{
    struct ms_pace pace;
    (void)state;
    ms_pace_begin(&pace, &intervals, 50);
    assert_int_equal(ms_pace_wait_ms(&pace, true, true, true, false, 50), MS_IDLE_MS);
    assert_int_equal(ms_pace_wait_ms(&pace, false, false, true, false, 50), MS_WAIT_MS);
    assert_int_equal(ms_pace_wait_ms(&pace, false, true, true, false, 50), MS_FLUSHING_MS);
    assert_int_equal(ms_pace_wait_ms(&pace, false, true, false, false, 50), MS_WAIT_MS);
    assert_in_range(ms_pace_wait_ms(&pace, false, true, false, false, 51.95), 49, 50);
    assert_int_equal(ms_pace_wait_ms(&pace, false, true, false, true, 51.95), MS_WAIT_MS); /* lagging */
    assert_int_equal(ms_pace_wait_ms(&pace, false, true, false, false, 53), 1);
}

/* ---- restarts ---- */

static bool follows(struct ms_restarts *restarts, enum ms_status *status, bool committed, bool is_stopping)
{
    struct ms_error error = {.text = "something"};
    return ms_restart_follows(restarts, status, &error, committed, is_stopping);
}

static void restarts_what_a_new_session_mends(void **state)
{
    struct ms_restarts restarts = {0};
    enum ms_status status = MS_KAFKA_ABORT;
    (void)state;
    assert_true(follows(&restarts, &status, false, false));
    status = MS_KAFKA_RETRY;
    assert_true(follows(&restarts, &status, false, false));
    assert_int_equal(restarts.in_a_row, 2);
    status = MS_OK;
    assert_false(follows(&restarts, &status, false, false));
    status = MS_KAFKA;
    assert_false(follows(&restarts, &status, false, false));
    assert_int_equal(status, MS_KAFKA);
    status = MS_OFFSETS;
    assert_false(follows(&restarts, &status, false, false));
    /* Asked to stop: only waiting ends well. A last commit that failed is no good end. */
    status = MS_KAFKA_RETRY;
    assert_false(follows(&restarts, &status, false, true));
    assert_int_equal(status, MS_OK);
    status = MS_KAFKA_ABORT;
    assert_false(follows(&restarts, &status, true, true));
    assert_int_equal(status, MS_KAFKA);
}

static void gives_up_after_twenty(void **state)
{
    struct ms_restarts restarts = {0};
    enum ms_status status = MS_KAFKA_ABORT;
    (void)state;
    for (int i = 1; i < MS_RESTARTS_MAX; i++)
        assert_true(follows(&restarts, &status, false, false));
    assert_true(follows(&restarts, &status, true, false)); /* a commit between: counted anew */
    assert_int_equal(restarts.in_a_row, 0);
    for (int i = 1; i < MS_RESTARTS_MAX; i++)
        assert_true(follows(&restarts, &status, false, false));
    assert_false(follows(&restarts, &status, false, false));
    assert_int_equal(status, MS_KAFKA);
}

static void pauses_longer_each_time(void **state)
{
    struct ms_restarts restarts = {0};
    (void)state;
    assert_int_equal(ms_restart_pause_ms(&restarts), 200);
    restarts.in_a_row = 3;
    assert_int_equal(ms_restart_pause_ms(&restarts), 800);
    restarts.in_a_row = 19;
    assert_int_equal(ms_restart_pause_ms(&restarts), 2000);
}

/* ---- a session ---- */

struct rig {
    struct ms_config config;
    struct life_model model;
    char *dir;
    struct ms_store *store;
    struct ms_stats stats;
    struct ms_session session;
    int64_t offset; /* of the next event */
    int commits, emitted;
    enum ms_status refuses;      /* what the committer answers */
    enum ms_status sink_refuses; /* what the sink answers */
};

static enum ms_status count_output(void *context, const struct ms_output *output, struct ms_error *error)
{
    struct rig *rig = context;
    (void)output;
    if (rig->sink_refuses != MS_OK)
        return ms_fail(error, rig->sink_refuses, "the sink refuses");
    rig->emitted++;
    return MS_OK;
}

static enum ms_status count_commit(void *context, struct ms_error *error)
{
    struct rig *rig = context;
    if (rig->refuses != MS_OK)
        return ms_fail(error, rig->refuses, "refused");
    rig->commits++;
    return MS_OK;
}

/* A session that holds partition 0 from its beginning. */
static void start(struct rig *rig, size_t memory_bytes)
{
    static const struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    const struct ms_engine_options options = {.config = &rig->config,
                                              .model = rig->model.model,
                                              .store = rig->store,
                                              .decay = &decay,
                                              .memory_bytes = memory_bytes,
                                              .owner = 1,
                                              .sink = {rig, count_output},
                                              .stats = &rig->stats};
    struct ms_error error;
    struct ms_partition_row row;
    ms_session_begin(&rig->session, &rig->config, &rig->stats, (struct ms_committer){rig, count_commit});
    assert_int_equal(ms_engine_new(&rig->session.engine, &options, &error), MS_OK);
    assert_int_equal(ms_engine_claim(rig->session.engine, 0, &row, &error), MS_OK);
    ms_engine_open(rig->session.engine, &(struct ms_position){.committed = -1, .flushed = -1});
}

/* |count| events of as many users. */
static void process(struct rig *rig, int count)
{
    for (int i = 0; i < count; i++) {
        char key[24];
        static const char value[] = "{\"item_id\":\"item-1\",\"timestamp\":1700000000000}";
        int n = snprintf(key, sizeof key, "user-%d", (int)rig->offset);
        const struct ms_input input = {.offset = rig->offset++,
                                       .time_ms = -1,
                                       .key = {key, (size_t)n},
                                       .value = {value, sizeof value - 1}};
        ms_session_process(&rig->session, &input, 1, (struct ms_end){.partition = -1});
        assert_false(rig->session.broken);
    }
}

static int64_t stored_offset(struct rig *rig)
{
    struct ms_partition_row row;
    struct ms_error error;
    bool found;
    assert_int_equal(ms_store_partition(rig->store, 0, &row, &found, &error), MS_OK);
    return found ? row.sources[MS_SOURCE_CLICKS].applied : -1;
}

static int setup(void **state)
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
                                     .publish_mode = MS_PUBLISH_EVERY,
                                     .dead_letter_topic = "",
                                     .commit_interval_ms = 3600000,
                                     .state_behaviors_max = 100,
                                     .state_flush_interval_ms = 3600000};
    life_model_open(&rig->model, 3, 3, 4);
    pthread_mutex_init(&rig->stats.lock, NULL);
    rig->dir = state_dir_new();
    rig->store = state_open(rig->dir);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    ms_engine_destroy(rig->session.engine);
    ms_store_close(rig->store);
    state_dir_remove(rig->dir);
    life_model_close(&rig->model);
    pthread_mutex_destroy(&rig->stats.lock);
    free(rig);
    return 0;
}

static void commits_when_idle(void **state)
{
    struct rig *rig = *state;
    start(rig, 64 << 20);
    process(rig, 3);
    assert_int_equal(rig->emitted, 3);
    ms_session_maintain(&rig->session, false, false);
    assert_int_equal(rig->commits, 0);
    assert_int_equal(ms_session_wait_ms(&rig->session, false), MS_IDLE_MS);
    ms_session_maintain(&rig->session, true, false);
    assert_int_equal(rig->commits, 1);
    assert_int_equal(ms_counted(&rig->stats.commits), 1);
    assert_int_equal(rig->stats.publish_us.count, 3);
    assert_false(rig->session.flushing);
    ms_session_maintain(&rig->session, true, false); /* nothing is left to commit */
    assert_int_equal(rig->commits, 1);
}

/* Dirty users that fill the memory force a commit, and a flush behind it, long before either is due. */
static void full_memory_forces_a_commit(void **state)
{
    struct rig *rig = *state;
    start(rig, 32 << 10);
    while (!ms_engine_flush_due(rig->session.engine)) {
        ms_session_maintain(&rig->session, false, false);
        assert_int_equal(rig->commits, 0);
        assert_false(rig->session.flushing);
        process(rig, 1);
    }
    ms_session_maintain(&rig->session, false, false);
    assert_int_equal(rig->commits, 1);
    assert_true(rig->session.flushing);
    assert_false(ms_engine_flush_due(rig->session.engine));
    ms_session_flush_end(&rig->session, true);
    assert_int_equal(stored_offset(rig), rig->offset);
    assert_int_equal(ms_counted(&rig->stats.flushed_users), (uint64_t)rig->offset);
}

/* The commit that a flush needs was refused: nothing may reach the disk. */
static void refused_commit_ends_the_session(void **state)
{
    struct rig *rig = *state;
    struct ms_error later;
    start(rig, 64 << 20);
    process(rig, 3);
    rig->refuses = MS_KAFKA_ABORT;
    ms_session_maintain(&rig->session, true, false);
    assert_true(rig->session.broken);
    assert_int_equal(rig->session.status, MS_KAFKA_ABORT);
    assert_string_equal(rig->session.error.text, "refused");
    rig->refuses = MS_OK;
    ms_fail(&later, MS_IO, "later");
    ms_session_break(&rig->session, MS_IO, &later); /* the first cause stays */
    assert_int_equal(rig->session.status, MS_KAFKA_ABORT);
    ms_session_release(&rig->session, false);
    assert_int_equal(rig->commits, 0);
    assert_int_equal(stored_offset(rig), -1);
}

/* One event of user "u", or, with |bad|, a record that is none. */
static void process_one(struct rig *rig, bool bad)
{
    static const char value[] = "{\"item_id\":\"item-1\",\"timestamp\":1700000000000}";
    const struct ms_input input = {.offset = rig->offset++,
                                   .time_ms = -1,
                                   .key = {"u", 1},
                                   .value = {bad ? "{" : value, bad ? 1 : sizeof value - 1}};
    ms_session_process(&rig->session, &input, 1, (struct ms_end){.partition = -1});
}

static void assert_ended_by_the_sink(struct rig *rig)
{
    assert_true(rig->session.broken);
    assert_int_equal(rig->session.status, MS_KAFKA_ABORT);
    assert_string_equal(rig->session.error.text, "the sink refuses");
    ms_session_release(&rig->session, false);
    assert_int_equal(rig->commits, 0);
    assert_int_equal(stored_offset(rig), -1);
}

/* Records that cannot be produced: at once, at the commit, in layout interest, null values, dead letters. */
static void refused_record_ends_the_session(void **state)
{
    struct rig *rig = *state;
    start(rig, 64 << 20);
    rig->sink_refuses = MS_KAFKA_ABORT;
    process_one(rig, false);
    assert_ended_by_the_sink(rig);
}

static void refused_record_at_the_commit_ends_the_session(void **state)
{
    struct rig *rig = *state;
    rig->config.publish_mode = MS_PUBLISH_LATEST;
    start(rig, 64 << 20);
    rig->sink_refuses = MS_KAFKA_ABORT;
    process_one(rig, false);
    assert_false(rig->session.broken); /* it waits for the commit */
    ms_session_commit(&rig->session);
    assert_ended_by_the_sink(rig);
}

static void refused_interest_ends_the_session(void **state)
{
    struct rig *rig = *state;
    rig->config.output_layout = MS_LAYOUT_INTEREST;
    start(rig, 64 << 20);
    rig->sink_refuses = MS_KAFKA_ABORT;
    process_one(rig, false);
    assert_ended_by_the_sink(rig);
}

static void refused_dead_letter_ends_the_session(void **state)
{
    struct rig *rig = *state;
    rig->config.dead_letter_topic = "bad";
    start(rig, 64 << 20);
    rig->sink_refuses = MS_KAFKA_ABORT;
    process_one(rig, true);
    assert_ended_by_the_sink(rig);
}

static void forget_u(struct rig *rig)
{
    const struct ms_input input = {.offset = rig->offset++, .time_ms = -1, .key = {"u", 1}};
    ms_session_process(&rig->session, &input, 1, (struct ms_end){.partition = -1});
}

static void refused_null_value_ends_the_session(void **state)
{
    struct rig *rig = *state;
    rig->config.output_layout = MS_LAYOUT_INTEREST;
    start(rig, 64 << 20);
    process_one(rig, false);
    assert_false(rig->session.broken);
    rig->sink_refuses = MS_KAFKA_ABORT;
    forget_u(rig);
    assert_ended_by_the_sink(rig);
}

/* Partition numbers that no key has room for. */
static void partition_beyond_the_keys_is_refused(void **state)
{
    struct rig *rig = *state;
    struct ms_partition_row row;
    struct ms_error error;
    start(rig, 64 << 20);
    assert_int_equal(ms_engine_claim(rig->session.engine, MS_MAX_PARTITIONS, &row, &error), MS_OFFSETS);
    assert_non_null(strstr(error.text, "above 32767"));
    assert_int_equal(ms_engine_claim(rig->session.engine, MS_MAX_PARTITIONS - 1, &row, &error), MS_OK);
    assert_int_equal(row.sources[MS_SOURCE_CLICKS].applied, -1);
    ms_engine_close(rig->session.engine, MS_MAX_PARTITIONS - 1);
    ms_engine_close(rig->session.engine, MS_MAX_PARTITIONS - 1); /* not held: nothing happens */
    ms_engine_close(rig->session.engine, 77);
}

/* The times of batches are kept apart up to a bound; what comes after counts with the last. */
static void many_batches_of_one_transaction_are_all_counted(void **state)
{
    struct rig *rig = *state;
    start(rig, 64 << 20);
    process(rig, MS_READS + 10);
    ms_session_commit(&rig->session);
    assert_int_equal(rig->commits, 1);
    assert_int_equal(rig->stats.publish_us.count, MS_READS + 10);
    process(rig, 1);
    ms_session_commit(&rig->session);
    assert_int_equal(rig->stats.publish_us.count, MS_READS + 11);
}

static void release_commits_and_flushes(void **state)
{
    struct rig *rig = *state;
    start(rig, 64 << 20);
    process(rig, 5);
    ms_session_release(&rig->session, false);
    assert_int_equal(rig->commits, 1);
    assert_int_equal(stored_offset(rig), 5);
    assert_null(ms_positions_find(ms_engine_positions(rig->session.engine), 0, MS_SOURCE_CLICKS));
}

static void lost_partitions_leave_no_trace(void **state)
{
    struct rig *rig = *state;
    start(rig, 64 << 20);
    process(rig, 5);
    ms_session_release(&rig->session, true);
    assert_int_equal(rig->commits, 0);
    assert_int_equal(stored_offset(rig), -1);
    assert_null(ms_positions_find(ms_engine_positions(rig->session.engine), 0, MS_SOURCE_CLICKS));
}

/* A flush of a partition that somebody else has taken meanwhile. */
static void late_flush_ends_the_session(void **state)
{
    struct rig *rig = *state;
    start(rig, 64 << 20);
    process(rig, 5);
    ms_session_commit(&rig->session);
    ms_store_acquire(rig->store, 0, 2);
    ms_session_flush_begin(&rig->session);
    ms_session_flush_end(&rig->session, true);
    assert_true(rig->session.broken);
    assert_int_equal(rig->session.status, MS_KAFKA_ABORT);
    assert_int_equal(stored_offset(rig), -1);
}

/* The end of partition 0 is at |offset|. */
static void end_at(struct rig *rig, int64_t offset)
{
    ms_session_process(&rig->session, NULL, 0,
                       (struct ms_end){.source = 0, .partition = 0, .offset = offset});
    assert_false(rig->session.broken);
}

/* What is no record does not belong to what a state is folded from: the origin moves to the first record, and the
 * mark tells which was the last. */
static void origin_and_mark_are_records(void **state)
{
    struct rig *rig = *state;
    start(rig, 1 << 20);
    const struct ms_position *position = ms_positions_find(ms_engine_positions(rig->session.engine), 0, 0);
    assert_non_null(position);
    end_at(rig, 3); /* three offsets were aborted */
    assert_int_equal(position->next, 3);
    assert_int_equal(position->origin, 3);
    ms_session_commit(&rig->session);
    rig->offset = 5; /* and two more */
    process_one(rig, false);
    assert_int_equal(position->origin, 5);
    assert_int_equal(position->mark.upto, 6);
    uint64_t first = position->mark.digest;
    end_at(rig, 8);
    rig->offset = 8;
    process_one(rig, true); /* a bad one is a record, too */
    assert_int_equal(position->origin, 5);
    assert_int_equal(position->mark.upto, 9);
    assert_true(position->mark.digest != first);
    end_at(rig, 12);
    assert_int_equal(position->next, 12);
    assert_int_equal(position->mark.upto, 9);
    rig->offset = 7; /* read before */
    process_one(rig, false);
    assert_int_equal(position->mark.upto, 9);
    ms_session_release(&rig->session, false);
    assert_int_equal(stored_offset(rig), 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_when_due),
        cmocka_unit_test(flushes_when_due),
        cmocka_unit_test(waits_no_longer_than_it_may),
        cmocka_unit_test(restarts_what_a_new_session_mends),
        cmocka_unit_test(gives_up_after_twenty),
        cmocka_unit_test(pauses_longer_each_time),
        cmocka_unit_test_setup_teardown(commits_when_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(full_memory_forces_a_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_commit_ends_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_record_ends_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_record_at_the_commit_ends_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_interest_ends_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_dead_letter_ends_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_null_value_ends_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(partition_beyond_the_keys_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(many_batches_of_one_transaction_are_all_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(release_commits_and_flushes, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_partitions_leave_no_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(late_flush_ends_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(origin_and_mark_are_records, setup, teardown),
    };
    ms_log_set_level(MS_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
