/* Reading output records: protobuf by protobuf-c, JSON by jansson. Both first learn the sizes,
 * make one ms_decoded of them, and fill it. */
#include "mindstream/record.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "mindstream_wire.pb-c.h"

struct ms_decoded {
    struct ms_record record;
    char *text;     /* user id, then model */
    float *vectors; /* [count][dim], then weights [count] */
};

void ms_decoded_destroy(struct ms_decoded *decoded)
{
    if (!decoded)
        return;
    free(decoded->text);
    free(decoded->vectors);
    free(decoded);
}

const struct ms_record *ms_decoded_record(const struct ms_decoded *decoded)
{
    return &decoded->record;
}

/* Makes a record with room for |count| interests of |dim| floats and copies of the texts. */
static enum ms_status decoded_new(struct ms_decoded **out, struct ms_bytes user_id, struct ms_bytes model,
                                  size_t count, uint64_t dim, struct ms_error *error)
{
    if (count > MS_MAX_INTERESTS || dim > MS_MAX_DIM)
        return ms_fail(error, MS_FORMAT,
                       "the record has %zu interests of %llu floats, expected at most %d of %d", count,
                       (unsigned long long)dim, MS_MAX_INTERESTS, MS_MAX_DIM);
    if (!ms_utf8_valid(user_id.data, user_id.size) || !ms_utf8_valid(model.data, model.size))
        return ms_fail(error, MS_FORMAT, "the record's user id or model is not UTF-8");
    struct ms_decoded *decoded = calloc(1, sizeof *decoded);
    if (decoded) {
        decoded->text = malloc(user_id.size + model.size + 1);
        decoded->vectors = calloc(count * ((size_t)dim + 1) + 1, sizeof(float));
    }
    if (!decoded || !decoded->text || !decoded->vectors) {
        ms_decoded_destroy(decoded);
        return ms_fail(error, MS_MEMORY, "no memory for a decoded record");
    }
    if (user_id.size)
        memcpy(decoded->text, user_id.data, user_id.size);
    if (model.size)
        memcpy(decoded->text + user_id.size, model.data, model.size);
    struct ms_record *record = &decoded->record;
    record->user_id = (struct ms_bytes){decoded->text, user_id.size};
    record->model = (struct ms_bytes){decoded->text + user_id.size, model.size};
    record->interests.count = (int)count;
    record->interests.dim = (int)dim;
    record->interests.vectors = decoded->vectors;
    record->interests.weights = decoded->vectors + count * (size_t)dim;
    *out = decoded;
    return MS_OK;
}

static enum ms_status check_interest(size_t index, uint64_t slot, size_t floats, int dim,
                                     struct ms_error *error)
{
    if (slot != index)
        return ms_fail(error, MS_FORMAT, "interest %zu has slot %llu, expected slots 0, 1, ... in order",
                       index, (unsigned long long)slot);
    if (floats != (size_t)dim)
        return ms_fail(error, MS_FORMAT, "interest %zu has %zu floats, expected dim = %d", index, floats,
                       dim);
    return MS_OK;
}

static enum ms_status check_finite(const struct ms_decoded *decoded, struct ms_error *error)
{
    const struct ms_interests *interests = &decoded->record.interests;
    size_t count = (size_t)interests->count * (size_t)(interests->dim + 1);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(decoded->vectors[i]))
            return ms_fail(error, MS_FORMAT, "a float of the record is not finite");
    return MS_OK;
}

/* ---- protobuf ---- */

static struct ms_bytes wire_bytes(ProtobufCBinaryData data)
{
    return (struct ms_bytes){data.data ? (const char *)data.data : "", data.len};
}

static enum ms_status fill_from_wire(struct ms_decoded *decoded, const Mindstream__V1__UserInterests *user,
                                     struct ms_error *error)
{
    decoded->record.version = user->version;
    decoded->record.event_time_ms = user->event_time;
    struct ms_interests *interests = &decoded->record.interests;
    size_t dim = (size_t)interests->dim;
    for (size_t i = 0; i < user->n_interests; i++) {
        const Mindstream__V1__Interest *interest = user->interests[i];
        enum ms_status status = check_interest(i, interest->slot, interest->n_vector, interests->dim, error);
        if (status)
            return status;
        if (dim)
            memcpy(decoded->vectors + i * dim, interest->vector, dim * sizeof(float));
        decoded->vectors[user->n_interests * dim + i] = interest->weight;
    }
    return check_finite(decoded, error);
}

