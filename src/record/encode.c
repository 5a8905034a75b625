/* Writing output records. Protobuf is packed by hand: the messages are small and fixed (mindstream.proto), an
 * id may hold NUL bytes, which protobuf-c's strings cannot, and no scratch structs are filled on the hot
 * path. What comes out is the canonical form: fields in order, zero fields left out, floats packed. */
#include "mindstream/record.h"

#include <assert.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/json.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "packed floats are copied as they are");

/* Field numbers of mindstream.proto. */
enum { USER_ID = 1, USER_VERSION, USER_EVENT_TIME, USER_MODEL, USER_DIM, USER_INTERESTS };
enum { INTEREST_SLOT = 1, INTEREST_WEIGHT, INTEREST_VECTOR };
enum {
    FLAT_ID = 1,
    FLAT_USER_ID,
    FLAT_SLOT,
    FLAT_WEIGHT,
    FLAT_VERSION,
    FLAT_EVENT_TIME,
    FLAT_MODEL,
    FLAT_VECTOR
};

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#define SLOT_TEXT_MAX 11 /* '#' and an int */

struct ms_encoder {
    enum ms_record_format format;
    struct ms_buffer value;
    struct ms_buffer key;
};

enum ms_status ms_encoder_new(struct ms_encoder **encoder, enum ms_record_format format,
                              struct ms_error *error)
{
    struct ms_encoder *made = calloc(1, sizeof *made);
    if (!made)
        return ms_fail(error, MS_MEMORY, "no memory for an encoder of records");
    made->format = format;
    *encoder = made;
    return MS_OK;
}

void ms_encoder_destroy(struct ms_encoder *encoder)
{
    if (!encoder)
        return;
    ms_buffer_free(&encoder->value);
    ms_buffer_free(&encoder->key);
    free(encoder);
}

/* Models are checked to be finite, but arithmetic may overflow, and a record never carries NaN or Inf: an
 * overflow stays the largest float of its sign, and what has no value at all is 0. */
static float finite(float v)
{
    if (v > FLT_MAX)
        return FLT_MAX;
    if (v < -FLT_MAX)
        return -FLT_MAX;
    return v == v ? v : 0.0F;
}

