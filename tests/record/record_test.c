/* Output records: the exact text of JSON, what comes back from both formats, sizes, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>

#include "base/json.h"
#include "mindstream/record.h"

#define TEXT(s) ((struct ms_bytes){(s), sizeof(s) - 1})

static const float two_vectors[] = {0.0F, 1.0F, -0.0F, 1e-30F, 3.4e38F, 0.1F};
static const float two_weights[] = {0.62F, 0.38F};

static struct ms_record two_interests(void)
{
    return (struct ms_record){
        .user_id = TEXT("u1"),
        .version = 17,
        .event_time_ms = 1700000000123,
        .model = TEXT("tmall@2026-11-20"),
        .interests = {.count = 2, .dim = 3, .vectors = two_vectors, .weights = two_weights}};
}

static struct ms_encoder *encoder_of(enum ms_record_format format)
{
    struct ms_encoder *encoder;
    struct ms_error error;
    if (ms_encoder_new(&encoder, format, &error))
        fail_msg("%s", error.text);
    return encoder;
}

static void check_bytes(struct ms_bytes got, const char *expected)
{
    if (!got.data || got.size != strlen(expected) || memcmp(got.data, expected, got.size) != 0)
        fail_msg("%.*s\nexpected\n%s", (int)got.size, got.data ? got.data : "", expected);
}

static void test_json_text(void **state)
{
    (void)state;
    struct ms_encoder *encoder = encoder_of(MS_RECORD_JSON);
    struct ms_record record = two_interests();
    check_bytes(ms_encode_user(encoder, &record),
                "{\"user_id\":\"u1\",\"version\":17,\"event_time\":1700000000123,\"model\":\"tmall@2026-11-"
                "20\",\"dim\":3,"
                "\"interests\":[{\"slot\":0,\"weight\":0.62,\"vector\":[0.0,1.0,-0.0]},"
                "{\"slot\":1,\"weight\":0.38,\"vector\":[1e-30,3.4e+38,0.1]}]}");
    check_bytes(
        ms_encode_interest(encoder, &record, 1),
        "{\"id\":\"u1#1\",\"user_id\":\"u1\",\"slot\":1,\"weight\":0.38,\"version\":17,"
        "\"event_time\":1700000000123,\"model\":\"tmall@2026-11-20\",\"vector\":[1e-30,3.4e+38,0.1]}");
    record.interests.count = 0;
    record.user_id = TEXT("\"\\/\b\f\n\r\t\x01\x1f\x7f\xc3\xa9\0z");
    check_bytes(
        ms_encode_user(encoder, &record),
        "{\"user_id\":\"\\\"\\\\/\\u0008\\u000c\\u000a\\u000d\\u0009\\u0001\\u001f\x7f\xc3\xa9\\u0000z\","
        "\"version\":17,\"event_time\":1700000000123,\"model\":\"tmall@2026-11-20\",\"dim\":3,\"interests\":["
        "]}");
    record.version = UINT64_MAX;
    record.event_time_ms = INT64_MIN;
    record.user_id = TEXT("u");
    record.model = TEXT("m\n");
    check_bytes(ms_encode_user(encoder, &record),
                "{\"user_id\":\"u\",\"version\":18446744073709551615,\"event_time\":-9223372036854775808,"
                "\"model\":\"m\\u000a\",\"dim\":3,\"interests\":[]}");
    ms_encoder_destroy(encoder);
}

static void test_keys(void **state)
{
    (void)state;
    struct ms_encoder *encoder = encoder_of(MS_RECORD_PROTOBUF);
    struct ms_record record = two_interests();
    struct ms_bytes value = ms_encode_interest(encoder, &record, 0);
    assert_non_null(value.data);
    char *before = malloc(value.size);
    assert_non_null(before);
    memcpy(before, value.data, value.size);
    struct ms_bytes key = ms_encode_interest_key(
        encoder, TEXT("a user with a long id, longer than a first buffer"), 0);
    assert_memory_equal(value.data, before, value.size); /* a key leaves the value alone */
    value = ms_encode_interest(encoder, &record, 1);
    check_bytes(key, "a user with a long id, longer than a first buffer#0"); /* and the other way round */
    check_bytes(ms_encode_interest_key(encoder, TEXT("u1"), 63), "u1#63");
    check_bytes(ms_encode_interest_key(encoder, TEXT("u1"), INT32_MAX), "u1#2147483647");
    free(before);
    ms_encoder_destroy(encoder);
}

