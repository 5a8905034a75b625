/* The way of each partition from its assignment to being read: a small state machine per partition.
 *
 * Whatever has to be asked of others before a partition can be read is asked while the partition is paused, so
 * that one that cannot be opened yet holds no other. The worker's loop drives it: it has asked what is due, and
 * hands in the answers. Pure: no Kafka, no database, no clock. */
#ifndef MS_STREAM_OPENING_H
#define MS_STREAM_OPENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(state, name). A state that is to stand between two others is one line here and one in the table of
 * transitions (opening.c). */
#define MS_PARTITION_STATES(X)                                                                               \
    X(UNASSIGNED, "unassigned")                                                                              \
    X(OPENING, "opening")     /* C and the log's ends are asked for, or are to be */                         \
    X(WAITING, "waiting")     /* they cannot be had now: asked for again after a pause */                    \
    X(REPLAYING, "replaying") /* it is read in silence up to C */                                            \
    X(LIVE, "live")           /* it is read and published */

enum ms_partition_state {
#define MS_PARTITION_STATE(state, name) MS_PARTITION_##state,
    MS_PARTITION_STATES(MS_PARTITION_STATE)
#undef MS_PARTITION_STATE
        MS_PARTITION_STATE_COUNT
};

enum ms_partition_event {
    MS_PARTITION_ASSIGNED, /* it came with an assignment */
    MS_PARTITION_HELD,     /* what was asked for cannot be had now */
    MS_PARTITION_AGAIN,    /* the pause is over */
    MS_PARTITION_OPENED,   /* all is known, and it fits: the position is open */
    MS_PARTITION_REPLAYED, /* nothing of it has to be read in silence any more */
    MS_PARTITION_REVOKED,  /* it has gone */
    MS_PARTITION_EVENT_COUNT
};

/* The state that follows. False where the event cannot be in this state; *state is untouched then. */
bool ms_partition_follows(enum ms_partition_state *state, enum ms_partition_event event);
const char *ms_partition_state_name(enum ms_partition_state state);

#define MS_OPENING_REASON_BYTES 200
#define MS_OPENING_PAUSE_S      0.1 /* after the first answer that held it; doubled with each, up to */
#define MS_OPENING_PAUSE_MAX_S  2.0
#define MS_OPENING_NO_COMMIT    5    /* tries, while the group tells no offset though there is local state, */
#define MS_OPENING_NO_COMMIT_S  2.0  /* this far apart */
#define MS_OPENING_QUIET_S      1.0  /* what waits for less is not worth a word */
#define MS_OPENING_TOLD_S       10.0 /* between two words */
#define MS_OPENING_TOLD_AT_ONCE 5    /* partitions of one word */

/* One partition of the assignment. */
struct ms_opening {
    int32_t partition;
    enum ms_partition_state state;
    bool asked;                           /* while OPENING: its question is on its way */
    double since_s;                       /* when it was assigned */
    double ask_s;                         /* while WAITING: when it is asked again */
    int held;                             /* answers in a row that held it */
    int no_commit;                        /* of these, that told of no offset though there is local state */
    char reason[MS_OPENING_REASON_BYTES]; /* what holds it */
};

/* All partitions of the assignment. A zeroed one is empty. */
struct ms_openings {
    struct ms_opening *list;
    size_t count, capacity;
    size_t moving;       /* that are not live yet */
    uint32_t assignment; /* its number: an answer to a question of an earlier one says nothing */
    double told_s;
};

void ms_openings_free(struct ms_openings *openings);

/* A partition came with the assignment: it is OPENING. One that came before with another source stays as it
 * is. False without memory. */
bool ms_openings_assign(struct ms_openings *openings, int32_t partition, double now_s);

/* All partitions go, whatever state they are in, and a new assignment begins. */
void ms_openings_revoke(struct ms_openings *openings);

/* The partition's, NULL where it is not assigned. */
struct ms_opening *ms_openings_find(const struct ms_openings *openings, int32_t partition);

/* The next partition from *cursor (begins with 0) on that is to be asked for now; it is OPENING then. NULL after
 * the last. The caller sets |asked| of those that it has asked for. */
struct ms_opening *ms_openings_due(struct ms_openings *openings, size_t *cursor, double now_s);

/* Whether a question is on its way, so that the loop should look for its answer soon. */
bool ms_openings_asked(const struct ms_openings *openings);

/* The answer: it cannot be opened now, because of |reason|. It is WAITING for a while. */
void ms_opening_held(struct ms_opening *opening, const char *reason, double now_s);

/* The answer: the group has no offset though there is local state. A coordinator that moves says so for a moment.
 * False when that was said too often to be one. */
bool ms_opening_no_commit(struct ms_opening *opening, double now_s);

/* The answer: it was opened. It is REPLAYING, or LIVE where it has nothing to replay. */
void ms_openings_opened(struct ms_openings *openings, struct ms_opening *opening, bool replays);

/* A REPLAYING partition has nothing left to replay. */
void ms_openings_replayed(struct ms_openings *openings, struct ms_opening *opening);

/* Whether it is time to say which partitions wait, and for what: not for what has just begun, and not all the time.
 * Calls |tell| for those that wait for the longest, with how many wait in all. */
void ms_openings_tell(struct ms_openings *openings, double now_s,
                      void (*tell)(void *context, const struct ms_opening *opening, size_t waiting),
                      void *context);

#endif
