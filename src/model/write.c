/* Files are written through stdio and synced. The directory is exchanged as a whole. */
#include "model/write.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/scratch.h"
#include "model/mark.h"

/* A file on its way. The first failure is kept in |status|; later writes do nothing then. */
struct output {
    FILE *file;
    const char *path;
    struct ms_error *error;
    enum ms_status status;
};

static void fail_io(struct output *out)
{
    if (out->status == MS_OK)
        out->status = ms_fail(out->error, MS_IO, "%s: %s", out->path, strerror(errno));
}

static void put(struct output *out, const void *bytes, size_t size)
{
    if (out->status == MS_OK && fwrite(bytes, 1, size, out->file) != size)
        fail_io(out);
}

static struct output open_output(const char *path, struct ms_error *error)
{
    struct output out = {.file = fopen(path, "we"), .path = path, .error = error};
    if (!out.file)
        fail_io(&out);
    return out;
}

static enum ms_status close_output(struct output *out)
{
    if (out->status == MS_OK && (fflush(out->file) != 0 || fsync(fileno(out->file)) != 0))
        fail_io(out);
    if (out->file && fclose(out->file) != 0)
        fail_io(out);
    return out->status;
}

/* ---- lines ---- */

static void put_line(struct output *out, struct ms_bytes line, uint64_t number)
{
    if (line.size == 0 || memchr(line.data, '\n', line.size)) {
        out->status = ms_fail(out->error, MS_MODEL, "%s: line %" PRIu64 " would %s", out->path, number + 1,
                              line.size ? "have a newline in it" : "be empty");
        return;
    }
    put(out, line.data, line.size);
    put(out, "\n", 1);
}

enum ms_status ms_model_write_lines(const char *path, const struct ms_write_lines *lines,
                                    struct ms_error *error)
{
    struct output out = open_output(path, error);
    for (uint64_t i = 0; out.status == MS_OK && i < lines->count; i++)
        put_line(&out, lines->line(lines->context, i), i);
    return close_output(&out);
}

/* ---- tensors ---- */

uint16_t ms_half_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x47800000) /* 65536 */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x33000000) /* 2^-25: rounds to zero */
        return (uint16_t)sign;
    /* |shift| bits are cut from the significand: 13, and more where the half is subnormal. */
    uint32_t exponent = magnitude >> 23, significand = (magnitude & 0x7fffff) | 0x800000;
    uint32_t shift = exponent < 113 ? 126 - exponent : 13;
    uint32_t kept = significand >> shift, cut = significand & ((1U << shift) - 1), tie = 1U << (shift - 1);
    kept += cut > tie || (cut == tie && (kept & 1));
    /* A carry out of the significand raises the exponent by one, which is what rounding up wants. */
    return (uint16_t)(sign | (exponent < 113 ? kept : ((exponent - 112) << 10) + kept - 0x400));
}

static size_t row_count(const struct ms_write_tensor *tensor)
{
    return tensor->rank ? (size_t)tensor->shape[0] : 1;
}

/* Elements of one row. */
static size_t row_elements(const struct ms_write_tensor *tensor)
{
    size_t count = 1;
    assert(tensor->rank >= 0 && tensor->rank <= MS_SAFETENSORS_MAX_RANK);
    for (int i = 1; i < tensor->rank; i++)
        count *= (size_t)tensor->shape[i];
    return count;
}

/* {"NAME":{"dtype":"F32","shape":[ROWS,..],"data_offsets":[BEGIN,END]},..}, padded to 8 bytes with blanks. */
static bool format_header(struct ms_buffer *header, const struct ms_write_tensor *tensors, size_t count)
{
    uint64_t offset = 0;
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        const struct ms_write_tensor *tensor = &tensors[i];
        uint64_t end = offset + row_count(tensor) * row_elements(tensor) * ms_dtype_bytes(tensor->dtype);
        good = good && ms_buffer_printf(header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? "," : "{",
                                        tensor->name, tensor->dtype == MS_F16 ? "F16" : "F32");
        for (int d = 0; d < tensor->rank; d++)
            good = good && ms_buffer_printf(header, "%s%" PRId64, d ? "," : "", tensor->shape[d]);
        good = good && ms_buffer_printf(header, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, end);
        offset = end;
    }
    good = good && ms_buffer_append(header, count ? "}" : "{}", count ? 1 : 2);
    while (good && header->size % 8)
        good = ms_buffer_append(header, " ", 1);
    return good;
}

