/* Properties files and statuses. */
#include "base_test.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/properties.h"

static char path[512];

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
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
    reads("# no\n ! no\n\n  \n  a.b = c d \n", "[a.b|c d|5]");
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
        assert_in_range(ms_status_exit_code(status), status == MS_OK ? 0 : 1, status == MS_OK ? 0 : 2);
    }
    assert_string_equal(ms_status_name(MS_STATE_BUSY), "STATE_BUSY");
    assert_int_equal(ms_status_exit_code(MS_CONFIG), 2);
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
        cmocka_unit_test(properties_grammar), cmocka_unit_test(properties_end_with_the_callback),
        cmocka_unit_test(every_status_is_whole), cmocka_unit_test(errors_fill_and_nest)};
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/ms-properties-%ld", base ? base : "/tmp", (long)getpid());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
