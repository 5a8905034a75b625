/* Bytes that belong to somebody else: a string that need not end with a NUL byte. */
#ifndef MINDSTREAM_BYTES_H
#define MINDSTREAM_BYTES_H

#include <stddef.h>

struct ms_bytes {
    const char *data; /* NULL: none */
    size_t size;
};

#endif
