/* The last events that a worker has decoded, for people who watch: of each batch the newest few. One thread at a time. */
#ifndef MS_STREAM_RECENT_H
#define MS_STREAM_RECENT_H

#include "stream/source.h"

#define MS_RECENT_EVENTS     256 /* that are kept */
#define MS_RECENT_OF_BATCH   16  /* of a batch, the newest */
#define MS_RECENT_ID_BYTES   256 /* of an id, and no more */
#define MS_RECENT_TYPE_BYTES 64

/* One event. Its bytes may be cut; *_bytes is how long each was. */
struct ms_recent_event {
    uint64_t number;  /* of this worker's noted events: 1, 2, ... */
    int64_t noted_ms; /* when it was folded, since 1970 */
    int64_t offset, time_ms;
    int32_t partition;
    enum ms_event_kind kind;
    bool known_item;
    uint32_t user_bytes, item_bytes, type_bytes;
    char user[MS_RECENT_ID_BYTES], item[MS_RECENT_ID_BYTES], type[MS_RECENT_TYPE_BYTES];
};

struct ms_recent {
    uint64_t count;               /* noted so far */
    struct ms_recent_event *ring; /* [MS_RECENT_EVENTS], event |number| at number % MS_RECENT_EVENTS */
};

/* Makes the ring; false without memory. */
bool ms_recent_init(struct ms_recent *recent);
void ms_recent_free(struct ms_recent *recent);

/* Notes the newest clicks of a batch that was folded. */
void ms_recent_note(struct ms_recent *recent, const struct ms_input *inputs, const struct ms_decoded *decoded,
                    size_t count);

/* Copies the newest |limit| events, the oldest of them first, and returns how many there are. */
size_t ms_recent_copy(const struct ms_recent *recent, struct ms_recent_event *out, size_t limit);

#endif
