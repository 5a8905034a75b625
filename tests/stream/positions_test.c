/* Where the sources of partitions stand: what a commit carries, what a flush writes, and who waits for
 * whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stream/source.h"

enum { CLICKS = MS_SOURCE_CLICKS, PROFILES = MS_SOURCE_PROFILES };

/* A position that has caught up at |next| with C there. */
static struct ms_position at(int source, int32_t partition, int64_t next)
{
    return (struct ms_position){.source = source,
                                .partition = partition,
                                .committed = next,
                                .next = next,
                                .replay_until = next,
                                .origin = 2,
                                .flushed = next};
}

static struct ms_position *open_at(struct ms_positions *positions, int source, int32_t number, int64_t next)
{
    struct ms_partition *partition = ms_positions_add(positions, number);
    partition->claimed = true;
    partition->open |= 1u << source;
    partition->positions[source] = at(source, number, next);
    return &partition->positions[source];
}

static int setup(void **state)
{
    static struct ms_positions positions;
    assert_true(ms_positions_init(&positions));
    *state = &positions;
    return 0;
}

static int teardown(void **state)
{
    ms_positions_free(*state);
    ms_positions_free(*state); /* legal on a zeroed one */
    return 0;
}

static void found_by_number_and_source(void **state)
{
    struct ms_positions *positions = *state;
    struct ms_position *last = open_at(positions, CLICKS, MS_MAX_PARTITIONS - 1, 5);
    struct ms_position *profiles = open_at(positions, PROFILES, 0, 6);
    size_t cursor = 0;
    assert_true(ms_partition_number_valid(0) && ms_partition_number_valid(MS_MAX_PARTITIONS - 1));
    assert_false(ms_partition_number_valid(-1) || ms_partition_number_valid(MS_MAX_PARTITIONS));
    assert_ptr_equal(ms_positions_find(positions, MS_MAX_PARTITIONS - 1, CLICKS), last);
    assert_ptr_equal(ms_positions_find(positions, 0, PROFILES), profiles);
    assert_null(ms_positions_find(positions, 0, CLICKS));
    assert_null(ms_positions_find(positions, 1, CLICKS));
    assert_null(ms_positions_find(positions, -1, CLICKS));
    assert_null(ms_positions_find(positions, MS_MAX_PARTITIONS, CLICKS));
    assert_ptr_equal(ms_positions_next(positions, &cursor), last);
    assert_ptr_equal(ms_positions_next(positions, &cursor), profiles);
    assert_null(ms_positions_next(positions, &cursor));
    assert_int_equal(positions->count, 2);
    open_at(positions, CLICKS, 0, 7); /* the same partition */
    assert_int_equal(positions->count, 2);
}

static void commit_carries_what_moved(void **state)
{
    struct ms_positions *positions = *state;
    struct ms_position *clicks = open_at(positions, CLICKS, 3, 10);
    assert_false(ms_positions_pending(positions));
    clicks->next = 12;
    assert_true(ms_position_to_send(clicks) && ms_positions_pending(positions));
    ms_positions_committed(positions);
    assert_int_equal(clicks->committed, 12);
    assert_false(ms_positions_pending(positions));
    clicks->must_send = true; /* something was published, though it has not moved */
    assert_true(ms_positions_pending(positions));
    ms_positions_committed(positions);
    assert_false(clicks->must_send);
    /* in a replay nothing is sent, and C stays */
    clicks->replay_until = 20;
    clicks->committed = 20;
    clicks->must_send = true;
    assert_true(ms_position_replays(clicks));
    assert_false(ms_positions_pending(positions));
    ms_positions_committed(positions);
    assert_int_equal(clicks->committed, 20);
    assert_true(clicks->must_send);
    clicks->next = 20;
    assert_false(ms_position_replays(clicks));
    assert_true(ms_positions_pending(positions));
}