static uint32_t float_bits(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

#define PUT_TEXT(at, text) put_raw((at), (text), sizeof(text) - 1)

static char *put_raw(char *at, const char *text, size_t bytes)
{
    memcpy(at, text, bytes);
    return at + bytes;
}

static char *put_digits(char *at, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *at++ = digits[--n];
    return at;
}

/* "<user id>#<slot>", of which neither part is escaped. */
static char *put_id(char *at, struct ms_bytes user_id, int slot)
{
    if (user_id.size)
        at = put_raw(at, user_id.data, user_id.size);
    *at++ = '#';
    return put_digits(at, (uint64_t)slot);
}

/* ---- protobuf ---- */

static size_t varint_bytes(uint64_t v)
{
    return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

static char *put_tag(char *at, int field, int wire)
{
    *at = (char)(field << 3 | wire); /* field numbers below 16: one byte */
    return at + 1;
}

static char *put_uint(char *at, int field, uint64_t v)
{
    if (!v)
        return at;
    at = put_tag(at, field, WIRE_VARINT);
    return at + ms_put_varint(at, v);
}

static char *put_bytes(char *at, int field, struct ms_bytes bytes)
{
    if (!bytes.size)
        return at;
    at = put_tag(at, field, WIRE_BYTES);
    at += ms_put_varint(at, bytes.size);
    memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

static char *put_float(char *at, int field, float v)
{
    uint32_t bits = float_bits(finite(v));
    if (!bits) /* -0.0 is written, as other implementations do */
        return at;
    at = put_tag(at, field, WIRE_FIXED32);
    ms_put_u32(at, bits);
    return at + sizeof bits;
}

/* Two floats at a time: an exponent of all ones carries into the sign bit, which was cleared. */
static bool all_finite(const float *v, size_t n)
{
    uint64_t carries = 0;
    for (size_t i = 0; i + 2 <= n; i += 2) {
        uint64_t two;
        memcpy(&two, v + i, sizeof two);
        carries |= (two & 0x7f8000007f800000) + 0x0080000000800000;
    }
    if (n % 2)
        carries |= (float_bits(v[n - 1]) & 0x7f800000) + 0x00800000;
    return !(carries & 0x8000000080000000);
}

static char *put_floats(char *at, int field, const float *v, size_t n)
{
    if (!n)
        return at;
    at = put_tag(at, field, WIRE_BYTES);
    at += ms_put_varint(at, n * sizeof *v);
    if (all_finite(v, n)) {
        memcpy(at, v, n * sizeof *v);
        return at + n * sizeof *v;
    }
    for (size_t i = 0; i < n; i++, at += sizeof *v)
        ms_put_u32(at, float_bits(finite(v[i])));
    return at;
}

static size_t floats_bytes(size_t n)
{
    return n ? 1 + varint_bytes(n * sizeof(float)) + n * sizeof(float) : 0;
}

static char *put_interest(char *at, const struct ms_interests *interests, int slot)
{
    size_t dim = (size_t)interests->dim;
    float weight = interests->weights[slot];
    size_t size = floats_bytes(dim);
    if (slot)
        size += 1 + varint_bytes((uint64_t)slot);
    if (float_bits(finite(weight)))
        size += 1 + sizeof weight;
    at = put_tag(at, USER_INTERESTS, WIRE_BYTES);
    at += ms_put_varint(at, size);
    const char *start = at;
    at = put_uint(at, INTEREST_SLOT, (uint64_t)slot);
    at = put_float(at, INTEREST_WEIGHT, weight);
    at = put_floats(at, INTEREST_VECTOR, interests->vectors + (size_t)slot * dim, dim);
    assert((size_t)(at - start) == size);
    return at;
}

static char *protobuf_user(char *at, const struct ms_record *record)
{
    at = put_bytes(at, USER_ID, record->user_id);
    at = put_uint(at, USER_VERSION, record->version);
    at = put_uint(at, USER_EVENT_TIME, (uint64_t)record->event_time_ms);
    at = put_bytes(at, USER_MODEL, record->model);
    at = put_uint(at, USER_DIM, (uint64_t)record->interests.dim);
    for (int slot = 0; slot < record->interests.count; slot++)
        at = put_interest(at, &record->interests, slot);
    return at;
}

static char *protobuf_interest(char *at, const struct ms_record *record, int slot)
{
    size_t slot_digits = 1;
    for (int left = slot / 10; left; left /= 10)
        slot_digits++;
    at = put_tag(at, FLAT_ID, WIRE_BYTES);
    at += ms_put_varint(at, record->user_id.size + 1 + slot_digits);
    at = put_id(at, record->user_id, slot);
    at = put_bytes(at, FLAT_USER_ID, record->user_id);
    at = put_uint(at, FLAT_SLOT, (uint64_t)slot);
    at = put_float(at, FLAT_WEIGHT, record->interests.weights[slot]);
    at = put_uint(at, FLAT_VERSION, record->version);
    at = put_uint(at, FLAT_EVENT_TIME, (uint64_t)record->event_time_ms);
    at = put_bytes(at, FLAT_MODEL, record->model);
    size_t dim = (size_t)record->interests.dim;
    return put_floats(at, FLAT_VECTOR, record->interests.vectors + (size_t)slot * dim, dim);
}

/* ---- JSON ---- */

static char *put_signed(char *at, int64_t v)
{
    if (v < 0)
        *at++ = '-';
    return put_digits(at, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* The inside of a JSON string: quotes, backslashes and control characters escaped, UTF-8 as it is. */
static char *put_escaped(char *at, struct ms_bytes text)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c < 0x20) {
            at = PUT_TEXT(at, "\\u00");
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        } else {
            *at++ = (char)c;
        }
    }
    return at;
}

static char *put_vector(char *at, const struct ms_interests *interests, int slot)
{
    const float *v = interests->vectors + (size_t)slot * (size_t)interests->dim;
    at = PUT_TEXT(at, "\"vector\":[");
    for (int i = 0; i < interests->dim; i++) {
        if (i)
            *at++ = ',';
        at += ms_print_float(at, finite(v[i]));
    }
    *at++ = ']';
    return at;
}

static char *put_slot_and_weight(char *at, const struct ms_interests *interests, int slot)
{
    at = PUT_TEXT(at, "\"slot\":");
    at = put_digits(at, (uint64_t)slot);
    at = PUT_TEXT(at, ",\"weight\":");
    return at + ms_print_float(at, finite(interests->weights[slot]));
}

static char *put_version_and_model(char *at, const struct ms_record *record)
{
    at = PUT_TEXT(at, ",\"version\":");
    at = put_digits(at, record->version);
    at = PUT_TEXT(at, ",\"event_time\":");
    at = put_signed(at, record->event_time_ms);
    at = PUT_TEXT(at, ",\"model\":\"");
    at = put_escaped(at, record->model);
    return PUT_TEXT(at, "\"");
}

static char *json_user(char *at, const struct ms_record *record)
{
    at = PUT_TEXT(at, "{\"user_id\":\"");
    at = put_escaped(at, record->user_id);
    *at++ = '"';
    at = put_version_and_model(at, record);
    at = PUT_TEXT(at, ",\"dim\":");
    at = put_digits(at, (uint64_t)record->interests.dim);
    at = PUT_TEXT(at, ",\"interests\":[");
    for (int slot = 0; slot < record->interests.count; slot++) {
        at = slot ? PUT_TEXT(at, ",{") : PUT_TEXT(at, "{");
        at = put_slot_and_weight(at, &record->interests, slot);
        *at++ = ',';
        at = put_vector(at, &record->interests, slot);
        *at++ = '}';
    }
    return PUT_TEXT(at, "]}");
}

static char *json_interest(char *at, const struct ms_record *record, int slot)
{
    at = PUT_TEXT(at, "{\"id\":\"");
    at = put_escaped(at, record->user_id);
    *at++ = '#';
    at = put_digits(at, (uint64_t)slot);
    at = PUT_TEXT(at, "\",\"user_id\":\"");
    at = put_escaped(at, record->user_id);
    at = PUT_TEXT(at, "\",");
    at = put_slot_and_weight(at, &record->interests, slot);
    at = put_version_and_model(at, record);
    *at++ = ',';
    at = put_vector(at, &record->interests, slot);
    *at++ = '}';
    return at;
}

/* ---- both ---- */

size_t ms_record_max_bytes(enum ms_record_format format, size_t user_id_bytes, size_t model_bytes,
                           int interests, int dim)
{
    size_t k = (size_t)interests, d = (size_t)dim;
    if (format == MS_RECORD_PROTOBUF) {
        /* The flat record has the user id twice. Any field has a tag and at most a varint beside its bytes.
         */
        size_t fields = 8 * (1 + MS_VARINT_MAX) + 2 * user_id_bytes + SLOT_TEXT_MAX + model_bytes;
        return fields + k * (4 * (1 + MS_VARINT_MAX) + d * sizeof(float));
    }
    /* Every byte of a text may become \u00XX; 192 holds the names and numbers outside the interests. */
    size_t fields = 192 + 6 * (2 * user_id_bytes + model_bytes);
    return fields + k * (64 + (d + 1) * (MS_FLOAT_TEXT_MAX + 1));
}

/* Makes room for the largest possible value, so that the writers above need no checks. */
static char *reserve(struct ms_encoder *encoder, const struct ms_record *record, int interests)
{
    encoder->value.size = 0;
    size_t bytes = ms_record_max_bytes(encoder->format, record->user_id.size, record->model.size, interests,
                                       record->interests.dim);
    return ms_buffer_reserve(&encoder->value, bytes) ? encoder->value.data : NULL;
}

static struct ms_bytes finish(struct ms_encoder *encoder, const char *end)
{
    encoder->value.size = (size_t)(end - encoder->value.data);
    assert(encoder->value.size <= encoder->value.capacity);
    return (struct ms_bytes){encoder->value.data, encoder->value.size};
}

struct ms_bytes ms_encode_user(struct ms_encoder *encoder, const struct ms_record *record)
{
    char *at = reserve(encoder, record, record->interests.count);
    if (!at)
        return (struct ms_bytes){NULL, 0};
    at = encoder->format == MS_RECORD_PROTOBUF ? protobuf_user(at, record) : json_user(at, record);
    return finish(encoder, at);
}

struct ms_bytes ms_encode_interest(struct ms_encoder *encoder, const struct ms_record *record, int index)
{
    assert(index >= 0 && index < record->interests.count);
    char *at = reserve(encoder, record, 1);
    if (!at)
        return (struct ms_bytes){NULL, 0};
    at = encoder->format == MS_RECORD_PROTOBUF ? protobuf_interest(at, record, index)
                                               : json_interest(at, record, index);
    return finish(encoder, at);
}

struct ms_bytes ms_encode_interest_key(struct ms_encoder *encoder, struct ms_bytes user_id, int slot)
{
    assert(slot >= 0);
    encoder->key.size = 0;
    if (!ms_buffer_reserve(&encoder->key, user_id.size + SLOT_TEXT_MAX))
        return (struct ms_bytes){NULL, 0};
    char *end = put_id(encoder->key.data, user_id, slot);
    return (struct ms_bytes){encoder->key.data, (size_t)(end - encoder->key.data)};
}