static void check_float(float value)
{
    char text[MS_FLOAT_TEXT_MAX + 1];
    size_t bytes = ms_print_float(text, value);
    assert_in_range(bytes, 3, MS_FLOAT_TEXT_MAX);
    text[bytes] = '\0';
    float back = strtof(text, NULL);
    if (memcmp(&back, &value, sizeof value) != 0 || !strpbrk(text, ".e"))
        fail_msg("%a is printed as %s", (double)value, text);
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return isfinite(value) ? value : 1.0F;
}

static void test_floats(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        static const uint32_t mantissas[] = {0, 1, 2, 0x400000, 0x7ffffe, 0x7fffff};
        for (size_t i = 0; i < sizeof mantissas / sizeof *mantissas; i++) {
            check_float(float_of(exponent << 23 | mantissas[i]));
            check_float(float_of(1U << 31 | exponent << 23 | mantissas[i]));
        }
    }
    for (int i = 0; i < 1000000; i++)
        check_float(float_of((uint32_t)splitmix(&random)));
    for (int i = 0; i < 100000; i++)
        check_float((float)(splitmix(&random) >> (random % 64))); /* whole numbers */
}

static void check_back(enum ms_record_format format, const struct ms_record *record)
{
    struct ms_encoder *encoder = encoder_of(format);
    struct ms_decoded *decoded;
    struct ms_error error;
    struct ms_bytes value = ms_encode_user(encoder, record);
    assert_non_null(value.data);
    assert_true(value.size <= ms_record_max_bytes(format, record->user_id.size, record->model.size,
                                                  record->interests.count, record->interests.dim));
    if (ms_decode_user(&decoded, format, value, &error))
        fail_msg("%s", error.text);
    ms_encoder_destroy(encoder); /* the decoded record keeps nothing of it */
    const struct ms_record *back = ms_decoded_record(decoded);
    size_t count = (size_t)record->interests.count, dim = (size_t)record->interests.dim;
    assert_int_equal(back->user_id.size, record->user_id.size);
    assert_memory_equal(back->user_id.data, record->user_id.data, record->user_id.size);
    assert_int_equal(back->model.size, record->model.size);
    assert_memory_equal(back->model.data, record->model.data, record->model.size);
    assert_true(back->version == record->version);
    assert_true(back->event_time_ms == record->event_time_ms);
    assert_int_equal(back->interests.count, record->interests.count);
    assert_int_equal(back->interests.dim, record->interests.dim);
    if (count) {
        assert_memory_equal(back->interests.weights, record->interests.weights, count * sizeof(float));
        assert_memory_equal(back->interests.vectors, record->interests.vectors, count * dim * sizeof(float));
    }
    ms_decoded_destroy(decoded);
}

/* Each interest as a record of its own comes back as it was. */
static void check_interests_round(enum ms_record_format format, const struct ms_record *record)
{
    struct ms_encoder *encoder = encoder_of(format);
    size_t dim = (size_t)record->interests.dim;
    for (int index = 0; index < record->interests.count; index++) {
        struct ms_decoded *decoded = NULL;
        struct ms_error error;
        int slot = -1;
        if (ms_decode_interest(&decoded, format, ms_encode_interest(encoder, record, index), &slot, &error))
            fail_msg("%s", error.text);
        const struct ms_record *back = ms_decoded_record(decoded);
        assert_int_equal(slot, index);
        assert_int_equal(back->user_id.size, record->user_id.size);
        assert_memory_equal(back->user_id.data, record->user_id.data, record->user_id.size);
        assert_int_equal(back->model.size, record->model.size);
        assert_memory_equal(back->model.data, record->model.data, record->model.size);
        assert_true(back->version == record->version && back->event_time_ms == record->event_time_ms);
        assert_true(back->interests.count == 1 && back->interests.dim == record->interests.dim);
        assert_memory_equal(back->interests.vectors, record->interests.vectors + (size_t)index * dim,
                            dim * sizeof(float));
        assert_memory_equal(back->interests.weights, record->interests.weights + index, sizeof(float));
        ms_decoded_destroy(decoded);
    }
    ms_encoder_destroy(encoder);
}