static void flush_writes_every_source(void **state)
{
    struct ms_positions *positions = *state;
    struct ms_flush_row rows[3];
    struct ms_position *clicks = open_at(positions, CLICKS, 7, 10);
    struct ms_partition *partition = ms_positions_partition(positions, 7);
    partition->row = MS_EMPTY_ROW;
    partition->row.sources[PROFILES] = (struct ms_row_source){33, 4}; /* of a run that had profiles */
    open_at(positions, CLICKS, 8, 1)->committed = -1;                 /* nothing committed: no L yet */
    ms_positions_partition(positions, 8)->positions[CLICKS].flushed = -1;
    assert_false(ms_positions_unflushed(positions));
    clicks->next = 12;
    clicks->committed = 12;
    clicks->mark = (struct ms_landmark){11, 0xabc};
    assert_true(ms_positions_unflushed(positions));
    assert_int_equal(ms_positions_rows(positions, 99, 98, rows), 1);
    assert_int_equal(rows[0].partition, 7);
    assert_int_equal(rows[0].row.sources[CLICKS].applied, 12);
    assert_int_equal(rows[0].row.sources[CLICKS].origin, 2);
    assert_int_equal(rows[0].row.sources[PROFILES].applied, 33); /* kept */
    assert_int_equal(rows[0].row.sources[PROFILES].origin, 4);
    assert_int_equal(rows[0].row.fold_id, 99);
    assert_int_equal(rows[0].row.mark_upto, 11);
    assert_int_equal(rows[0].row.mark_digest, 0xabc);
    assert_int_equal(rows[0].row.owed_from, -1);
    ms_positions_flushed(positions);
    assert_false(ms_positions_unflushed(positions));
    struct ms_position *profiles = open_at(positions, PROFILES, 7, 30);
    profiles->committed = profiles->replay_until = 50; /* in the middle of a replay: L is the next offset */
    assert_int_equal(ms_position_applied(profiles), 30);
    assert_int_equal(ms_positions_rows(positions, 99, 98, rows), 1);
    assert_int_equal(rows[0].row.sources[PROFILES].applied, 30);
    assert_int_equal(rows[0].row.sources[PROFILES].origin, 2);
}

/* A debt begins with what any source has to publish again, is written as such, and holds its partition at C. */
static void a_debt_holds_its_partition(void **state)
{
    struct ms_positions *positions = *state;
    struct ms_flush_row rows[2];
    struct ms_position *clicks = open_at(positions, CLICKS, 1, 10),
                       *profiles = open_at(positions, PROFILES, 1, 20);
    struct ms_partition *partition = ms_positions_partition(positions, 1);
    partition->row = MS_EMPTY_ROW;
    ms_partition_begin_debt(positions, partition);
    assert_int_equal(positions->debts, 0);
    assert_false(ms_positions_unflushed(positions));
    clicks->replay_until = clicks->committed = 15;
    profiles->replay_until = profiles->committed = 25;
    profiles->republish = true;
    profiles->shown_slots = 6;
    for (int again = 0; again < 2; again++) {
        ms_partition_begin_debt(positions, partition);
        assert_int_equal(positions->debts, 1);
        assert_true(partition->debt.number == 1 && partition->debt.owed_from == 10);
        assert_true(clicks->owes == 0 && profiles->owes == 1 && profiles->shown_slots == 6);
    }
    assert_true(ms_positions_unflushed(positions)); /* though no L has moved */
    assert_int_equal(ms_positions_rows(positions, 99, 7, rows), 1);
    assert_true(rows[0].row.debt == 1 && rows[0].row.owed_from == 10 && rows[0].row.shown_slots == 6);
    assert_true(rows[0].row.sources[CLICKS].applied == 10 && rows[0].row.sources[PROFILES].applied == 20);
    ms_positions_flushed(positions);
    ms_positions_stored(positions);
    assert_false(ms_positions_unflushed(positions));
    assert_false(partition->debt_stored || ms_partition_pays(partition));
    assert_false(ms_partition_waits(partition, CLICKS)); /* it goes on to C */
    clicks->next = 15;
    assert_true(ms_partition_waits(partition, CLICKS));
    assert_false(ms_partition_waits(partition, PROFILES));
    profiles->next = 25;
    assert_true(ms_partition_waits(partition, PROFILES) && ms_partition_pays(partition));
    ms_positions_stored(positions); /* a flush that began before */
    assert_false(partition->debt_stored);
    ms_positions_flushed(positions);
    ms_positions_stored(positions);
    assert_true(partition->debt_stored);
    ms_partition_end_debt(positions, partition);
    assert_int_equal(positions->debts, 0);
    assert_false(ms_partition_waits(partition, PROFILES) || ms_partition_pays(partition));
    assert_true(ms_positions_unflushed(positions));
    assert_int_equal(ms_positions_rows(positions, 99, 7, rows), 1);
    assert_true(rows[0].row.debt == 1 && rows[0].row.owed_from == -1);
    ms_partition_end_debt(positions, partition);
    assert_int_equal(positions->debts, 0);
}

