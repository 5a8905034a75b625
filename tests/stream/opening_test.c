/* How a partition comes from its assignment to being read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stream/opening.h"

static int teardown(void **state)
{
    ms_openings_free(*state);
    ms_openings_free(*state); /* legal on an empty one */
    return 0;
}

static int setup(void **state)
{
    static struct ms_openings openings;
    *state = &openings;
    return 0;
}

static void assign(struct ms_openings *openings, int32_t partition, double now_s)
{
    if (!ms_openings_assign(openings, partition, now_s))
        fail_msg("no memory");
}

/* Which partitions are due at |now_s|, as bits; they are asked for then. */
static unsigned due(struct ms_openings *openings, double now_s)
{
    unsigned bits = 0;
    struct ms_opening *opening;
    for (size_t cursor = 0; (opening = ms_openings_due(openings, &cursor, now_s));) {
        assert_int_equal(opening->state, MS_PARTITION_OPENING);
        opening->asked = true;
        bits |= 1u << opening->partition;
    }
    return bits;
}

/* Every event in every state: the way there, and whatever else is refused. */
static void transitions(void **state)
{
    (void)state;
    static const struct {
        enum ms_partition_state from;
        enum ms_partition_event event;
        enum ms_partition_state to;
    } ways[] = {{MS_PARTITION_UNASSIGNED, MS_PARTITION_ASSIGNED, MS_PARTITION_OPENING},
                {MS_PARTITION_OPENING, MS_PARTITION_HELD, MS_PARTITION_WAITING},
                {MS_PARTITION_OPENING, MS_PARTITION_OPENED, MS_PARTITION_REPLAYING},
                {MS_PARTITION_OPENING, MS_PARTITION_REVOKED, MS_PARTITION_UNASSIGNED},
                {MS_PARTITION_WAITING, MS_PARTITION_AGAIN, MS_PARTITION_OPENING},
                {MS_PARTITION_WAITING, MS_PARTITION_REVOKED, MS_PARTITION_UNASSIGNED},
                {MS_PARTITION_REPLAYING, MS_PARTITION_REPLAYED, MS_PARTITION_LIVE},
                {MS_PARTITION_REPLAYING, MS_PARTITION_REVOKED, MS_PARTITION_UNASSIGNED},
                {MS_PARTITION_LIVE, MS_PARTITION_REVOKED, MS_PARTITION_UNASSIGNED}};
    size_t count = sizeof ways / sizeof *ways, possible = 0;
    for (int from = 0; from < MS_PARTITION_STATE_COUNT; from++) {
        for (int event = 0; event < MS_PARTITION_EVENT_COUNT; event++) {
            enum ms_partition_state now = (enum ms_partition_state)from, to = now;
            for (size_t i = 0; i < count; i++) {
                if ((int)ways[i].from == from && (int)ways[i].event == event)
                    to = ways[i].to;
            }
            bool follows = ms_partition_follows(&now, (enum ms_partition_event)event);
            assert_int_equal(follows, (int)to != from);
            assert_int_equal(now, to);
            possible += follows;
        }
    }
    assert_int_equal(possible, count);
    assert_string_equal(ms_partition_state_name(MS_PARTITION_WAITING), "waiting");
}

/* One that cannot be opened is asked for again and again, ever more slowly, and holds no other. */
static void one_waits(void **state)
{
    struct ms_openings *openings = *state;
    assign(openings, 3, 10);
    assign(openings, 5, 10);
    assign(openings, 3, 10); /* of another source */
    assert_int_equal(openings->count, 2);
    assert_int_equal(openings->moving, 2);
    assert_int_equal(due(openings, 10), 1 << 3 | 1 << 5);
    assert_int_equal(due(openings, 10), 0); /* both are on their way */
    assert_true(ms_openings_asked(openings));
    struct ms_opening *healthy = ms_openings_find(openings, 5), *held = ms_openings_find(openings, 3);
    ms_opening_held(held, "it has no leader", 10.05);
    ms_openings_opened(openings, healthy, true);
    assert_int_equal(healthy->state, MS_PARTITION_REPLAYING);
    assert_false(ms_openings_asked(openings));
    assert_int_equal(due(openings, 10.1), 0);
    assert_int_equal(due(openings, 10.2), 1 << 3);
    ms_openings_replayed(openings, healthy);
    assert_int_equal(healthy->state, MS_PARTITION_LIVE);
    double now_s = 10.2, pause_s = 0.1;
    for (int i = 0; i < 10; i++) {
        ms_opening_held(held, "it has no leader", now_s);
        pause_s = pause_s * 2 < MS_OPENING_PAUSE_MAX_S ? pause_s * 2 : MS_OPENING_PAUSE_MAX_S;
        assert_int_equal(due(openings, now_s + pause_s - 0.01), 0);
        now_s += pause_s + 0.001;
        assert_int_equal(due(openings, now_s), 1 << 3);
    }
    assert_int_equal(openings->moving, 1);
    ms_openings_opened(openings, held, false); /* nothing to replay */
    assert_int_equal(held->state, MS_PARTITION_LIVE);
    assert_int_equal(openings->moving, 0);
    ms_openings_revoke(openings);
}

