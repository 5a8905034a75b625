/* Decoding one record of the input topic into an event (DESIGN section 5). Pure: bytes in, bytes out. */
#ifndef MS_EVENT_EVENT_H
#define MS_EVENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "mindstream/record.h" /* struct ms_bytes */
#include "mindstream/status.h"

#define MS_TYPE_MAX_BYTES 255 /* longest event type */

struct ms_event {
    struct ms_bytes user; /* UTF-8, 1 .. id_max_bytes bytes */
    struct ms_bytes item; /* the same; data NULL where the event is a tombstone */
    struct ms_bytes type; /* may be empty */
    int64_t time_ms;      /* since 1970, UTC */
};

enum ms_event_kind {
    MS_EVENT_ACCEPTED,  /* a behavior */
    MS_EVENT_FORGET,    /* a null value under a user's key: forget this user */
    MS_EVENT_FILTERED,  /* its type is not among input.types */
};

struct ms_event_fields {
    /* Each a comma-separated list of paths, the first present wins: "user_id", "properties.product_id", "items[0].id". */
    const char *user, *item, *time, *type;
    const char *types;     /* comma-separated accepted types; "" accepts all */
    uint32_t id_max_bytes; /* longest user or item id */
};

/* What one record looked like beyond the event. */
struct ms_event_notes {
    bool key_differs; /* the record key is present and is not the user of the value */
};

struct ms_decoder;

/* Compiles the field paths. MS_CONFIG with the option's name and the place in the path when one does not parse. */
enum ms_status ms_decoder_new(struct ms_decoder **decoder, const struct ms_event_fields *fields, struct ms_error *error) MS_MUST_CHECK;
void ms_decoder_destroy(struct ms_decoder *decoder);

/* Decodes one record. |key| and |value| have data NULL where the record has none; |record_time_ms| stands in for a
 * missing time (negative: the record has none, then a missing time is MS_EVENT). The event's strings are copied to
 * |arena|. MS_EVENT with the reason when the record is bad; nothing is written to *event then. One thread a decoder;
 * no allocation once warm. */
enum ms_status ms_decode_event(struct ms_decoder *decoder, struct ms_arena *arena, struct ms_bytes key, struct ms_bytes value,
                               int64_t record_time_ms, struct ms_event *event, enum ms_event_kind *kind,
                               struct ms_event_notes *notes, struct ms_error *error) MS_MUST_CHECK;

#endif
