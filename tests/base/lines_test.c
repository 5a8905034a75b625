/* Lines and JSON values of a stream, in pieces of all sizes. */
#include "base_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lines.h"

/* A text that is read in pieces of |step| bytes. */
struct pieces {
    const char *text;
    size_t size, at, step;
};

static enum ms_status read_pieces(void *context, char *into, size_t room, size_t *got, struct ms_error *error)
{
    struct pieces *pieces = context;
    (void)error;
    size_t left = pieces->size - pieces->at, n = left < pieces->step ? left : pieces->step;
    *got = n < room ? n : room;
    memcpy(into, pieces->text + pieces->at, *got);
    pieces->at += *got;
    return MS_OK;
}

static void begin(struct ms_lines *lines, struct pieces *pieces, const char *text, size_t size, size_t step,
                  size_t max)
{
    *pieces = (struct pieces){text, size, 0, step};
    ms_lines_init(lines, (struct ms_byte_source){"the text", pieces, read_pieces}, max);
}

static struct ms_bytes next(struct ms_lines *lines, bool values, bool list)
{
    struct ms_bytes got = {NULL, 0};
    struct ms_error error = {0};
    if ((values ? ms_lines_next_value(lines, list, &got, &error) : ms_lines_next(lines, &got, &error)) !=
        MS_OK)
        fail_msg("%s", error.text);
    return got;
}

static void assert_given(struct ms_bytes got, const char *expected, const struct ms_lines *lines,
                         uint64_t number)
{
    if (!expected) {
        assert_null(got.data);
        return;
    }
    assert_non_null(got.data);
    if (got.size != strlen(expected) || memcmp(got.data, expected, got.size) != 0)
        fail_msg("'%.*s', expected '%s'", (int)got.size, got.data, expected);
    assert_int_equal(lines->number, number);
}

static void lines_of_all_kinds(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "one\r\n\ntwo\rtwo\n\xef\xbb\xbf"
                               "three\r\n\r\nlast";
    static const char *const expected[] = {"one",
                                           "",
                                           "two\rtwo",
                                           "\xef\xbb\xbf"
                                           "three",
                                           "",
                                           "last",
                                           NULL};
    (void)state;
    for (size_t step = 1; step < 30; step++) {
        struct ms_lines lines;
        struct pieces pieces;
        begin(&lines, &pieces, text, sizeof text - 1, step, 100);
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
            struct ms_bytes line = next(&lines, false, false);
            assert_given(line, expected[i], &lines, i + 1);
        }
        assert_null(next(&lines, false, false).data);
        ms_lines_free(&lines);
        begin(&lines, &pieces, "\xef\xbb", 2, step, 100); /* half a mark is text */
        assert_given(next(&lines, false, false), "\xef\xbb", &lines, 1);
        ms_lines_free(&lines);
        begin(&lines, &pieces, "", 0, step, 100);
        assert_null(next(&lines, false, false).data);
        ms_lines_free(&lines);
    }
}

static void values_of_all_kinds(void **state)
{
    static const char text[] =
        "\xef\xbb\xbf [ {\"a\": \"}]\\\"\\\\\",\n \"b\":[1,[2]]},\n\"x,\\\"y\",  -1.5e3,true\n,[],{}]";
    static const struct {
        const char *text;
        uint64_t line;
    } expected[] = {{"[", 1}, {"{\"a\": \"}]\\\"\\\\\",\n \"b\":[1,[2]]}", 1},
                    {",", 2}, {"\"x,\\\"y\"", 3},
                    {",", 3}, {"-1.5e3", 3},
                    {",", 3}, {"true", 3},
                    {",", 4}, {"[]", 4},
                    {",", 4}, {"{}", 4},
                    {"]", 4}, {NULL, 0}};
    (void)state;
    for (size_t step = 1; step < 30; step++) {
        struct ms_lines lines;
        struct pieces pieces;
        begin(&lines, &pieces, text, sizeof text - 1, step, 100);
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
            struct ms_bytes value = next(&lines, true, i == 0);
            assert_given(value, expected[i].text, &lines, expected[i].line);
        }
        ms_lines_free(&lines);
        begin(&lines, &pieces, "}{\"a\":1", 7, step, 100);
        assert_given(next(&lines, true, false), "}", &lines, 1);
        assert_given(next(&lines, true, false), "{\"a\":1", &lines, 1); /* cut off */
        assert_null(next(&lines, true, false).data);
        ms_lines_free(&lines);
    }
}

/* The ceiling holds before memory is taken, and what is as long as it is given. */
static void ceiling(void **state)
{
    struct ms_lines lines;
    struct pieces pieces;
    struct ms_bytes got;
    struct ms_error error;
    size_t max = (size_t)3 << 20;
    char *text = malloc(4 * max);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', 4 * max);
    text[0] = '\n';
    text[max + 1] = '\n';
    begin(&lines, &pieces, text, 4 * max, 100000, max);
    assert_int_equal(next(&lines, false, false).size, 0);
    assert_int_equal(next(&lines, false, false).size, max);
    assert_int_equal(ms_lines_next(&lines, &got, &error), MS_FORMAT);
    assert_string_equal(error.text, "the text: line 3: longer than 3145728 bytes");
    assert_true(lines.room <= max + ((size_t)1 << 20));
    ms_lines_free(&lines);
    text[max + 1] = 'x';
    text[2] = '"';
    begin(&lines, &pieces, text + 1, 4 * max - 1, 100000, max);
    assert_int_equal(next(&lines, true, false).size, 1);
    assert_int_equal(ms_lines_next_value(&lines, false, &got, &error), MS_FORMAT);
    assert_string_equal(error.text, "the text: line 1: longer than 3145728 bytes");
    ms_lines_free(&lines);
    free(text);
}

static void peeks(void **state)
{
    struct ms_lines lines;
    struct pieces pieces;
    struct ms_bytes got = {NULL, 0};
    (void)state;
    begin(&lines, &pieces,
          "\xef\xbb\xbf"
          "one\ntwo",
          10, 1, 100);
    assert_int_equal(ms_lines_peek(&lines, 5, &got, NULL), MS_OK);
    assert_given(got, "one\nt", &lines, 0);
    assert_int_equal(ms_lines_peek(&lines, 50, &got, NULL), MS_OK);
    assert_given(got, "one\ntwo", &lines, 0);
    assert_given(next(&lines, false, false), "one", &lines, 1);
    assert_given(next(&lines, false, false), "two", &lines, 2);
    assert_null(next(&lines, false, false).data);
    ms_lines_free(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_all_kinds),
        cmocka_unit_test(values_of_all_kinds),
        cmocka_unit_test(ceiling),
        cmocka_unit_test(peeks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
