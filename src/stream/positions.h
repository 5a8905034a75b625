/* Where the reading of each input topic stands, partition by partition.
 *
 * Two offsets describe it. C, the committed offset, is the consumer group's offset at the broker: everything
 * below it is published. L, the applied offset, is stored with the users: everything below it is in the
 * state on disk. A flush writes L after the commit that moved C, so L <= C. When a partition is taken, the
 * records of [L, C) are folded again without publishing anything: the replay.
 *
 * A position is that of one source (source.h) in one partition. The partitions of the same number of all
 * sources share their users, and are one struct ms_partition here. */
#ifndef MS_STREAM_POSITIONS_H
#define MS_STREAM_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state/overlay.h"
#include "stream/debt.h"
#include "stream/landmark.h"
#include "stream/withheld.h"

#define MS_SOURCES MS_ROW_SOURCES

/* Where one source of a partition stands. */
struct ms_position {
    int source;
    int32_t partition;
    int64_t committed;    /* C, -1: none yet */
    int64_t next;         /* the next offset to fold */
    int64_t replay_until; /* records below it are folded in silence: C as of the assignment */
    int64_t origin;       /* the first record ever folded; as long as there is none, where it is looked for */
    int64_t flushed;      /* L as stored or as the running flush stores it, -1: none yet */
    int64_t wait_until;   /* the log's end at the assignment, 0 once read: others may wait for it */
    int64_t holes;        /* offsets of the replay of which no record has come; 0 without a replay */
    bool holed;           /* its log may lack events: they were compacted away */
    int partitions;       /* of the topic, 0: not known */
    int began;            /* what the note beside its offset says of the group's beginning (offsets.h) */
    bool before;          /* its users have events from files, which no log has (offsets.h) */
    bool must_send;       /* the next transaction carries its offset, whether it moved or not */
    bool republish;       /* what [L, C) published came from another fold id: its users are owed a record */
    /* What was published up to C, and is owed again, was decoded by other settings: it may have had events of users
     * that have none there now. */
    bool decoded_otherwise;
    int shown_slots; /* slots that the other fold may have shown of them */
    uint64_t owes;   /* number of the debt to which users belong that change in silence, 0: to none */
    const char
        *withheld; /* users that the note beside its offset names (withheld.h), or NULL: until it is opened */
    struct ms_debt_note debt_note; /* what the note beside its offset tells */
    struct ms_landmark mark;       /* the last record read */
    int64_t time_ms;               /* its timestamp, 0: none was read */
    struct ms_landmark anchor;     /* one that was there when the log was looked at last, or the first */
    bool paused;                   /* the consumer does not fetch it: the worker's */
    bool passed_over; /* records from |next| on were passed over, and the consumer has to go back to them */
};

/* The partitions of one number. */
struct ms_partition {
    int32_t number;
    bool claimed;                /* its flushes count */
    unsigned open;               /* sources that are read, as bits */
    struct ms_partition_row row; /* as stored when it was claimed */
    struct ms_debt debt;
    bool debt_flushing, debt_stored; /* its users are on their way to disk, or there */
    int64_t owed_from_flushed;       /* the debt's as stored or as the running flush stores it */
    struct ms_position positions[MS_SOURCES];
    size_t withheld_bytes; /* of those in the publisher's list, in a note */
    char withheld
        [MS_WITHHELD_BYTES]; /* users that the note named at the assignment, and that are not published yet: "ID,ID," */
};

/* All partitions of an engine. */
struct ms_positions {
    struct ms_partition *partitions;
    size_t count; /* ever claimed */
    struct ms_partition **by_number;
    size_t debts;    /* partitions whose debt is open */
    size_t withheld; /* partitions with users that their notes named */
};

/* Makes room for MS_MAX_PARTITIONS; false without memory. Pointers to partitions and positions stay valid
 * until ms_positions_free, which a zeroed one may be given, too. */
bool ms_positions_init(struct ms_positions *positions);
void ms_positions_free(struct ms_positions *positions);

/* Whether a partition can have this number. */
bool ms_partition_number_valid(int32_t number);

/* The partition of a valid number, made when there is none. */
struct ms_partition *ms_positions_add(struct ms_positions *positions, int32_t number);

/* The partition of this number, NULL when it was never claimed. */
static inline struct ms_partition *ms_positions_partition(const struct ms_positions *positions,
                                                          int32_t number)
{
    return number >= 0 && number < MS_MAX_PARTITIONS ? positions->by_number[number] : NULL;
}

/* An open position, or NULL. */
static inline struct ms_position *ms_positions_find(const struct ms_positions *positions, int32_t number,
                                                    int source)
{
    struct ms_partition *partition = ms_positions_partition(positions, number);
    return partition && partition->open & 1u << source ? &partition->positions[source] : NULL;
}

/* The open positions one after the other, by partition; NULL after the last. *cursor begins with 0. */
struct ms_position *ms_positions_next(const struct ms_positions *positions, size_t *cursor);

/* Whether it has not reached C yet. */
static inline bool ms_position_replays(const struct ms_position *position)
{
    return position->next < position->replay_until;
}

/* L as a flush would store it now, -1: none. */
static inline int64_t ms_position_applied(const struct ms_position *position)
{
    return position->next < position->committed ? position->next : position->committed;
}

/* Whether a commit carries its offset. In a replay it does not: an offset below C would take back what is
 * published. */
static inline bool ms_position_to_send(const struct ms_position *position)
{
    return !ms_position_replays(position) && (position->must_send || position->next != position->committed);
}

/* Whether any source of the partition replays. */
bool ms_partition_replays(const struct ms_partition *partition);

/* Whether |source| has to wait: for others, as the table of sources says, so that nothing is published from half
 * of what is known; or at C, until the debt is paid. */
bool ms_partition_waits(const struct ms_partition *partition, int source);

/* Whether a commit would change anything, and what it changes once it has succeeded. */
bool ms_positions_pending(const struct ms_positions *positions);
void ms_positions_committed(struct ms_positions *positions);

/* Gives the partition's debt from its row and its open positions, before any of them has moved. */
void ms_partition_begin_debt(struct ms_positions *positions, struct ms_partition *partition);
/* Its debt is paid, or the partition goes. */
void ms_partition_end_debt(struct ms_positions *positions, struct ms_partition *partition);

/* Whether the debt is to be paid now: all sources are at C. */
static inline bool ms_partition_pays(const struct ms_partition *partition)
{
    return partition->open && ms_debt_is_open(&partition->debt) && !ms_partition_replays(partition);
}

/* Whether a flush would change a partition's row. */
bool ms_positions_unflushed(const struct ms_positions *positions);

/* Writes the rows of a flush, at most |count| of them, and returns how many. */
size_t ms_positions_rows(const struct ms_positions *positions, uint64_t fold_id, uint64_t decode_id,
                         struct ms_flush_row *rows);
/* These rows are on their way to disk, or have arrived there. */
void ms_positions_flushed(struct ms_positions *positions);
void ms_positions_stored(struct ms_positions *positions);

#endif
