/* Lets a cmocka binary run single cases, so that each is a ctest entry of its own.
 *
 *   test_x             runs every case
 *   test_x NAME...     runs the cases with these names
 *   test_x --list      prints a line "case NAME" for each case (tests/cases.cmake reads them)
 *
 * Linked with --wrap=_cmocka_run_group_tests, the function behind cmocka_run_group_tests. Test files stay plain cmocka. An
 * argument that begins with a digit belongs to the test itself. */
#include "base_test.h"

#include <ctype.h>
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

int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown)
{
    struct CMUnitTest *chosen = calloc(count + (size_t)arguments_count, sizeof *chosen);
    size_t chosen_count = 0;
    if (!chosen)
        return 1;
    for (int i = 1; i < arguments_count; i++) {
        if (strcmp(arguments[i], "--list") == 0) {
            for (size_t t = 0; t < count; t++)
                printf("case %s\n", tests[t].name);
            free(chosen);
            return 0;
        }
        if (isdigit((unsigned char)arguments[i][0]))
            continue;
        const struct CMUnitTest *test = find_case(tests, count, arguments[i]);
        if (!test) {
            fprintf(stderr, "no case %s\n", arguments[i]);
            free(chosen);
            return 2;
        }
        chosen[chosen_count++] = *test;
    }
    int failed = chosen_count ? __real__cmocka_run_group_tests(group, chosen, chosen_count, setup, teardown)
                              : __real__cmocka_run_group_tests(group, tests, count, setup, teardown);
    free(chosen);
    return failed;
}
