/* Decoding one record of the input topic into an event. Pure: bytes in, bytes out. */
#ifndef MS_EVENT_EVENT_H
#define MS_EVENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "event/key.h"
#include "mindstream/bytes.h"
#include "mindstream/status.h"

/* Raised with each change of what a record becomes under the same settings. */
#define MS_DECODE_RULES 1

#define MS_TYPE_MAX_BYTES 255 /* longest event type */

struct ms_event {
    struct ms_bytes user; /* UTF-8, 1 .. id_max_bytes bytes */
    struct ms_bytes item; /* the same; data NULL unless the event is accepted */
    struct ms_bytes
        type;        /* at most MS_TYPE_MAX_BYTES, may be empty; data NULL where the event is a tombstone */
    int64_t time_ms; /* since 1970 UTC, before the year 9999. A tombstone's is the record's time (0 without),
                        a filtered event's 0 */
};

enum ms_event_kind {
    MS_EVENT_ACCEPTED, /* a behavior */
    MS_EVENT_FORGET,   /* a null value under a user's key: forget this user */
    MS_EVENT_FILTERED, /* its type is not among input.types; item and time were not looked at */
};

struct ms_event_fields {
    /* Each is a comma-separated list of paths (event/path.h): "user_id", "properties.product_id", "items[0].id". The first
     * path with a value that is not null counts. "" for user, time or type: the value never has it. */
    const char *user, *item, *time, *type;
    const char *types;     /* comma-separated accepted types, "\\," for a comma in one; "" accepts all */
    uint32_t id_max_bytes; /* longest user or item id */
    enum ms_key_format key_format; /* how a record key names a user */
};

/* What one record looked like beyond the event. */
struct ms_event_notes {
    bool key_differs; /* the record key is present and does not name the event's user */
    bool no_key;      /* the record has no key */
    bool no_time;     /* accepted, and the value has no time: the record's stands in */
};

struct ms_decoder;

/* Compiles the field paths and the types. MS_CONFIG with the option's name and the character of the path
 * that does not parse. The caller owns the decoder; destroying NULL is legal. */
enum ms_status ms_decoder_new(struct ms_decoder **decoder, const struct ms_event_fields *fields,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_decoder_destroy(struct ms_decoder *decoder);

/* Whether the types that count have |type| among them. */
bool ms_decoder_accepts(const struct ms_decoder *decoder, struct ms_bytes type);

/* Checks a text that is to be an id, for events that do not come as JSON: NULL, or a static text that says what it is: "empty",
 * "too long", "not UTF-8". */
const char *ms_id_fault(struct ms_bytes text, uint32_t id_max_bytes);

/* Decodes one record. |key| and |value| have data NULL where the record has none; |record_time_ms| stands in
 * for a missing time (negative: the record has none, then a missing time is MS_EVENT). The value is one JSON
 * object, read strictly (base/json.h); of a name that an object has twice the first counts. An id is a string
 * or a whole number (ms_json_id); times are as in event/time.h; a user that the value does not name is that of
 * the record key. The event's strings are copied to |arena| and hold until its reset.
 * MS_EVENT with the reason when the record is bad, MS_MEMORY; nothing is written to *event, *kind and *notes
 * then. One thread a decoder; no allocation once warm. */
enum ms_status ms_decode_event(struct ms_decoder *decoder, struct ms_arena *arena, struct ms_bytes key,
                               struct ms_bytes value, int64_t record_time_ms, struct ms_event *event,
                               enum ms_event_kind *kind, struct ms_event_notes *notes,
                               struct ms_error *error) MS_MUST_CHECK;

#endif
