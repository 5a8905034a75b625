/* Folding the events of files: one thread brings them, in order, and workers fold them, each the partitions p with
 * p mod workers = its number, in the order in which they came.
 *
 *     new -> add ... add -> end
 *
 * An event's offset is its number among those of its partition, from 0. So the row of a partition tells (as L) how many of its
 * events are in the state on disk. A feed that begins on such a state passes over that many: whoever was killed brings the same
 * events again. The result does not depend on workers, memory and kills. */
#ifndef MS_STREAM_FEED_H
#define MS_STREAM_FEED_H

#include "base/config.h"
#include "event/event.h"
#include "mindstream/extract.h"
#include "state/store.h"

struct ms_feed;

struct ms_feed_options {
    const struct ms_config *config; /* all of it outlives the feed */
    const struct ms_model *model;
    const struct ms_decay *decay;
    bool incremental;
    struct ms_store *store;
    int source;          /* whose events they are (source.h) */
    bool again;          /* pass over nothing: begin with the first event whatever the rows say */
    int32_t partitions;  /* of the topic; a user's is decided by who adds it */
    int workers;         /* at most; there are no more than partitions */
    size_t memory_bytes; /* for the users of all workers */
    double checkpoint_s; /* write the state at least so often */
};

struct ms_feed_counts {
    uint64_t folded;     /* events, duplicates not counted */
    uint64_t duplicates; /* of kept behaviors, exactly */
    uint64_t late;       /* folded, and older than the newest event of their user before them */
    uint64_t unknown_items;
    uint64_t profiles;    /* that changed */
    uint64_t bad;         /* profiles that are none */
    uint64_t passed_over; /* were in the state already */
};

/* Takes the partitions of the store and starts the workers. */
enum ms_status ms_feed_new(struct ms_feed **feed, const struct ms_feed_options *options,
                           struct ms_error *error) MS_MUST_CHECK;

/* Adds an event of |partition|; of a profile, |value| is the profile and the event has its user alone. Its bytes are copied.
 * Waits while the worker is behind. An error is that of a worker that failed. One thread. */
enum ms_status ms_feed_add(struct ms_feed *feed, int32_t partition, const struct ms_event *event,
                           struct ms_bytes value, struct ms_error *error) MS_MUST_CHECK;

/* Waits until all that was added is folded and on disk, and stops the workers. */
enum ms_status ms_feed_end(struct ms_feed *feed, struct ms_error *error) MS_MUST_CHECK;

/* Events of |partition| that were added or passed over so far, by the thread that adds; and what was counted, any thread. */
int64_t ms_feed_next(const struct ms_feed *feed, int32_t partition);
struct ms_feed_counts ms_feed_counted(const struct ms_feed *feed);

/* Frees it; stops the workers where it was not ended. NULL is legal. */
void ms_feed_free(struct ms_feed *feed);

#endif
