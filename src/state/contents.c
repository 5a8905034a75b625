/* Tables are known by number and never change. The manifest only grows, so its digest grows with it. */
#include "state/contents.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "state/sealed.h"

#define TAIL_BYTES ((uint64_t)64 << 10) /* holds all of a table but its data and its big filters */
#define FNV_START  UINT64_C(0xcbf29ce484222325)

static const char *const state_names[] = {"none", "new", "adopted", "open", "closed"};

void ms_contents_free(struct ms_contents *contents)
{
    free(contents->files);
    *contents = (struct ms_contents){0};
}

static bool add_file(struct ms_contents *contents, const struct ms_contents_file *file)
{
    if (contents->count == contents->capacity) {
        size_t capacity = contents->capacity ? 2 * contents->capacity : 64;
        struct ms_contents_file *files = realloc(contents->files, capacity * sizeof *files);
        if (!files)
            return false;
        contents->files = files;
        contents->capacity = capacity;
    }
    contents->files[contents->count++] = *file;
    return true;
}

/* ---- the file ---- */

static bool parse_line(struct ms_contents *contents, const char *line)
{
    struct ms_contents_file file = {0};
    char word[16];
    int format;
    if (sscanf(line, "format=%d", &format) == 1)
        return format == 1;
    if (sscanf(line, "manifest=MANIFEST-%" SCNu64 " %" SCNu64 " %" SCNx64, &contents->manifest,
               &contents->manifest_bytes, &contents->manifest_digest) == 3)
        return true;
    if (sscanf(line, "file=%" SCNu64 ".sst %" SCNu64 " %" SCNx64, &file.number, &file.size, &file.digest) ==
        3)
        return add_file(contents, &file);
    for (int i = MS_CONTENTS_NEW; i <= MS_CONTENTS_CLOSED && sscanf(line, "state=%15s", word) == 1; i++) {
        if (strcmp(word, state_names[i]) == 0)
            contents->state = (enum ms_contents_state)i;
    }
    return contents->state != MS_CONTENTS_NONE;
}

enum ms_status ms_contents_read(struct ms_contents *contents, const char *dir, struct ms_error *error)
{
    struct ms_buffer text = {0};
    struct ms_contents read = {0};
    bool found, sealed, good = true;
    enum ms_status status = ms_sealed_read(dir, "contents", &text, &found, &sealed, error);
    if (status == MS_OK && found) {
        good = sealed && ms_buffer_append(&text, "", 1);
        char *rest = text.data;
        for (char *line = good ? strsep(&rest, "\n") : NULL; good && line; line = strsep(&rest, "\n"))
            good = line[0] == '\0' || parse_line(&read, line);
        if (!good || read.state == MS_CONTENTS_NONE)
            status = ms_fail(error, MS_STATE, "%s/contents: was changed since mindstream wrote it", dir);
    }
    ms_buffer_free(&text);
    if (status == MS_OK)
        *contents = read;
    else
        ms_contents_free(&read);
    return status;
}

enum ms_status ms_contents_write(const struct ms_contents *contents, const char *dir, struct ms_error *error)
{
    struct ms_buffer text = {0};
    bool good = ms_buffer_printf(&text, "format=1\nstate=%s\n", state_names[contents->state]);
    if (contents->manifest)
        good = good &&
               ms_buffer_printf(&text, "manifest=MANIFEST-%06" PRIu64 " %" PRIu64 " %016" PRIx64 "\n",
                                contents->manifest, contents->manifest_bytes, contents->manifest_digest);
    for (size_t i = 0; good && i < contents->count; i++)
        good = ms_buffer_printf(&text, "file=%06" PRIu64 ".sst %" PRIu64 " %016" PRIx64 "\n",
                                contents->files[i].number, contents->files[i].size,
                                contents->files[i].digest);
    enum ms_status status = good ? ms_sealed_write(dir, "contents", &text, error)
                                 : ms_fail(error, MS_MEMORY, "no memory for the list of a state's files");
    ms_buffer_free(&text);
    return status;
}

