/* CSV records. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "train/csv.h"

#define COUNT(array) (sizeof array / sizeof *array)

/* A record on the heap, without room behind it, so that a sanitizer sees what reads on. */
static char *record_of(const char *text, size_t *size)
{
    *size = strlen(text);
    char *copy = malloc(*size ? *size : 1);
    memcpy(copy, text, *size);
    return copy;
}

static void splits(void **state)
{
    static const struct {
        const char *record;
        size_t count;
        const char *cells[4];
    } cases[] = {
        {"", 1, {""}},
        {"a", 1, {"a"}},
        {"a,b,c", 3, {"a", "b", "c"}},
        {",,", 3, {"", "", ""}},
        {"a,", 2, {"a", ""}},
        {"\"a\"", 1, {"a"}},
        {"\"\"", 1, {""}},
        {"\"a,b\",c", 2, {"a,b", "c"}},
        {"\"say \"\"hi\"\"\",\"\"\"\"", 2, {"say \"hi\"", "\""}},
        {"\"a\nb\",c", 2, {"a\nb", "c"}},
        {" a ,\" b \"", 2, {" a ", " b "}},
        {"\"\",", 2, {"", ""}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ms_bytes cells[4];
        size_t size, count;
        char *record = record_of(cases[i].record, &size);
        assert_null(ms_csv_split(record, size, cells, 4, &count));
        assert_int_equal(count, cases[i].count);
        for (size_t c = 0; c < count; c++) {
            assert_int_equal(cells[c].size, strlen(cases[i].cells[c]));
            assert_memory_equal(cells[c].data, cases[i].cells[c], cells[c].size);
        }
        free(record);
    }
}

static void refuses(void **state)
{
    static const char *const records[] = {"\"",       "\"a", "\"a\"\"",  "a,\"",  "\"a\"b",
                                          "\"a\" ,b", "a\"", "a,b\"c\"", " \"a\""};
    (void)state;
    for (size_t i = 0; i < COUNT(records); i++) {
        struct ms_bytes cells[4];
        size_t size, count = 77;
        char *record = record_of(records[i], &size);
        assert_non_null(ms_csv_split(record, size, cells, 4, &count));
        assert_int_equal(count, 77);
        free(record);
    }
}

static void counts_beyond_the_room(void **state)
{
    struct ms_bytes cells[2] = {{NULL, 0}, {NULL, 0}};
    char record[] = "a,b,c,d", many[2 * MS_CSV_MAX_CELLS];
    size_t count;
    (void)state;
    assert_null(ms_csv_split(record, strlen(record), cells, 1, &count));
    assert_int_equal(count, 4);
    assert_int_equal(cells[0].size, 1);
    assert_null(cells[1].data);
    memset(many, ',', sizeof many);
    assert_null(ms_csv_split(many, MS_CSV_MAX_CELLS - 1, cells, 2, &count));
    assert_int_equal(count, MS_CSV_MAX_CELLS);
    assert_non_null(ms_csv_split(many, MS_CSV_MAX_CELLS, cells, 2, &count));
}

static void crosses(void **state)
{
    (void)state;
    assert_false(ms_csv_crosses((struct ms_bytes){"a,\"b\"\"c\"", 8}));
    assert_true(ms_csv_crosses((struct ms_bytes){"a,\"b", 4}));
    assert_true(ms_csv_crosses((struct ms_bytes){"\"", 1}));
    assert_false(ms_csv_crosses((struct ms_bytes){"", 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),
        cmocka_unit_test(refuses),
        cmocka_unit_test(counts_beyond_the_room),
        cmocka_unit_test(crosses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
