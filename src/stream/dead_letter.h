/* A dead letter as its topic takes it: the record as it came, with headers that say where it came from and why.
 * Pure: it knows no Kafka and does not allocate.
 *
 * Where all of it does not fit, the reason is cut to an eighth of the room. Of what is left, key, headers and value
 * have a third each, and whatever one of them does not need the others may take. A header is kept whole or left out. */
#ifndef MS_STREAM_DEAD_LETTER_H
#define MS_STREAM_DEAD_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "stream/records.h"
#include "stream/stats.h"

#define MS_DEAD_LETTER_LEAST 256 /* bytes: a topic that takes less takes no dead letters */
#define MS_DEAD_LETTER_OWN   16  /* most headers of ours */

struct ms_header {
    const char *name;
    struct ms_bytes value; /* data NULL: a null value */
};

/* The headers of a record, wherever they are. */
struct ms_headers {
    const void *context;
    size_t count;
    void (*get)(const void *context, size_t index, struct ms_header *header);
};

/* What the topic takes. */
struct ms_dead_letter_rules {
    int headers;                 /* enum ms_dead_letter_headers */
    size_t most_bytes;           /* of a batch with one record */
    bool compacted;              /* a record needs a key, and a null value would delete it */
    bool append_time;            /* the broker gives records its own time */
    int64_t before_ms, after_ms; /* how far a record's time may be from the broker's; INT64_MAX: any */
};

struct ms_dead_letter {
    struct ms_bytes key, value; /* data NULL: null */
    int64_t time_ms;            /* 0: the time at which it is produced */
    struct ms_header own[MS_DEAD_LETTER_OWN];
    size_t own_count;
    size_t room;          /* for the source's headers */
    size_t text_bytes;    /* used of |text| */
    char text[1024];      /* numbers, a key */
    char exception[2048]; /* the reason as an exception would print it */
};

/* Makes the dead letter of |output|, which came from |topic| with the headers |source|. It points into |output|. |now_ms| is
 * the time since 1970. */
void ms_dead_letter_make(struct ms_dead_letter *letter, const struct ms_dead_letter_rules *rules,
                         const struct ms_output *output, const char *topic, const struct ms_headers *source,
                         int64_t now_ms);

/* Hands its headers to |add|: those of the source that are kept, in their order, then ours. A header of the source
 * that has one of our names comes as "original-NAME". */
void ms_dead_letter_headers(const struct ms_dead_letter *letter, const struct ms_headers *source,
                            void (*add)(void *context, const struct ms_header *header), void *context);

/* What kind of fault the reason of a dead letter tells of (stats.h). */
enum ms_bad_kind ms_bad_kind(const char *reason);

/* What a header takes in a record, at most. */
size_t ms_header_bytes(const struct ms_header *header);

#endif
