/* Records on their way in and out: what the engine takes from a consumer and hands to a producer. */
#ifndef MS_STREAM_RECORDS_H
#define MS_STREAM_RECORDS_H

#include <stdint.h>

#include "event/event.h"
#include "mindstream/bytes.h"
#include "mindstream/status.h"

/* One record of an input topic. data NULL: no key, no value. */
struct ms_input {
    int source; /* of which topic: index into ms_sources (source.h) */
    int32_t partition;
    int64_t offset;
    int64_t time_ms; /* of the record, negative: none */
    struct ms_bytes key, value;
    /* Of a file: the event, which is not decoded any more (of a profile its user alone counts), and whose offset is a number
     * that no log has: users keep 0 in its place. NULL: the record is one of a log. */
    const struct ms_event *event;
    const void
        *message; /* the transport's own record, which the sink asks for its headers; NULL: there is none */
};

enum ms_output_kind { MS_OUTPUT_RECORD, MS_OUTPUT_DEAD_LETTER };

/* One record to publish. */
struct ms_output {
    enum ms_output_kind kind;
    struct ms_bytes key, value;   /* value.data NULL: a null value */
    uint64_t version;             /* of the user, for the header */
    const struct ms_input *input; /* dead letters: where it came from */
    const char *reason;           /* dead letters */
};

struct ms_sink {
    void *context;
    /* Takes a record; its bytes are the caller's again afterwards. */
    enum ms_status (*emit)(void *context, const struct ms_output *output, struct ms_error *error);
};

#endif
