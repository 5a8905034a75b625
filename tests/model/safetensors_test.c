/* The safetensors reader against files that are right, and against every way to be wrong. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/model_writer.h"
#include "model/safetensors.h"

struct fixture {
    char *dir;
    char path[4200];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = writer_temp_dir();
    snprintf(f->path, sizeof f->path, "%s/model.safetensors", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    writer_remove(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

/* Opens and loads; *st is the caller's to free when MS_OK. */
static enum ms_status read_all(const struct fixture *f, struct ms_safetensors *st, uint64_t *hash,
                               struct ms_error *error)
{
    struct ms_file file = {.fd = -1};
    XXH64_state_t *hashing = XXH64_createState();
    XXH64_reset(hashing, 0);
    enum ms_status status = ms_file_open(&file, f->path, (size_t)1 << 30, error);
    if (status == MS_OK)
        status = ms_safetensors_open(st, &file, error);
    if (status == MS_OK) {
        status = ms_safetensors_load(st, &file, hashing, error);
        if (status != MS_OK)
            ms_safetensors_free(st);
    }
    if (hash)
        *hash = XXH64_digest(hashing);
    XXH64_freeState(hashing);
    ms_file_close(&file);
    return status;
}

/* A file of a header text, its length as given (0: its own), and |data_bytes| bytes that are 1.0f again and
 * again. */
static void raw(const struct fixture *f, const char *header, uint64_t length, size_t data_bytes)
{
    char *bytes = calloc(1, 8 + strlen(header) + data_bytes + 4);
    length = length ? length : strlen(header);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, strlen(header));
    const float one = 1;
    for (size_t i = 0; i < data_bytes; i += 4)
        memcpy(bytes + 8 + strlen(header) + i, &one, 4);
    writer_file(f->dir, "model.safetensors", bytes, 8 + strlen(header) + data_bytes);
    free(bytes);
}

static void refused(const struct fixture *f, const char *expected)
{
    struct ms_safetensors st = {0};
    struct ms_error error = {0};
    assert_int_equal(read_all(f, &st, NULL, &error), MS_MODEL);
    if (strncmp(error.text, f->path, strlen(f->path)) != 0 || !strstr(error.text, expected))
        fail_msg("gives: %s\n wanted: %s", error.text, expected);
}

static void refuse_raw(const struct fixture *f, const char *header, size_t data_bytes, const char *expected)
{
    raw(f, header, 0, data_bytes);
    refused(f, expected);
}

static void good_file(void **state)
{
    struct fixture *f = *state;
    const float a[6] = {1, -2, 3.5f, 0, 5, 6}, b[3] = {0.5f, -65504, 6.103515625e-05f};
    const struct writer_tensor tensors[] = {
        {"b.half", b, 1, {3}, true}, {"a", a, 2, {2, 3}, false}, {"scalar", a, 0, {0}, false}};
    struct ms_safetensors st;
    struct ms_error error;
    uint64_t hash, again;
    writer_tensors(f->dir, tensors, 3);
    assert_int_equal(read_all(f, &st, &hash, &error), MS_OK);
    assert_int_equal(st.count, 3);
    assert_string_equal(st.tensors[0].name, "b.half");
    assert_string_equal(st.tensors[1].name, "a");
    assert_int_equal(st.tensors[1].rank, 2);
    assert_int_equal(st.tensors[1].shape[0], 2);
    assert_int_equal(st.tensors[1].shape[1], 3);
    assert_int_equal(st.tensors[2].count, 1);
    assert_memory_equal(st.tensors[0].data, b, sizeof b);
    assert_memory_equal(st.tensors[1].data, a, sizeof a);
    for (size_t i = 0; i < st.count; i++)
        assert_int_equal((uintptr_t)st.tensors[i].data % MS_TENSOR_ALIGN, 0);
    ms_safetensors_free(&st);

    /* the hash covers every byte: length, header, data */
    char *text = NULL;
    size_t size = 0;
    XXH64_state_t *hashing = XXH64_createState();
    XXH64_reset(hashing, 0);
    assert_int_equal(ms_file_read_all(&text, &size, f->path, 1 << 20, hashing, &error), MS_OK);
    again = XXH64_digest(hashing);
    assert_true(hash == again);
    XXH64_freeState(hashing);
    free(text);
}

static void metadata_and_blanks(void **state)
{
    struct fixture *f = *state;
    struct ms_safetensors st;
    raw(f,
        "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
        "}     ",
        0, 8);
    assert_int_equal(read_all(f, &st, NULL, NULL), MS_OK);
    assert_int_equal(st.count, 1);
    assert_true(st.tensors[0].data[1] == 1.0f);
    ms_safetensors_free(&st);
}

