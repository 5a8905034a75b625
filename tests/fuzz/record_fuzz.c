/* Any bytes as the value of an output record: a byte for the format, then the value. What decodes must encode
 * to something that decodes to the same. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "mindstream/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int same(struct ms_bytes a, struct ms_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static void check_same(const struct ms_record *a, const struct ms_record *b)
{
    size_t count = (size_t)a->interests.count, dim = (size_t)a->interests.dim;
    assert(same(a->user_id, b->user_id) && same(a->model, b->model));
    assert(a->version == b->version && a->event_time_ms == b->event_time_ms);
    assert(a->interests.count == b->interests.count && a->interests.dim == b->interests.dim);
    assert(!memcmp(a->interests.weights, b->interests.weights, count * sizeof(float)));
    assert(!memcmp(a->interests.vectors, b->interests.vectors, count * dim * sizeof(float)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ms_encoder *encoders[2];
    for (int format = 0; format < 2 && !encoders[format]; format++)
        assert(!ms_encoder_new(&encoders[format], (enum ms_record_format)format, NULL));
    if (size < 1)
        return 0;
    enum ms_record_format format = data[0] & 1 ? MS_RECORD_JSON : MS_RECORD_PROTOBUF;
    struct ms_decoded *first = NULL, *second = NULL;
    struct ms_error error;
    enum ms_status status = ms_decode_user(&first, format,
                                           (struct ms_bytes){(const char *)data + 1, size - 1}, &error);
    assert(status == MS_OK || (status == MS_FORMAT && error.status == MS_FORMAT));
    if (status == MS_OK) {
        const struct ms_record *record = ms_decoded_record(first);
        assert(ms_utf8_valid(record->user_id.data, record->user_id.size));
        struct ms_bytes value = ms_encode_user(encoders[format], record);
        assert(value.size <= ms_record_max_bytes(format, record->user_id.size, record->model.size,
                                                 record->interests.count, record->interests.dim));
        assert(!ms_decode_user(&second, format, value, &error));
        check_same(record, ms_decoded_record(second));
    }
    ms_decoded_destroy(first);
    ms_decoded_destroy(second);
    int slot = -1;
    first = NULL;
    status = ms_decode_interest(&first, format, (struct ms_bytes){(const char *)data + 1, size - 1}, &slot,
                                &error);
    assert(status == MS_FORMAT ||
           (status == MS_OK && slot >= 0 && ms_decoded_record(first)->interests.count == 1));
    ms_decoded_destroy(first);
    return 0;
}