/* A record of the other layout, a slot that cannot be, a null value. */
static void test_refused_interests(void **state)
{
    (void)state;
#define FLAT(slot, more)                                                                                     \
    "{\"user_id\":\"u\",\"version\":1,\"event_time\":1,\"model\":\"m\",\"slot\":" slot more "}"
    static const struct {
        const char *value, *expected;
    } bad[] = {
        {"{", "not JSON"},
        {FLAT("0", ",\"weight\":1"), "\"vector\" of the record is missing"},
        {FLAT("0", ",\"vector\":[1.5]"), "\"weight\""},
        {FLAT("64", ",\"weight\":1,\"vector\":[]"), "slot 64"},
        {FLAT("-1", ",\"weight\":1,\"vector\":[]"), "expected less than 64"},
        {FLAT("0", ",\"weight\":1,\"vector\":[\"a\"]"), "does not hold numbers only"},
        {FLAT("0", ",\"weight\":1,\"vector\":[1e99]"), "not finite"},
    };
    struct ms_decoded *decoded = NULL;
    struct ms_error error;
    int slot = -1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ms_bytes value = {bad[i].value, strlen(bad[i].value)};
        error.text[0] = '\0';
        assert_int_equal(ms_decode_interest(&decoded, MS_RECORD_JSON, value, &slot, &error), MS_FORMAT);
        if (!strstr(error.text, bad[i].expected))
            fail_msg("%s: \"%s\", expected \"%s\"", bad[i].value, error.text, bad[i].expected);
    }
    assert_int_equal(
        ms_decode_interest(&decoded, MS_RECORD_PROTOBUF, (struct ms_bytes){"\x0a\xff", 2}, &slot, &error),
        MS_FORMAT);
    assert_int_equal(ms_decode_interest(&decoded, MS_RECORD_JSON, (struct ms_bytes){NULL, 0}, &slot, &error),
                     MS_FORMAT);
    assert_true(decoded == NULL && slot == -1);
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t random = 2;
    enum { K = 8, DIM = 96 };
    float vectors[K * DIM], weights[K];
    for (int turn = 0; turn < 400; turn++) {
        for (size_t i = 0; i < K * DIM; i++) /* any float, now and then a zero */
            vectors[i] = turn % 4 == 3 ? (float)(i % 3) : float_of((uint32_t)splitmix(&random));
        for (size_t i = 0; i < K; i++)
            weights[i] = (float)(splitmix(&random) % 3) / 3.0F;
        struct ms_record record = {
            .user_id = TEXT("a\0\"\\\n\xc3\xa9"),
            .version = splitmix(&random) >> (1 + turn % 63),
            .event_time_ms = (int64_t)(splitmix(&random) >> (1 + turn % 50)),
            .model = TEXT("m@\0"),
            .interests = {
                .count = turn % (K + 1), .dim = 1 + turn % DIM, .vectors = vectors, .weights = weights}};
        check_back(MS_RECORD_PROTOBUF, &record);
        check_back(MS_RECORD_JSON, &record);
        check_interests_round(MS_RECORD_PROTOBUF, &record);
        check_interests_round(MS_RECORD_JSON, &record);
        record.version = 0;
        record.event_time_ms = 0;
        record.interests.dim = 0;
        record.interests.count = 0;
        check_back(MS_RECORD_PROTOBUF, &record);
        check_back(MS_RECORD_JSON, &record);
    }
}