/* ---- files of the database ---- */

static int open_file(const char *dir, const char *name, uint64_t *size)
{
    char path[4096];
    struct stat found;
    if ((size_t)snprintf(path, sizeof path, "%s/db/%s", dir, name) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
        *size = (uint64_t)found.st_size;
        return fd;
    }
    if (fd >= 0) {
        close(fd);
        errno = EINVAL;
    }
    return -1;
}

/* Continues |digest| (FNV-1a) with the bytes [from, to). It can be continued again, as those of base/digest.h
 * cannot. */
static bool digest_more(int fd, uint64_t from, uint64_t to, uint64_t *digest)
{
    unsigned char piece[8192];
    while (from < to) {
        ssize_t got = pread(fd, piece, to - from < sizeof piece ? (size_t)(to - from) : sizeof piece,
                            (off_t)from);
        if (got <= 0)
            return false;
        for (ssize_t i = 0; i < got; i++)
            *digest = (*digest ^ piece[i]) * UINT64_C(0x100000001b3);
        from += (uint64_t)got;
    }
    return true;
}

static enum ms_status fail_changed(const char *dir, const char *name, const char *how, struct ms_error *error)
{
    return ms_fail(
        error, MS_STATE,
        "%s/db/%s: %s since mindstream wrote it; the state is damaged: put a copy back, or give an "
        "empty state.dir and let it be built again from the input",
        dir, name, how);
}

/* The number of the manifest that CURRENT names. */
static enum ms_status read_current(const char *dir, uint64_t *manifest, struct ms_error *error)
{
    char text[64] = "", expected[64];
    uint64_t size;
    int fd = open_file(dir, "CURRENT", &size);
    if (fd < 0)
        return errno == ENOENT ? fail_changed(dir, "CURRENT", "is gone", error)
                               : ms_fail(error, MS_STATE, "%s/db/CURRENT: %s", dir, strerror(errno));
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    if (got > 0 && sscanf(text, "MANIFEST-%" SCNu64, manifest) == 1) {
        snprintf(expected, sizeof expected, "MANIFEST-%06" PRIu64 "\n", *manifest);
        if (strcmp(text, expected) == 0 && (size_t)got == strlen(expected))
            return MS_OK;
    }
    return fail_changed(dir, "CURRENT", "was changed", error);
}

static enum ms_status check_manifest(const struct ms_contents *contents, const char *dir,
                                     struct ms_error *error)
{
    char name[64];
    uint64_t manifest, size, digest = FNV_START;
    bool closed = contents->state == MS_CONTENTS_CLOSED;
    enum ms_status status = read_current(dir, &manifest, error);
    if (status != MS_OK)
        return status;
    if (contents->manifest && (manifest < contents->manifest || (closed && manifest != contents->manifest)))
        return fail_changed(dir, "CURRENT", "was changed", error);
    snprintf(name, sizeof name, "MANIFEST-%06" PRIu64, manifest);
    int fd = open_file(dir, name, &size);
    if (fd < 0)
        return fail_changed(dir, name, "is gone", error);
    if (manifest == contents->manifest) {
        if (size < contents->manifest_bytes)
            status = fail_changed(dir, name, "was cut", error);
        else if ((closed && size != contents->manifest_bytes) ||
                 !digest_more(fd, 0, contents->manifest_bytes, &digest) ||
                 digest != contents->manifest_digest)
            status = fail_changed(dir, name, "was changed", error);
    }
    close(fd);
    return status;
}

static bool digest_table(int fd, uint64_t size, uint64_t *digest)
{
    return ms_digest_file(fd, size > TAIL_BYTES ? size - TAIL_BYTES : 0, size, digest);
}

