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

static const struct ms_csv_style plain = {',', MS_CSV_DOUBLED, false};

/* A record on the heap, without room behind it, so that a sanitizer sees what reads on. */
static char *record_of(const char *text, size_t *size)
{
    *size = strlen(text);
    char *copy = malloc(*size ? *size : 1);
    memcpy(copy, text, *size);
    return copy;
}

static void assert_split(const char *text, const struct ms_csv_style *style, size_t expected,
                         const char *const *texts)
{
    struct ms_csv_cell cells[4];
    size_t size, count;
    char *record = record_of(text, &size);
    assert_null(ms_csv_split(record, size, style, cells, 4, &count));
    assert_int_equal(count, expected);
    for (size_t c = 0; c < count; c++) {
        assert_int_equal(cells[c].text.size, strlen(texts[c]));
        assert_memory_equal(cells[c].text.data, texts[c], cells[c].text.size);
    }
    free(record);
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
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_split(cases[i].record, &plain, cases[i].count, cases[i].cells);
}

/* Other separators, other ways to write quotes, and digits that a spreadsheet is to keep as they are. */
static void styles(void **state)
{
    static const struct {
        const char *record;
        struct ms_csv_style style;
        size_t count;
        const char *cells[4];
    } cases[] = {
        {"a,b;c;\"d;e\"", {';', MS_CSV_DOUBLED, false}, 3, {"a,b", "c", "d;e"}},
        {"a\tb c\t\"d\te\"", {'\t', MS_CSV_DOUBLED, false}, 3, {"a", "b c", "d\te"}},
        {"1::2", {':', MS_CSV_DOUBLED, false}, 3, {"1", "", "2"}},
        {"=\"007\",=\"\",=1+1", {',', MS_CSV_DOUBLED, false}, 3, {"007", "", "=1+1"}},
        {"\"=\"\"007\"\"\",\"=x\"", {',', MS_CSV_DOUBLED, false}, 2, {"007", "=x"}},
        {"\"the \\\"best\\\" of\\\\\",\"a\",b\\",
         {',', MS_CSV_BACKSLASH, false},
         3,
         {"the \"best\" of\\", "a", "b\\"}},
        {"\"Weird Al\" Yankovic\ta\"\t\"",
         {'\t', MS_CSV_PLAIN, false},
         3,
         {"\"Weird Al\" Yankovic", "a\"", "\""}},
        {"a, b, \"c\",  d", {',', MS_CSV_DOUBLED, true}, 4, {"a", "b", "c", " d"}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_split(cases[i].record, &cases[i].style, cases[i].count, cases[i].cells);
}

static void refuses(void **state)
{
    static const char *const records[] = {"\"",  "\"a",      "\"a\"\"", "a,\"",    "\"a\"b",  "\"a\" ,b",
                                          "a\"", "a,b\"c\"", " \"a\"",  "=\"a\"b", "=\"a,b\""};
    (void)state;
    for (size_t i = 0; i < COUNT(records); i++) {
        struct ms_csv_cell cells[4];
        size_t size, count = 77, bad = 1;
        char *record = record_of(records[i], &size);
        for (size_t at = 0; at < size && record[at] != '"'; at++)
            bad += record[at] == ',';
        assert_non_null(ms_csv_split(record, size, &plain, cells, 4, &count));
        assert_int_equal(count, bad); /* the cell */
        free(record);
    }
}

static void counts_beyond_the_room(void **state)
{
    struct ms_csv_cell cells[2] = {{{NULL, 0}, false}, {{NULL, 0}, false}};
    char record[] = "a,b,c,d", many[2 * MS_CSV_MAX_CELLS];
    size_t count;
    (void)state;
    assert_null(ms_csv_split(record, strlen(record), &plain, cells, 1, &count));
    assert_int_equal(count, 4);
    assert_int_equal(cells[0].text.size, 1);
    assert_null(cells[1].text.data);
    memset(many, ',', sizeof many);
    assert_null(ms_csv_split(many, MS_CSV_MAX_CELLS - 1, &plain, cells, 2, &count));
    assert_int_equal(count, MS_CSV_MAX_CELLS);
    assert_non_null(ms_csv_split(many, MS_CSV_MAX_CELLS, &plain, cells, 2, &count));
}

static void crosses(void **state)
{
    static const struct {
        const char *line;
        bool open, expected, backslash; /* with quotes doubled, and with backslashes before them */
    } cases[] = {
        {"a,\"b\"\"c\"", false, false, false},
        {"a,\"b", false, true, true},
        {"\"", false, true, true},
        {"", false, false, false},
        {"", true, true, true},
        {"b\",c", true, false, false},
        {"\"a\\\"b\"", false, true, false},
        {"a\\", true, true, true},
        {"b\\\"", true, false, true},
        {"b\\\\\"", true, false, false},
        {"b\",\"c", true, true, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t size;
        struct ms_csv_style style = plain;
        char *line = record_of(cases[i].line, &size);
        assert_int_equal(ms_csv_crosses((struct ms_bytes){line, size}, &style, cases[i].open),
                         cases[i].expected);
        style.quotes = MS_CSV_BACKSLASH;
        assert_int_equal(ms_csv_crosses((struct ms_bytes){line, size}, &style, cases[i].open),
                         cases[i].backslash);
        style.quotes = MS_CSV_PLAIN;
        assert_false(ms_csv_crosses((struct ms_bytes){line, size}, &style, false));
        free(line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),  cmocka_unit_test(styles),
        cmocka_unit_test(refuses), cmocka_unit_test(counts_beyond_the_room),
        cmocka_unit_test(crosses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