/* No value is larger than promised, at the ends of everything that a record holds. */
static void test_max_bytes(void **state)
{
    (void)state;
    enum { K = MS_MAX_INTERESTS, DIM = 130, ID = 40000 };
    static float vectors[K * DIM], weights[K];
    static char id[ID];
    float longest = -1.17549435e-38F; /* prints with the most digits that a float can need */
    for (size_t i = 0; i < K * DIM; i++)
        vectors[i] = longest;
    for (size_t i = 0; i < K; i++)
        weights[i] = longest;
    memset(id, 1, sizeof id); /* six bytes each in JSON */
    static const size_t id_bytes[] = {0, 1, 127, 128, ID};
    static const int counts[] = {0, 1, K}, dims[] = {0, 1, 31, 32, DIM};
    for (int format = MS_RECORD_PROTOBUF; format <= MS_RECORD_JSON; format++)
        for (size_t u = 0; u < 5; u++)
            for (size_t m = 0; m < 5; m++)
                for (size_t c = 0; c < 3; c++)
                    for (size_t d = 0; d < 5; d++) {
                        struct ms_encoder *encoder = encoder_of((enum ms_record_format)format);
                        struct ms_record record = {{id, id_bytes[u]},
                                                   UINT64_MAX,
                                                   INT64_MIN,
                                                   {id, id_bytes[m]},
                                                   {counts[c], dims[d], vectors, weights}};
                        size_t max = ms_record_max_bytes((enum ms_record_format)format, id_bytes[u],
                                                         id_bytes[m], counts[c], dims[d]);
                        assert_true(ms_encode_user(encoder, &record).size <= max);
                        if (counts[c])
                            assert_true(ms_encode_interest(encoder, &record, counts[c] - 1).size <= max);
                        ms_encoder_destroy(encoder);
                    }
    /* And it is no wild guess: a real record of the common size is within a quarter of it. */
    struct ms_encoder *encoder = encoder_of(MS_RECORD_PROTOBUF);
    struct ms_record record = {
        TEXT("user-12345"), 17, 1700000000123, TEXT("tmall@1"), {4, 64, vectors, weights}};
    assert_true(ms_record_max_bytes(MS_RECORD_PROTOBUF, 10, 7, 4, 64) <
                ms_encode_user(encoder, &record).size * 5 / 4);
    ms_encoder_destroy(encoder);
}

/* Wherever in the vector it stands, and whatever its sign and kind. */
static void check_each_place(void)
{
    static const uint32_t kinds[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xff800001, 0x7fffffff};
    struct ms_encoder *encoder = encoder_of(MS_RECORD_PROTOBUF);
    for (int dim = 1; dim <= 9; dim++)
        for (int at = 0; at < dim; at++)
            for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
                float vectors[9] = {1, -1, FLT_MAX, -FLT_MAX, 0, FLT_MIN, 2, 3, 4}, weight = 1;
                memcpy(&vectors[at], &kinds[kind], sizeof(float));
                struct ms_record record = two_interests();
                record.interests = (struct ms_interests){
                    .count = 1, .dim = dim, .vectors = vectors, .weights = &weight};
                struct ms_decoded *decoded;
                assert_int_equal(
                    ms_decode_user(&decoded, MS_RECORD_PROTOBUF, ms_encode_user(encoder, &record), NULL),
                    MS_OK);
                vectors[at] = kinds[kind] == 0x7f800000   ? FLT_MAX
                              : kinds[kind] == 0xff800000 ? -FLT_MAX
                                                          : 0.0F;
                assert_memory_equal(ms_decoded_record(decoded)->interests.vectors, vectors,
                                    (size_t)dim * sizeof(float));
                ms_decoded_destroy(decoded);
            }
    ms_encoder_destroy(encoder);
}

static void test_never_infinite(void **state)
{
    (void)state;
    const float vectors[] = {INFINITY, -INFINITY, NAN, -1.5F}, weights[] = {NAN, INFINITY};
    struct ms_record record = two_interests();
    record.interests = (struct ms_interests){.count = 2, .dim = 2, .vectors = vectors, .weights = weights};
    for (int format = MS_RECORD_PROTOBUF; format <= MS_RECORD_JSON; format++) {
        struct ms_encoder *encoder = encoder_of((enum ms_record_format)format);
        struct ms_decoded *decoded;
        assert_int_equal(
            ms_decode_user(&decoded, (enum ms_record_format)format, ms_encode_user(encoder, &record), NULL),
            MS_OK);
        const struct ms_interests *back = &ms_decoded_record(decoded)->interests;
        const float expected[] = {FLT_MAX, -FLT_MAX, 0.0F, -1.5F}, expected_weights[] = {0.0F, FLT_MAX};
        assert_memory_equal(back->vectors, expected, sizeof expected);
        assert_memory_equal(back->weights, expected_weights, sizeof expected_weights);
        ms_decoded_destroy(decoded);
        ms_encoder_destroy(encoder);
    }
    check_each_place();
}

static void check_refused(enum ms_record_format format, struct ms_bytes value, const char *expected)
{
    struct ms_decoded *decoded = NULL;
    struct ms_error error = {.text = ""};
    enum ms_status status = ms_decode_user(&decoded, format, value, &error);
    if (status != MS_FORMAT || !strstr(error.text, expected))
        fail_msg("%.*s: status %s \"%s\", expected FORMAT with \"%s\"", (int)value.size,
                 value.data ? value.data : "", ms_status_name(status), error.text, expected);
    assert_null(decoded);
}

