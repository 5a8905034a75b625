/* Properties files and statuses. */
#include "base_test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/properties.h"

static char path[512];

static void write_bytes(const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *text)
{
    write_bytes(text, strlen(text));
}

struct seen {
    char text[2048];
    int stop_at, count;
};

static enum ms_status collect(void *context, const char *key, const char *value, const char *where,
                              struct ms_error *error)
{
    struct seen *seen = context;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "[%s|%s|%s]", key, value, strrchr(where, ':') + 1);
    assert_true(strncmp(where, path, strlen(path)) == 0);
    return ++seen->count == seen->stop_at ? ms_fail(error, MS_CONFIG, "%s: enough", where) : MS_OK;
}

static void reads(const char *text, const char *expected)
{
    struct seen seen = {.stop_at = -1};
    struct ms_error error;
    write_file(text);
    assert_int_equal(ms_properties_read(path, collect, &seen, &error), MS_OK);
    assert_string_equal(seen.text, expected);
}

static void properties_grammar(void **state)
{
    (void)state;
    reads("", "");
    reads("a=1\nb: 2\nc 3\nd\t4\n", "[a|1|1][b|2|2][c|3|3][d|4|4]");
    reads("# no\n ! no\n\n  \n  a.b = c d \n", "[a.b|c d |5]");
    reads("a=1\r\nb=2", "[a|1|1][b|2|2]");
    reads("a=one,\\\n   two,\\\n   three\nb=2\n", "[a|one,two,three|3][b|2|4]");
    reads("a=back\\\\slash\\\\\nb=2\n", "[a|back\\slash\\|1][b|2|2]");
    reads("a=x\\ty\\n\\=\\:z\n", "[a|x\ty\n=:z|1]");
    reads("k\\=e\\:y\\ =v\n", "[k=e:y |v|1]");
    reads("a=\nb\nc==:x\n", "[a||1][b||2][c|=:x|3]");
    reads("a=1\\\n# not a comment\n", "[a|1# not a comment|2]");
    reads("caf\xc3\xa9=\xe2\x82\xac\n", "[caf\xc3\xa9|\xe2\x82\xac|1]");
    reads("a=end\\", "[a|end|1]");
}

struct sample {
    const char *text;
    size_t size;
    const char *expected; /* NULL: refused */
    const char *error;
};
#define SAMPLE(text, expected)                                                                               \
    {                                                                                                        \
        text, sizeof text - 1, expected, NULL                                                                \
    }
#define REFUSED(text, error)                                                                                 \
    {                                                                                                        \
        text, sizeof text - 1, NULL, error                                                                   \
    }

/* Where readers of .properties files differ: what java.util.Properties does, case by case. */
static void properties_as_java_reads_them(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct sample samples[] = {
        SAMPLE("a=\\u0041\\u00e9\\u20aC\n",          "[a|A\xc3\xa9\xe2\x82\xac|1]"),
        SAMPLE("a=\\ud83d\\ude00!\n",                "[a|\xf0\x9f\x98\x80!|1]"),
        SAMPLE("\\u006b\\u003d=v\n",                 "[k=|v|1]"),
        SAMPLE("a=\\u00412\n",                       "[a|A2|1]"),
        SAMPLE("a=\\U0041\\x41\\z\n",                "[a|U0041x41z|1]"),
        SAMPLE("a=\\u003db\\u005cn\n",               "[a|=b\\n|1]"),
        SAMPLE("a=secret \t\n",                      "[a|secret \t|1]"),
        SAMPLE("a=\\ \\ two\\ \n",                   "[a|  two |1]"),
        SAMPLE("a  :  = b\n",                        "[a|= b|1]"),
        SAMPLE("a\f=\f b\n",                         "[a|b|1]"),
        SAMPLE("a\vb=c\n",                           "[a\vb|c|1]"), /* a vertical tab is no blank */
        SAMPLE("a=\vb\v\n",                          "[a|\vb\v|1]"),
        SAMPLE("a=1\rb=2\rc=3",                      "[a|1|1][b|2|2][c|3|3]"),
        SAMPLE("a=1\\\r\n  2\\\r  3\n",              "[a|123|3]"),
        SAMPLE("a=1\\\n\nb=2\n",                     "[a|1|2][b|2|3]"), /* an empty line ends what is joined */
        SAMPLE("\\\n# comment\na=1\n",               "[a|1|3]"),
        SAMPLE("a=1\\\\\\\n2\n",                     "[a|1\\2|2]"),
        SAMPLE("# comment \\\na=1\n",                "[a|1|2]"),
        SAMPLE("\xef\xbb\xbf" "a=1\n",               "[a|1|1]"),
        SAMPLE("\xef\xbb\xbf# c\na=1\n",             "[a|1|2]"),
        SAMPLE("\xef\xbb" "a=1\n",                   "[\xef\xbb" "a|1|1]"),
        SAMPLE("\xef",                               "[\xef||1]"),
        SAMPLE("# \0\na=1\n",                        "[a|1|2]"),
        SAMPLE("\\",                                 ""),
        REFUSED("b=1\na=pass\0word\n",               ":2: the line has a NUL character"),
        REFUSED("a\0b=1\n",                          ":1: the line has a NUL character"),
        REFUSED("a=pass\\u0000word\n",               ":1: the line has a NUL character"),
        REFUSED("a=\\u12\n",                         ":1: the line has \\u without four hexadecimal digits"),
        REFUSED("a=\\u12g4\n",                       ":1: the line has \\u without four hexadecimal digits"),
        REFUSED("a=\\uu0041\n",                      ":1: the line has \\u without four hexadecimal digits"),
        REFUSED("a=\\ud83d\n",                       ":1: the line has half of a surrogate pair"),
        REFUSED("a=\\ud83d\\u0041\n",                ":1: the line has half of a surrogate pair"),
        REFUSED("a=\\ude00\\ud83d\n",                ":1: the line has half of a surrogate pair"),
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const struct sample *sample = &samples[i];
        struct seen seen = {.stop_at = -1};
        struct ms_error error = {0};
        write_bytes(sample->text, sample->size);
        enum ms_status status = ms_properties_read(path, collect, &seen, &error);
        bool good = sample->expected ? status == MS_OK && strcmp(seen.text, sample->expected) == 0
                                     : status == MS_CONFIG && strstr(error.text, sample->error);
        if (!good && status != MS_MEMORY)
            fail_msg("sample %zu: got '%s' '%s'", i, seen.text, error.text);
        assert_int_not_equal(status, MS_MEMORY);
    }
}

