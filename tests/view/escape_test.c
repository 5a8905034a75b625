/* Bytes from outside on a terminal, and times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "view/escape.h"

static void escaped(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *text;
    } cases[] = {
        {"", 0, ""},
        {"plain ~", 7, "plain ~"},
        {"\xc3\xbc \xe6\xbc\xa2 \xf0\x9f\x98\x80", 11, "\xc3\xbc \xe6\xbc\xa2 \xf0\x9f\x98\x80"},
        {"\0\x01\x1f\x7f", 4, "\\x00\\x01\\x1f\\x7f"},
        {"\x1b[31mred", 8, "\\x1b[31mred"},
        {"a\\x00", 5, "a\\x5cx00"},                                      /* the escape cannot be imitated */
        {"\xc2\x80\xc2\x9f\xc2\xa0", 6, "\\xc2\\x80\\xc2\\x9f\xc2\xa0"}, /* C1 ends at U+009F */
        {"\xff\xc3", 2, "\\xff\\xc3"},                                   /* not UTF-8, and cut */
        {"\xe6\xbc", 2, "\\xe6\\xbc"},
        {"\xc0\xaf\x80", 3, "\\xc0\\xaf\\x80"}, /* overlong, and a lone continuation */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ms_buffer out = {0};
        assert_true(ms_buffer_append(&out, ">", 1));
        assert_true(ms_escape(&out, (struct ms_bytes){cases[i].bytes, cases[i].size}));
        assert_int_equal(out.size, 1 + strlen(cases[i].text));
        assert_memory_equal(out.data + 1, cases[i].text, out.size - 1);
        ms_buffer_free(&out);
    }
    struct ms_buffer small = {.max = 2};
    assert_false(ms_escape(&small, (struct ms_bytes){"\n", 1}));
    ms_buffer_free(&small);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1700000000123, "2023-11-14T22:13:20.123Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000, "1969-12-31T23:59:59.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "10000-01-01T00:00:00.000Z"},
        {INT64_MIN, "-"},
        {INT64_MAX, "292278994-08-17T07:12:55.807Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[MS_TIME_TEXT_BYTES];
        ms_time_text(text, cases[i].ms);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(escaped), cmocka_unit_test(times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