#define JSON_RECORD(version, dim, interests)                                                                 \
    "{\"user_id\":\"u\",\"version\":" version ",\"event_time\":1,\"model\":\"m\",\"dim\":" dim               \
    ",\"interests\":[" interests "]}"

static void test_refused_json(void **state)
{
    (void)state;
    static const struct {
        const char *value, *expected;
    } bad[] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"[]", "\"user_id\" of the record is missing"},
        {"{\"user_id\":1}", "\"user_id\" of the record is of another type, expected a string"},
        {JSON_RECORD("-1", "1", ""), "\"version\" of the record is negative"},
        {JSON_RECORD("1.5", "1", ""), "\"version\" of the record is of another type"},
        {JSON_RECORD("1", "-1", ""), "expected at most"},
        {JSON_RECORD("1", "4097", ""), "expected at most"},
        {JSON_RECORD("1", "1", "1"), "\"slot\" of the record is missing"},
        {JSON_RECORD("1", "1", "{\"slot\":1,\"weight\":1.0,\"vector\":[1.0]}"), "interest 0 has slot 1"},
        {JSON_RECORD("1", "1", "{\"slot\":0,\"weight\":1.0,\"vector\":[]}"),
         "interest 0 has 0 floats, expected dim = 1"},
        {JSON_RECORD("1", "1", "{\"slot\":0,\"weight\":1.0,\"vector\":[1.0,2.0]}"), "has 2 floats"},
        {JSON_RECORD("1", "1", "{\"slot\":0,\"weight\":1.0,\"vector\":[\"x\"]}"),
         "\"vector\" of an interest"},
        {JSON_RECORD("1", "1", "{\"slot\":0,\"vector\":[1.0]}"), "\"weight\" of an interest"},
        {JSON_RECORD("1", "1", "{\"slot\":0,\"weight\":1.0,\"vector\":[1e39]}"), "not finite"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(MS_RECORD_JSON, (struct ms_bytes){bad[i].value, strlen(bad[i].value)}, bad[i].expected);
    check_refused(MS_RECORD_JSON, (struct ms_bytes){NULL, 0}, "null value");
    check_refused(MS_RECORD_PROTOBUF, (struct ms_bytes){NULL, 0}, "null value");
}

static void test_refused_protobuf(void **state)
{
    (void)state;
    check_refused(MS_RECORD_PROTOBUF, TEXT("\xff"), "not a protobuf UserInterests");
    check_refused(MS_RECORD_PROTOBUF, TEXT("\x0a\x05u"), "not a protobuf UserInterests");
    check_refused(MS_RECORD_PROTOBUF, TEXT("\x0a\x01\xff"), "not UTF-8");
    check_refused(MS_RECORD_PROTOBUF, TEXT("\x28\x81\x20"), "expected at most");
    check_refused(MS_RECORD_PROTOBUF, TEXT("\x28\x01\x32\x02\x08\x01"), "interest 0 has slot 1");
    check_refused(MS_RECORD_PROTOBUF, TEXT("\x28\x01\x32\x00"), "interest 0 has 0 floats, expected dim = 1");
    check_refused(MS_RECORD_PROTOBUF, TEXT("\x28\x01\x32\x06\x1a\x04\x00\x00\x80\x7f"), "not finite");
    /* Cut anywhere, in a copy of that size, a record is refused or is a shorter record: nothing is read
     * beyond. */
    struct ms_encoder *encoder = encoder_of(MS_RECORD_PROTOBUF);
    struct ms_record record = two_interests();
    struct ms_bytes value = ms_encode_user(encoder, &record);
    int refused = 0;
    for (size_t size = 0; size < value.size; size++) {
        struct ms_decoded *decoded = NULL;
        char *copy = malloc(size ? size : 1);
        assert_non_null(copy);
        memcpy(copy, value.data, size);
        refused += ms_decode_user(&decoded, MS_RECORD_PROTOBUF, (struct ms_bytes){copy, size}, NULL) ==
                   MS_FORMAT;
        ms_decoded_destroy(decoded);
        free(copy);
    }
    assert_true(refused > (int)value.size / 2 && refused < (int)value.size);
    ms_encoder_destroy(encoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_interests),
        cmocka_unit_test(test_json_text),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_max_bytes),
        cmocka_unit_test(test_never_infinite),
        cmocka_unit_test(test_refused_json),
        cmocka_unit_test(test_refused_protobuf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
