/* Text in lines and in roff. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/layout.h"

/* Collects what |write| prints. */
static char output[1024];

static FILE *open_output(void)
{
    memset(output, 0, sizeof output);
    FILE *out = fmemopen(output, sizeof output - 1, "w");
    assert_non_null(out);
    return out;
}

static void assert_wrapped(const char *prefix, const char *text, size_t width, int in_line,
                           const char *expected)
{
    FILE *out = open_output();
    ms_layout_wrapped(out, prefix, text, width, in_line);
    fclose(out);
    assert_string_equal(output, expected);
}

static void test_wrapped(void **state)
{
    (void)state;
    assert_wrapped("# ", "one two three", 20, 0, "# one two three\n");
    assert_wrapped("# ", "one two three", 15, 0, "# one two three\n"); /* just fits */
    assert_wrapped("# ", "one two three", 14, 0, "# one two\n# three\n");
    assert_wrapped("  ", "one two three", 9, 1, "one two\n  three\n");
    assert_wrapped("", "a muchtoolongword b", 6, 0, "a\nmuchtoolongword\nb\n");
    assert_wrapped("", "", 6, 0, "");
}

static void assert_roff(const char *text, const char *expected)
{
    FILE *out = open_output();
    ms_layout_roff(out, text);
    fclose(out);
    assert_string_equal(output, expected);
}

static void test_roff(void **state)
{
    (void)state;
    assert_roff("plain", "plain");
    assert_roff("--set a\\b", "\\-\\-set a\\eb");
    assert_roff(".profile", "\\&.profile");
    assert_roff("'quoted' .", "\\&'quoted' .");
    assert_roff("", "");
}

static void assert_roff_lines(const char *text, const char *expected)
{
    FILE *out = open_output();
    ms_layout_roff_lines(out, text);
    fclose(out);
    assert_string_equal(output, expected);
}

/* An empty line begins a paragraph; lines that begin with a blank keep their layout. */
static void test_roff_lines(void **state)
{
    (void)state;
    assert_roff_lines("one\ntwo\n", "one\ntwo\n");
    assert_roff_lines("one\n\ntwo\n", "one\n.PP\ntwo\n");
    assert_roff_lines("a table:\n  x  1\n  y  2\nafter\n", "a table:\n.nf\n  x  1\n  y  2\n.fi\nafter\n");
    assert_roff_lines("  x\n\n  y\n", ".nf\n  x\n\n  y\n.fi\n");
    assert_roff_lines("  last", ".nf\n  last\n.fi\n");
    assert_roff_lines(".dot\n", "\\&.dot\n");
    assert_roff_lines("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrapped),
        cmocka_unit_test(test_roff),
        cmocka_unit_test(test_roff_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
