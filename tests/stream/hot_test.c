/* Hot users: what Space-Saving promises, and the ring of the last events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/hot.h"
#include "stream/recent.h"

#define USERS 5000

static uint64_t mix(uint64_t x) /* SplitMix64 */
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static void add(struct ms_hot *hot, unsigned user, uint64_t weight)
{
    char id[16];
    int size = snprintf(id, sizeof id, "u%u", user);
    ms_hot_add(hot, 1, (struct ms_bytes){id, (size_t)size}, mix(user), weight);
}

/* A few users far above a crowd of others are found, and the true counts lie within the bounds. */
static void bounds_hold(void **state)
{
    static uint64_t truth[USERS];
    static struct ms_hot_user top[MS_HOT_USERS];
    struct ms_hot hot;
    uint64_t total = 0;
    (void)state;
    memset(truth, 0, sizeof truth);
    if (!ms_hot_init(&hot)) {
        ms_hot_free(&hot);
        return;
    }
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t draw = mix(i);
        unsigned user = draw % 4 == 0 ? (unsigned)(draw >> 8) % 10 : (unsigned)(draw >> 8) % USERS;
        truth[user]++;
        total++;
        add(&hot, user, 1);
    }
    size_t count = ms_hot_top(&hot, 0, top, MS_HOT_USERS);
    assert_int_equal(count, MS_HOT_USERS);
    for (size_t i = 0; i < count; i++) {
        char id[MS_HOT_ID_BYTES + 1] = "";
        memcpy(id, top[i].id, top[i].id_bytes);
        unsigned user = (unsigned)atoi(id + 1);
        assert_true(truth[user] <= top[i].count);
        assert_true(truth[user] >= top[i].count - top[i].error);
        assert_true(top[i].error <= total / MS_HOT_USERS);
        assert_true(i == 0 || top[i - 1].count >= top[i].count);
        if (i < 10)
            assert_true(user < 10);
    }
    assert_int_equal(ms_hot_top(&hot, 0, top, 3), 3);
    ms_hot_free(&hot);
}

/* Who was hot is not for ever. */
static void counts_fade(void **state)
{
    struct ms_hot_user top[2];
    struct ms_hot hot;
    (void)state;
    if (ms_hot_init(&hot)) {
        ms_hot_age(&hot, 1000); /* the first look at the clock */
        add(&hot, 1, 4096);
        assert_int_equal(ms_hot_top(&hot, 1000 + 2 * MS_HOT_HALF_S, top, 2), 1);
        assert_int_equal(top[0].count, 1024);
        ms_hot_age(&hot, 1001 + 2 * MS_HOT_HALF_S);
        assert_int_equal(ms_hot_top(&hot, 1001 + 2 * MS_HOT_HALF_S, top, 2), 1);
        assert_int_equal(top[0].count, 1025);
        for (unsigned user = 100; user < 100 + MS_HOT_USERS; user++)
            add(&hot, user, 2000);
        assert_int_equal(ms_hot_top(&hot, 1001 + 2 * MS_HOT_HALF_S, top, 2), 2);
        assert_int_equal(top[0].count, 3025); /* the least count was user 1's */
        assert_int_equal(top[0].error, 1025);
    }
    ms_hot_free(&hot);
}

static void last_events(void **state)
{
    static struct ms_input inputs[40];
    static struct ms_decoded decoded[40];
    static struct ms_recent_event events[MS_RECENT_EVENTS];
    static char longest[1000];
    struct ms_recent recent;
    (void)state;
    if (!ms_recent_init(&recent))
        return;
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < 40; i++) {
        inputs[i] = (struct ms_input){.source = MS_SOURCE_CLICKS, .partition = 2, .offset = (int64_t)i};
        decoded[i] = (struct ms_decoded){
            .event = {.user = {"u", 1}, .item = {"i", 1}, .type = {"", 0}, .time_ms = 5}, .row = MS_NO_ITEM};
    }
    decoded[39].reason = "bad";
    decoded[38].event.user = (struct ms_bytes){longest, sizeof longest};
    ms_recent_note(&recent, inputs, decoded, 40);
    assert_int_equal(ms_recent_copy(&recent, events, MS_RECENT_EVENTS), MS_RECENT_OF_BATCH);
    assert_int_equal(events[MS_RECENT_OF_BATCH - 1].offset, 38);
    assert_int_equal(events[MS_RECENT_OF_BATCH - 1].user_bytes, 1000);
    assert_int_equal(events[0].offset, 38 - MS_RECENT_OF_BATCH + 1);
    assert_int_equal(ms_recent_copy(&recent, events, 2), 2);
    assert_int_equal(events[1].offset, 38);
    for (int i = 0; i < 40; i++)
        ms_recent_note(&recent, inputs, decoded, 40);
    assert_int_equal(ms_recent_copy(&recent, events, 1000), MS_RECENT_EVENTS);
    assert_int_equal(events[MS_RECENT_EVENTS - 1].number, events[0].number + MS_RECENT_EVENTS - 1);
    ms_recent_free(&recent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(counts_fade),
        cmocka_unit_test(last_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
