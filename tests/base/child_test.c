/* Words of a command, and programs that end well, badly, or not at all. */
#include "base_test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/progress.h"

static void splits_at_blanks(void **state)
{
    (void)state;
    struct ms_words words;
    struct ms_error error;
    assert_int_equal(ms_words_split(&words, "  /bin/echo a 'b c' d\"e f\"g '' $HOME;x ", &error), MS_OK);
    const char *expected[] = {"/bin/echo", "a", "b c", "de fg", "", "$HOME;x"};
    assert_int_equal(words.count, 6);
    for (size_t i = 0; i < words.count; i++)
        assert_string_equal(words.words[i], expected[i]);
    assert_null(words.words[words.count]);
    ms_words_free(&words);
}

static void refuses_commands(void **state)
{
    (void)state;
    char many[300] = "/x";
    for (int i = 0; i < 64; i++)
        strcat(many, " y");
    const char *const bad[] = {"", "   ", "echo x", "./x", "/bin/echo 'x", "'' /bin/echo", many};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ms_words words;
        struct ms_error error = {0};
        enum ms_status status = ms_words_split(&words, bad[i], &error);
        assert_true(status == MS_CONFIG || status == MS_MEMORY);
        assert_non_null(strstr(error.text, status == MS_CONFIG ? "the command " : "memory"));
        ms_words_free(&words);
    }
}

/* Runs it; the caller frees |out|. */
static enum ms_status run(const char *command, int64_t most_ms, struct ms_buffer *out, struct ms_error *error)
{
    struct ms_words words;
    enum ms_status status = ms_words_split(&words, command, error);
    if (status == MS_OK)
        status = ms_child_run(&words, most_ms, out, error);
    ms_words_free(&words);
    return status;
}

static void takes_the_output(void **state)
{
    (void)state;
    struct ms_buffer out = {.max = 1000};
    struct ms_error error;
    setenv("CHILD_TEST", "from above", 1);
    int before = dup(2);
    assert_true(before > 2);
    assert_int_equal(run("/bin/sh -c 'cat; echo $CHILD_TEST; ls /proc/self/fd'", 10000, &out, &error), MS_OK);
    static const char expected[] = "from above\n0\n1\n2\n3\n"; /* 3 is the directory that ls lists */
    assert_int_equal(out.size, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.size);
    close(before);
    ms_buffer_free(&out);
}

static void says_how_it_ended(void **state)
{
    (void)state;
    const struct {
        const char *command, *text;
    } ends[] = {
        {"/bin/sh -c 'echo; echo first >&2; echo second >&2; exit 7'", "/bin/sh ended with status 7: first"},
        {"/bin/false", "/bin/false ended with status 1: it said nothing"},
        {"/bin/sh -c 'kill -9 $$'", "/bin/sh was killed by signal 9"},
        /* valgrind runs the child in a copy of the process, so that only its status tells */
        {"/no/such/program", getenv("VALGRIND") ? "/no/such/program ended with status 127"
                                                : "/no/such/program cannot be run: No such file"},
        {"/bin/sh -c 'head -c 2000 /dev/zero'", "printed too much"},
        {"/bin/sh -c 'printf \"\\377\" >&2; exit 1'", "(not UTF-8)"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct ms_buffer out = {.max = 1000};
        struct ms_error error = {0};
        enum ms_status status = run(ends[i].command, 10000, &out, &error);
        ms_buffer_free(&out);
        assert_true(status == MS_IO || status == MS_MEMORY);
        if (status == MS_IO && !strstr(error.text, ends[i].text))
            fail_msg("%s: %s", ends[i].command, error.text);
    }
}

static void kills_what_hangs(void **state)
{
    (void)state;
    const char *const hanging[] = {"/bin/sleep 100", "/bin/sh -c 'sleep 100 & wait'",
                                   "/bin/sh -c 'exec >&- 2>&-; sleep 100'"};
    for (size_t i = 0; i < sizeof hanging / sizeof *hanging; i++) {
        struct ms_buffer out = {.max = 1000};
        struct ms_error error = {0};
        double began_s = ms_monotonic_s();
        enum ms_status status = run(hanging[i], 100, &out, &error);
        ms_buffer_free(&out);
        assert_true(status == MS_IO || status == MS_MEMORY);
        assert_true(ms_monotonic_s() - began_s < 50);
        assert_true(status == MS_MEMORY || strstr(error.text, "did not end in time"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_at_blanks), cmocka_unit_test(refuses_commands),
        cmocka_unit_test(takes_the_output), cmocka_unit_test(says_how_it_ended),
        cmocka_unit_test(kills_what_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