static void half_values(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x10000;
         h++) { /* against the definition: sign * 2^(e-15) * 1.f, or 2^-14 * 0.f */
        int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 0x3ff);
        double value = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
                       : exponent == 0 ? ldexp(fraction, -24)
                                       : ldexp(1024 + fraction, exponent - 25);
        float got = ms_half_to_float((uint16_t)h);
        if (isnan(value))
            assert_true(isnan(got));
        else
            assert_true((double)got == (h & 0x8000 ? -value : value) && !!signbit(got) == !!(h & 0x8000));
    }
}

/* Every bfloat16 is the float whose upper half it is. */
static void bfloat_values(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 0x10000;
         b++) { /* against the definition: sign * 2^(e-127) * 1.f, or 2^-126 * 0.f */
        int exponent = (int)(b >> 7 & 255), fraction = (int)(b & 0x7f);
        double value = exponent == 255 ? (fraction ? (double)NAN : (double)INFINITY)
                       : exponent == 0 ? ldexp(fraction, -133)
                                       : ldexp(128 + fraction, exponent - 134);
        float got = ms_bfloat_to_float((uint16_t)b);
        if (isnan(value))
            assert_true(isnan(got));
        else
            assert_true((double)got == (b & 0x8000 ? -value : value) && !!signbit(got) == !!(b & 0x8000));
    }
}

/* A float16 tensor is widened in pieces of 524,288 elements: two of them and a bit, then a neighbour. */
static void many_half_values(void **state)
{
    enum { COUNT = 2 * 524288 + 3 };
    struct fixture *f = *state;
    struct ms_safetensors st;
    static const float next[] = {3, 4};
    float *values = malloc(COUNT * sizeof *values);
    assert_non_null(values);
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)((i * 7 + i / 1000) % 2048 - 1024);
    writer_tensors(
        f->dir, (const struct writer_tensor[]){{"a", values, 1, {COUNT}, true}, {"b", next, 1, {2}, false}},
        2);
    assert_int_equal(read_all(f, &st, NULL, NULL), MS_OK);
    assert_int_equal(st.tensors[0].count, COUNT);
    assert_memory_equal(st.tensors[0].data, values, COUNT * sizeof *values);
    assert_memory_equal(st.tensors[1].data, next, sizeof next);
    ms_safetensors_free(&st);
    free(values);
}

#define A(shape, offsets) "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void bad_lengths(void **state)
{
    struct fixture *f = *state;
    writer_file(f->dir, "model.safetensors", "", 0);
    refused(f, "the file is empty");
    writer_file(f->dir, "model.safetensors", "\1\0\0\0\0\0\0", 7);
    refused(f, "7 bytes, too short");
    writer_file(f->dir, "model.safetensors", "\0\0\0\0\0\0\0\0", 8);
    refused(f, "does not begin with '{'");
    raw(f, "{}", UINT64_MAX, 0);
    refused(f, "header length 18446744073709551615, at most");
    raw(f, "{}", 3, 0);
    refused(f, "header length 3 reaches beyond the file's end (10 bytes)");
    raw(f, " {}", 0, 0);
    refused(f, "does not begin with '{'");
    unlink(f->path);
    refused(f, "the file is missing");
    mkdir(f->path, 0700);
    refused(f, "not a regular file");
    rmdir(f->path);
}

