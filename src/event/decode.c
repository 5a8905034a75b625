/* One record of the input topic becomes an event: read the document, find the four fields, check them, copy
 * them. */
#include "event/event.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/flat.h"
#include "event/path.h"
#include "event/time.h"

#define TYPES_MAX      256 /* accepted types in input.types */
#define SHOWN_MAX      48  /* bytes of a value that an error shows */
#define PATH_SHOWN_MAX 200 /* bytes of a path that an error shows */
#define SHOWN_BUFFER   (SHOWN_MAX + 8)

enum { FLAT_USER, FLAT_TYPE, FLAT_ITEM, FLAT_TIME, FLAT_FIELDS };

struct ms_decoder {
    bool flat; /* each field is one name, so that simple documents can be read by flat.h */
    struct ms_flat_field fields[FLAT_FIELDS];
    struct ms_json *json;
    enum ms_key_format key_format;
    struct ms_key_reader *key;
    struct ms_paths user, item, time, type;
    uint32_t id_max_bytes;
    struct ms_bytes *types; /* accepted; type_count 0 accepts all */
    size_t type_count;
    char *type_memory;
};

/* ---- making a decoder ---- */

/* Splits "a, b\, c" into types; blanks around them do not count, a backslash takes the next character as it
 * is. */
static enum ms_status parse_types(struct ms_decoder *decoder, const char *text, struct ms_error *error)
{
    text += strspn(text, " \t");
    if (!*text)
        return MS_OK;
    decoder->types = calloc(TYPES_MAX, sizeof *decoder->types);
    decoder->type_memory = malloc(strlen(text) + 1);
    if (!decoder->types || !decoder->type_memory)
        return ms_fail(error, MS_MEMORY, "no memory for input.types");
    char *to = decoder->type_memory;
    for (const char *at = text;; at++) {
        char *start = to, *end = to;
        for (at += strspn(at, " \t"); *at && *at != ','; at++) {
            bool escaped = *at == '\\' && at[1];
            at += escaped;
            *to++ = *at;
            if (escaped || (*at != ' ' && *at != '\t'))
                end = to;
        }
        size_t bytes = (size_t)(end - start);
        if (bytes == 0 || bytes > MS_TYPE_MAX_BYTES)
            return ms_fail(error, MS_CONFIG,
                           "input.types: type %zu of \"%s\" has %zu bytes, expected 1 to %d",
                           decoder->type_count + 1, text, bytes, MS_TYPE_MAX_BYTES);
        if (decoder->type_count == TYPES_MAX)
            return ms_fail(error, MS_CONFIG, "input.types: more than %d types", TYPES_MAX);
        decoder->types[decoder->type_count++] = (struct ms_bytes){start, bytes};
        if (!*at)
            return MS_OK;
    }
}

/* Whether the field is one name at the top of the document, and nothing else. */
static bool one_name(const struct ms_paths *paths, struct ms_flat_field *field)
{
    if (paths->count != 1 || paths->paths[0].step_count != 1 || !paths->paths[0].steps[0].key)
        return false;
    *field = (struct ms_flat_field){paths->paths[0].steps[0].key, paths->paths[0].steps[0].key_bytes};
    return true;
}

enum ms_status ms_decoder_new(struct ms_decoder **decoder, const struct ms_event_fields *fields,
                              struct ms_error *error)
{
    struct ms_decoder *made = calloc(1, sizeof *made);
    enum ms_status status = MS_OK;
    if (made)
        made->json = ms_json_new();
    if (!made || !made->json) {
        status = ms_fail(error, MS_MEMORY, "no memory for an event decoder");
        goto done;
    }
    made->id_max_bytes = fields->id_max_bytes;
    made->key_format = fields->key_format;
    if ((status = ms_key_reader_new(&made->key, fields->key_format, fields->user, fields->id_max_bytes,
                                    error)) ||
        (status = ms_paths_parse(&made->user, "input.user.field", fields->user, error)) ||
        (status = ms_paths_parse(&made->item, "input.item.field", fields->item, error)) ||
        (status = ms_paths_parse(&made->time, "input.time.field", fields->time, error)) ||
        (status = ms_paths_parse(&made->type, "input.type.field", fields->type, error)) ||
        (status = parse_types(made, fields->types, error)))
        goto done;
    if (!made->item.count) {
        status = ms_fail(error, MS_CONFIG, "input.item.field is empty: every event needs an item");
        goto done;
    }
    made->flat = one_name(&made->user, &made->fields[FLAT_USER]) &&
                 one_name(&made->type, &made->fields[FLAT_TYPE]) &&
                 one_name(&made->item, &made->fields[FLAT_ITEM]) &&
                 one_name(&made->time, &made->fields[FLAT_TIME]);
    *decoder = made;
    made = NULL;
done:
    ms_decoder_destroy(made);
    return status;
}