static enum ms_status decode_protobuf(struct ms_decoded **out, struct ms_bytes value, struct ms_error *error)
{
    Mindstream__V1__UserInterests *user = mindstream__v1__user_interests__unpack(NULL, value.size,
                                                                                 (const uint8_t *)value.data);
    if (!user)
        return ms_fail(error, MS_FORMAT, "%zu bytes are not a protobuf UserInterests", value.size);
    struct ms_decoded *decoded = NULL;
    enum ms_status status = decoded_new(&decoded, wire_bytes(user->user_id), wire_bytes(user->model),
                                        user->n_interests, user->dim, error);
    if (status)
        goto done;
    status = fill_from_wire(decoded, user, error);
    if (status)
        goto done;
    *out = decoded;
    decoded = NULL;
done:
    ms_decoded_destroy(decoded);
    mindstream__v1__user_interests__free_unpacked(user, NULL);
    return status;
}

/* ---- JSON ---- */

/* The member |name| of |object| with its type checked; NULL with *error set otherwise. */
static const json_t *member(const json_t *object, const char *name, json_type type, const char *expected,
                            struct ms_error *error)
{
    const json_t *value = json_object_get(object, name);
    if (value && json_typeof(value) == type)
        return value;
    ms_fail(error, MS_FORMAT, "\"%s\" of the record is %s, expected %s", name,
            value ? "of another type" : "missing", expected);
    return NULL;
}

static enum ms_status read_float(float *out, const json_t *value, const char *name, struct ms_error *error)
{
    if (!json_is_number(value))
        return ms_fail(error, MS_FORMAT, "\"%s\" of an interest does not hold numbers only", name);
    *out = (float)json_number_value(value);
    return MS_OK;
}

static enum ms_status fill_interest(struct ms_decoded *decoded, size_t index, const json_t *object,
                                    struct ms_error *error)
{
    size_t dim = (size_t)decoded->record.interests.dim, count = (size_t)decoded->record.interests.count;
    const json_t *slot = member(object, "slot", JSON_INTEGER, "an integer", error);
    const json_t *vector = slot ? member(object, "vector", JSON_ARRAY, "an array", error) : NULL;
    if (!vector)
        return MS_FORMAT;
    enum ms_status status = check_interest(index, (uint64_t)json_integer_value(slot), json_array_size(vector),
                                           decoded->record.interests.dim, error);
    for (size_t i = 0; !status && i < dim; i++)
        status = read_float(&decoded->vectors[index * dim + i], json_array_get(vector, i), "vector", error);
    if (!status)
        status = read_float(&decoded->vectors[count * dim + index], json_object_get(object, "weight"),
                            "weight", error);
    return status;
}

static enum ms_status fill_from_json(struct ms_decoded **out, const json_t *root, struct ms_error *error)
{
    const json_t *user_id, *version, *event_time, *model, *dim, *interests;
    if (!(user_id = member(root, "user_id", JSON_STRING, "a string", error)) ||
        !(version = member(root, "version", JSON_INTEGER, "an integer", error)) ||
        !(event_time = member(root, "event_time", JSON_INTEGER, "an integer", error)) ||
        !(model = member(root, "model", JSON_STRING, "a string", error)) ||
        !(dim = member(root, "dim", JSON_INTEGER, "an integer", error)) ||
        !(interests = member(root, "interests", JSON_ARRAY, "an array", error)))
        return MS_FORMAT;
    if (json_integer_value(version) < 0)
        return ms_fail(error, MS_FORMAT, "\"version\" of the record is negative");
    struct ms_decoded *decoded = NULL;
    enum ms_status status = decoded_new(
        &decoded, (struct ms_bytes){json_string_value(user_id), json_string_length(user_id)},
        (struct ms_bytes){json_string_value(model), json_string_length(model)}, json_array_size(interests),
        (uint64_t)json_integer_value(dim), error);
    if (status)
        return status;
    decoded->record.version = (uint64_t)json_integer_value(version);
    decoded->record.event_time_ms = json_integer_value(event_time);
    for (size_t i = 0; !status && i < json_array_size(interests); i++)
        status = fill_interest(decoded, i, json_array_get(interests, i), error);
    if (!status)
        status = check_finite(decoded, error);
    if (status)
        ms_decoded_destroy(decoded);
    else
        *out = decoded;
    return status;
}

/* ---- layout interest ---- */

static enum ms_status check_slot(uint64_t slot, struct ms_error *error)
{
    return slot < MS_MAX_INTERESTS
               ? MS_OK
               : ms_fail(error, MS_FORMAT, "the record has slot %llu, expected less than %d",
                         (unsigned long long)slot, MS_MAX_INTERESTS);
}

