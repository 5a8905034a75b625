/* Input sources. A source is one input topic: how its records are decoded, what they do to a user, and which
 * other sources it waits for.
 *
 * To add a source, write one file with a descriptor and add one row to MS_SOURCE_TABLE. Nothing else asks
 * which source a record comes from: positions, assignment, offsets, lag and pausing loop over the table. The
 * topics of all sources have the same number of partitions and are keyed by user (co-partitioned). */
#ifndef MS_STREAM_SOURCE_H
#define MS_STREAM_SOURCE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/config.h"
#include "event/event.h"
#include "mindstream/model.h"
#include "state/overlay.h"
#include "stream/positions.h"
#include "stream/publish.h"
#include "stream/records.h"
#include "stream/stats.h"

/* X(name, descriptor), in the order in which a partition's row stores their offsets. */
#define MS_SOURCE_TABLE(X)                                                                                   \
    X(CLICKS, ms_source_clicks)                                                                              \
    X(PROFILES, ms_source_profiles)

enum ms_source_index {
#define MS_SOURCE_INDEX(name, descriptor) MS_SOURCE_##name,
    MS_SOURCE_TABLE(MS_SOURCE_INDEX)
#undef MS_SOURCE_INDEX
};

/* What a source works with. It belongs to the engine and is shared by its sources. */
struct ms_source_context {
    const struct ms_config *config;
    struct ms_arena *arena; /* reset before each batch */
    struct ms_overlay *overlay;
    struct ms_publisher *publisher;
    struct ms_stats *stats;
};

/* What decoding made of a record. Its bytes lie in the record or in the arena. */
struct ms_decoded {
    struct ms_event event;
    enum ms_event_kind kind;
    const char *reason;      /* the record is bad: why. NULL: it is good */
    bool needs_user;         /* event.user is looked up before the record is applied */
    int64_t history_time_ms; /* time of an event that may need the user's history, INT64_MAX: it does not */
    uint32_t row;            /* of event.item in the model, MS_NO_ITEM: none */
    uint32_t wanted;         /* the engine's: index among the users that the batch wants */
};

struct ms_source {
    const char *name;   /* of its records, in the plural */
    const char *option; /* that names its topic */
    size_t topic; /* offset in struct ms_config of the topic's name; "" there: this source is not used */
    /* Sources as bits (1 << index). While one of them replays, this source waits. */
    unsigned waits_for_replay;
    /* Once this source has reached C, it waits until each of these has, too, and has read what its log held
     * at the assignment. */
    unsigned waits_to_catch_up;
    bool input_start; /* input.start says where a new group begins; else at the log's start */
    bool compacted;   /* what is missing in its log has been replaced: no gap, nothing to tell */
    /* A digest of all settings that decoding depends on, and of its rules. */
    uint64_t (*decode_id)(const struct ms_config *config);
    /* Makes and frees what decoding needs of its own. */
    enum ms_status (*open)(void **own, const struct ms_config *config, struct ms_error *error);
    void (*close)(void *own);
    /* Decodes a record. A bad one is MS_OK with a reason. |decoded| comes with no user, no item. */
    enum ms_status (*decode)(void *own, const struct ms_source_context *context, const struct ms_input *input,
                             struct ms_decoded *decoded, struct ms_error *error);
    /* Applies a good record to the user at |place| of the overlay (where needs_user). |silent|: what comes of
     * it is published already. */
    enum ms_status (*apply)(void *own, const struct ms_source_context *context, struct ms_position *position,
                            uint32_t place, const struct ms_decoded *decoded, const struct ms_input *input,
                            bool silent, struct ms_error *error);
};

extern const struct ms_source *const ms_sources[MS_SOURCES];

/* The source's topic, "" when it is not used. */
const char *ms_source_topic(int source, const struct ms_config *config);

/* What the decoders of all sources are told, as one number, never 0. Under another one a record may become another
 * event, of another user, or none. */
uint64_t ms_sources_decode_id(const struct ms_config *config);

/* The source whose topic is |topic|; the first one when none is. */
int ms_source_of_topic(const char *topic, const struct ms_config *config);

#define MS_SOURCE_DECLARE(name, descriptor) extern const struct ms_source descriptor;
MS_SOURCE_TABLE(MS_SOURCE_DECLARE)
#undef MS_SOURCE_DECLARE

#endif