static enum ms_status check_table(const struct ms_contents *contents, const struct ms_contents_file *file,
                                  const char *dir, struct ms_error *error)
{
    char name[64];
    uint64_t size, digest;
    enum ms_status status = MS_OK;
    snprintf(name, sizeof name, "%06" PRIu64 ".sst", file->number);
    int fd = open_file(dir, name, &size);
    if (fd < 0 && errno == ENOENT)
        return contents->state == MS_CONTENTS_CLOSED ? fail_changed(dir, name, "is gone", error) : MS_OK;
    if (fd < 0)
        return ms_fail(error, errno == EMFILE || errno == ENFILE ? MS_IO : MS_STATE, "%s/db/%s: %s", dir,
                       name, strerror(errno));
    if (size < file->size)
        status = fail_changed(dir, name, "was cut", error);
    else if (size != file->size || !digest_table(fd, size, &digest) || digest != file->digest)
        status = fail_changed(dir, name, "was changed", error);
    close(fd);
    return status;
}

enum ms_status ms_contents_check(const struct ms_contents *contents, const char *dir, struct ms_error *error)
{
    enum ms_status status = check_manifest(contents, dir, error);
    for (size_t i = 0; status == MS_OK && i < contents->count; i++)
        status = check_table(contents, &contents->files[i], dir, error);
    return status;
}

/* ---- bringing it up to date ---- */

static enum ms_status update_manifest(struct ms_contents *contents, const char *dir, struct ms_error *error)
{
    char name[64];
    uint64_t manifest, size;
    enum ms_status status = read_current(dir, &manifest, error);
    if (status != MS_OK)
        return status;
    if (manifest != contents->manifest) {
        contents->manifest = manifest;
        contents->manifest_bytes = 0;
        contents->manifest_digest = FNV_START;
    }
    snprintf(name, sizeof name, "MANIFEST-%06" PRIu64, manifest);
    int fd = open_file(dir, name, &size);
    if (fd < 0)
        return fail_changed(dir, name, "is gone", error);
    uint64_t digest = contents->manifest_digest;
    if (size < contents->manifest_bytes || !digest_more(fd, contents->manifest_bytes, size, &digest)) {
        status = fail_changed(dir, name, "was cut", error);
    } else {
        contents->manifest_bytes = size;
        contents->manifest_digest = digest;
    }
    close(fd);
    return status;
}

static int by_number(const void *a, const void *b)
{
    const struct ms_contents_file *left = a, *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Adds a table that is not in the list; one that is gone again is left out. */
static bool add_table(struct ms_contents *contents, const char *dir, uint64_t number)
{
    struct ms_contents_file file = {.number = number, .live = true};
    char name[64];
    snprintf(name, sizeof name, "%06" PRIu64 ".sst", number);
    int fd = open_file(dir, name, &file.size);
    bool good = fd < 0 || !digest_table(fd, file.size, &file.digest) || add_file(contents, &file);
    if (fd >= 0)
        close(fd);
    return good;
}

enum ms_status ms_contents_update(struct ms_contents *contents, const char *dir, const uint64_t *numbers,
                                  size_t count, struct ms_error *error)
{
    size_t known = contents->count, kept = 0;
    enum ms_status status = update_manifest(contents, dir, error);
    if (status != MS_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        const struct ms_contents_file wanted = {.number = numbers[i]};
        struct ms_contents_file *file = known ? bsearch(&wanted, contents->files, known, sizeof wanted,
                                                        by_number)
                                              : NULL;
        if (file)
            file->live = true;
        else if (!add_table(contents, dir, numbers[i]))
            return ms_fail(error, MS_MEMORY, "no memory for the list of a state's files");
    }
    for (size_t i = 0; i < contents->count; i++) {
        if (contents->files[i].live)
            contents->files[kept++] = contents->files[i];
    }
    contents->count = kept;
    for (size_t i = 0; i < kept; i++)
        contents->files[i].live = false;
    if (kept)
        qsort(contents->files, kept, sizeof *contents->files, by_number);
    return MS_OK;
}
