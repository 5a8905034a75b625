/* The safetensors reader: header parsed and checked whole before any tensor is read, then tensors read into
 * private, aligned float32 memory. float16 and bfloat16 are widened, float64 is rounded to the nearest float32; NaN, infinity and
 * what is beyond float32 are refused. It knows nothing of what a model needs.
 *
 * Memory: 4 bytes an element whatever the type in the file, and 1 MiB more while a tensor of another type than F32 is read. */
#ifndef MS_MODEL_SAFETENSORS_H
#define MS_MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"
#include "model/file.h"

#define MS_SAFETENSORS_MAX_HEADER                                                                            \
    ((size_t)8 << 20) /* the format allows 100 MB; a model here has tens of tensors */
#define MS_SAFETENSORS_MAX_TENSORS 1024
#define MS_SAFETENSORS_MAX_NAME    255
#define MS_SAFETENSORS_MAX_RANK    4

/* X(name in the file, bytes of an element). */
#define MS_DTYPE_MAP(X)                                                                                      \
    X(F32, 4)                                                                                                \
    X(F16, 2)                                                                                                \
    X(BF16, 2)                                                                                               \
    X(F64, 8)

enum ms_dtype {
#define MS_DTYPE_ENUM(name, bytes) MS_##name,
    MS_DTYPE_MAP(MS_DTYPE_ENUM)
#undef MS_DTYPE_ENUM
        MS_DTYPE_COUNT
};

size_t ms_dtype_bytes(enum ms_dtype dtype);

struct ms_safetensor {
    char *name;
    enum ms_dtype dtype;
    int rank;
    int64_t shape[MS_SAFETENSORS_MAX_RANK];
    size_t begin, end; /* bytes in the data buffer */
    size_t count;      /* elements */
    float *data;       /* after ms_safetensors_load; in |block| */
};

struct ms_safetensors {
    struct ms_safetensor *tensors; /* in the order of their data, together covering the data buffer exactly */
    size_t count;
    char *header;      /* the first data_start bytes of the file */
    size_t data_start; /* where the data buffer begins in the file */
    void *block;       /* memory of all tensors but a mapped one */
    size_t block_bytes;
    void *map; /* the file, where a tensor is mapped */
    size_t map_bytes;
};

/* Reads and checks the header. On failure *st is untouched; on success ms_safetensors_free it. */
enum ms_status ms_safetensors_open(struct ms_safetensors *st, const struct ms_file *file,
                                   struct ms_error *error) MS_MUST_CHECK;
/* Reads every tensor. MS_MODEL names the tensor and the element that is not finite or does not fit a float32. Adds the file's length and bytes to |hash| as ms_file_read_all does. */
enum ms_status ms_safetensors_load(struct ms_safetensors *st, const struct ms_file *file, XXH64_state_t *hash,
                                   struct ms_error *error) MS_MUST_CHECK;
/* As ms_safetensors_load, but the data of tensor number |mapped| are those of the file, which stays mapped: for a process
 * of short life, because a file that is truncated in place ends it with SIGBUS. MS_CONFIG, and nothing was read, where the
 * tensor is not F32 or its data lie at an odd place. */
enum ms_status ms_safetensors_load_mapped(struct ms_safetensors *st, const struct ms_file *file,
                                          size_t mapped, XXH64_state_t *hash,
                                          struct ms_error *error) MS_MUST_CHECK;
/* A zeroed struct is legal. */
void ms_safetensors_free(struct ms_safetensors *st);

/* IEEE half to float, exact. */
float ms_half_to_float(uint16_t half);
/* The upper half of a float to that float. */
float ms_bfloat_to_float(uint16_t bfloat);

#endif
