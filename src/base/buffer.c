/* Growing a buffer. */
#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "stored values are little-endian and copied as they are");

bool ms_buffer_reserve(struct ms_buffer *buffer, size_t more)
{
    size_t max = buffer->max ? buffer->max : (size_t)1 << 30;
    assert(buffer->size <= buffer->capacity);
    if (buffer->capacity - buffer->size >= more)
        return true;
    if (more > max || buffer->size > max - more)
        return false;
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < buffer->size + more)
        capacity *= 2;
    if (capacity > max)
        capacity = max;
    char *data = realloc(buffer->data, capacity);
    if (!data)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool ms_buffer_append(struct ms_buffer *buffer, const void *data, size_t size)
{
    if (!ms_buffer_reserve(buffer, size))
        return false;
    if (size)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return true;
}

bool ms_buffer_printf(struct ms_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !ms_buffer_reserve(buffer, (size_t)n + 1))
        return false;
    va_start(args, format);
    vsnprintf(buffer->data + buffer->size, (size_t)n + 1, format, args);
    va_end(args);
    buffer->size += (size_t)n;
    return true;
}

void ms_buffer_free(struct ms_buffer *buffer)
{
    free(buffer->data);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
}
