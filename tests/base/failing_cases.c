/* Test cases with an allocation that fails. */
#include "failing_cases.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "allocations.h"

#define LIMIT_S     30    /* a case that takes longer hangs */
#define ALL_UP_TO   24    /* so many allocations fail each in its turn, the others by a fixed stride */
#define MOST        36    /* runs of a case, at most */
#define LONG        20000 /* so many allocations make a long case */
#define MOST_LONG   4
#define LEAK_STATUS 77

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* What a child leaves for its parent. */
struct report {
    size_t made;
    bool failed, reported;
};

static struct report *of_child; /* what the handler fills */

static void note(void)
{
    of_child->made = allocations_made();
    of_child->failed = allocations_failed();
    of_child->reported = allocations_reported();
}

/* An assert, or a fixture that gives up. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    note();
    _exit(1);
}

/* The child's part: runs the case and notes what came of it. */
static int run_case(const struct cases *cases, const struct CMUnitTest *test, size_t n, struct report *report)
{
    of_child = report;
    signal(SIGABRT, on_abort);
    alarm(LIMIT_S);
    allocations_fail_at(n);
    int failures = cases->run(cases->group, test, 1, cases->setup, cases->teardown);
    note();
    fflush(NULL);
    /* a case that ends in the middle frees nothing */
    if (failures == 0 && __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        return LEAK_STATUS;
    return failures ? 1 : 0;
}

/* Forks, and returns the child's wait status; its output goes to |output|. */
static int in_child(const struct cases *cases, const struct CMUnitTest *test, size_t n, struct report *report,
                    FILE *output)
{
    int status = 0;
    rewind(output);
    if (ftruncate(fileno(output), 0) != 0)
        abort();
    *report = (struct report){0};
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(fileno(output), STDOUT_FILENO);
        dup2(fileno(output), STDERR_FILENO);
        _exit(run_case(cases, test, n, report));
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    return status;
}

/* cmocka's handler of SIGSEGV would hide where it was. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allow_user_segv_handler=0";
}

/* Whether the test itself used what it did not get: |text| is what the sanitizer says of a crash. */
static bool test_crashed(const char *text)
{
    const char *summary = strstr(text, "SUMMARY: AddressSanitizer: SEGV");
    const char *end = summary ? strchr(summary, '\n') : NULL;
    const char *tests = summary ? strstr(summary, MS_TESTS_DIR) : NULL;
    return end && tests && tests < end;
}

/* NULL, or what was wrong with a run. */
static const char *verdict(const struct cases *cases, int status, const struct report *report,
                           const char *text)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status));
    if (WEXITSTATUS(status) == LEAK_STATUS)
        return "leaks";
    if (test_crashed(text))
        return NULL;
    if (strstr(text, "Sanitizer") || strstr(text, "runtime error:"))
        return "sanitizer";
    if (strstr(text, "Test failed with exception") || (strstr(text, "/src/") && strstr(text, "Assertion")))
        return "crash";
    if (WEXITSTATUS(status) == 0)
        return NULL;
    if (!report->failed)
        return "fails though no allocation did";
    return report->reported || cases->silent ? NULL : "fails without MS_MEMORY";
}

/* One case with one allocation failing; prints and returns what was wrong. */
static int try_one(const struct cases *cases, const struct CMUnitTest *test, size_t n, struct report *report)
{
    static char text[40000];
    FILE *output = tmpfile();
    if (!output)
        abort();
    int status = in_child(cases, test, n, report, output);
    rewind(output);
    text[fread(text, 1, sizeof text - 1, output)] = '\0';
    fclose(output);
    const char *wrong = verdict(cases, status, report, text);
    if (wrong)
        printf("%s: allocation %zu fails: %s\n%.3000s\n", test->name, n, wrong, text);
    return wrong != NULL;
}

int run_failing_cases(const struct cases *cases)
{
    int bad = 0;
    struct report *report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                                 0);
    if (report == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < cases->count; i++) {
        const struct CMUnitTest *test = &cases->tests[i];
        int wrong = try_one(cases, test, 0, report);
        size_t made = report->made, runs = 0;
        bool few = cases->slow || made > LONG;
        size_t each = few ? 0 : ALL_UP_TO, most = few ? MOST_LONG : MOST;
        size_t stride = made > each ? (made - each) / (most - each) + 1 : 1;
        for (size_t n = 1; n <= made && !wrong; n += n < each ? 1 : stride, runs++)
            bad += try_one(cases, test, n, report);
        bad += wrong;
        printf("%s: %zu allocations, %zu of them failed in turn\n", test->name, made, runs);
    }
    munmap(report, sizeof *report);
    return bad;
}
