/* Files read whole or in pieces into private memory, and the large aligned blocks that tensors live in. */
#ifndef MS_MODEL_FILE_H
#define MS_MODEL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "mindstream/status.h"

#define MS_TENSOR_ALIGN 64

/* A file opened for reading; |path| belongs to the caller and names the file in errors. */
struct ms_file {
    const char *path;
    int fd; /* -1: not open */
    size_t size;
    long long mtime_ns;
};

/* Opens a regular, non-empty file of at most |max_bytes|. On failure *file is untouched. */
enum ms_status ms_file_open(struct ms_file *file, const char *path, size_t max_bytes,
                            struct ms_error *error) MS_MUST_CHECK;
/* Reads exactly |size| bytes at |offset|; a file that became shorter meanwhile is an error that says so. */
enum ms_status ms_file_read(const struct ms_file *file, size_t offset, void *into, size_t size,
                            struct ms_error *error) MS_MUST_CHECK;
/* Whether size and modification time are still those of the opening; if not, MS_MODEL ("changed while it was
 * read"). */
enum ms_status ms_file_unchanged(const struct ms_file *file, struct ms_error *error) MS_MUST_CHECK;
/* Closes; a second call, or one on a file with fd -1, does nothing. */
void ms_file_close(struct ms_file *file);

/* Reads a whole file into memory that the caller frees; a NUL follows the last byte. Adds the length (8
 * bytes, little-endian) and the bytes to |hash|. */
enum ms_status ms_file_read_all(char **text, size_t *size, const char *path, size_t max_bytes,
                                XXH64_state_t *hash, struct ms_error *error) MS_MUST_CHECK;

/* |bytes| of zeroed memory, MS_TENSOR_ALIGN-aligned, asking for huge pages when it is large (item rows are
 * looked up at random). NULL when memory ended. Freed with ms_block_free, NULL is legal. */
void *ms_block_alloc(size_t bytes);
void ms_block_free(void *block, size_t bytes);

#endif
