/* The text of the mark is made anew from the files, and compared as a whole. */
#include "model/mark.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/digest.h"

bool ms_model_is_file(const char *name)
{
    static const char prefix[] = "profile_", suffix[] = ".txt";
    size_t size = strlen(name);
    return strcmp(name, "config.json") == 0 || strcmp(name, "items.txt") == 0 ||
           strcmp(name, "model.safetensors") == 0 ||
           (size > sizeof prefix + sizeof suffix - 2 && strncmp(name, prefix, sizeof prefix - 1) == 0 &&
            strcmp(name + size - (sizeof suffix - 1), suffix) == 0);
}

static int is_listed(const struct dirent *entry)
{
    return ms_model_is_file(entry->d_name);
}

static enum ms_status put_file(struct ms_buffer *text, int dir, const char *name, struct ms_error *error)
{
    struct stat found;
    uint64_t digest;
    enum ms_status status = MS_OK;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &found) != 0 || !S_ISREG(found.st_mode) ||
        !ms_digest_file(fd, 0, (uint64_t)found.st_size, &digest))
        status = ms_fail(error, MS_IO, "%s: %s", name, strerror(errno));
    else if (!ms_buffer_printf(text, "%016" PRIx64 " %" PRIu64 " %s\n", digest, (uint64_t)found.st_size,
                               name))
        status = ms_fail(error, MS_MEMORY, "no memory for the mark of a model");
    if (fd >= 0)
        close(fd);
    return status;
}

/* The mark that fits the files as they are. */
static enum ms_status make_text(struct ms_buffer *text, int dir, struct ms_error *error)
{
    struct dirent **names;
    int count = scandirat(dir, ".", &names, is_listed, alphasort);
    if (count < 0)
        return ms_fail(error, errno == ENOMEM ? MS_MEMORY : MS_IO, "listing the files: %s", strerror(errno));
    enum ms_status status = MS_OK;
    for (int i = 0; i < count; i++) {
        if (status == MS_OK)
            status = put_file(text, dir, names[i]->d_name, error);
        free(names[i]);
    }
    free(names);
    return status;
}

enum ms_status ms_model_mark_write(const char *dir, struct ms_error *error)
{
    struct ms_buffer text = {0};
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
    enum ms_status status = dir_fd >= 0 ? make_text(&text, dir_fd, error)
                                        : ms_fail(error, MS_IO, "%s", strerror(errno));
    if (status == MS_OK) {
        fd = openat(dir_fd, MS_MODEL_MARK, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, text.data, text.size) != (ssize_t)text.size || fsync(fd) != 0)
            status = ms_fail(error, MS_IO, MS_MODEL_MARK ": %s", strerror(errno));
    }
    if (status != MS_OK)
        status = ms_fail_in(error, status, "%s", dir);
    if (fd >= 0)
        close(fd);
    if (dir_fd >= 0)
        close(dir_fd);
    ms_buffer_free(&text);
    return status;
}

enum ms_status ms_model_mark_holds(const char *dir, bool *holds, struct ms_error *error)
{
    struct ms_buffer text = {0};
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fd = dir_fd < 0 ? -1 : openat(dir_fd, MS_MODEL_MARK, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat found;
    uint64_t digest;
    struct ms_error why;
    enum ms_status status = fd >= 0 && fstat(fd, &found) == 0 ? make_text(&text, dir_fd, &why) : MS_IO;
    if (status != MS_MEMORY)
        *holds = status == MS_OK && (uint64_t)found.st_size == text.size &&
                 ms_digest_file(fd, 0, text.size, &digest) && digest == ms_digest(text.data, text.size);
    if (fd >= 0)
        close(fd);
    if (dir_fd >= 0)
        close(dir_fd);
    ms_buffer_free(&text);
    return status == MS_MEMORY ? ms_fail(error, MS_MEMORY, "%s: %s", dir, why.text) : MS_OK;
}
