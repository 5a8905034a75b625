/* Partition rows to bytes and back. */
#include "state/partition_row.h"

#include <assert.h>
#include <string.h>

#include "base/buffer.h"

#define ROW_VERSION    2
#define OLD_VERSION    1
#define OLD_BYTES      64
#define OLD_FOLD_ID_AT 48

/* Where the fields begin. */
enum {
    SOURCES_AT = 8,
    SOURCE_BYTES = 16,
    FOLD_ID_AT = SOURCES_AT + MS_ROW_SOURCES * SOURCE_BYTES,
    DECODE_ID_AT = FOLD_ID_AT + 8,
    PARTITIONS_COUNT_AT = DECODE_ID_AT + 8,
    SHOWN_SLOTS_AT = PARTITIONS_COUNT_AT + 4,
    DEBT_AT = SHOWN_SLOTS_AT + 4,
    OWED_FROM_AT = DEBT_AT + 8,
    MARK_UPTO_AT = OWED_FROM_AT + 8,
    MARK_DIGEST_AT = MARK_UPTO_AT + 8,
};

static_assert(FOLD_ID_AT == 40, "the layout of stored rows does not change with the number of sources");
static_assert(MARK_DIGEST_AT + 8 == MS_PARTITION_ROW_BYTES, "the fields fill the row");

void ms_partition_row_encode(const struct ms_partition_row *row, char out[MS_PARTITION_ROW_BYTES])
{
    memset(out, 0, MS_PARTITION_ROW_BYTES);
    out[0] = ROW_VERSION;
    for (int i = 0; i < MS_ROW_SOURCES; i++) {
        char *at = out + SOURCES_AT + SOURCE_BYTES * i;
        ms_put_u64(at, (uint64_t)row->sources[i].applied);
        ms_put_u64(at + 8, (uint64_t)row->sources[i].origin);
    }
    ms_put_u64(out + FOLD_ID_AT, row->fold_id);
    ms_put_u64(out + DECODE_ID_AT, row->decode_id);
    ms_put_u32(out + PARTITIONS_COUNT_AT, row->partitions_count);
    ms_put_u32(out + SHOWN_SLOTS_AT, row->shown_slots);
    ms_put_u64(out + DEBT_AT, row->debt);
    ms_put_u64(out + OWED_FROM_AT, (uint64_t)row->owed_from);
    ms_put_u64(out + MARK_UPTO_AT, row->mark_upto);
    ms_put_u64(out + MARK_DIGEST_AT, row->mark_digest);
}

enum ms_status ms_partition_row_decode(struct ms_bytes value, uint16_t partition,
                                       struct ms_partition_row *row, struct ms_error *error)
{
    int version = value.size ? (unsigned char)value.data[0] : 0;
    if (version > ROW_VERSION)
        return ms_fail(error, MS_STATE_NEWER,
                       "partition %u: its row was written by a newer version (layout %d)", partition,
                       version);
    if (value.size != (version == OLD_VERSION ? OLD_BYTES : MS_PARTITION_ROW_BYTES) || version == 0)
        return ms_fail(error, MS_STATE, "partition %u: its row is damaged (%zu bytes)", partition,
                       value.size);
    const char *data = value.data;
    struct ms_partition_row read = MS_EMPTY_ROW;
    for (int i = 0; i < MS_ROW_SOURCES; i++) {
        const char *at = data + SOURCES_AT + SOURCE_BYTES * i;
        read.sources[i] = (struct ms_row_source){.applied = (int64_t)ms_get_u64(at),
                                                 .origin = (int64_t)ms_get_u64(at + 8)};
    }
    read.fold_id = ms_get_u64(data + (version == OLD_VERSION ? OLD_FOLD_ID_AT : FOLD_ID_AT));
    if (version != OLD_VERSION) {
        read.decode_id = ms_get_u64(data + DECODE_ID_AT);
        read.partitions_count = ms_get_u32(data + PARTITIONS_COUNT_AT);
        read.shown_slots = ms_get_u32(data + SHOWN_SLOTS_AT);
        read.debt = ms_get_u64(data + DEBT_AT);
        read.owed_from = (int64_t)ms_get_u64(data + OWED_FROM_AT);
        read.mark_upto = ms_get_u64(data + MARK_UPTO_AT);
        read.mark_digest = ms_get_u64(data + MARK_DIGEST_AT);
    }
    *row = read;
    return MS_OK;
}
