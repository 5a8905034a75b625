/* A user taken apart and made again: the same rows come out, whatever the order in which its events arrived. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/model.h"
#include "user/codec.h"
#include "user/restore.h"

#define COUNT 70 /* two chunks and a tail */

static const struct ms_bytes id = {"some\0one", 8};

static struct ms_user *user_of(const int64_t *times)
{
    static const char items[COUNT][4] = {"a", "bb", "ccc"};
    struct ms_user *user = ms_user_new(5, id, 6);
    assert_non_null(user);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct ms_bytes item = {items[i % 3], i % 3 + 1}, type = {"buy", i % 4 ? 3 : 0};
        assert_true(ms_user_make_room(&user, (uint32_t)(item.size + type.size), COUNT, 0));
        ms_user_insert(user, times[i], MS_NO_ITEM, item, type);
    }
    for (uint32_t i = 0; i < 6; i++)
        ms_user_sums(user)[i] = (float)i / 3;
    user->version = 99;
    user->fold_id = 7;
    user->own_offset = 1234;
    user->last_time_ms = user->sums_time_ms = 5000;
    user->events_folded = 98;
    user->owed = 5;
    user->slots = 2;
    user->slots_max = 3;
    assert_true(ms_user_set_profile(&user, (struct ms_bytes){"{}", 2}));
    return user;
}

/* |behaviors| has room for COUNT. */
static struct ms_user_parts parts_of(const struct ms_user *user, struct ms_restored_behavior *behaviors)
{
    uint32_t places[COUNT];
    const struct ms_behavior *list = ms_user_behaviors(user);
    ms_user_arrival_places(user, places);
    for (uint32_t i = 0; i < user->count; i++)
        behaviors[places[i]] = (struct ms_restored_behavior){
            ms_behavior_item(user, &list[i]), ms_behavior_type(user, &list[i]), list[i].time_ms};
    return (struct ms_user_parts){.partition = user->partition,
                                  .id = ms_user_id(user),
                                  .profile = ms_user_profile(user),
                                  .version = user->version,
                                  .fold_id = user->fold_id,
                                  .events_folded = user->events_folded,
                                  .owed = user->owed,
                                  .own_offset = user->own_offset,
                                  .profile_offset = user->profile_offset,
                                  .last_time_ms = user->last_time_ms,
                                  .sums_time_ms = user->sums_time_ms,
                                  .slots = user->slots,
                                  .slots_max = user->slots_max,
                                  .sums = ms_user_sums(user),
                                  .floats = user->floats,
                                  .behaviors = behaviors,
                                  .behavior_count = user->count};
}

static void comes_out_as(struct ms_user *user, struct ms_user *again)
{
    struct ms_buffer rows[2] = {{0}, {0}};
    struct ms_user *both[] = {user, again};
    for (int i = 0; i < 2; i++) {
        ms_user_settle(both[i]);
        assert_true(ms_user_encode_head(both[i], &rows[i]));
        for (uint32_t chunk = 0; chunk < ms_user_sealable(both[i]); chunk++)
            assert_true(ms_user_encode_chunk(both[i], chunk, &rows[i]));
    }
    assert_int_equal(rows[0].size, rows[1].size);
    assert_memory_equal(rows[0].data, rows[1].data, rows[0].size);
    ms_buffer_free(&rows[0]);
    ms_buffer_free(&rows[1]);
}

static void again(const int64_t *times, bool in_order)
{
    struct ms_restored_behavior behaviors[COUNT];
    uint32_t places[COUNT];
    struct ms_error error;
    struct ms_user *user = user_of(times), *made = NULL;
    assert_int_equal(ms_user_arrival_places(user, places), in_order);
    const struct ms_user_parts parts = parts_of(user, behaviors);
    assert_int_equal(ms_user_restore(&made, &parts, &error), MS_OK);
    comes_out_as(user, made);
    free(made);
    free(user);
}

static void in_order(void **state)
{
    int64_t times[COUNT];
    (void)state;
    for (int i = 0; i < COUNT; i++)
        times[i] = 10 * i;
    again(times, true);
}

static void late_and_at_equal_times(void **state)
{
    int64_t times[COUNT];
    (void)state;
    for (int i = 0; i < COUNT; i++)
        times[i] = i * 37 % 20;
    again(times, false);
}

static void refuses(const struct ms_user_parts *parts)
{
    struct ms_user *made = NULL;
    struct ms_error error = {0};
    assert_int_equal(ms_user_restore(&made, parts, &error), MS_FORMAT);
    assert_null(made);
    assert_true(error.text[0]);
}

static void parts_that_cannot_be(void **state)
{
    static const float sums[2];
    static char long_type[256];
    struct ms_restored_behavior behavior = {.item = {"a", 1}};
    const struct ms_user_parts good = {.id = id, .behaviors = &behavior, .behavior_count = 1};
    (void)state;
    struct ms_user_parts bad = good;
    bad.id.size = 0;
    refuses(&bad);
    bad = good;
    bad.sums = sums;
    bad.floats = 2;
    bad.sums_left_out = true;
    refuses(&bad);
    bad = good;
    bad.slots = 1;
    refuses(&bad);
    behavior.item.size = 0;
    refuses(&good);
    behavior.item.size = 1;
    behavior.type = (struct ms_bytes){long_type, sizeof long_type};
    refuses(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_order), cmocka_unit_test(late_and_at_equal_times),
                                       cmocka_unit_test(parts_that_cannot_be)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
