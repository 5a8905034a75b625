/* A growable byte buffer with a ceiling. Memory is kept until ms_buffer_free, so a reused buffer stops
 * allocating. */
#ifndef MS_BASE_BUFFER_H
#define MS_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ms_buffer {
    char *data;
    size_t size;
    size_t capacity;
    size_t max; /* ceiling; 0 stands for 1 GiB */
};

/* Makes room for |more| bytes after size; false when memory or the ceiling ends. */
bool ms_buffer_reserve(struct ms_buffer *buffer, size_t more);
bool ms_buffer_append(struct ms_buffer *buffer, const void *data, size_t size);
bool ms_buffer_printf(struct ms_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ms_buffer_free(struct ms_buffer *buffer);

/* Little-endian stores and loads, and LEB128 varints, for stored values. */
static inline void ms_put_u16(char *at, uint16_t v)
{
    memcpy(at, &v, sizeof v);
}

static inline void ms_put_u32(char *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}

static inline void ms_put_u64(char *at, uint64_t v)
{
    memcpy(at, &v, sizeof v);
}

static inline uint16_t ms_get_u16(const char *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static inline uint32_t ms_get_u32(const char *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static inline uint64_t ms_get_u64(const char *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

#define MS_VARINT_MAX 10

/* Writes v at |at| (room for MS_VARINT_MAX bytes) and returns how many bytes it took. */
static inline size_t ms_put_varint(char *at, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        at[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    at[n++] = (char)v;
    return n;
}

/* Reads a varint from [at, end); returns the bytes it took, 0 when it is cut or too long. */
static inline size_t ms_get_varint(const char *at, const char *end, uint64_t *v)
{
    uint64_t value = 0;
    for (size_t n = 0; n < MS_VARINT_MAX && at + n < end; n++) {
        uint64_t byte = (unsigned char)at[n];
        if (n == MS_VARINT_MAX - 1 && byte > 1)
            return 0;
        value |= (byte & 0x7f) << (7 * n);
        if (!(byte & 0x80)) {
            *v = value;
            return n + 1;
        }
    }
    return 0;
}

static inline uint64_t ms_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t ms_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