static enum ms_status decode_protobuf_interest(struct ms_decoded **out, struct ms_bytes value, int *slot,
                                               struct ms_error *error)
{
    Mindstream__V1__InterestRecord *flat = mindstream__v1__interest_record__unpack(
        NULL, value.size, (const uint8_t *)value.data);
    if (!flat)
        return ms_fail(error, MS_FORMAT, "%zu bytes are not a protobuf InterestRecord", value.size);
    struct ms_decoded *decoded = NULL;
    enum ms_status status = check_slot(flat->slot, error);
    if (!status)
        status = decoded_new(&decoded, wire_bytes(flat->user_id), wire_bytes(flat->model), 1, flat->n_vector,
                             error);
    if (!status) {
        if (flat->n_vector)
            memcpy(decoded->vectors, flat->vector, flat->n_vector * sizeof(float));
        decoded->vectors[flat->n_vector] = flat->weight;
        decoded->record.version = flat->version;
        decoded->record.event_time_ms = flat->event_time;
        status = check_finite(decoded, error);
    }
    if (!status) {
        *slot = (int)flat->slot;
        *out = decoded;
        decoded = NULL;
    }
    ms_decoded_destroy(decoded);
    mindstream__v1__interest_record__free_unpacked(flat, NULL);
    return status;
}

static enum ms_status fill_flat(struct ms_decoded *decoded, const json_t *root, const json_t *vector,
                                struct ms_error *error)
{
    size_t dim = json_array_size(vector);
    enum ms_status status = MS_OK;
    for (size_t i = 0; !status && i < dim; i++)
        status = read_float(&decoded->vectors[i], json_array_get(vector, i), "vector", error);
    if (!status)
        status = read_float(&decoded->vectors[dim], json_object_get(root, "weight"), "weight", error);
    return status ? status : check_finite(decoded, error);
}

static enum ms_status interest_from_json(struct ms_decoded **out, const json_t *root, int *slot,
                                         struct ms_error *error)
{
    const json_t *user_id, *version, *event_time, *model, *number, *vector;
    if (!(user_id = member(root, "user_id", JSON_STRING, "a string", error)) ||
        !(version = member(root, "version", JSON_INTEGER, "an integer", error)) ||
        !(event_time = member(root, "event_time", JSON_INTEGER, "an integer", error)) ||
        !(model = member(root, "model", JSON_STRING, "a string", error)) ||
        !(number = member(root, "slot", JSON_INTEGER, "an integer", error)) ||
        !(vector = member(root, "vector", JSON_ARRAY, "an array", error)))
        return MS_FORMAT;
    if (json_integer_value(version) < 0)
        return ms_fail(error, MS_FORMAT, "\"version\" of the record is negative");
    struct ms_decoded *decoded = NULL;
    enum ms_status status = check_slot((uint64_t)json_integer_value(number), error);
    if (!status)
        status = decoded_new(&decoded,
                             (struct ms_bytes){json_string_value(user_id), json_string_length(user_id)},
                             (struct ms_bytes){json_string_value(model), json_string_length(model)}, 1,
                             json_array_size(vector), error);
    if (status)
        return status;
    decoded->record.version = (uint64_t)json_integer_value(version);
    decoded->record.event_time_ms = json_integer_value(event_time);
    status = fill_flat(decoded, root, vector, error);
    if (status) {
        ms_decoded_destroy(decoded);
        return status;
    }
    *slot = (int)json_integer_value(number);
    *out = decoded;
    return MS_OK;
}

/* ---- the two layouts ---- */

/* |slot|: where that of layout interest goes; NULL: layout user. */
static enum ms_status decode_json(struct ms_decoded **out, struct ms_bytes value, int *slot,
                                  struct ms_error *error)
{
    json_error_t reason;
    json_t *root = json_loadb(value.data, value.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &reason);
    if (!root)
        return ms_fail(error, MS_FORMAT, "the record is not JSON: %s", reason.text);
    enum ms_status status = slot ? interest_from_json(out, root, slot, error)
                                 : fill_from_json(out, root, error);
    json_decref(root);
    return status;
}

static enum ms_status no_value(struct ms_error *error)
{
    return ms_fail(error, MS_FORMAT, "a null value is no record (the user was forgotten)");
}

enum ms_status ms_decode_user(struct ms_decoded **decoded, enum ms_record_format format,
                              struct ms_bytes value, struct ms_error *error)
{
    if (!value.data)
        return no_value(error);
    return format == MS_RECORD_PROTOBUF ? decode_protobuf(decoded, value, error)
                                        : decode_json(decoded, value, NULL, error);
}

enum ms_status ms_decode_interest(struct ms_decoded **decoded, enum ms_record_format format,
                                  struct ms_bytes value, int *slot, struct ms_error *error)
{
    if (!value.data)
        return no_value(error);
    return format == MS_RECORD_PROTOBUF ? decode_protobuf_interest(decoded, value, slot, error)
                                        : decode_json(decoded, value, slot, error);
}
