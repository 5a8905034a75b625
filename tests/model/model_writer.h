/* Small model directories for tests, written piece by piece with model/write.h, so that a test can also leave a
 * broken one. Whatever fails ends the test program. */
#ifndef TESTS_MODEL_WRITER_H
#define TESTS_MODEL_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer_tensor {
    const char *name;
    const float *data; /* row-major */
    int rank;
    int64_t shape[4];
    bool half; /* written as F16: the values must be exact in it */
};

/* A new directory under TMPDIR; the caller frees the path after writer_remove. */
char *writer_temp_dir(void);
/* Removes the directory and the plain files in it. */
void writer_remove(const char *dir);

/* Writes one file of the directory, replacing what was there. */
void writer_file(const char *dir, const char *name, const void *bytes, size_t size);
/* config.json, items.txt (one id a line) and model.safetensors (in the order given). */
void writer_model(const char *dir, const char *config, const char *const *items, size_t item_count,
                  const struct writer_tensor *tensors, size_t tensor_count);
void writer_items(const char *dir, const char *const *items, size_t item_count);
void writer_tensors(const char *dir, const struct writer_tensor *tensors, size_t tensor_count);

#endif