/* An 8-byte size and the header. */
static void put_header(struct output *out, const struct ms_write_tensor *tensors, size_t count)
{
    struct ms_buffer header = {0};
    char size[8];
    if (!format_header(&header, tensors, count)) {
        out->status = ms_fail(out->error, MS_MEMORY, "%s: no memory for the header", out->path);
    } else {
        ms_put_u64(size, header.size);
        put(out, size, sizeof size);
        put(out, header.data, header.size);
    }
    ms_buffer_free(&header);
}

static void put_floats(struct output *out, enum ms_dtype dtype, const float *values, size_t count)
{
    if (dtype == MS_F32) {
        put(out, values, count * sizeof *values);
        return;
    }
    uint16_t halves[1024];
    for (size_t done = 0; done < count;) {
        size_t n = count - done < 1024 ? count - done : 1024;
        for (size_t i = 0; i < n; i++)
            halves[i] = ms_half_of_float(values[done + i]);
        put(out, halves, n * sizeof *halves);
        done += n;
    }
}

static void put_tensor(struct output *out, const struct ms_write_tensor *tensor)
{
    size_t width = row_elements(tensor), rows = row_count(tensor);
    if (tensor->data) {
        put_floats(out, tensor->dtype, tensor->data, rows * width);
        return;
    }
    float *values = calloc(width ? width : 1, sizeof *values);
    if (!values)
        out->status = ms_fail(out->error, MS_MEMORY, "%s: no memory for a row of %s", out->path,
                              tensor->name);
    for (size_t i = 0; out->status == MS_OK && i < rows; i++) {
        tensor->row(tensor->context, i, values);
        put_floats(out, tensor->dtype, values, width);
    }
    free(values);
}

enum ms_status ms_model_write_tensors(const char *path, const struct ms_write_tensor *tensors, size_t count,
                                      struct ms_error *error)
{
    struct output out = open_output(path, error);
    if (out.status == MS_OK)
        put_header(&out, tensors, count);
    for (size_t i = 0; out.status == MS_OK && i < count; i++)
        put_tensor(&out, &tensors[i]);
    return close_output(&out);
}

/* ---- the directory ---- */

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Whether |name| is that of a model's file, or of the mark. */
static bool is_own_file(const char *name)
{
    return ms_model_is_file(name) || strcmp(name, MS_MODEL_MARK) == 0;
}

/* Removes a directory of model files; a link to one is left alone. */
static void remove_model(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (!listing)
        return;
    for (const struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
        if (is_own_file(entry->d_name))
            unlinkat(dirfd(listing), entry->d_name, 0);
    }
    closedir(listing);
    rmdir(dir);
}

/* Whether the directory that |listing| walks holds nothing but the files of a model; *empty tells that it holds
 * nothing at all. */
static enum ms_status check_entries(DIR *listing, const char *dir, bool *empty, struct ms_error *error)
{
    *empty = true;
    for (const struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
        if (is_dots(entry->d_name))
            continue;
        *empty = false;
        if (!is_own_file(entry->d_name))
            return ms_fail(error, MS_IO, "%s holds %s, so it is not replaced by a model", dir, entry->d_name);
    }
    return MS_OK;
}

