/* The safetensors reader. The checks follow the order of the reference implementation, and add what its own
 * documentation asks of a reader in a language without bounds checks. */
#include "model/safetensors.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_BYTES ((size_t)1 << 20) /* a tensor that is not F32 is converted piece by piece */

static const struct {
    const char *name;
    size_t bytes; /* of an element */
} dtypes[] = {
#define MS_DTYPE_ROW(name, bytes) {#name, bytes},
    MS_DTYPE_MAP(MS_DTYPE_ROW)
#undef MS_DTYPE_ROW
};

size_t ms_dtype_bytes(enum ms_dtype dtype)
{
    return dtypes[dtype].bytes;
}

static enum ms_status read_header(struct ms_safetensors *st, const struct ms_file *file,
                                  struct ms_error *error)
{
    unsigned char prefix[9];
    if (file->size < 8)
        return ms_fail(error, MS_MODEL, "%s: %zu bytes, too short for a safetensors file", file->path,
                       file->size);
    enum ms_status status = ms_file_read(file, 0, prefix, file->size < 9 ? 8 : 9, error);
    if (status != MS_OK)
        return status;
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | prefix[i];
    if (length > MS_SAFETENSORS_MAX_HEADER)
        return ms_fail(error, MS_MODEL, "%s: header length %" PRIu64 ", at most %zu is allowed", file->path,
                       length, MS_SAFETENSORS_MAX_HEADER);
    if (length > file->size - 8)
        return ms_fail(error, MS_MODEL,
                       "%s: header length %" PRIu64 " reaches beyond the file's end (%zu bytes)", file->path,
                       length, file->size);
    if (length < 2 || prefix[8] != '{')
        return ms_fail(error, MS_MODEL, "%s: the header does not begin with '{'", file->path);
    st->data_start = (size_t)length + 8;
    st->header = malloc(st->data_start);
    if (!st->header)
        return ms_fail(error, MS_MEMORY, "%s: no memory for the header", file->path);
    return ms_file_read(file, 0, st->header, st->data_start, error);
}

static enum ms_status check_metadata(const json_t *metadata, const char *path, struct ms_error *error)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return ms_fail(error, MS_MODEL, "%s: __metadata__ is not an object", path);
    json_object_foreach ((json_t *)(uintptr_t)metadata, key, value)
        if (!json_is_string(value))
            return ms_fail(error, MS_MODEL, "%s: __metadata__ \"%.100s\" is not a string", path, key);
    return MS_OK;
}

/* A JSON integer from 0 up; reals such as 4.0 are not integers here. */
static bool natural(const json_t *json, int64_t *value)
{
    if (!json_is_integer(json) || json_integer_value(json) < 0)
        return false;
    *value = json_integer_value(json);
    return true;
}

static enum ms_status read_shape(struct ms_safetensor *tensor, const json_t *shape, const char *path,
                                 struct ms_error *error)
{
    if (!json_is_array(shape))
        return ms_fail(error, MS_MODEL, "%s: tensor %s: shape is not a list", path, tensor->name);
    if (json_array_size(shape) > MS_SAFETENSORS_MAX_RANK)
        return ms_fail(error, MS_MODEL, "%s: tensor %s: %zu dimensions, at most %d are allowed", path,
                       tensor->name, json_array_size(shape), MS_SAFETENSORS_MAX_RANK);
    tensor->rank = (int)json_array_size(shape);
    tensor->count = 1;
    for (int i = 0; i < tensor->rank; i++) {
        if (!natural(json_array_get(shape, (size_t)i), &tensor->shape[i]))
            return ms_fail(error, MS_MODEL,
                           "%s: tensor %s: dimension %d of the shape is not a whole number from 0 up", path,
                           tensor->name, i);
        if (__builtin_mul_overflow(tensor->count, (size_t)tensor->shape[i], &tensor->count))
            return ms_fail(error, MS_MODEL, "%s: tensor %s: the shape's size overflows", path, tensor->name);
    }
    return MS_OK;
}

