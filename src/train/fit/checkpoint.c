/* The file, as this machine lays numbers out (a checkpoint does not travel):
 *
 *     8 bytes   "MSFITCK1"
 *     8         identity of log and options
 *     ..        struct ms_fit_course, steps, rate
 *     ..        items, logits, dense: values, means, squares of each; current
 *     ..        items, logits, dense of the best pass
 *     8         digest of all before
 */
#include "train/fit/checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"

#define MAGIC "MSFITCK1"

/* A file on its way in or out; the first failure stays. */
struct stream {
    FILE *file;
    bool writes, failed;
    uint64_t digest;
};

static void pass(struct stream *stream, void *bytes, size_t size)
{
    if (!stream->failed && size > 0)
        stream->failed = (stream->writes ? fwrite(bytes, 1, size, stream->file)
                                         : fread(bytes, 1, size, stream->file)) != size;
    if (!stream->failed)
        stream->digest = ms_digest_next(stream->digest, bytes, size);
}

static void pass_numbers(struct stream *stream, const struct ms_fit_numbers *numbers, size_t count)
{
    pass(stream, numbers->values, count * sizeof(float));
    pass(stream, numbers->means, count * sizeof(float));
    pass(stream, numbers->squares, count * sizeof(float));
}

/* All but the head, in or out. */
static void pass_all(struct stream *stream, struct ms_fit_course *course, struct ms_fit_learned *l,
                     const struct ms_fit_kept *best)
{
    size_t items = l->item_count * l->shape.stride, logits = l->item_count * l->logit_stride;
    pass(stream, course, sizeof *course);
    pass(stream, &l->steps, sizeof l->steps);
    pass(stream, &l->rate, sizeof l->rate);
    pass_numbers(stream, &l->items, items);
    pass_numbers(stream, &l->logits, logits);
    pass_numbers(stream, &l->dense, l->dense_count);
    pass(stream, l->current, l->item_count * sizeof *l->current);
    pass(stream, best->items, items * sizeof(float));
    pass(stream, best->logits, logits * sizeof(float));
    pass(stream, best->dense, l->dense_count * sizeof(float));
}

static void write_all(struct stream *stream, uint64_t identity, const struct ms_fit_course *course,
                      const struct ms_fit_learned *learned, const struct ms_fit_kept *best)
{
    char magic[8];
    struct ms_fit_course copy = *course;
    struct ms_fit_learned numbers = *learned;
    memcpy(magic, MAGIC, sizeof magic);
    pass(stream, magic, sizeof magic);
    pass(stream, &identity, sizeof identity);
    pass_all(stream, &copy, &numbers, best);
    uint64_t digest = stream->digest;
    pass(stream, &digest, sizeof digest);
    stream->failed = stream->failed || fflush(stream->file) != 0 || fsync(fileno(stream->file)) != 0;
}

enum ms_status ms_fit_checkpoint_write(const char *path, uint64_t identity,
                                       const struct ms_fit_course *course,
                                       const struct ms_fit_learned *learned, const struct ms_fit_kept *best,
                                       struct ms_error *error)
{
    char made[PATH_MAX];
    if (snprintf(made, sizeof made, "%s" MS_FIT_CHECKPOINT_NEW, path) >= (int)sizeof made)
        return ms_fail(error, MS_IO, "%s: the name is too long", path);
    struct stream stream = {.file = fopen(made, "we"), .writes = true};
    if (!stream.file)
        return ms_fail(error, MS_IO, "%s: %s", made, strerror(errno));
    write_all(&stream, identity, course, learned, best);
    int code = stream.failed ? errno : 0;
    if (fclose(stream.file) != 0 && code == 0)
        code = errno;
    if (code == 0 && rename(made, path) == 0)
        return MS_OK;
    code = code ? code : errno;
    unlink(made);
    return ms_fail(error, MS_IO, "%s: %s", made, strerror(code));
}

static enum ms_status read_all(struct stream *stream, const char *path, uint64_t identity,
                               struct ms_fit_course *course, struct ms_fit_learned *learned,
                               const struct ms_fit_kept *best, struct ms_error *error)
{
    char magic[8] = {0};
    uint64_t found = 0, end = 0;
    pass(stream, magic, sizeof magic);
    pass(stream, &found, sizeof found);
    if (!stream->failed && (memcmp(magic, MAGIC, sizeof magic) != 0 || found != identity))
        return ms_fail(error, MS_CONFIG,
                       "%s is of another log, or of other options: remove it, or train without --resume",
                       path);
    pass_all(stream, course, learned, best);
    uint64_t digest = stream->digest;
    pass(stream, &end, sizeof end);
    if (stream->failed && ferror(stream->file))
        return ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    if (stream->failed || digest != end || fgetc(stream->file) != EOF)
        return ms_fail(error, MS_FORMAT, "%s is damaged: remove it, or train without --resume", path);
    return MS_OK;
}

enum ms_status ms_fit_checkpoint_read(const char *path, uint64_t identity, struct ms_fit_course *course,
                                      struct ms_fit_learned *learned, struct ms_fit_kept *best, bool *found,
                                      struct ms_error *error)
{
    struct ms_fit_course read = {0};
    struct stream stream = {.file = fopen(path, "re")};
    *found = stream.file != NULL;
    if (!stream.file)
        return errno == ENOENT ? MS_OK : ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    enum ms_status status = read_all(&stream, path, identity, &read, learned, best, error);
    fclose(stream.file);
    if (status == MS_OK)
        *course = read;
    return status;
}