void ms_decoder_destroy(struct ms_decoder *decoder)
{
    if (!decoder)
        return;
    ms_json_destroy(decoder->json);
    ms_key_reader_destroy(decoder->key);
    ms_paths_free(&decoder->user);
    ms_paths_free(&decoder->item);
    ms_paths_free(&decoder->time);
    ms_paths_free(&decoder->type);
    free(decoder->types);
    free(decoder->type_memory);
    free(decoder);
}

/* ---- error texts ---- */

/* How many of the text's bytes fit |max| without cutting a UTF-8 character. */
static size_t fitting(const char *text, size_t bytes, size_t max)
{
    size_t n = bytes < max ? bytes : max;
    while (n && n < bytes && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    return n;
}

/* The start of a text in quotes, for an error: control characters as '?', never half a UTF-8 character. */
static const char *shown_text(char out[SHOWN_BUFFER], const char *text, size_t bytes)
{
    size_t n = fitting(text, bytes, SHOWN_MAX);
    char *to = out;
    *to++ = '"';
    for (size_t i = 0; i < n; i++)
        *to++ = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    strcpy(to, n < bytes ? "...\"" : "\"");
    return out;
}

static const char *shown(char out[SHOWN_BUFFER], struct ms_json_value value)
{
    size_t bytes;
    const char *text;
    switch (ms_json_type(value)) {
    case MS_JSON_NULL:
        return "null";
    case MS_JSON_BOOL:
        return ms_json_bool(value) ? "true" : "false";
    case MS_JSON_INTEGER:
        snprintf(out, SHOWN_BUFFER, "%" PRId64, ms_json_integer(value));
        return out;
    case MS_JSON_UINT64:
        snprintf(out, SHOWN_BUFFER, "%" PRIu64, ms_json_uint64(value));
        return out;
    case MS_JSON_DOUBLE:
        snprintf(out, SHOWN_BUFFER, "%.17g", ms_json_double(value));
        return out;
    case MS_JSON_STRING:
        text = ms_json_string(value, &bytes);
        return shown_text(out, text, bytes);
    case MS_JSON_ARRAY:
        return "an array";
    case MS_JSON_OBJECT:
        break;
    }
    return "an object";
}

static int printed(const struct ms_path *path)
{
    return (int)fitting(path->text, path->text_bytes, PATH_SHOWN_MAX);
}

static enum ms_status bad_value(const char *role, const struct ms_path *path, struct ms_json_value value,
                                const char *expected, struct ms_error *error)
{
    char out[SHOWN_BUFFER];
    return ms_fail(error, MS_EVENT, "%s: \"%.*s\" is %s, expected %s", role, printed(path), path->text,
                   shown(out, value), expected);
}

/* ---- the fields ---- */

/* What stands instead of a value that is no id. A double of 2^53 or more may have lost digits. */
static const char *expected_id(struct ms_json_value value)
{
    double number = ms_json_type(value) == MS_JSON_DOUBLE ? ms_json_double(value) : 0;
    return number >= 0x1p53 || number <= -0x1p53
               ? "a string or an integer: a double of this size does not keep every digit"
               : "a string or an integer";
}

static enum ms_status read_id(const struct ms_decoder *decoder, const char *role, const struct ms_path *path,
                              struct ms_json_value value, char digits[MS_JSON_DIGITS_MAX],
                              struct ms_bytes *id, struct ms_error *error)
{
    struct ms_bytes text;
    text.data = ms_json_id(value, digits, &text.size);
    if (!text.data)
        return bad_value(role, path, value, expected_id(value), error);
    if (text.size == 0)
        return ms_fail(error, MS_EVENT, "%s: \"%.*s\" is empty", role, printed(path), path->text);
    if (text.size > decoder->id_max_bytes)
        return ms_fail(error, MS_EVENT, "%s: \"%.*s\" is %zu bytes long, at most %" PRIu32 " are taken", role,
                       printed(path), path->text, text.size, decoder->id_max_bytes);
    *id = text;
    return MS_OK;
}

const char *ms_id_fault(struct ms_bytes text, uint32_t id_max_bytes)
{
    return text.size == 0                         ? "empty"
           : text.size > id_max_bytes             ? "too long"
           : !ms_utf8_valid(text.data, text.size) ? "not UTF-8"
                                                  : NULL;
}

static enum ms_status missing(const char *role, const struct ms_paths *paths, const char *more,
                              struct ms_error *error)
{
    const char *list = paths->memory; /* as it was written */
    int bytes = (int)fitting(list, strlen(list), PATH_SHOWN_MAX);
    return ms_fail(error, MS_EVENT, "%s: none in the event (looked for \"%.*s\")%s", role, bytes, list, more);
}

static enum ms_status read_user(const struct ms_decoder *decoder, struct ms_json_value root,
                                struct ms_bytes key, char digits[MS_JSON_DIGITS_MAX], struct ms_bytes *user,
                                struct ms_error *error)
{
    struct ms_json_value value;
    const struct ms_path *path = ms_paths_find(&decoder->user, root, &value);
    if (path && !(key.size && ms_json_empty(value)))
        return read_id(decoder, "user", path, value, digits, user, error);
    enum ms_status status = ms_key_read(decoder->key, key, user, error);
    if (status != MS_OK || user->data)
        return status;
    return missing("user", &decoder->user, ", and the record has no key", error);
}

static enum ms_status read_item(const struct ms_decoder *decoder, struct ms_json_value root,
                                char digits[MS_JSON_DIGITS_MAX], struct ms_bytes *item,
                                struct ms_error *error)
{
    struct ms_json_value value;
    const struct ms_path *path = ms_paths_find(&decoder->item, root, &value);
    if (path)
        return read_id(decoder, "item", path, value, digits, item, error);
    return missing("item", &decoder->item, "", error);
}

static enum ms_status read_type(const struct ms_decoder *decoder, struct ms_json_value root,
                                char digits[MS_JSON_DIGITS_MAX], struct ms_bytes *type,
                                struct ms_error *error)
{
    struct ms_json_value value;
    const struct ms_path *path = ms_paths_find(&decoder->type, root, &value);
    if (!path) {
        *type = (struct ms_bytes){"", 0};
        return MS_OK;
    }
    struct ms_bytes text;
    text.data = ms_json_id(value, digits, &text.size);
    if (!text.data)
        return bad_value("type", path, value, expected_id(value), error);
    if (text.size > MS_TYPE_MAX_BYTES)
        return ms_fail(error, MS_EVENT, "type: \"%.*s\" is %zu bytes long, at most %d are taken",
                       printed(path), path->text, text.size, MS_TYPE_MAX_BYTES);
    *type = text;
    return MS_OK;
}

static enum ms_status read_time(const struct ms_decoder *decoder, struct ms_json_value root,
                                int64_t record_time_ms, int64_t *time_ms, bool *no_time,
                                struct ms_error *error)
{
    struct ms_json_value value;
    const struct ms_path *path = ms_paths_find(&decoder->time, root, &value);
    *no_time = !path;
    if (!path && record_time_ms < 0)
        return missing("time", &decoder->time, ", and the record has no timestamp", error);
    const char *reason;
    if (!path) {
        if (record_time_ms < MS_TIME_END_MS) {
            *time_ms = record_time_ms;
            return MS_OK;
        }
        return ms_fail(error, MS_EVENT, "time: the record timestamp %" PRId64 " is in the year 9999 or later",
                       record_time_ms);
    }
    enum ms_json_type type = ms_json_type(value);
    if (type == MS_JSON_INTEGER) {
        reason = ms_time_from_integer(ms_json_integer(value), time_ms);
    } else if (type == MS_JSON_DOUBLE) {
        reason = ms_time_from_double(ms_json_double(value), time_ms);
    } else if (type == MS_JSON_UINT64) {
        reason = ms_time_from_double((double)ms_json_uint64(value), time_ms); /* beyond any time */
    } else if (type == MS_JSON_STRING) {
        size_t bytes;
        const char *text = ms_json_string(value, &bytes);
        reason = ms_time_from_text(text, bytes, time_ms);
    } else {
        return bad_value("time", path, value, "a number or an ISO 8601 time", error);
    }
    if (!reason)
        return MS_OK;
    char out[SHOWN_BUFFER];
    return ms_fail(error, MS_EVENT, "time: \"%.*s\" is %s: %s", printed(path), path->text, shown(out, value),
                   reason);
}

bool ms_decoder_accepts(const struct ms_decoder *decoder, struct ms_bytes type)
{
    for (size_t i = 0; i < decoder->type_count; i++)
        if (decoder->types[i].size == type.size && memcmp(decoder->types[i].data, type.data, type.size) == 0)
            return true;
    return decoder->type_count == 0;
}

/* ---- the whole event ---- */

/* Copies the event's texts to the arena. */
static enum ms_status copy_texts(struct ms_arena *arena, struct ms_event *event, struct ms_error *error)
{
    char *to = ms_arena_alloc(arena, event->user.size + event->item.size + event->type.size);
    if (!to)
        return ms_fail(error, MS_MEMORY, "no memory for an event");
    struct ms_bytes *texts[] = {&event->user, &event->item, &event->type};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!texts[i]->data)
            continue;
        memcpy(to, texts[i]->data, texts[i]->size);
        texts[i]->data = to;
        to += texts[i]->size;
    }
    return MS_OK;
}

