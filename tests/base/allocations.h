/* Makes one allocation of the code under test fail.
 *
 * Everything below tests/ is linked with --wrap for the allocators of the C library and C++. Only src/ is counted: in the tests'
 * own files the allocators' names are macros for the real ones, and shared libraries are not touched (jansson loses a character
 * where it has no memory). */
#ifndef TESTS_ALLOCATIONS_H
#define TESTS_ALLOCATIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Counts from zero again; the |n|-th allocation from now on fails, and no other. 0: none fails. */
void allocations_fail_at(size_t n);
/* How many there were since. */
size_t allocations_made(void);
/* Whether the failing one has come, and whether ms_fail reported MS_MEMORY since. */
bool allocations_failed(void);
bool allocations_reported(void);

#endif
