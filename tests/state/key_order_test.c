/* The radix sort against comparing whole keys: ids of every length, shared fronts, zeros inside. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/key_order.h"
#include "user/lives.h"

#define MOST 3000

struct id {
    char bytes[48];
    size_t size;
    uint16_t partition;
};

static struct id ids[MOST];
static uint64_t asked; /* for whole ids */

static struct ms_bytes id_of(void *context, uint32_t index)
{
    assert_ptr_equal(context, ids);
    asked++;
    return (struct ms_bytes){ids[index].bytes, ids[index].size};
}

static int order(const struct id *a, const struct id *b)
{
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    int bytes = memcmp(a->bytes, b->bytes, a->size < b->size ? a->size : b->size);
    return bytes ? bytes : (a->size > b->size) - (a->size < b->size);
}

static void sort_and_check(size_t count)
{
    static struct ms_sort_key keys[MOST], scratch[MOST];
    static bool seen[MOST];
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < count; i++)
        keys[i] = ms_sort_key(ids[i].partition, (struct ms_bytes){ids[i].bytes, ids[i].size}, i);
    ms_sort_keys(keys, scratch, count, id_of, ids);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(keys[i].partition, ids[keys[i].index].partition);
        assert_false(seen[keys[i].index]);
        seen[keys[i].index] = true;
        if (i)
            assert_true(order(&ids[keys[i - 1].index], &ids[keys[i].index]) <= 0);
    }
}

/* Few different bytes, so that ids are each other's fronts; zeros among them, as the filling is. */
static void random_bytes(void **state)
{
    uint64_t random = 5;
    (void)state;
    for (size_t count = 0; count <= MOST; count = count * 2 + 1) {
        for (size_t i = 0; i < count; i++) {
            ids[i].size = life_random(&random) % 40;
            ids[i].partition = (uint16_t)(life_random(&random) % 3 * 300);
            for (size_t c = 0; c < ids[i].size; c++)
                ids[i].bytes[c] = "\0\1\xff"[life_random(&random) % 3];
        }
        sort_and_check(count);
    }
}

static void numbered(void **state)
{
    static const char *const around[][2] = {
        {"u", ""}, {"", ""}, {"user_", "@"}, {"tenant/0000/users/", ""}, {"", "-0000-1111-2222"}};
    uint64_t random = 7;
    (void)state;
    for (size_t f = 0; f < sizeof around / sizeof *around; f++) {
        for (size_t i = 0; i < MOST; i++) {
            ids[i].partition = (uint16_t)(life_random(&random) % 5);
            ids[i].size = (size_t)snprintf(ids[i].bytes, sizeof ids[i].bytes, "%s%u%s", around[f][0],
                                           (unsigned)(life_random(&random) % 1000000), around[f][1]);
        }
        asked = 0;
        sort_and_check(MOST);
        if (f < 3) /* ids of up to 16 bytes: only the same number twice is looked at again */
            assert_in_range(asked, 0, 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_bytes), cmocka_unit_test(numbered)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
