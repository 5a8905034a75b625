/* Where a partition begins, decided from what the group, the log and the state say, and the text that travels
 * beside a committed offset. Pure: no Kafka, no database. */
#ifndef MS_STREAM_OFFSETS_H
#define MS_STREAM_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state/store.h"
#include "stream/debt.h"
#include "stream/positions.h"
#include "stream/withheld.h"

/* What the metadata of a committed offset tells: the partition's origin (the first input offset ever folded),
 * the fold id and the decode id under which the events below the offset were published, and the most interests
 * that a user can have under it: another model may have shown slots that this one does not have. */
struct ms_offset_note {
    int64_t origin;
    uint64_t fold_id;
    uint64_t decode_id; /* ms_sources_decode_id, 0: not told */
    bool
        decoded_otherwise; /* what a debt owes was published under another decode id, if not all of it is paid */
    int slots;             /* 0: not told */
    int partitions;        /* that the topic had, 0: not told */
    int began; /* partitions that the topic had when the group was new, with input.start=latest; 0: not told */
    bool before; /* the state holds events from before the origin that no log has: they came from files */
    struct ms_debt_note debt; /* of the clicks */
    struct ms_landmark mark;  /* the last record below the offset */
    char withheld
        [MS_WITHHELD_BYTES]; /* of the clicks: users whose last events below the offset are not published yet
                                         (withheld.h), "": none */
};

/* Writes "mindstream/1 origin=N fold=HEX", and what else is told as " slots=K", " decode=HEX", " partitions=P",
 * " began=P", " before=1", " debt=N", " upto=N mark=HEX" and, while the debt is open, " shown=K", " owed=N" (where it begins),
 * " otherwise=1" and " paid=N:HEX", and last " withheld=ID,ID,": at most MS_NOTE_BYTES with its end. Returns its length. */
#define MS_NOTE_BYTES (480 + 10 + MS_WITHHELD_BYTES)
size_t ms_offset_note_write(char text[MS_NOTE_BYTES], const struct ms_offset_note *note);
/* Reads it. False when it is somebody else's text; *note is untouched then. The two first are there always,
 * those behind them in any order; unknown ones are a later version's and passed over. */
bool ms_offset_note_read(const void *metadata, size_t size, struct ms_offset_note *note);

/* What is known of one source of a partition when it is assigned. */
struct ms_known {
    int source;
    int32_t partition;
    int64_t committed; /* C, -1: none */
    bool ours;         /* |note| was read beside it */
    struct ms_offset_note note;
    /* How many partitions the topic has now, and had as the notes of other partitions tell: one that differs where
     * there is one. 0: not known. */
    int partitions, noted_partitions;
    int row_partitions; /* that the row tells, 0: none */
    int began; /* of a partition without C: what its note will say. The number of a later one is not below it */
    int64_t low, high;       /* the log's start and end */
    struct ms_landmark mark; /* a record that was read: the note's, else the row's; |upto| 0: none is told */
    bool anew;               /* there is another record in its place now: it is another log */
    bool holed; /* compaction may have removed events from the log: a state cannot be folded from it again */
    struct ms_row_source row; /* L and origin as stored, -1: none */
};

enum ms_misfit {
    MS_FITS,
    MS_MISFIT_NO_COMMIT,  /* local state, but the group has no offset */
    MS_MISFIT_BEHIND,     /* C < L: the group's offset was set back */
    MS_MISFIT_BEYOND_END, /* C or L beyond the end of the log: the topic was made anew */
    MS_MISFIT_ANEW,       /* the log is another one */
    MS_MISFIT_ORIGIN,     /* C before the origin that its own metadata names */
    MS_MISFIT_GAP_STATE,  /* the log begins after L or C */
    MS_MISFIT_GAP_ORIGIN, /* no local state, and the log begins after the origin */
    MS_MISFIT_PARTITIONS, /* the topic had another number of partitions: users have moved */
    MS_MISFIT_BEFORE,     /* no local state, and it held events that no log has */
    MS_MISFIT_HOLES,      /* no local state, and the log does not have all events from the origin on */
};

/* How a group without an offset begins, and what to do where events are gone. */
struct ms_begin_rule {
    uint64_t fold_id, decode_id; /* under which this process folds */
    bool
        start_latest; /* input.start: a new group begins at the log's end, a partition added later does not */
    bool accept_gap, accept_holes, accept_repartition;
};

/* How many partitions the topic had when the partition was last read, where that is not as many as it has now;
 * else 0. The partition's own note tells. Where it does not, its row does, and then the notes of others: those of a
 * partition that was added tell how many there were without it. */
int ms_other_partitions(const struct ms_known *known);

/* Decides where a partition begins, and fills *position for ms_engine_open when it fits:
 *
 *   C    L     begins at
 *   -    -     input.start, or the log's start where the partition was added later; that is its origin,
 *              pinned by the first commit
 *   -    yes   misfit: a coordinator that moves may answer so for a moment, so the caller asks again first
 *   yes  -     the origin, in silence up to C (somebody else's metadata: the offset was set by hand; at C);
 *              not where the log may have holes
 *   yes  yes   L, in silence up to C
 *
 * Where a gap was accepted, *gap_from is the offset that was due, else -1. */
enum ms_misfit ms_decide(const struct ms_known *known, const struct ms_begin_rule *rule,
                         struct ms_position *position, int64_t *gap_from);

#endif