static void bad_headers(void **state)
{
    struct fixture *f = *state;
    refuse_raw(f, "{\"a\":", 0, "bad header at byte");
    refuse_raw(f, "{\"a\xff\":1}", 0, "bad header at byte");
    refuse_raw(f, "{\"a\":1,\"a\":2}", 0, "duplicate object key");
    refuse_raw(f, "{\"a\":1}", 0, "tensor a: the entry is not an object");
    refuse_raw(f, "{\"\":{}}", 0, "a tensor's name has 0 bytes");
    refuse_raw(f, "{\"__metadata__\":{\"a\":1}}", 0, "__metadata__ \"a\" is not a string");
    refuse_raw(f, "{\"__metadata__\":[]}", 0, "__metadata__ is not an object");
    refuse_raw(f, "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype is missing");
    refuse_raw(f, "{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8,
               "tensor a: dtype I64, only F32, F16, BF16 and F64 are supported");
    refuse_raw(f, "{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
               "the shape asks for 2 x 8");
    refuse_raw(f, "{\"a\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[0,16]}}", 16,
               "the shape asks for 4 x 2");
    refuse_raw(f, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"strides\":[1]}}", 4,
               "tensor a: unknown key \"strides\"");
    refuse_raw(f, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a: shape is not a list");
    refuse_raw(f, A("[1]", "[0]"), 4, "data_offsets is not two whole numbers");
    refuse_raw(f, A("[1.0]", "[0,4]"), 4, "dimension 0 of the shape is not a whole number");
    refuse_raw(f, A("[-1]", "[0,4]"), 4, "dimension 0 of the shape is not a whole number");
    refuse_raw(f, A("[1,1,1,1,1]", "[0,4]"), 4, "5 dimensions, at most 4");
    refuse_raw(f, A("[1]", "[0.0,4]"), 4, "data_offsets is not two whole numbers");
    refuse_raw(f, A("[1]", "[-4,0]"), 4, "data_offsets is not two whole numbers");
    refuse_raw(f, A("[1]", "[0,99999999999999999999]"), 4, "too big");
    char *deep = malloc(8192);
    memset(deep, '[', 8191);
    memcpy(deep, "{\"a\":", 5);
    deep[8191] = '\0';
    refuse_raw(f, deep, 0, "maximum parsing depth reached");
    free(deep);
}

static void bad_offsets(void **state)
{
    struct fixture *f = *state;
    refuse_raw(f, A("[2]", "[0,8]"), 4,
               "tensor a: data_offsets [0, 8] are out of range, the file has 4 bytes of data");
    refuse_raw(f, A("[1]", "[4,0]"), 4, "data_offsets [4, 0] are out of range");
    refuse_raw(f, A("[1]", "[0,8]"), 8, "data_offsets [0, 8] hold 8 bytes, the shape asks for 1 x 4");
    refuse_raw(f, A("[4611686018427387904]", "[0,0]"), 0, "the shape asks for 4611686018427387904 x 4");
    refuse_raw(f, A("[4294967296,4294967296]", "[0,0]"), 0, "the shape's size overflows");
    refuse_raw(f, A("[1]", "[4,8]"), 8, "bytes 0 to 4 before tensor a belong to no tensor");
    refuse_raw(f, A("[1]", "[0,4]"), 8, "the tensors end at byte 4 of the data, the file has 8");
    refuse_raw(f, "{}", 4, "the tensors end at byte 0 of the data, the file has 4");
    refuse_raw(f,
               "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]},"
               "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
               12, "tensor b begins at byte 4 and overlaps tensor a, which ends at 8");
    refuse_raw(f,
               "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},"
               "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
               12, "bytes 4 to 8 before tensor b belong to no tensor");
}

static void truncated(void **state)
{
    struct fixture *f = *state;
    const float a[64] = {0};
    const struct writer_tensor tensor = {"a", a, 1, {64}, false};
    struct stat st;
    writer_tensors(f->dir, &tensor, 1);
    assert_int_equal(stat(f->path, &st), 0);
    for (long long size = st.st_size - 1; size >= 0; size--) {
        struct ms_safetensors none;
        assert_int_equal(truncate(f->path, (off_t)size), 0);
        assert_int_equal(read_all(f, &none, NULL, NULL), MS_MODEL);
    }
}

static void not_finite(void **state)
{
    struct fixture *f = *state;
    float a[5] = {1, 2, 3, NAN, 4};
    struct writer_tensor tensor = {"weights", a, 1, {5}, false};
    writer_tensors(f->dir, &tensor, 1);
    refused(f, "tensor weights: element 3 is NaN");
    a[3] = 0, a[4] = -INFINITY;
    writer_tensors(f->dir, &tensor, 1);
    refused(f, "tensor weights: element 4 is infinite");
    tensor.half = true;
    writer_tensors(f->dir, &tensor, 1);
    refused(f, "tensor weights: element 4 is infinite");
    float b[6] = {0, 0, 0, 0, 0, NAN};
    writer_tensors(f->dir, &(struct writer_tensor){"weights", b, 2, {2, 3}, false}, 1);
    refused(f, "tensor weights: element 5 is NaN, at [1, 2]");
}

/* The file becomes shorter, or is written again, between the header and the data. */
static void changed_while_read(void **state)
{
    struct fixture *f = *state;
    const float a[64] = {0};
    const struct writer_tensor tensor = {"a", a, 1, {64}, false};
    for (int way = 0; way < 2; way++) {
        struct ms_file file = {.fd = -1};
        struct ms_safetensors st;
        struct ms_error error;
        XXH64_state_t *hashing = XXH64_createState();
        XXH64_reset(hashing, 0);
        writer_tensors(f->dir, &tensor, 1);
        assert_int_equal(ms_file_open(&file, f->path, 1 << 20, &error), MS_OK);
        assert_int_equal(ms_safetensors_open(&st, &file, &error), MS_OK);
        assert_int_equal(truncate(f->path, (off_t)(way ? file.size + 4 : file.size - 4)), 0);
        assert_int_equal(ms_safetensors_load(&st, &file, hashing, &error), MS_MODEL);
        assert_non_null(
            strstr(error.text, way ? "changed while it was read" : "became shorter while it was read"));
        ms_safetensors_free(&st);
        ms_file_close(&file);
        XXH64_freeState(hashing);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metadata_and_blanks, set_up, tear_down),
        cmocka_unit_test(half_values),
        cmocka_unit_test(bfloat_values),
        cmocka_unit_test_setup_teardown(many_half_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_lengths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_offsets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(truncated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_finite, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_while_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
