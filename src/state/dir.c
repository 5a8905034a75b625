/* Names are looked up in an open directory, so that nobody exchanges it between a check and its use. */
#include "state/dir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "state/sealed.h"

enum ms_status ms_dir_make(const char *dir, struct ms_error *error)
{
    struct stat found;
    if (mkdir(dir, 0700) == 0)
        return MS_OK;
    if (errno != EEXIST)
        return ms_fail(error, MS_IO, "%s: cannot make the directory: %s", dir, strerror(errno));
    if (stat(dir, &found) != 0)
        return ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(found.st_mode))
        return ms_fail(error, MS_IO, "%s: is not a directory", dir);
    if (found.st_uid != geteuid() && found.st_uid != 0)
        return ms_fail(error, MS_STATE, "%s: belongs to user %ld, not to the user of this process (%ld)", dir,
                       (long)found.st_uid, (long)geteuid());
    if (found.st_mode & S_IWOTH)
        return ms_fail(error, MS_STATE, "%s: everybody may write to it (mode %04o): chmod 700 it first", dir,
                       (unsigned)(found.st_mode & 07777));
    if (found.st_mode & (S_IWGRP | S_IROTH | S_IXOTH))
        ms_log(MS_LOG_WARN, "state.dir",
               "dir=\"%s\" mode=%04o text=\"others may read or change it; 0700 is safer\"", dir,
               (unsigned)(found.st_mode & 07777));
    return MS_OK;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Whether DIR/LOCK is one of ours: a small file with a process id, or empty. */
static bool is_own_lock(int dir)
{
    char text[33];
    int fd = openat(dir, "LOCK", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, text, sizeof text);
    close(fd);
    bool own = got >= 0 && got < (ssize_t)sizeof text;
    for (ssize_t i = 0; own && i < got; i++)
        own = isdigit((unsigned char)text[i]);
    return own;
}

enum ms_status ms_dir_check_unclaimed(const char *dir, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    DIR *list = opendir(dir);
    if (!list)
        return ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
    for (struct dirent *entry = readdir(list); status == MS_OK && entry; entry = readdir(list)) {
        const char *name = entry->d_name;
        bool own = is_dots(name) || strcmp(name, "lost+found") == 0 || strcmp(name, "contents.new") == 0 ||
                   strcmp(name, "contents") == 0 || strcmp(name, "identity.new") == 0 ||
                   (strcmp(name, "LOCK") == 0 && is_own_lock(dirfd(list)));
        if (!own)
            status = ms_fail(
                error, MS_STATE,
                "%s: holds %s and no file identity, so it is no state of mindstream, or a damaged "
                "one; left alone: give an empty state.dir",
                dir, name);
    }
    closedir(list);
    return status;
}

/* Opens DIR/NAME, a directory and no link; -1, with errno, where it is not. */
static int open_part(const char *dir, const char *name)
{
    int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int part = parent < 0 ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int kept = errno;
    if (parent >= 0)
        close(parent);
    errno = kept;
    return part;
}

enum ms_status ms_dir_make_part(const char *dir, const char *name, struct ms_error *error)
{
    char path[4096];
    struct stat found;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
        return ms_fail(error, MS_IO, "%s: the name is too long", dir);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return ms_fail(error, MS_IO, "%s: cannot make the directory: %s", path, strerror(errno));
    int fd = open_part(dir, name);
    if (fd < 0)
        return ms_fail(error, MS_STATE, "%s: is not a directory, or a link to one: %s", path,
                       strerror(errno));
    enum ms_status status = MS_OK;
    if (fstat(fd, &found) != 0 || found.st_uid != geteuid())
        status = ms_fail(error, MS_STATE, "%s: belongs to user %ld, not to the user of this process (%ld)",
                         path, (long)found.st_uid, (long)geteuid());
    close(fd);
    return status;
}

/* Removes the plain files of DIR/NAME, and that directory. */
static bool remove_part(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list)
        return errno == ENOENT;
    for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
        if (!is_dots(entry->d_name))
            unlinkat(dirfd(list), entry->d_name, 0);
    }
    closedir(list);
    return unlinkat(dir, name, AT_REMOVEDIR) == 0;
}

static bool remove_file(int dir, const char *name)
{
    return unlinkat(dir, name, 0) == 0 || errno == ENOENT;
}

/* Whether DIR/LOCK is held; the lock stays with *fd where it is not. */
static bool is_held(int dir, int *fd)
{
    *fd = openat(dir, "LOCK", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return *fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) != 0;
}

static enum ms_status remove_all(const char *path, int dir, const char *witness, struct ms_error *error)
{
    bool removed = remove_part(dir, "ingest") && remove_part(dir, "db") && remove_file(dir, "identity") &&
                   remove_file(dir, "contents") && remove_file(dir, "identity.new") &&
                   remove_file(dir, "contents.new") && remove_file(dir, witness);
    return removed ? MS_OK
                   : ms_fail(error, MS_IO, "%s: cannot remove the state in it: %s", path, strerror(errno));
}

enum ms_status ms_dir_remove_state(const char *dir, const char *witness, struct ms_error *error)
{
    struct ms_buffer text = {0};
    bool found = false, sealed = false;
    int lock = -1, fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? MS_OK : ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
    enum ms_status status = ms_sealed_read(dir, witness, &text, &found, &sealed, error);
    ms_buffer_free(&text);
    if (status == MS_OK && (!found || !sealed))
        status = ms_dir_check_unclaimed(dir, error);
    else if (status == MS_OK && is_held(fd, &lock))
        status = ms_fail(error, MS_STATE_BUSY, "%s: the state directory is in use", dir);
    else if (status == MS_OK)
        status = remove_all(dir, fd, witness, error);
    if (lock >= 0)
        close(lock);
    close(fd);
    return status;
}

void ms_dir_clear_ingest(const char *dir)
{
    int fd = open_part(dir, "ingest");
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list)
        return;
    for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
        size_t digits = strspn(entry->d_name, "0123456789");
        if (digits > 0 && strcmp(entry->d_name + digits, ".sst") == 0)
            unlinkat(dirfd(list), entry->d_name, 0);
    }
    closedir(list);
}
