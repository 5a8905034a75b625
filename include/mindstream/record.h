/* Output records: encode and decode, protobuf and JSON, layouts user and interest (mindstream.proto has the
 * fields).
 *
 * Pure: bytes in, bytes out. An encoder belongs to one thread and keeps its buffer between calls. Floats in a
 * record are always finite: where arithmetic overflowed, the largest float of that sign is written, and 0 for
 * a NaN. */
#ifndef MINDSTREAM_RECORD_H
#define MINDSTREAM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/api.h"
#include "mindstream/bytes.h"
#include "mindstream/extract.h"
#include "mindstream/status.h"

MS_API_BEGIN

enum ms_record_format { MS_RECORD_PROTOBUF, MS_RECORD_JSON };

/* What a record says about a user. */
struct ms_record {
    struct ms_bytes user_id; /* UTF-8 */
    uint64_t version;
    int64_t event_time_ms;
    struct ms_bytes model; /* name@version */
    struct ms_interests interests;
};

struct ms_encoder;

enum ms_status ms_encoder_new(struct ms_encoder **encoder, enum ms_record_format format,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_encoder_destroy(struct ms_encoder *encoder);

/* The value of a layout-user record. The bytes hold until the encoder's next call. Grows its buffer when it
 * must; data is NULL when memory ran out. */
struct ms_bytes ms_encode_user(struct ms_encoder *encoder, const struct ms_record *record);

/* The value of one layout-interest record, for interest |index| of the record; the bytes hold as above. */
struct ms_bytes ms_encode_interest(struct ms_encoder *encoder, const struct ms_record *record, int index);

/* The key of one layout-interest record: "<user id>#<slot>". It holds until the encoder's next key; a value
 * leaves it alone. */
struct ms_bytes ms_encode_interest_key(struct ms_encoder *encoder, struct ms_bytes user_id, int slot);

/* An upper bound for the size of a value, in either layout, for |user_id_bytes|, |model_bytes|, K interests
 * of dim floats. */
size_t ms_record_max_bytes(enum ms_record_format format, size_t user_id_bytes, size_t model_bytes,
                           int interests, int dim);

/* A decoded layout-user record; everything in it belongs to it. */
struct ms_decoded;

/* Decodes the value of a layout-user record. MS_FORMAT with the reason when it is not one (a vector that has
 * not dim floats, slots out of order, a float that is not finite), MS_MEMORY; *decoded is untouched then. Any
 * thread. */
enum ms_status ms_decode_user(struct ms_decoded **decoded, enum ms_record_format format,
                              struct ms_bytes value, struct ms_error *error) MS_MUST_CHECK;
/* Decodes the value of a layout-interest record in the same way: the record has one interest, whose slot is written to
 * *slot. Slots are below MS_MAX_INTERESTS. */
enum ms_status ms_decode_interest(struct ms_decoded **decoded, enum ms_record_format format,
                                  struct ms_bytes value, int *slot, struct ms_error *error) MS_MUST_CHECK;
const struct ms_record *ms_decoded_record(const struct ms_decoded *decoded);
void ms_decoded_destroy(struct ms_decoded *decoded);

MS_API_END

#endif