static enum ms_status decode_tombstone(const struct ms_decoder *decoder, struct ms_bytes key,
                                       int64_t record_time_ms, struct ms_event *event, struct ms_error *error)
{
    event->time_ms = record_time_ms < 0 ? 0 : record_time_ms;
    enum ms_status status = ms_key_read(decoder->key, key, &event->user, error);
    if (status == MS_OK && !event->user.data)
        return ms_fail(error, MS_EVENT, "the record has neither a value nor a key");
    return status;
}

static bool flat_id(const struct ms_flat_value *value, size_t max, struct ms_bytes *id)
{
    *id = value->text;
    return id->data && id->size > 0 && id->size <= max;
}

static bool flat_time(const struct ms_flat_value *value, int64_t *time_ms)
{
    int64_t number = 0;
    if (!value->text.data)
        return false;
    if (!value->integer)
        return !ms_time_from_text(value->text.data, value->text.size, time_ms);
    bool negative = value->text.data[0] == '-';
    for (size_t i = negative; i < value->text.size; i++)
        number = number * 10 + (value->text.data[i] - '0');
    return !ms_time_from_integer(negative ? -number : number, time_ms);
}

/* The short way of decode_value, for good events that have all fields and are simple documents. False: everything else, and
 * whatever was written is to be forgotten. */
