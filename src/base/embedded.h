/* A file that was made into an array when the program was built (src/embed.cmake). */
#ifndef MS_BASE_EMBEDDED_H
#define MS_BASE_EMBEDDED_H

#include <stddef.h>

struct ms_embedded {
    const unsigned char *bytes;
    size_t size;
};

#endif
