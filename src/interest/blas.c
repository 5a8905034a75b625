/* Looks whether there is room, then has a product take it. */
#include "interest/blas.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cblas.h>

#include "base/room.h"

#define BUFFER_BYTES                                                                                         \
    ((size_t)129 << 20) /* 128 MB and some, in Debian's build for x86-64: no function tells */
#define SIDE 104        /* a product of fewer than 100^3 steps may do without the buffer */

static atomic_bool taken; /* of the process, as OpenBLAS's buffer is */

static bool multiply(void)
{
    float *square = calloc(2 * SIDE * SIDE, sizeof *square);
    if (square)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1.0f, square, SIDE, square,
                    SIDE, 0.0f, square + SIDE * SIDE, SIDE);
    free(square);
    return square != NULL;
}

enum ms_status ms_blas_ready(struct ms_error *error)
{
    if (!atomic_load(&taken)) {
        if (!ms_has_room(BUFFER_BYTES) || !multiply())
            return ms_fail(error, MS_MEMORY, "no memory for the %zu MB that OpenBLAS works in",
                           BUFFER_BYTES >> 20);
        atomic_store(&taken, true);
    }
    return MS_OK;
}
