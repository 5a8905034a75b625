/* The row of a partition: how far its users are folded, and under what. Pure; any thread.
 *
 * Stored, 96 bytes, little-endian:
 *
 *   0   u8    version of the layout: 2
 *   1         7 zero bytes
 *   8   i64   applied of the clicks
 *   16  i64   origin of the clicks
 *   24  i64   applied of the profiles
 *   32  i64   origin of the profiles
 *   40  u64   fold id
 *   48  u64   decode id, 0: not told
 *   56  u32   partitions of the input topic, 0: not told
 *   60  u32   slots that were shown of users that are owed a record
 *   64  u64   number of the last debt, 0: there was none
 *   72  i64   from which offset on users are owed a record, -1: none are
 *   80  u64   the offset behind a record of the clicks that was read, 0: not told
 *   88  u64   digest of that record (stream/landmark.h)
 *
 * Version 1 has 64 bytes: the same up to 40, 8 bytes that tell nothing, the fold id at 48, and 8 zero bytes. */
#ifndef MS_STATE_PARTITION_ROW_H
#define MS_STATE_PARTITION_ROW_H

#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_PARTITION_ROW_BYTES 96

/* Input topics whose offsets a partition's row holds: the clicks, then the profiles. */
#define MS_ROW_SOURCES 2

/* Offsets of one input topic. Both are -1 where nothing of the topic was ever folded. */
struct ms_row_source {
    int64_t applied; /* L: the offset up to which (exclusive) the rows of this partition are folded */
    int64_t origin;  /* the first offset ever folded */
};

struct ms_partition_row {
    struct ms_row_source sources[MS_ROW_SOURCES];
    uint64_t fold_id;   /* under which the last of its events were folded */
    uint64_t decode_id; /* what the decoder was told of those events, 0: not told */
    /* Users that are owed a record carry the number of the debt (user/user.h). */
    uint64_t debt;             /* number of the last debt, 0: there was none */
    int64_t owed_from;         /* the clicks of this debt begin there, -1: it is paid */
    uint32_t shown_slots;      /* slots that were shown of its users at most */
    uint32_t partitions_count; /* partitions of the input topic, 0: not told */
    /* The last record of the clicks that was read when it was written: tells later whether the log is the same. */
    uint64_t mark_upto; /* the offset behind it, 0: not told */
    uint64_t mark_digest;
};

/* The row of a partition of which nothing is stored. */
#define MS_EMPTY_ROW ((struct ms_partition_row){.sources = {{-1, -1}, {-1, -1}}, .owed_from = -1})

/* A partition's row as it is to be written with its users. */
struct ms_flush_row {
    uint16_t partition;
    struct ms_partition_row row;
};

void ms_partition_row_encode(const struct ms_partition_row *row, char out[MS_PARTITION_ROW_BYTES]);

/* Decodes the value of |partition|'s row, of this version or the one before: what that did not tell is as in
 * MS_EMPTY_ROW. MS_STATE when it is damaged, MS_STATE_NEWER when a newer version wrote it. */
enum ms_status ms_partition_row_decode(struct ms_bytes value, uint16_t partition,
                                       struct ms_partition_row *row, struct ms_error *error) MS_MUST_CHECK;

#endif
