/* The allocators that src/ is linked to in tests. */
#include "allocations.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/status.h"

/* in the tests' own files these names mean the real functions */
#undef malloc
#undef calloc
#undef realloc
#undef reallocarray
#undef aligned_alloc
#undef strdup
#undef asprintf

static atomic_size_t made, fail_at;
static atomic_bool reported;

static bool refuse(void)
{
    return atomic_fetch_add(&made, 1) + 1 == atomic_load(&fail_at);
}

/* The real functions, and what the linker puts in front of them. */
#define WRAPPED(result, name, parameters, arguments)                                                         \
    result __real_##name parameters;                                                                         \
    result __wrap_##name parameters;                                                                         \
    result __wrap_##name parameters                                                                          \
    {                                                                                                        \
        return refuse() ? NULL : __real_##name arguments;                                                    \
    }
WRAPPED(void *, malloc, (size_t size), (size))
WRAPPED(void *, calloc, (size_t count, size_t size), (count, size))
WRAPPED(void *, realloc, (void *at, size_t size), (at, size))
WRAPPED(void *, reallocarray, (void *at, size_t count, size_t size), (at, count, size))
WRAPPED(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
WRAPPED(char *, strdup, (const char *text), (text))
WRAPPED(void *, _ZnwmRKSt9nothrow_t, (size_t size, const void *nothrow), (size, nothrow))
WRAPPED(void *, _ZnamRKSt9nothrow_t, (size_t size, const void *nothrow), (size, nothrow))

int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    if (refuse())
        return -1;
    va_start(arguments, format);
    int size = vasprintf(text, format, arguments);
    va_end(arguments);
    return size;
}

enum ms_status __real_ms_fail(struct ms_error *error, enum ms_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum ms_status __wrap_ms_fail(struct ms_error *error, enum ms_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum ms_status __wrap_ms_fail(struct ms_error *error, enum ms_status status, const char *format, ...)
{
    char text[sizeof error->text];
    va_list arguments;
    if (status == MS_MEMORY)
        atomic_store(&reported, true);
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return __real_ms_fail(error, status, "%s", text);
}

void allocations_fail_at(size_t n)
{
    atomic_store(&reported, false);
    atomic_store(&made, 0);
    atomic_store(&fail_at, n);
}

size_t allocations_made(void)
{
    return atomic_load(&made);
}

bool allocations_failed(void)
{
    return atomic_load(&fail_at) > 0 && atomic_load(&made) >= atomic_load(&fail_at);
}

bool allocations_reported(void)
{
    return atomic_load(&reported);
}
