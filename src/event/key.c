/* Keys as serializers write them. */
#include "event/key.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/path.h"

#define FRAME_BYTES 5 /* of a schema registry: a zero byte and a schema id */

struct ms_key_reader {
    enum ms_key_format format;
    uint32_t id_max_bytes;
    struct ms_paths user;
    struct ms_json *json; /* NULL where the format has none */
    char digits[MS_JSON_DIGITS_MAX];
};

static const char *const format_names[] = {
#define MS_KEY_NAME(symbol, name) [MS_KEY_##symbol] = name,
    MS_KEY_FORMATS(MS_KEY_NAME)
#undef MS_KEY_NAME
};

static bool has_json(enum ms_key_format format)
{
    return format == MS_KEY_JSON || format == MS_KEY_CONNECT || format == MS_KEY_REGISTRY_JSON;
}

enum ms_status ms_key_reader_new(struct ms_key_reader **reader, enum ms_key_format format,
                                 const char *user_field, uint32_t id_max_bytes, struct ms_error *error)
{
    struct ms_key_reader *made = calloc(1, sizeof *made);
    if (!made)
        return ms_fail(error, MS_MEMORY, "no memory for an event decoder");
    made->format = format;
    made->id_max_bytes = id_max_bytes;
    enum ms_status status = MS_OK;
    if (has_json(format)) {
        status = ms_paths_parse(&made->user, "input.user.field", user_field, error);
        made->json = ms_json_new();
        if (status == MS_OK && !made->json)
            status = ms_fail(error, MS_MEMORY, "no memory for an event decoder");
    }
    if (status != MS_OK) {
        ms_key_reader_destroy(made);
        return status;
    }
    *reader = made;
    return MS_OK;
}

void ms_key_reader_destroy(struct ms_key_reader *reader)
{
    if (!reader)
        return;
    ms_json_destroy(reader->json);
    ms_paths_free(&reader->user);
    free(reader);
}

/* ---- reading ---- */

static enum ms_status bad_key(const struct ms_key_reader *reader, struct ms_bytes key, const char *what,
                              struct ms_error *error)
{
    const char *like = ms_key_looks_like(key, reader->format);
    return ms_fail(error, MS_EVENT, "user: the record key is %s (input.key.format=%s%s%s)", what,
                   format_names[reader->format], like ? ", it looks like " : "", like ? like : "");
}

static enum ms_status check(const struct ms_key_reader *reader, struct ms_bytes key, struct ms_bytes id,
                            struct ms_bytes *user, struct ms_error *error)
{
    char what[80];
    if (id.size == 0)
        return bad_key(reader, key, "empty", error);
    if (id.size > reader->id_max_bytes) {
        snprintf(what, sizeof what, "%zu bytes long, at most %" PRIu32 " are taken", id.size,
                 reader->id_max_bytes);
        return bad_key(reader, key, what, error);
    }
    if (!ms_utf8_valid(id.data, id.size))
        return bad_key(reader, key, "not UTF-8", error);
    *user = id;
    return MS_OK;
}

static enum ms_status read_long(struct ms_key_reader *reader, struct ms_bytes key, struct ms_bytes *user,
                                struct ms_error *error)
{
    uint64_t bits = 0;
    if (key.size != 8 && key.size != 4)
        return bad_key(reader, key, "not 8 or 4 bytes long", error);
    for (size_t i = 0; i < key.size; i++)
        bits = bits << 8 | (unsigned char)key.data[i];
    int64_t number = key.size == 8 ? (int64_t)bits : (int32_t)(uint32_t)bits;
    int size = snprintf(reader->digits, sizeof reader->digits, "%" PRId64, number);
    return check(reader, key, (struct ms_bytes){reader->digits, (size_t)size}, user, error);
}

