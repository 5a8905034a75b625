/* What every cmocka test includes, in the order it wants. */
#ifndef TESTS_BASE_TEST_H
#define TESTS_BASE_TEST_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