/* Partitions go in whatever state they are; an answer that comes after that is of another assignment. */
static void revoked_on_the_way(void **state)
{
    struct ms_openings *openings = *state;
    uint32_t before = openings->assignment;
    for (int32_t partition = 0; partition < 5; partition++)
        assign(openings, partition, 1);
    assert_int_equal(due(openings, 1), 0x1f);
    ms_opening_held(ms_openings_find(openings, 1), "why", 1);
    ms_openings_opened(openings, ms_openings_find(openings, 2), true);
    ms_openings_opened(openings, ms_openings_find(openings, 3), false);
    ms_openings_revoke(openings);
    assert_int_not_equal(openings->assignment, before);
    assert_int_equal(openings->count, 0);
    assert_int_equal(openings->moving, 0);
    assert_null(ms_openings_find(openings, 0));
    assign(openings, 2, 2);
    assert_int_equal(ms_openings_find(openings, 2)->state, MS_PARTITION_OPENING);
    assert_int_equal(due(openings, 2), 1 << 2); /* asked for anew */
    ms_openings_revoke(openings);
}

/* A group that tells no offset is asked five times more, two seconds apart. */
static void no_commit(void **state)
{
    struct ms_openings *openings = *state;
    double now_s = 1;
    assign(openings, 0, now_s);
    struct ms_opening *opening = ms_openings_find(openings, 0);
    for (int i = 0; i < MS_OPENING_NO_COMMIT; i++) {
        assert_int_equal(due(openings, now_s), 1);
        assert_true(ms_opening_no_commit(opening, now_s));
        assert_int_equal(due(openings, now_s + 1.9), 0);
        now_s += 2;
    }
    assert_int_equal(due(openings, now_s), 1);
    assert_false(ms_opening_no_commit(opening, now_s));
    ms_openings_revoke(openings);
}

struct words {
    size_t count, waiting;
    int32_t last;
};

static void word(void *context, const struct ms_opening *opening, size_t waiting)
{
    struct words *words = context;
    assert_string_equal(opening->reason, "why");
    words->count++;
    words->waiting = waiting;
    words->last = opening->partition;
}

/* Nothing is said of what passes at once; else a few words every ten seconds, however many wait. */
static void told_at_a_bounded_rate(void **state)
{
    struct ms_openings *openings = *state;
    struct words words = {0};
    for (int32_t partition = 0; partition < 20; partition++)
        assign(openings, partition, 100);
    due(openings, 100);
    for (int32_t partition = 1; partition < 20; partition++)
        ms_opening_held(ms_openings_find(openings, partition), "why", 100);
    ms_openings_tell(openings, 100.9, word, &words);
    assert_int_equal(words.count, 0);
    for (double now_s = 101; now_s < 125.5; now_s += 0.5) {
        due(openings, now_s); /* asked for again: it waits all the same */
        ms_openings_tell(openings, now_s, word, &words);
        for (int32_t partition = 1; partition < 20; partition++) {
            if (ms_openings_find(openings, partition)->asked)
                ms_opening_held(ms_openings_find(openings, partition), "why", now_s);
        }
    }
    assert_int_equal(words.count, 3 * MS_OPENING_TOLD_AT_ONCE);
    assert_int_equal(words.waiting, 19);
    assert_int_equal(words.last, MS_OPENING_TOLD_AT_ONCE);
    ms_openings_revoke(openings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(transitions, setup, teardown),
        cmocka_unit_test_setup_teardown(one_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(revoked_on_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(no_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(told_at_a_bounded_rate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
