/* Index, arena, buffer and varints, histogram: each against something simpler. */
#include "base_test.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/buffer.h"
#include "base/histogram.h"
#include "base/index.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ (*state >> 31);
}

/* ---- index ---- */

#define KEYS 3000

struct keys {
    uint64_t hash[KEYS]; /* of value i */
    bool in[KEYS];
};

static uint64_t hash_of(void *context, uint32_t value)
{
    return ((const struct keys *)context)->hash[value];
}

static bool find(const struct ms_index *index, const struct keys *keys, uint32_t value)
{
    uint32_t cursor = ms_index_start(index, keys->hash[value]), found;
    while (ms_index_next(index, keys->hash[value], &cursor, &found)) {
        assert_true(found < KEYS && keys->in[found]);
        if (found == value)
            return true;
    }
    return false;
}

/* Adds and removes at random, with hashes that collide in their low bits, in all bits, and at the end of the
 * table so that chains wrap. */
static void index_against_a_set(void **state)
{
    static struct keys keys;
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct ms_index index;
        uint64_t random = seed;
        uint32_t count = 0;
        memset(&keys, 0, sizeof keys);
        for (uint32_t i = 0; i < KEYS; i++) {
            uint64_t r = next_random(&random);
            keys.hash[i] = seed % 3 == 0   ? (r & 7) | (r & UINT64_C(3) << 32) /* long chains, equal tags */
                           : seed % 3 == 1 ? r | 0xfff0                        /* at the table's end */
                                           : r;
        }
        uint32_t range = seed % 3 == 2 ? KEYS : 300;
        assert_true(ms_index_init(&index, 4));
        for (int step = 0; step < 20000; step++) {
            uint32_t value = (uint32_t)(next_random(&random) >> 20) % range;
            assert_int_equal(find(&index, &keys, value), keys.in[value]);
            if (!keys.in[value]) {
                assert_true(ms_index_add(&index, keys.hash[value], value, hash_of, &keys));
                count++;
            } else {
                ms_index_remove(&index, keys.hash[value], value, hash_of, &keys);
                count--;
            }
            keys.in[value] = !keys.in[value];
            assert_int_equal(index.count, count);
        }
        for (uint32_t i = 0; i < range; i++)
            assert_int_equal(find(&index, &keys, i), keys.in[i]);
        ms_index_free(&index);
    }
}

static void index_holds_what_it_expected(void **state)
{
    struct ms_index index;
    static struct keys keys;
    (void)state;
    assert_true(ms_index_init(&index, 1000));
    uint32_t mask = index.mask;
    for (uint32_t i = 0; i < 1000; i++) {
        keys.hash[i] = i * UINT64_C(0x9E3779B97F4A7C15);
        keys.in[i] = true;
        assert_true(ms_index_add(&index, keys.hash[i], i, hash_of, &keys));
    }
    assert_int_equal(index.mask, mask); /* it did not have to grow */
    ms_index_free(&index);
    assert_null(index.slots);
}

/* ---- arena ---- */

static void arena_keeps_what_it_gave(void **state)
{
    struct ms_arena arena = {0};
    uint64_t random = 3;
    unsigned char *given[400];
    size_t sizes[400];
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 400; i++) {
            sizes[i] = next_random(&random) % (i % 50 == 7 ? 700000 : 3000);
            given[i] = ms_arena_alloc(&arena, sizes[i]);
            assert_non_null(given[i]);
            assert_int_equal((uintptr_t)given[i] % 8, 0);
            memset(given[i], i & 0xff, sizes[i]);
        }
        for (int i = 0; i < 400; i++) {
            for (size_t at = 0; at < sizes[i]; at++)
                assert_true(given[i][at] == (i & 0xff));
        }
        ms_arena_reset(&arena);
    }
    ms_arena_free(&arena);
    assert_null(arena.first);
    ms_arena_free(&arena);
}

static void arena_reuses_its_chunks(void **state)
{
    struct ms_arena arena = {0};
    void *first[5];
    (void)state;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 5; i++) {
            void *at = ms_arena_alloc(&arena, 200000);
            if (round == 0)
                first[i] = at;
            else
                assert_ptr_equal(at, first[i]);
        }
        ms_arena_reset(&arena);
    }
    char *copy = ms_arena_copy(&arena, "a\0b", 3);
    assert_memory_equal(copy, "a\0b", 3);
    assert_non_null(ms_arena_copy(&arena, NULL, 0));
    ms_arena_free(&arena);
}

/* ---- buffer ---- */

static void buffer_grows(void **state)
{
    struct ms_buffer buffer = {0};
    (void)state;
    for (int i = 0; i < 5000; i++)
        assert_true(ms_buffer_append(&buffer, "0123456789", 10));
    assert_int_equal(buffer.size, 50000);
    for (size_t i = 0; i < buffer.size; i++)
        assert_int_equal(buffer.data[i], '0' + (int)(i % 10));
    buffer.size = 0;
    assert_true(ms_buffer_append(&buffer, NULL, 0));
    assert_true(ms_buffer_printf(&buffer, "%s=%d", "x", 17));
    assert_true(ms_buffer_printf(&buffer, ";"));
    assert_int_equal(buffer.size, 5);
    assert_string_equal(buffer.data, "x=17;");
    ms_buffer_free(&buffer);
    assert_true(buffer.data == NULL && buffer.size == 0 && buffer.capacity == 0);
}

