/* Record keys: which user a key names, however a serializer has written it. Pure.
 *
 *   string         the bytes are the user's id
 *   json           a JSON text or whole number: "u1" in quotes
 *   connect        Kafka Connect's envelope: {"schema":..,"payload":"u1"}
 *   long           8 or 4 bytes, big-endian, signed, as the Java serializers of long and int write them
 *   registry-json  a zero byte, four bytes of schema id, JSON
 *
 * In the forms with JSON the id may also stand in an object, under one of the names of input.user.field. */
#ifndef MS_EVENT_KEY_H
#define MS_EVENT_KEY_H

#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

/* X(symbol, name) in the order of the option's values. */
#define MS_KEY_FORMATS(X)                                                                                    \
    X(STRING, "string")                                                                                      \
    X(JSON, "json")                                                                                          \
    X(CONNECT, "connect")                                                                                    \
    X(LONG, "long")                                                                                          \
    X(REGISTRY_JSON, "registry-json")

enum ms_key_format {
#define MS_KEY_FORMAT(symbol, name) MS_KEY_##symbol,
    MS_KEY_FORMATS(MS_KEY_FORMAT)
#undef MS_KEY_FORMAT
        MS_KEY_FORMAT_COUNT
};

struct ms_key_reader;

/* |user_field| is a list of paths as in struct ms_event_fields. MS_CONFIG where it does not parse. The caller owns the reader;
 * destroying NULL is legal. */
enum ms_status ms_key_reader_new(struct ms_key_reader **reader, enum ms_key_format format,
                                 const char *user_field, uint32_t id_max_bytes,
                                 struct ms_error *error) MS_MUST_CHECK;
void ms_key_reader_destroy(struct ms_key_reader *reader);

/* The user that |key| names, valid UTF-8 of 1 to id_max_bytes bytes, which lies in the key or in the reader until its
 * next call. A key that is not there (data NULL, or JSON's null): MS_OK with data NULL. MS_EVENT with the reason when it
 * names none, MS_MEMORY. One thread a reader; no allocation once warm. */
enum ms_status ms_key_read(struct ms_key_reader *reader, struct ms_bytes key, struct ms_bytes *user,
                           struct ms_error *error) MS_MUST_CHECK;

/* The format that |key| looks like, when that is another than |format|, else NULL: for a hint. */
const char *ms_key_looks_like(struct ms_bytes key, enum ms_key_format format);

#define MS_KEY_SHOWN 128
/* |key| for a log line: as it is where it is printable, other bytes as \xNN, cut. Returns |out|. */
const char *ms_key_show(char out[MS_KEY_SHOWN], struct ms_bytes key);

#endif
