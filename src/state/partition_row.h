/* The row of a partition: how far its users are folded. Pure; any thread.
 *
 * Stored, 64 bytes, little-endian:
 *
 *   0   u8    version of the layout: 1
 *   1         7 zero bytes
 *   8   i64   applied of the clicks
 *   16  i64   origin of the clicks
 *   24  i64   applied of the profiles
 *   32  i64   origin of the profiles
 *   40  i64   changelog
 *   48  u64   fold id
 *   56        8 zero bytes */
#ifndef MS_STATE_PARTITION_ROW_H
#define MS_STATE_PARTITION_ROW_H

#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_PARTITION_ROW_BYTES 64

/* Input topics whose offsets a partition's row holds: the clicks, then the profiles. */
#define MS_ROW_SOURCES 2

/* Offsets of one input topic. Both are -1 where nothing of the topic was ever folded. */
struct ms_row_source {
    int64_t applied; /* L: the offset up to which (exclusive) the rows of this partition are folded */
    int64_t origin;  /* the first offset ever folded */
};

struct ms_partition_row {
    struct ms_row_source sources[MS_ROW_SOURCES];
    int64_t changelog; /* position in the changelog, -1: none */
    uint64_t fold_id;  /* under which the last of its events were folded */
};

/* The row of a partition of which nothing is stored. */
#define MS_EMPTY_ROW ((struct ms_partition_row){.sources = {{-1, -1}, {-1, -1}}, .changelog = -1})

/* A partition's row as it is to be written with its users. */
struct ms_flush_row {
    uint16_t partition;
    struct ms_partition_row row;
};

void ms_partition_row_encode(const struct ms_partition_row *row, char out[MS_PARTITION_ROW_BYTES]);

/* Decodes the value of |partition|'s row. MS_STATE when it is damaged, MS_STATE_NEWER when a newer version
 * wrote it. */
enum ms_status ms_partition_row_decode(struct ms_bytes value, uint16_t partition,
                                       struct ms_partition_row *row, struct ms_error *error) MS_MUST_CHECK;

#endif
