/* The table of users in memory: who is found, who leaves, and who must stay. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/cache.h"

static struct ms_cache *cache_new(void)
{
    struct ms_cache *cache = calloc(1, sizeof *cache);
    assert_non_null(cache);
    assert_true(ms_cache_init(cache));
    return cache;
}

static void cache_destroy(struct ms_cache *cache)
{
    ms_cache_free(cache);
    free(cache);
}

static struct ms_bytes id_of(uint32_t user)
{
    static char text[16];
    return (struct ms_bytes){text, (size_t)snprintf(text, sizeof text, "u%u", user)};
}

static uint32_t find(const struct ms_cache *cache, uint16_t partition, uint32_t user)
{
    struct ms_bytes id = id_of(user);
    return ms_cache_find(cache, partition, id, ms_cache_hash(partition, id));
}

static uint32_t add(struct ms_cache *cache, uint16_t partition, uint32_t number)
{
    struct ms_bytes id = id_of(number);
    struct ms_user *user = ms_user_new(partition, id, 0);
    assert_non_null(user);
    uint32_t index;
    assert_non_null(user);
    assert_true(ms_cache_add(cache, user, ms_cache_hash(partition, id), &index));
    return index;
}

/* The totals against a count of the entries. */
static void assert_totals(const struct ms_cache *cache)
{
    size_t bytes = 0, dirty_bytes = 0;
    uint32_t users = 0, dirty = 0;
    for (uint32_t i = 0; i < cache->count; i++) {
        const struct ms_entry *entry = &cache->entries[i];
        if (!entry->user)
            continue;
        bool is_dirty = entry->marks & MS_MARK_DIRTY;
        users++;
        bytes += entry->user->block_bytes;
        dirty += is_dirty;
        dirty_bytes += is_dirty ? entry->user->block_bytes : 0;
    }
    assert_int_equal(cache->users, users);
    assert_int_equal(cache->bytes, bytes);
    assert_int_equal(cache->dirty_count, dirty);
    assert_int_equal(cache->dirty_bytes, dirty_bytes);
}

static void users_are_found_by_partition_and_id(void **state)
{
    struct ms_cache *cache = cache_new();
    (void)state;
    for (uint32_t i = 0; i < 3000; i++)
        add(cache, (uint16_t)(i % 3), i / 3);
    for (uint32_t i = 0; i < 3000; i++) {
        const struct ms_user *user = cache->entries[find(cache, (uint16_t)(i % 3), i / 3)].user;
        assert_int_equal(user->partition, i % 3);
        assert_true(user->id_bytes == id_of(i / 3).size &&
                    memcmp(ms_user_id_bytes(user), id_of(i / 3).data, user->id_bytes) == 0);
    }
    assert_int_equal(find(cache, 0, 1000), MS_INDEX_EMPTY);
    assert_int_equal(find(cache, 3, 1), MS_INDEX_EMPTY);
    assert_totals(cache);
    cache_destroy(cache);
}

static void the_unused_leave_first(void **state)
{
    struct ms_cache *cache = cache_new();
    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        add(cache, 1, i);
    size_t one = cache->bytes / 100;
    ms_cache_evict(cache, cache->bytes);
    assert_int_equal(cache->users, 100);
    ms_cache_evict(cache, 99 * one); /* takes all marks of use on the way, then one user */
    assert_int_equal(cache->users, 99);
    for (uint32_t i = 50; i < 100; i++)
        cache->entries[find(cache, 1, i)].marks |= MS_MARK_USED;
    ms_cache_evict(cache, 50 * one);
    assert_int_equal(cache->users, 50);
    for (uint32_t i = 50; i < 100; i++)
        assert_int_not_equal(find(cache, 1, i), MS_INDEX_EMPTY);
    assert_totals(cache);
    cache_destroy(cache);
}

static void dirty_and_held_users_stay(void **state)
{
    struct ms_cache *cache = cache_new();
    (void)state;
    for (uint32_t i = 0; i < 40; i++)
        add(cache, 1, i);
    ms_cache_mark_dirty(cache, find(cache, 1, 3));
    cache->entries[find(cache, 1, 5)].marks |= MS_MARK_HELD;
    ms_cache_evict(cache, 0);
    assert_int_not_equal(find(cache, 1, 3), MS_INDEX_EMPTY);
    assert_int_not_equal(find(cache, 1, 5), MS_INDEX_EMPTY);
    assert_int_equal(cache->users, 2);
    assert_totals(cache);
    cache_destroy(cache);
}