/* A line of a MiB is an error, not memory without bound. */
static void properties_lines_end(void **state)
{
    (void)state;
    struct seen seen = {.stop_at = -1};
    struct ms_error error = {0};
    assert_int_equal(ms_properties_read("/dev/zero", collect, &seen, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "/dev/zero:1: the line is longer than 1048576 bytes"));
}

static void properties_end_with_the_callback(void **state)
{
    struct seen seen = {.stop_at = 2};
    struct ms_error error;
    (void)state;
    write_file("a=1\nb=2\nc=3\n");
    assert_int_equal(ms_properties_read(path, collect, &seen, &error), MS_CONFIG);
    assert_int_equal(seen.count, 2);
    assert_non_null(strstr(error.text, ":2: enough"));
    unlink(path);
    assert_int_equal(ms_properties_read(path, collect, &seen, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "No such file"));
}

static void every_status_is_whole(void **state)
{
    (void)state;
    for (int s = 0; s < MS_STATUS_COUNT; s++) {
        enum ms_status status = (enum ms_status)s;
        assert_true(strlen(ms_status_name(status)) > 0 && strlen(ms_status_text(status)) > 0);
        assert_int_equal(ms_status_action(status) == MS_ACTION_NONE, status == MS_OK);
        assert_in_range(ms_status_exit_code(status), status == MS_OK ? 0 : 1, status == MS_OK ? 0 : 3);
    }
    assert_string_equal(ms_status_name(MS_STATE_BUSY), "STATE_BUSY");
    assert_int_equal(ms_status_exit_code(MS_CONFIG), 2);
    /* What only a person can mend. A directory in use and a broker that is away pass. */
    assert_int_equal(ms_status_exit_code(MS_OFFSETS), 3);
    assert_int_equal(ms_status_exit_code(MS_STATE), 3);
    assert_int_equal(ms_status_exit_code(MS_STATE_NEWER), 3);
    assert_int_equal(ms_status_exit_code(MS_KAFKA_REFUSED), 3);
    assert_int_equal(ms_status_exit_code(MS_STATE_BUSY), 1);
    assert_int_equal(ms_status_exit_code(MS_KAFKA), 1);
    assert_int_equal(ms_status_action(MS_KAFKA_ABORT), MS_ACTION_ABORT);
    assert_int_equal(ms_status_action(MS_EVENT), MS_ACTION_SKIP_EVENT);
}

static void errors_fill_and_nest(void **state)
{
    struct ms_error error;
    char wide[3000];
    (void)state;
    assert_int_equal(ms_fail(NULL, MS_IO, "x"), MS_IO);
    assert_int_equal(ms_fail_in(NULL, MS_IO, "x"), MS_IO);
    assert_int_equal(ms_fail(&error, MS_IO, "%s: %d", "file", 7), MS_IO);
    assert_int_equal(error.status, MS_IO);
    assert_string_equal(error.text, "file: 7");
    assert_int_equal(ms_fail_in(&error, MS_IO, "row %d", 3), MS_IO);
    assert_string_equal(error.text, "row 3: file: 7");
    memset(wide, 'w', sizeof wide);
    wide[sizeof wide - 1] = '\0';
    ms_fail(&error, MS_MODEL, "%s", wide); /* cut, never past the end */
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    ms_fail_in(&error, MS_MODEL, "in");
    assert_true(strncmp(error.text, "in: www", 7) == 0 && strlen(error.text) < sizeof error.text);
    ms_fail(&error, MS_MODEL, "cause");
    ms_fail_in(&error, MS_MODEL, "%s", wide);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_grammar),    cmocka_unit_test(properties_as_java_reads_them),
        cmocka_unit_test(properties_lines_end),  cmocka_unit_test(properties_end_with_the_callback),
        cmocka_unit_test(every_status_is_whole), cmocka_unit_test(errors_fill_and_nest)};
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/ms-properties-%ld", base ? base : "/tmp", (long)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
