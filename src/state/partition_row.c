/* Partition rows to bytes and back. */
#include "state/partition_row.h"

#include <assert.h>
#include <string.h>

#include "base/buffer.h"

#define ROW_VERSION  1
#define SOURCES_AT   8
#define SOURCE_BYTES 16
#define CHANGELOG_AT (SOURCES_AT + MS_ROW_SOURCES * SOURCE_BYTES)
#define FOLD_ID_AT   (CHANGELOG_AT + 8)

static_assert(FOLD_ID_AT == 48, "the layout of stored rows does not change with the number of sources");

void ms_partition_row_encode(const struct ms_partition_row *row, char out[MS_PARTITION_ROW_BYTES])
{
    memset(out, 0, MS_PARTITION_ROW_BYTES);
    out[0] = ROW_VERSION;
    for (int i = 0; i < MS_ROW_SOURCES; i++) {
        char *at = out + SOURCES_AT + SOURCE_BYTES * i;
        ms_put_u64(at, (uint64_t)row->sources[i].applied);
        ms_put_u64(at + 8, (uint64_t)row->sources[i].origin);
    }
    ms_put_u64(out + CHANGELOG_AT, (uint64_t)row->changelog);
    ms_put_u64(out + FOLD_ID_AT, row->fold_id);
}

enum ms_status ms_partition_row_decode(struct ms_bytes value, uint16_t partition,
                                       struct ms_partition_row *row, struct ms_error *error)
{
    int version = value.size ? (unsigned char)value.data[0] : 0;
    if (version > ROW_VERSION)
        return ms_fail(error, MS_STATE_NEWER,
                       "partition %u: its row was written by a newer version (layout %d)", partition,
                       version);
    if (value.size != MS_PARTITION_ROW_BYTES || version != ROW_VERSION)
        return ms_fail(error, MS_STATE, "partition %u: its row is damaged (%zu bytes)", partition,
                       value.size);
    for (int i = 0; i < MS_ROW_SOURCES; i++) {
        const char *at = value.data + SOURCES_AT + SOURCE_BYTES * i;
        row->sources[i] = (struct ms_row_source){.applied = (int64_t)ms_get_u64(at),
                                                 .origin = (int64_t)ms_get_u64(at + 8)};
    }
    row->changelog = (int64_t)ms_get_u64(value.data + CHANGELOG_AT);
    row->fold_id = ms_get_u64(value.data + FOLD_ID_AT);
    return MS_OK;
}