static enum ms_status read_json(struct ms_key_reader *reader, struct ms_bytes key, struct ms_bytes *user,
                                struct ms_error *error)
{
    struct ms_json_value value;
    struct ms_bytes id;
    if (reader->format == MS_KEY_REGISTRY_JSON && (key.size < FRAME_BYTES || key.data[0] != 0))
        return bad_key(reader, key, "without the header of a schema registry", error);
    const char *reason = ms_json_read(reader->json, key.data, key.size, &value);
    if (reason == ms_json_no_memory)
        return ms_fail(error, MS_MEMORY, "no memory to read a key of %zu bytes", key.size);
    if (reason)
        return bad_key(reader, key, "not JSON", error);
    if (reader->format == MS_KEY_CONNECT && ms_json_type(value) != MS_JSON_NULL &&
        !ms_json_member(value, "payload", 7, &value))
        return bad_key(reader, key, "JSON without a payload", error);
    if (ms_json_type(value) == MS_JSON_OBJECT && !ms_paths_find(&reader->user, value, &value))
        return bad_key(reader, key, "an object without the user's field", error);
    if (ms_json_type(value) == MS_JSON_NULL) {
        *user = (struct ms_bytes){NULL, 0};
        return MS_OK;
    }
    id.data = ms_json_id(value, reader->digits, &id.size);
    if (!id.data)
        return bad_key(reader, key, "JSON, but neither a string nor an integer", error);
    return check(reader, key, id, user, error);
}

enum ms_status ms_key_read(struct ms_key_reader *reader, struct ms_bytes key, struct ms_bytes *user,
                           struct ms_error *error)
{
    if (!key.data) {
        *user = key;
        return MS_OK;
    }
    if (reader->format == MS_KEY_LONG)
        return read_long(reader, key, user, error);
    return reader->json ? read_json(reader, key, user, error) : check(reader, key, key, user, error);
}

/* ---- hints ---- */

static bool printable(struct ms_bytes key)
{
    for (size_t i = 0; i < key.size; i++) {
        if ((unsigned char)key.data[i] < 0x20 || key.data[i] == 0x7f)
            return false;
    }
    return ms_utf8_valid(key.data, key.size);
}

static enum ms_key_format looks_like(struct ms_bytes key)
{
    size_t last = key.size - 1;
    if (key.size > FRAME_BYTES && key.data[0] == 0 && strchr("\"{-0123456789", key.data[FRAME_BYTES]) &&
        key.data[FRAME_BYTES])
        return MS_KEY_REGISTRY_JSON;
    if ((key.size == 8 || key.size == 4) && !printable(key))
        return MS_KEY_LONG;
    if (key.size > 1 && key.data[0] == '"' && key.data[last] == '"')
        return MS_KEY_JSON;
    if (key.size > 1 && key.data[0] == '{' && key.data[last] == '}')
        return memmem(key.data, key.size, "\"payload\"", 9) ? MS_KEY_CONNECT : MS_KEY_JSON;
    return MS_KEY_STRING;
}

const char *ms_key_looks_like(struct ms_bytes key, enum ms_key_format format)
{
    if (key.size == 0)
        return NULL;
    enum ms_key_format like = looks_like(key);
    if (like == format || (like == MS_KEY_STRING && !printable(key)))
        return NULL;
    return format_names[like];
}

const char *ms_key_show(char out[MS_KEY_SHOWN], struct ms_bytes key)
{
    size_t used = 0, i = 0;
    bool plain = printable(key);
    for (; i < key.size && used + 8 < MS_KEY_SHOWN; i++) {
        unsigned char c = (unsigned char)key.data[i];
        if (plain || (c >= 0x20 && c < 0x7f))
            out[used++] = (char)c;
        else
            used += (size_t)snprintf(out + used, MS_KEY_SHOWN - used, "\\x%02x", c);
    }
    while (plain && i < key.size && used && ((unsigned char)key.data[i] & 0xC0) == 0x80) {
        used--; /* not half a character */
        i--;
    }
    strcpy(out + used, i < key.size ? "..." : "");
    return out;
}