static void buffer_keeps_its_ceiling(void **state)
{
    struct ms_buffer buffer = {.max = 300};
    char bytes[300] = {0};
    (void)state;
    assert_true(ms_buffer_append(&buffer, bytes, 10)); /* a first block below the ceiling */
    assert_true(ms_buffer_append(&buffer, bytes, 290));
    assert_false(ms_buffer_append(&buffer, bytes, 1));
    assert_false(ms_buffer_reserve(&buffer, SIZE_MAX));
    assert_int_equal(buffer.size, 300);
    ms_buffer_free(&buffer);
    buffer.max = 100;
    assert_true(ms_buffer_append(&buffer, bytes, 50));
    assert_false(ms_buffer_append(&buffer, bytes, 51));
    assert_true(ms_buffer_append(&buffer, bytes, 50));
    ms_buffer_free(&buffer);
}

static void numbers_round_trip(void **state)
{
    const uint64_t edges[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, (uint64_t)INT64_MAX, UINT64_MAX};
    uint64_t random = 9;
    char bytes[MS_VARINT_MAX];
    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint64_t v = i < 9 ? edges[i] : next_random(&random) >> (i % 64), back = 0;
        size_t n = ms_put_varint(bytes, v);
        assert_in_range(n, 1, MS_VARINT_MAX);
        assert_int_equal(ms_get_varint(bytes, bytes + n, &back), n);
        assert_true(back == v);
        assert_int_equal(ms_get_varint(bytes, bytes + n - 1, &back), 0); /* cut */
        assert_true(ms_unzigzag(ms_zigzag((int64_t)v)) == (int64_t)v);
        ms_put_u64(bytes, v);
        assert_true(ms_get_u64(bytes) == v);
        assert_int_equal((unsigned char)bytes[7], v >> 56); /* little-endian */
        ms_put_u32(bytes, (uint32_t)v);
        ms_put_u16(bytes + 4, (uint16_t)v);
        assert_true(ms_get_u32(bytes) == (uint32_t)v && ms_get_u16(bytes + 4) == (uint16_t)v);
    }
    assert_int_equal(ms_zigzag(0), 0);
    assert_int_equal(ms_zigzag(-1), 1);
    assert_int_equal(ms_zigzag(1), 2);
    uint64_t v = 5;
    assert_int_equal(ms_get_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", bytes, &v), 0);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(ms_get_varint(bytes, bytes + sizeof bytes, &v), 0); /* beyond 64 bits */
    assert_int_equal(v, 5);
}

/* ---- histogram ---- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void quantiles_are_near(void **state)
{
    enum { N = 10000 };
    static uint64_t values[N];
    static struct ms_histogram halves[2], all;
    uint64_t random = 5;
    (void)state;
    assert_int_equal(ms_histogram_quantile(&all, 0.5), 0);
    for (int i = 0; i < N; i++) {
        values[i] = next_random(&random) >> (21 + i % 40);
        ms_histogram_add(&halves[i % 2], values[i], 1);
    }
    ms_histogram_merge(&all, &halves[0]);
    ms_histogram_merge(&all, &halves[1]);
    assert_int_equal(all.count, N);
    qsort(values, N, sizeof *values, by_value);
    for (int q = 1; q <= 1000; q++) {
        uint64_t exact = values[(N / 1000) * q - 1], got = ms_histogram_quantile(&all, q / 1000.0);
        assert_true(got >= exact);
        assert_true((double)got <= (double)exact * 1.032);
    }
    assert_true(ms_histogram_quantile(&all, 0) >= values[0]);
}

static void small_and_huge_values(void **state)
{
    static struct ms_histogram h;
    (void)state;
    for (uint64_t v = 0; v < 64; v++) { /* exact up to two per step */
        h = (struct ms_histogram){0};
        ms_histogram_add(&h, v, 3);
        assert_int_equal(h.count, 3);
        assert_int_equal(ms_histogram_quantile(&h, 1), v);
    }
    h = (struct ms_histogram){0};
    ms_histogram_add(&h, UINT64_MAX, 1);
    assert_int_equal(ms_histogram_quantile(&h, 0.5), (UINT64_C(1) << 44) - 1);
}

/* ---- array ---- */

static void arrays_grow_and_keep_what_they_hold(void **state)
{
    uint16_t *numbers = NULL;
    size_t capacity = 0;
    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        assert_true(ms_array_reserve(&numbers, &capacity, i + 1, sizeof *numbers));
        assert_true(capacity > i);
        numbers[i] = (uint16_t)i;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], i);
    const uint16_t *before = numbers;
    size_t capacity_before = capacity;
    assert_true(ms_array_reserve(&numbers, &capacity, 3, sizeof *numbers));
    assert_false(ms_array_reserve(&numbers, &capacity, SIZE_MAX / 2, sizeof *numbers));
    assert_ptr_equal(numbers, before);
    assert_int_equal(capacity, capacity_before);
    free(numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arrays_grow_and_keep_what_they_hold),
                                       cmocka_unit_test(index_against_a_set),
                                       cmocka_unit_test(index_holds_what_it_expected),
                                       cmocka_unit_test(arena_keeps_what_it_gave),
                                       cmocka_unit_test(arena_reuses_its_chunks),
                                       cmocka_unit_test(buffer_grows),
                                       cmocka_unit_test(buffer_keeps_its_ceiling),
                                       cmocka_unit_test(numbers_round_trip),
                                       cmocka_unit_test(quantiles_are_near),
                                       cmocka_unit_test(small_and_huge_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