/* Profiles wait while the clicks replay. Clicks wait, once at C, until the profiles have caught up. */
static void sources_wait_for_others(void **state)
{
    struct ms_positions *positions = *state;
    struct ms_position *clicks = open_at(positions, CLICKS, 0, 10), *profiles;
    struct ms_partition *partition = ms_positions_partition(positions, 0);
    assert_false(ms_partition_waits(partition, CLICKS) || ms_partition_replays(partition));
    profiles = open_at(positions, PROFILES, 0, 5);
    assert_false(ms_partition_waits(partition, CLICKS) || ms_partition_waits(partition, PROFILES));
    profiles->wait_until = 6;
    assert_true(ms_partition_waits(partition, CLICKS));
    assert_false(ms_partition_waits(partition, PROFILES));
    profiles->next = profiles->committed = 6;
    assert_false(ms_partition_waits(partition, CLICKS));
    clicks->wait_until = 99; /* nobody waits for the clicks to catch up */
    assert_false(ms_partition_waits(partition, PROFILES));
    clicks->replay_until = 11;
    assert_true(ms_partition_replays(partition));
    assert_true(ms_partition_waits(partition, PROFILES));
    profiles->replay_until = 9; /* both replay: the clicks go first */
    assert_false(ms_partition_waits(partition, CLICKS));
    assert_true(ms_partition_waits(partition, PROFILES));
    clicks->next = 11;
    assert_true(ms_partition_waits(partition, CLICKS));
    assert_false(ms_partition_waits(partition, PROFILES));
    assert_true(ms_partition_replays(partition));
}

/* Whatever replays or waits, one source of a partition goes on. */
static void somebody_always_goes_on(void **state)
{
    struct ms_positions *positions = *state;
    struct ms_partition *partition = NULL;
    for (int source = 0; source < MS_SOURCES; source++) {
        open_at(positions, source, 0, 5);
        partition = ms_positions_partition(positions, 0);
    }
    for (unsigned bits = 0; bits < 1u << (2 * MS_SOURCES); bits++) {
        bool goes_on = false;
        for (int source = 0; source < MS_SOURCES; source++) {
            partition->positions[source].replay_until = bits >> source & 1 ? 9 : 5;
            partition->positions[source].wait_until = bits >> (MS_SOURCES + source) & 1 ? 9 : 0;
        }
        for (int source = 0; source < MS_SOURCES; source++)
            goes_on |= !ms_partition_waits(partition, source);
        assert_true(goes_on);
    }
}

static void table_names_every_source(void **state)
{
    const struct ms_config with = {.input_topic = "in", .profile_topic = "profiles"},
                           without = {.input_topic = "in", .profile_topic = ""},
                           unset = {.input_topic = "in"};
    (void)state;
    for (int source = 0; source < MS_SOURCES; source++) {
        assert_true(ms_sources[source]->name[0] && ms_sources[source]->option[0]);
        assert_non_null(ms_sources[source]->decode);
        assert_non_null(ms_sources[source]->apply);
        assert_int_equal(ms_source_of_topic(ms_source_topic(source, &with), &with), source);
        for (int other = 0; other < source; other++)
            assert_string_not_equal(ms_sources[source]->name, ms_sources[other]->name);
    }
    assert_string_equal(ms_source_topic(CLICKS, &with), "in");
    assert_string_equal(ms_source_topic(PROFILES, &with), "profiles");
    assert_string_equal(ms_source_topic(PROFILES, &unset), "");
    assert_int_equal(ms_source_of_topic("", &without), CLICKS);
    assert_int_equal(ms_source_of_topic("profiles", &without), CLICKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found_by_number_and_source, setup, teardown),
        cmocka_unit_test_setup_teardown(commit_carries_what_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(flush_writes_every_source, setup, teardown),
        cmocka_unit_test_setup_teardown(a_debt_holds_its_partition, setup, teardown),
        cmocka_unit_test_setup_teardown(sources_wait_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(somebody_always_goes_on, setup, teardown),
        cmocka_unit_test(table_names_every_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