/* It does not exist, is empty, or holds a model that this program wrote and nobody has changed since. With |force|, any model. */
enum ms_status ms_model_check_target(const char *dir, bool force, struct ms_error *error)
{
    struct stat found;
    bool empty, ours = true;
    if (lstat(dir, &found) != 0)
        return errno == ENOENT ? MS_OK : ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
    if (S_ISLNK(found.st_mode))
        return ms_fail(error, MS_IO, "%s is a symbolic link, so it is not replaced by a model", dir);
    DIR *listing = opendir(dir);
    if (!listing)
        return ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
    enum ms_status status = check_entries(listing, dir, &empty, error);
    closedir(listing);
    if (status == MS_OK && !empty && !force)
        status = ms_model_mark_holds(dir, &ours, error);
    if (status == MS_OK && !ours)
        status = ms_fail(
            error, MS_IO,
            "%s holds a model that mindstream did not write, or that was changed since, so it is "
            "not replaced",
            dir);
    return status;
}

static enum ms_status write_config(const char *path, const char *config, struct ms_error *error)
{
    struct output out = open_output(path, error);
    put(&out, config, strlen(config));
    return close_output(&out);
}

/* The path of a file of |dir| in |path|, PATH_MAX bytes. */
static enum ms_status path_of(char *path, const char *dir, const char *before, const char *name,
                              const char *after, struct ms_error *error)
{
    if (snprintf(path, PATH_MAX, "%s/%s%s%s", dir, before, name, after) < PATH_MAX)
        return MS_OK;
    return ms_fail(error, MS_IO, "%s: the name is too long", dir);
}

static enum ms_status write_files(const char *dir, const struct ms_write_model *model, struct ms_error *error)
{
    char path[PATH_MAX];
    enum ms_status status = path_of(path, dir, "", "config.json", "", error);
    if (status == MS_OK)
        status = write_config(path, model->config, error);
    if (status == MS_OK)
        status = path_of(path, dir, "", "items.txt", "", error);
    if (status == MS_OK)
        status = ms_model_write_lines(path, &model->items, error);
    for (size_t i = 0; status == MS_OK && i < model->vocabulary_count; i++) {
        status = path_of(path, dir, "profile_", model->vocabularies[i].field, ".txt", error);
        if (status == MS_OK)
            status = ms_model_write_lines(path, &model->vocabularies[i].values, error);
    }
    if (status == MS_OK)
        status = path_of(path, dir, "", "model.safetensors", "", error);
    if (status == MS_OK)
        status = ms_model_write_tensors(path, model->tensors, model->tensor_count, error);
    if (status == MS_OK)
        status = ms_model_mark_write(dir, error);
    return status;
}

/* Renames |made| to |dir| in one step. A model that was there is |made| then. */
static enum ms_status replace(const char *made, const char *dir, struct ms_error *error)
{
    if (renameat2(AT_FDCWD, made, AT_FDCWD, dir, RENAME_EXCHANGE) == 0)
        return MS_OK;
    return rename(made, dir) == 0 ? MS_OK : ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
}

enum ms_status ms_model_write(const char *name, const struct ms_write_model *model, struct ms_error *error)
{
    char dir[PATH_MAX];
    struct ms_scratch made;
    size_t size = strlen(name);
    while (size > 1 && name[size - 1] == '/')
        size--;
    if (size == 0 || size + 64 > sizeof dir)
        return ms_fail(error, MS_USAGE, "'%.100s' cannot be a model directory", name);
    snprintf(dir, sizeof dir, "%.*s", (int)size, name);
    enum ms_status status = ms_model_check_target(dir, model->replace, error);
    if (status != MS_OK)
        return status;
    status = ms_scratch_make(&made, dir, ".new", remove_model, error);
    if (status == MS_OK && chmod(made.path, 0755) != 0)
        status = ms_fail(error, MS_IO, "%s: %s", made.path, strerror(errno));
    if (status == MS_OK)
        status = write_files(made.path, model, error);
    if (status == MS_OK)
        status = replace(made.path, dir, error);
    ms_scratch_remove(&made); /* the model of before, or half of this one */
    return status;
}
