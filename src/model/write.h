/* The writer of model directories: config.json, items.txt, model.safetensors and profile vocabularies. */
#ifndef MS_MODEL_WRITE_H
#define MS_MODEL_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"
#include "model/safetensors.h"

/* The lines of items.txt or of a vocabulary: one id a line, without the newline. */
struct ms_write_lines {
    uint64_t count;
    /* Gives line |number|, counted from 0. The bytes must hold until the next call. */
    struct ms_bytes (*line)(void *context, uint64_t number);
    void *context;
};

/* A tensor of model.safetensors. */
struct ms_write_tensor {
    const char *name;    /* has no character that JSON escapes */
    enum ms_dtype dtype; /* F32 or F16 */
    int rank;            /* 0, a scalar of one row, to MS_SAFETENSORS_MAX_RANK */
    int64_t shape[MS_SAFETENSORS_MAX_RANK];
    const float *data; /* row-major, or NULL: |row| is called */
    /* Fills |values| with row |number|, shape[1] * shape[2] * ... floats. Called once a row, in order. */
    void (*row)(void *context, uint64_t number, float *values);
    void *context;
};

/* profile_<field>.txt */
struct ms_write_vocabulary {
    const char *field;
    struct ms_write_lines values;
};

/* What a model directory holds. All of it stays the caller's. */
struct ms_write_model {
    const char *config; /* the text of config.json */
    struct ms_write_lines items;
    const struct ms_write_tensor *tensors;
    size_t tensor_count;
    const struct ms_write_vocabulary *vocabularies;
    size_t vocabulary_count;
    bool replace; /* also a model that this program did not write, or that was changed since */
};

/* Writes the model directory |dir|. The files are written and synced under another name beside it, then the
 * directory is renamed, so that no reader sees half a model. A model that this program wrote (mark.h) is
 * replaced; another only with |replace|. A directory that holds any other file, and a symbolic link, are left alone. Does not check that the parts fit together: ms_model_load does.
 * MS_IO, MS_MEMORY, MS_USAGE for a name that cannot be one, MS_MODEL for a line that is empty or has a newline
 * in it. On failure |dir| is as it was. */
enum ms_status ms_model_write(const char *dir, const struct ms_write_model *model,
                              struct ms_error *error) MS_MUST_CHECK;

/* Whether |dir| may be written by ms_model_write, for a caller that works long before it writes: MS_IO says why not. */
enum ms_status ms_model_check_target(const char *dir, bool replace, struct ms_error *error) MS_MUST_CHECK;

/* Writes one file in place, for a caller that makes a directory piece by piece. A file that is there is
 * truncated first. Errors as above. */
enum ms_status ms_model_write_lines(const char *path, const struct ms_write_lines *lines,
                                    struct ms_error *error) MS_MUST_CHECK;
enum ms_status ms_model_write_tensors(const char *path, const struct ms_write_tensor *tensors, size_t count,
                                      struct ms_error *error) MS_MUST_CHECK;

/* Float to IEEE half, rounded to nearest, ties to even. Beyond the range it gives infinity. */
uint16_t ms_half_of_float(float value);

#endif