static enum ms_status read_offsets(struct ms_safetensor *tensor, const json_t *offsets, size_t data_bytes,
                                   const char *path, struct ms_error *error)
{
    int64_t begin, end;
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !natural(json_array_get(offsets, 0), &begin) || !natural(json_array_get(offsets, 1), &end))
        return ms_fail(error, MS_MODEL, "%s: tensor %s: data_offsets is not two whole numbers from 0 up",
                       path, tensor->name);
    if (end < begin || (uint64_t)end > data_bytes)
        return ms_fail(error, MS_MODEL,
                       "%s: tensor %s: data_offsets [%" PRId64 ", %" PRId64
                       "] are out of range, the file has %zu bytes of data",
                       path, tensor->name, begin, end, data_bytes);
    size_t width = ms_dtype_bytes(tensor->dtype), bytes;
    if (__builtin_mul_overflow(tensor->count, width, &bytes) || bytes != (size_t)(end - begin))
        return ms_fail(error, MS_MODEL,
                       "%s: tensor %s: data_offsets [%" PRId64 ", %" PRId64 "] hold %" PRId64
                       " bytes, the shape asks for %zu x %zu",
                       path, tensor->name, begin, end, end - begin, tensor->count, width);
    tensor->begin = (size_t)begin;
    tensor->end = (size_t)end;
    return MS_OK;
}

static enum ms_status read_entry(struct ms_safetensor *tensor, const char *name, const json_t *entry,
                                 size_t data_bytes, const char *path, struct ms_error *error)
{
    const char *key;
    json_t *value;
    if (name[0] == '\0' || strlen(name) > MS_SAFETENSORS_MAX_NAME)
        return ms_fail(error, MS_MODEL, "%s: a tensor's name has %zu bytes, 1 to %d are allowed", path,
                       strlen(name), MS_SAFETENSORS_MAX_NAME);
    if (!json_is_object(entry))
        return ms_fail(error, MS_MODEL, "%s: tensor %s: the entry is not an object", path, name);
    json_object_foreach ((json_t *)(uintptr_t)entry, key, value)
        if (strcmp(key, "dtype") != 0 && strcmp(key, "shape") != 0 && strcmp(key, "data_offsets") != 0)
            return ms_fail(error, MS_MODEL, "%s: tensor %s: unknown key \"%.100s\"", path, name, key);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype)
        return ms_fail(error, MS_MODEL, "%s: tensor %s: dtype is missing or not a string", path, name);
    while (tensor->dtype < MS_DTYPE_COUNT && strcmp(dtype, dtypes[tensor->dtype].name) != 0)
        tensor->dtype++;
    if (tensor->dtype == MS_DTYPE_COUNT)
        return ms_fail(error, MS_MODEL,
                       "%s: tensor %s: dtype %.20s, only F32, F16, BF16 and F64 are supported", path, name,
                       dtype);
    tensor->name = strdup(name);
    if (!tensor->name)
        return ms_fail(error, MS_MEMORY, "%s: no memory", path);
    enum ms_status status = read_shape(tensor, json_object_get(entry, "shape"), path, error);
    if (status == MS_OK)
        status = read_offsets(tensor, json_object_get(entry, "data_offsets"), data_bytes, path, error);
    return status;
}

