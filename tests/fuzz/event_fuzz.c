/* Any bytes as a record of the input topic, and any bytes as field paths.
 *
 * Input: a byte of flags, a byte with the key's length, the key, the value. What is accepted must keep the
 * contract of event.h, and jansson, another strict parser, must take the document too. */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/event.h"
#include "event/time.h"

enum { WIDE = 1, HAS_KEY = 2, HAS_VALUE = 4, HAS_TIME = 8, KEY_IS_PATH = 16 };

static const struct ms_event_fields plain = {"user_id", "item_id", "timestamp",  "event_type",
                                             "",        64,        MS_KEY_STRING};
static const struct ms_event_fields wide = {"user_id,userId,a.b[0].c",
                                            "item_id,items[1].id,p.product_id",
                                            "timestamp,t.s",
                                            "event_type,e",
                                            "click,3,",
                                            64,
                                            MS_KEY_STRING};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(struct ms_bytes id)
{
    assert(id.data && id.size >= 1 && id.size <= 64 && ms_utf8_valid(id.data, id.size));
}

static void check_event(const struct ms_event *event, enum ms_event_kind kind)
{
    check_id(event->user);
    assert((kind == MS_EVENT_ACCEPTED) == (event->item.data != NULL));
    assert((kind == MS_EVENT_FORGET) == (event->type.data == NULL));
    if (kind == MS_EVENT_ACCEPTED)
        check_id(event->item);
    if (event->type.data)
        assert(event->type.size <= MS_TYPE_MAX_BYTES && ms_utf8_valid(event->type.data, event->type.size));
    assert(event->time_ms >= 0 && event->time_ms < MS_TIME_END_MS);
}

/* Passes over what a decoder may find before a document: a schema registry's header, then a byte order mark. */
static struct ms_bytes document_of(struct ms_bytes value)
{
    size_t start = value.size > 5 && value.data[0] == '\0' ? 5 : 0;
    if (value.size - start >= 3 && !memcmp(value.data + start, "\xef\xbb\xbf", 3))
        start += 3;
    return (struct ms_bytes){value.data + start, value.size - start};
}

static void check_jansson(struct ms_bytes value)
{
    json_error_t error;
    json_t *root = json_loadb(value.data, value.size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    /* jansson has no names with NUL bytes, and no integers beyond a double */
    assert(root || json_error_code(&error) == json_error_null_byte_in_key ||
           json_error_code(&error) == json_error_numeric_overflow);
    json_decref(root);
}

static struct ms_decoder *decoder_of(const struct ms_event_fields *fields)
{
    struct ms_decoder *decoder = NULL;
    struct ms_error error;
    enum ms_status status = ms_decoder_new(&decoder, fields, &error);
    assert(status == (decoder ? MS_OK : MS_CONFIG));
    return decoder;
}

static void decode(struct ms_decoder *decoder, struct ms_bytes key, struct ms_bytes value,
                   int64_t record_time_ms)
{
    struct ms_arena arena = {0};
    struct ms_event event;
    enum ms_event_kind kind;
    struct ms_event_notes notes;
    struct ms_error error;
    enum ms_status status = ms_decode_event(decoder, &arena, key, value, record_time_ms, &event, &kind,
                                            &notes, &error);
    assert(status == MS_OK ||
           (status == MS_EVENT && error.status == MS_EVENT && ms_utf8_valid(error.text, strlen(error.text))));
    if (status == MS_OK) {
        check_event(&event, kind);
        if (value.data)
            check_jansson(document_of(value));
    }
    ms_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ms_decoder *decoders[2];
    if (!decoders[0]) {
        struct ms_event_fields last = wide;
        last.types = "click,3";
        decoders[0] = decoder_of(&plain);
        decoders[1] = decoder_of(&last);
        assert(decoders[0] && decoders[1] && !decoder_of(&wide));
    }
    if (size < 2)
        return 0;
    size_t key_bytes = data[1] < size - 2 ? data[1] : size - 2;
    const char *text = (const char *)data + 2;
    struct ms_bytes key = {data[0] & HAS_KEY ? text : NULL, key_bytes};
    struct ms_bytes value = {data[0] & HAS_VALUE ? text + key_bytes : NULL, size - 2 - key_bytes};
    int64_t record_time_ms = data[0] & HAS_TIME ? 1600000000000 : -1;
    struct ms_decoder *decoder = decoders[data[0] & WIDE];
    struct ms_decoder *own = NULL;
    if (data[0] & KEY_IS_PATH) {
        char path[256];
        memcpy(path, text, key_bytes);
        path[key_bytes] = '\0';
        const struct ms_event_fields fields = {path, path, path, path, path, 64, MS_KEY_STRING};
        own = decoder_of(&fields);
        decoder = own ? own : decoder;
    }
    decode(decoder, key, value, record_time_ms);
    ms_decoder_destroy(own);
    return 0;
}