static bool decode_flat(const struct ms_decoder *decoder, struct ms_bytes value, struct ms_event *event,
                        enum ms_event_kind *kind)
{
    struct ms_flat_value found[FLAT_FIELDS];
    if (!decoder->flat || !ms_flat_read(value, decoder->fields, FLAT_FIELDS, found) ||
        !flat_id(&found[FLAT_USER], decoder->id_max_bytes, &event->user) ||
        !flat_id(&found[FLAT_TYPE], MS_TYPE_MAX_BYTES, &event->type))
        return false;
    *kind = MS_EVENT_FILTERED;
    if (!ms_decoder_accepts(decoder, event->type))
        return true;
    *kind = MS_EVENT_ACCEPTED;
    return flat_id(&found[FLAT_ITEM], decoder->id_max_bytes, &event->item) &&
           flat_time(&found[FLAT_TIME], &event->time_ms);
}

/* Fills *event with texts that still lie in the document, the key or |digits|. The type is asked before the
 * item and the time, so that what is filtered (impressions, say) need not have them. */
static enum ms_status decode_value(const struct ms_decoder *decoder, struct ms_bytes key,
                                   struct ms_bytes value, int64_t record_time_ms,
                                   char digits[3][MS_JSON_DIGITS_MAX], struct ms_event *event,
                                   enum ms_event_kind *kind, bool *no_time, struct ms_error *error)
{
    struct ms_json_value root;
    if (decode_flat(decoder, value, event, kind))
        return MS_OK;
    *event = (struct ms_event){0};
    const char *reason = ms_json_read(decoder->json, value.data, value.size, &root);
    if (reason == ms_json_no_memory)
        return ms_fail(error, MS_MEMORY, "no memory to read an event of %zu bytes", value.size);
    if (reason)
        return ms_fail(error, MS_EVENT, "the value is not JSON: %s", reason);
    if (ms_json_type(root) != MS_JSON_OBJECT) {
        char out[SHOWN_BUFFER];
        return ms_fail(error, MS_EVENT, "the value is %s, expected an object", shown(out, root));
    }
    enum ms_status status;
    if ((status = read_user(decoder, root, key, digits[0], &event->user, error)) ||
        (status = read_type(decoder, root, digits[1], &event->type, error)))
        return status;
    if (!ms_decoder_accepts(decoder, event->type)) {
        *kind = MS_EVENT_FILTERED;
        return MS_OK;
    }
    if ((status = read_item(decoder, root, digits[2], &event->item, error)) ||
        (status = read_time(decoder, root, record_time_ms, &event->time_ms, no_time, error)))
        return status;
    *kind = MS_EVENT_ACCEPTED;
    return MS_OK;
}

