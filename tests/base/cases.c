/* Lets a cmocka binary run single cases, so that each is a ctest entry of its own.
 *
 *   test_x             runs every case
 *   test_x NAME...     runs the cases with these names
 *   test_x --list      prints a line "case NAME" for each case (tests/cases.cmake reads them)
 *   test_x --failing-allocations [NAME...]   runs them again and again, each time with another allocation that fails
 *       --silent       what is tested answers false or NULL, not MS_MEMORY
 *       --slow         a run takes long: a few allocations are enough
 *
 * Linked with --wrap=_cmocka_run_group_tests, the function behind cmocka_run_group_tests. Test files stay plain cmocka. An
 * argument that begins with a digit belongs to the test itself. */
#include "base_test.h"
#include "failing_cases.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int arguments_count;
static char **arguments;

int __real__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);

/* glibc hands main's arguments to constructors. */
__attribute__((constructor)) static void keep_arguments(int argc, char **argv)
{
    arguments_count = argc;
    arguments = argv;
}

static const struct CMUnitTest *find_case(const struct CMUnitTest *tests, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tests[i].name, name) == 0)
            return &tests[i];
    }
    return NULL;
}

static int list_cases(const struct CMUnitTest *tests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("case %s\n", tests[i].name);
    return 0;
}

int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown)
{
    struct cases all = {__real__cmocka_run_group_tests, group, tests, count, setup, teardown, false, false},
                 chosen;
    struct CMUnitTest *named = calloc((size_t)arguments_count, sizeof *named);
    bool failing = false;
    int result = 2;
    assert_non_null(named);
    chosen = all;
    chosen.tests = named;
    chosen.count = 0;
    for (int i = 1; i < arguments_count; i++) {
        if (isdigit((unsigned char)arguments[i][0]))
            continue;
        if (strcmp(arguments[i], "--list") == 0) {
            result = list_cases(tests, count);
            goto done;
        }
        if (strcmp(arguments[i], "--failing-allocations") == 0) {
            failing = true;
            continue;
        }
        if (strcmp(arguments[i], "--silent") == 0) {
            all.silent = chosen.silent = true;
            continue;
        }
        if (strcmp(arguments[i], "--slow") == 0) {
            all.slow = chosen.slow = true;
            continue;
        }
        const struct CMUnitTest *test = find_case(tests, count, arguments[i]);
        if (!test) {
            fprintf(stderr, "no case %s\n", arguments[i]);
            goto done;
        }
        named[chosen.count++] = *test;
    }
    if (chosen.count == 0)
        chosen = all;
    result = failing ? run_failing_cases(&chosen)
                     : chosen.run(group, chosen.tests, chosen.count, setup, teardown);
done:
    free(named);
    return result;
}
