/* Reading files into private memory. Nothing is left mapped from a file: one that is truncated in place would
 * end a running service with SIGBUS, and one that is rewritten would change weights after they were checked.
 */
#include "model/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SMALL_BYTES ((size_t)4 << 20) /* below it the heap, where sanitizers and valgrind look */

static long long mtime_ns(const struct stat *st)
{
    return (long long)st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec;
}

enum ms_status ms_file_open(struct ms_file *file, const char *path, size_t max_bytes, struct ms_error *error)
{
    struct stat st;
    /* O_NONBLOCK: a FIFO in the place of a file must not hang the start */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ms_fail(error, errno == ENOENT ? MS_MODEL : MS_IO, "%s: %s", path,
                       errno == ENOENT ? "the file is missing" : strerror(errno));
    enum ms_status status = MS_OK;
    if (fstat(fd, &st) != 0)
        status = ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        status = ms_fail(error, MS_MODEL, "%s: not a regular file", path);
    else if (st.st_size == 0)
        status = ms_fail(error, MS_MODEL, "%s: the file is empty", path);
    else if ((uint64_t)st.st_size > max_bytes)
        status = ms_fail(error, MS_MODEL, "%s: %lld bytes, at most %zu are allowed", path,
                         (long long)st.st_size, max_bytes);
    if (status != MS_OK) {
        close(fd);
        return status;
    }
    *file = (struct ms_file){.path = path, .fd = fd, .size = (size_t)st.st_size, .mtime_ns = mtime_ns(&st)};
    return MS_OK;
}

enum ms_status ms_file_read(const struct ms_file *file, size_t offset, void *into, size_t size,
                            struct ms_error *error)
{
    char *at = into;
    while (size > 0) {
        ssize_t got = pread(file->fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ms_fail(error, MS_IO, "%s: %s", file->path, strerror(errno));
        if (got == 0)
            return ms_fail(error, MS_MODEL, "%s: the file became shorter while it was read", file->path);
        at += got;
        offset += (size_t)got;
        size -= (size_t)got;
    }
    return MS_OK;
}

enum ms_status ms_file_unchanged(const struct ms_file *file, struct ms_error *error)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0)
        return ms_fail(error, MS_IO, "%s: %s", file->path, strerror(errno));
    if ((size_t)st.st_size != file->size || mtime_ns(&st) != file->mtime_ns)
        return ms_fail(error, MS_MODEL, "%s: the file changed while it was read", file->path);
    return MS_OK;
}

void ms_file_close(struct ms_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

enum ms_status ms_file_read_all(char **text, size_t *size, const char *path, size_t max_bytes,
                                XXH64_state_t *hash, struct ms_error *error)
{
    struct ms_file file = {.fd = -1};
    char *bytes = NULL;
    enum ms_status status = ms_file_open(&file, path, max_bytes, error);
    if (status != MS_OK)
        return status;
    bytes = malloc(file.size + 1);
    if (!bytes)
        status = ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes", path, file.size);
    if (status == MS_OK)
        status = ms_file_read(&file, 0, bytes, file.size, error);
    if (status == MS_OK)
        status = ms_file_unchanged(&file, error);
    if (status == MS_OK) {
        uint64_t length = file.size;
        XXH64_update(hash, &length, sizeof length);
        XXH64_update(hash, bytes, file.size);
        bytes[file.size] = '\0';
        *text = bytes;
        *size = file.size;
        bytes = NULL;
    }
    free(bytes);
    ms_file_close(&file);
    return status;
}

static bool is_small(size_t bytes)
{
    return bytes < BLOCK_SMALL_BYTES;
}

void *ms_block_alloc(size_t bytes)
{
    if (is_small(bytes)) {
        size_t whole = (bytes / MS_TENSOR_ALIGN + 1) * MS_TENSOR_ALIGN;
        void *block = aligned_alloc(MS_TENSOR_ALIGN, whole);
        return block ? memset(block, 0, whole) : NULL;
    }
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
    (void)madvise(block, bytes, MADV_HUGEPAGE); /* a wish: without it look-ups only cost more */
    return block;
}

void ms_block_free(void *block, size_t bytes)
{
    if (is_small(bytes))
        free(block);
    else if (block)
        munmap(block, bytes);
}