/* Looks at the key of a good event. One that cannot be read names another user than the value does. */
static enum ms_status note_key(const struct ms_decoder *decoder, struct ms_bytes key, struct ms_bytes user,
                               struct ms_event_notes *notes)
{
    struct ms_bytes named = key;
    struct ms_error why;
    if (decoder->key_format != MS_KEY_STRING) {
        enum ms_status status = ms_key_read(decoder->key, key, &named, &why);
        if (status == MS_MEMORY)
            return status;
        if (status != MS_OK)
            named = (struct ms_bytes){"", 0};
    }
    notes->no_key = !named.data;
    notes->key_differs = named.data &&
                         (named.size != user.size || memcmp(named.data, user.data, user.size) != 0);
    return MS_OK;
}

enum ms_status ms_decode_event(struct ms_decoder *decoder, struct ms_arena *arena, struct ms_bytes key,
                               struct ms_bytes value, int64_t record_time_ms, struct ms_event *event,
                               enum ms_event_kind *kind, struct ms_event_notes *notes, struct ms_error *error)
{
    char digits[3][MS_JSON_DIGITS_MAX];
    struct ms_event made = {0};
    struct ms_event_notes made_notes;
    enum ms_event_kind made_kind = MS_EVENT_FORGET;
    bool no_time = false;
    enum ms_status status = value.data ? decode_value(decoder, key, value, record_time_ms, digits, &made,
                                                      &made_kind, &no_time, error)
                                       : decode_tombstone(decoder, key, record_time_ms, &made, error);
    if (status)
        return status;
    status = copy_texts(arena, &made, error); /* a user that the key names lies in the reader */
    if (status == MS_OK && note_key(decoder, key, made.user, &made_notes) != MS_OK)
        status = ms_fail(error, MS_MEMORY, "no memory to read a key of %zu bytes", key.size);
    if (status)
        return status;
    made_notes.no_time = no_time;
    *notes = made_notes;
    *kind = made_kind;
    *event = made;
    return MS_OK;
}
