/* Links are never followed, neither by the reader nor by the writer. */
#include "state/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"

#define SEAL       "check="
#define SEAL_BYTES (sizeof SEAL - 1 + 16 + 1)
#define MAX_BYTES  ((off_t)64 << 20)

static bool write_whole(int dir, const char *name, const struct ms_buffer *text, uint64_t digest)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, text->data, text->size) == (ssize_t)text->size &&
                dprintf(fd, SEAL "%016" PRIx64 "\n", digest) == (int)SEAL_BYTES && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    return good;
}

enum ms_status ms_sealed_write(const char *dir, const char *name, const struct ms_buffer *text,
                               struct ms_error *error)
{
    char next[64];
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(next, sizeof next, "%s.new", name);
    bool good = fd >= 0 && (unlinkat(fd, next, 0) == 0 || errno == ENOENT) &&
                write_whole(fd, next, text, ms_digest(text->data, text->size)) &&
                renameat(fd, next, fd, name) == 0 && fsync(fd) == 0;
    enum ms_status status = good ? MS_OK : ms_fail(error, MS_IO, "%s/%s: %s", dir, name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

/* Takes the seal off the end of the text. False when it does not fit. */
static bool take_seal(struct ms_buffer *text, bool *sealed)
{
    const char *seal = text->data + text->size - SEAL_BYTES;
    uint64_t digest;
    char digits[17];
    *sealed = text->size >= SEAL_BYTES && memcmp(seal, SEAL, sizeof SEAL - 1) == 0 &&
              (text->size == SEAL_BYTES || seal[-1] == '\n');
    if (!*sealed)
        return true;
    memcpy(digits, seal + sizeof SEAL - 1, 16);
    digits[16] = '\0';
    text->size -= SEAL_BYTES;
    return sscanf(digits, "%16" SCNx64, &digest) == 1 && digest == ms_digest(text->data, text->size);
}

static enum ms_status read_whole(int fd, struct ms_buffer *text, struct ms_error *error)
{
    struct stat found;
    if (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) || found.st_size > MAX_BYTES)
        return ms_fail(error, MS_STATE, "is not a file that mindstream wrote");
    if (!ms_buffer_reserve(text, (size_t)found.st_size + 1))
        return ms_fail(error, MS_MEMORY, "no memory to read it");
    ssize_t got = pread(fd, text->data, (size_t)found.st_size, 0);
    if (got != found.st_size)
        return ms_fail(error, MS_IO, "%s", got < 0 ? strerror(errno) : "became shorter while it was read");
    text->size = (size_t)got;
    return MS_OK;
}

enum ms_status ms_sealed_read(const char *dir, const char *name, struct ms_buffer *text, bool *found,
                              bool *sealed, struct ms_error *error)
{
    char path[4096];
    struct ms_error cause = {0};
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return ms_fail(error, MS_IO, "%s: the name is too long", dir);
    *sealed = false;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT
                   ? MS_OK
                   : ms_fail(error, errno == ELOOP ? MS_STATE : MS_IO, "%s: %s", path, strerror(errno));
    enum ms_status status = read_whole(fd, text, &cause);
    close(fd);
    if (status != MS_OK)
        return ms_fail(error, status, "%s: %s", path, cause.text);
    if (!take_seal(text, sealed))
        return ms_fail(error, MS_STATE, "%s: was changed since mindstream wrote it", path);
    return MS_OK;
}