/* The users of a flush stay until it is known to have reached the database, and no longer. */
static void pinned_users_stay_until_unpinned(void **state)
{
    struct ms_cache *cache = cache_new();
    struct ms_user **users;
    size_t count;
    (void)state;
    for (uint32_t i = 0; i < 40; i++)
        add(cache, 1, i);
    for (uint32_t i = 10; i < 20; i++)
        ms_cache_mark_dirty(cache, find(cache, 1, i));
    size_t dirty_bytes = cache->dirty_bytes;
    assert_true(ms_cache_begin_flush(cache, &users, &count));
    assert_int_equal(count, 10);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(users[i], cache->entries[find(cache, 1, 10 + (uint32_t)i)].user);
    assert_int_equal(cache->dirty_count, 0);
    assert_int_equal(cache->pinned_bytes, dirty_bytes);
    for (int round = 0; round < 3; round++)
        ms_cache_evict(cache, 0);
    assert_int_equal(cache->users, 10);
    for (uint32_t i = 10; i < 20; i++)
        assert_int_not_equal(find(cache, 1, i), MS_INDEX_EMPTY);
    ms_cache_mark_dirty(cache, find(cache, 1, 15)); /* dirty again while it is pinned */
    ms_cache_unpin(cache);
    for (int round = 0; round < 3; round++)
        ms_cache_evict(cache, 0);
    assert_int_equal(cache->users, 1);
    assert_int_not_equal(find(cache, 1, 15), MS_INDEX_EMPTY);
    assert_totals(cache);
    cache_destroy(cache);
}

static void the_dirty_come_out_in_key_order(void **state)
{
    struct ms_cache *cache = cache_new();
    struct ms_user **users;
    size_t count;
    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t index = add(cache, (uint16_t)(7 - i % 8), i * 7919 % 2003);
        if (i % 3) {
            ms_cache_mark_dirty(cache, index);
            ms_cache_mark_dirty(cache, index); /* once is enough */
        }
    }
    assert_true(ms_cache_begin_flush(cache, &users, &count));
    assert_int_equal(count, 2000 - 667);
    for (size_t i = 1; i < count; i++) {
        const struct ms_user *a = users[i - 1], *b = users[i];
        uint32_t shorter = a->id_bytes < b->id_bytes ? a->id_bytes : b->id_bytes;
        int order = memcmp(ms_user_id_bytes(a), ms_user_id_bytes(b), shorter);
        assert_true(
            a->partition < b->partition ||
            (a->partition == b->partition && (order < 0 || (order == 0 && a->id_bytes < b->id_bytes))));
    }
    cache_destroy(cache);
}

static void a_drop_of_all_leaves_nothing(void **state)
{
    struct ms_cache *cache = cache_new();
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t index = add(cache, (uint16_t)(i % 3), i);
        if (i % 2)
            ms_cache_mark_dirty(cache, index);
    }
    cache->all_in_memory[0] = cache->all_in_memory[2] = true;
    ms_cache_drop_all(cache);
    assert_int_equal(cache->users, 0);
    assert_totals(cache);
    assert_false(cache->all_in_memory[0] || cache->all_in_memory[2]);
    assert_int_equal(find(cache, 1, 1), MS_INDEX_EMPTY);
    add(cache, 1, 1);
    assert_int_equal(cache->users, 1);
    cache_destroy(cache);
}

static void a_drop_leaves_the_other_partitions(void **state)
{
    struct ms_cache *cache = cache_new();
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t index = add(cache, (uint16_t)(i % 3), i);
        if (i % 2)
            ms_cache_mark_dirty(cache, index);
    }
    cache->all_in_memory[0] = cache->all_in_memory[1] = true;
    ms_cache_drop(cache, 1);
    assert_int_equal(cache->users, 200);
    assert_totals(cache);
    assert_true(cache->all_in_memory[0]);
    assert_false(cache->all_in_memory[1]);
    assert_int_equal(find(cache, 1, 1), MS_INDEX_EMPTY);
    assert_int_not_equal(find(cache, 2, 2), MS_INDEX_EMPTY);
    uint32_t entries = cache->count;
    for (uint32_t i = 0; i < 100; i++)
        add(cache, 4, i);
    assert_int_equal(cache->count, entries); /* the free entries are used again */
    assert_totals(cache);
    cache_destroy(cache);
}

/* A partition is not all in memory any more once one of its users has left. */
static void leaving_is_noted(void **state)
{
    struct ms_cache *cache = cache_new();
    (void)state;
    cache->all_in_memory[1] = cache->all_in_memory[2] = true;
    ms_cache_mark_dirty(cache, add(cache, 1, 1));
    add(cache, 2, 1);
    ms_cache_evict(cache, 0);
    assert_true(cache->all_in_memory[1]);
    assert_false(cache->all_in_memory[2]);
    cache_destroy(cache);
}

static void bytes_follow_a_user_that_grows(void **state)
{
    struct ms_cache *cache = cache_new();
    char profile[3000] = "";
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t index = add(cache, 1, i);
        struct ms_entry *entry = &cache->entries[index];
        if (i)
            ms_cache_mark_dirty(cache, index);
        struct ms_user *user = entry->user;
        uint32_t before = user->block_bytes;
        assert_true(ms_user_set_profile(&user, (struct ms_bytes){profile, sizeof profile}));
        ms_cache_replace(cache, entry, user, before);
        assert_totals(cache);
    }
    cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(users_are_found_by_partition_and_id),
                                       cmocka_unit_test(the_unused_leave_first),
                                       cmocka_unit_test(dirty_and_held_users_stay),
                                       cmocka_unit_test(pinned_users_stay_until_unpinned),
                                       cmocka_unit_test(the_dirty_come_out_in_key_order),
                                       cmocka_unit_test(a_drop_of_all_leaves_nothing),
                                       cmocka_unit_test(a_drop_leaves_the_other_partitions),
                                       cmocka_unit_test(leaving_is_noted),
                                       cmocka_unit_test(bytes_follow_a_user_that_grows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