static int by_offset(const void *left, const void *right)
{
    const struct ms_safetensor *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

/* The tensors, put in order, must follow one another without hole or overlap to the last byte. */
static enum ms_status check_cover(struct ms_safetensors *st, size_t data_bytes, const char *path,
                                  struct ms_error *error)
{
    size_t at = 0;
    qsort(st->tensors, st->count, sizeof *st->tensors, by_offset);
    for (size_t i = 0; i < st->count; i++) {
        const struct ms_safetensor *tensor = &st->tensors[i];
        if (tensor->begin < at)
            return ms_fail(error, MS_MODEL,
                           "%s: tensor %s begins at byte %zu and overlaps tensor %s, which ends at %zu", path,
                           tensor->name, tensor->begin, st->tensors[i - 1].name, at);
        if (tensor->begin > at)
            return ms_fail(error, MS_MODEL, "%s: bytes %zu to %zu before tensor %s belong to no tensor", path,
                           at, tensor->begin, tensor->name);
        at = tensor->end;
    }
    if (at != data_bytes)
        return ms_fail(error, MS_MODEL, "%s: the tensors end at byte %zu of the data, the file has %zu", path,
                       at, data_bytes);
    return MS_OK;
}

static enum ms_status parse_header(struct ms_safetensors *st, const struct ms_file *file, const json_t *root,
                                   struct ms_error *error)
{
    const char *name;
    json_t *entry;
    size_t data_bytes = file->size - st->data_start, size = json_object_size(root);
    if (size > MS_SAFETENSORS_MAX_TENSORS)
        return ms_fail(error, MS_MODEL, "%s: %zu tensors, at most %d are allowed", file->path, size,
                       MS_SAFETENSORS_MAX_TENSORS);
    st->tensors = calloc(size + 1, sizeof *st->tensors);
    if (!st->tensors)
        return ms_fail(error, MS_MEMORY, "%s: no memory", file->path);
    json_object_foreach ((json_t *)(uintptr_t)root, name, entry) {
        enum ms_status status;
        if (strcmp(name, "__metadata__") == 0)
            status = check_metadata(entry, file->path, error);
        else
            status = read_entry(&st->tensors[st->count++], name, entry, data_bytes, file->path, error);
        if (status != MS_OK)
            return status;
    }
    return check_cover(st, data_bytes, file->path, error);
}

enum ms_status ms_safetensors_open(struct ms_safetensors *out, const struct ms_file *file,
                                   struct ms_error *error)
{
    struct ms_safetensors st = {0};
    json_error_t json_error;
    json_t *root = NULL;
    enum ms_status status = read_header(&st, file, error);
    if (status == MS_OK) {
        root = json_loadb(st.header + 8, st.data_start - 8, JSON_REJECT_DUPLICATES, &json_error);
        if (!root)
            status = ms_fail(error, MS_MODEL, "%s: bad header at byte %d: %s", file->path,
                             json_error.position, json_error.text);
        else
            status = parse_header(&st, file, root, error);
    }
    json_decref(root);
    if (status == MS_OK)
        *out = st;
    else
        ms_safetensors_free(&st);
    return status;
}

float ms_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff,
             bits;
    if (exponent == 31) {
        bits = 0x7f800000 | fraction << 13;
    } else if (exponent) {
        bits = (exponent + 112) << 23 | fraction << 13;
    } else if (fraction) { /* subnormal: normal as a float */
        unsigned shift = (unsigned)__builtin_clz(fraction) - 21;
        bits = (113 - shift) << 23 | (fraction << shift & 0x3ff) << 13;
    } else {
        bits = 0;
    }
    bits |= sign;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float ms_bfloat_to_float(uint16_t bfloat)
{
    uint32_t bits = (uint32_t)bfloat << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ", at [3, 0]": where element |index| of a tensor with several dimensions is. */
static void place_text(char *text, size_t size, const struct ms_safetensor *tensor, size_t index)
{
    size_t used = 0, left = tensor->count;
    text[0] = '\0';
    for (int i = 0; tensor->rank > 1 && i < tensor->rank && used < size; i++) {
        left /= (size_t)tensor->shape[i];
        used += (size_t)snprintf(text + used, size - used, "%s%zu", i ? ", " : ", at [", index / left);
        index %= left;
    }
    if (used && used < size)
        snprintf(text + used, size - used, "]");
}

static enum ms_status bad_element(const struct ms_safetensor *tensor, const char *path, size_t index,
                                  double value, struct ms_error *error)
{
    char place[160], what[64];
    place_text(place, sizeof place, tensor, index);
    if (__builtin_isfinite(value))
        snprintf(what, sizeof what, "%.17g, which no float32 holds", value);
    else
        snprintf(what, sizeof what, "%s", __builtin_isnan(value) ? "NaN" : "infinite");
    return ms_fail(error, MS_MODEL, "%s: tensor %s: element %zu is %s%s", path, tensor->name, index, what,
                   place);
}

/* Converts |count| elements to floats at |to|. F64 is rounded to nearest, ties to even. */
static void convert(enum ms_dtype dtype, const void *from, size_t count, float *to)
{
    const uint16_t *halves = from;
    const double *doubles = from;
    for (size_t i = 0; dtype == MS_F16 && i < count; i++)
        to[i] = ms_half_to_float(halves[i]);
    for (size_t i = 0; dtype == MS_BF16 && i < count; i++)
        to[i] = ms_bfloat_to_float(halves[i]);
    for (size_t i = 0; dtype == MS_F64 && i < count; i++)
        to[i] = (float)doubles[i];
}

/* Reads a tensor that is not F32, piece by piece. */
static enum ms_status load_converted(struct ms_safetensor *tensor, const struct ms_file *file, size_t offset,
                                     XXH64_state_t *hash, struct ms_error *error)
{
    size_t width = ms_dtype_bytes(tensor->dtype), most = CHUNK_BYTES / width;
    void *chunk = malloc(CHUNK_BYTES);
    if (!chunk)
        return ms_fail(error, MS_MEMORY, "%s: no memory", file->path);
    enum ms_status status = MS_OK;
    for (size_t done = 0, n; done < tensor->count && status == MS_OK; done += n) {
        n = tensor->count - done < most ? tensor->count - done : most;
        status = ms_file_read(file, offset + done * width, chunk, n * width, error);
        if (status != MS_OK)
            break;
        XXH64_update(hash, chunk, n * width);
        convert(tensor->dtype, chunk, n, tensor->data + done);
        for (size_t i = 0; status == MS_OK && i < n; i++)
            if (!__builtin_isfinite(tensor->data[done + i]))
                status = bad_element(tensor, file->path, done + i,
                                     tensor->dtype == MS_F64 ? ((const double *)chunk)[i]
                                                             : (double)tensor->data[done + i],
                                     error);
    }
    free(chunk);
    return status;
}

static enum ms_status load_tensor(struct ms_safetensor *tensor, const struct ms_file *file, size_t offset,
                                  XXH64_state_t *hash, struct ms_error *error)
{
    size_t bytes = tensor->end - tensor->begin;
    if (tensor->dtype != MS_F32)
        return load_converted(tensor, file, offset, hash, error);
    enum ms_status status = ms_file_read(file, offset, tensor->data, bytes, error);
    if (status != MS_OK)
        return status;
    XXH64_update(hash, tensor->data, bytes);
    for (size_t i = 0; i < tensor->count; i++)
        if (!__builtin_isfinite(tensor->data[i]))
            return bad_element(tensor, file->path, i, (double)tensor->data[i], error);
    return MS_OK;
}

static size_t padded_bytes(size_t count)
{
    return (count * sizeof(float) + MS_TENSOR_ALIGN - 1) / MS_TENSOR_ALIGN * MS_TENSOR_ALIGN;
}

/* Numbers that are looked at while they are in the CPU's cache, for the hash and for what is not finite. */
#define LOOKED_AT ((size_t)1 << 16)

/* Whether any number is NaN or infinite. */
static bool has_bad_number(const float *numbers, size_t count)
{
    uint32_t bits, bad = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(&bits, numbers + i, sizeof bits);
        bad |= (bits & UINT32_C(0x7F800000)) == UINT32_C(0x7F800000);
    }
    return bad;
}

/* Hashes and checks a tensor that lies in the mapped file. */
static enum ms_status look_at_mapped(struct ms_safetensor *tensor, const char *path, XXH64_state_t *hash,
                                     struct ms_error *error)
{
    for (size_t at = 0, n; at < tensor->count; at += n) {
        n = tensor->count - at < LOOKED_AT ? tensor->count - at : LOOKED_AT;
        XXH64_update(hash, tensor->data + at, n * sizeof(float));
        if (!has_bad_number(tensor->data + at, n))
            continue;
        while (__builtin_isfinite(tensor->data[at]))
            at++;
        return bad_element(tensor, path, at, (double)tensor->data[at], error);
    }
    return MS_OK;
}

/* Makes room for all tensors but number |mapped|, which lies in the file. */
static enum ms_status place_tensors(struct ms_safetensors *st, const struct ms_file *file, size_t mapped,
                                    struct ms_error *error)
{
    assert(!st->block);
    /* no overflow: every tensor lies in the file, so the sum is at most twice its size and a little */
    for (size_t i = 0; i < st->count; i++)
        st->block_bytes += i == mapped ? 0 : padded_bytes(st->tensors[i].count);
    st->block = ms_block_alloc(st->block_bytes);
    if (!st->block)
        return ms_fail(error, MS_MEMORY, "%s: no memory for %zu bytes of tensors", file->path,
                       st->block_bytes);
    char *at = st->block;
    for (size_t i = 0; i < st->count; i++) {
        struct ms_safetensor *tensor = &st->tensors[i];
        bool own = i != mapped;
        tensor->data = (float *)(void *)(own ? at : (char *)st->map + st->data_start + tensor->begin);
        at += own ? padded_bytes(tensor->count) : 0;
    }
    return MS_OK;
}

static enum ms_status load_all(struct ms_safetensors *st, const struct ms_file *file, size_t mapped,
                               XXH64_state_t *hash, struct ms_error *error)
{
    uint64_t length = file->size;
    enum ms_status status = place_tensors(st, file, mapped, error);
    if (status != MS_OK)
        return status;
    XXH64_update(hash, &length, sizeof length);
    XXH64_update(hash, st->header, st->data_start);
    for (size_t i = 0; status == MS_OK && i < st->count; i++) {
        struct ms_safetensor *tensor = &st->tensors[i];
        status = i == mapped ? look_at_mapped(tensor, file->path, hash, error)
                             : load_tensor(tensor, file, st->data_start + tensor->begin, hash, error);
    }
    return status == MS_OK ? ms_file_unchanged(file, error) : status;
}

enum ms_status ms_safetensors_load(struct ms_safetensors *st, const struct ms_file *file, XXH64_state_t *hash,
                                   struct ms_error *error)
{
    return load_all(st, file, SIZE_MAX, hash, error);
}

enum ms_status ms_safetensors_load_mapped(struct ms_safetensors *st, const struct ms_file *file,
                                          size_t mapped, XXH64_state_t *hash, struct ms_error *error)
{
    const struct ms_safetensor *tensor = &st->tensors[mapped];
    if (tensor->dtype != MS_F32 || (st->data_start + tensor->begin) % sizeof(float) != 0)
        return ms_fail(error, MS_CONFIG, "%s: tensor %s cannot be mapped", file->path, tensor->name);
    void *map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file->fd, 0);
    if (map == MAP_FAILED)
        return ms_fail(error, MS_IO, "%s: %s", file->path, strerror(errno));
    st->map = map;
    st->map_bytes = file->size;
    return load_all(st, file, mapped, hash, error);
}

void ms_safetensors_free(struct ms_safetensors *st)
{
    for (size_t i = 0; i < st->count; i++)
        free(st->tensors[i].name);
    free(st->tensors);
    free(st->header);
    ms_block_free(st->block, st->block_bytes);
    if (st->map)
        munmap(st->map, st->map_bytes);
    *st = (struct ms_safetensors){0};
}
