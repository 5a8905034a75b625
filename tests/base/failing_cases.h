/* Test cases with an allocation that fails. */
#ifndef TESTS_FAILING_CASES_H
#define TESTS_FAILING_CASES_H

#include "base_test.h"

#include <stdbool.h>

/* A group of cases, and the function that runs it. */
struct cases {
    int (*run)(const char *group, const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
               CMFixtureFunction teardown);
    const char *group;
    const struct CMUnitTest *tests;
    size_t count;
    CMFixtureFunction setup, teardown;
    bool silent; /* what it tests answers false or NULL where memory ends, not MS_MEMORY */
    bool slow;   /* a run takes long: a few allocations are enough */
};

/* Runs each case in a child process for each allocation of src/ that it makes (a sample where these are many), with that
 * allocation failing. A case may pass, or fail because of MS_MEMORY. What it may not do: fail for another reason, crash, hang,
 * touch memory that is not its own, or leak where it passes. Prints what went wrong; returns how often. */
int run_failing_cases(const struct cases *cases);

#endif
