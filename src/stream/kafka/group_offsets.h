/* Where the group of the settings stands, asked by somebody who is not in it. */
#ifndef MS_KAFKA_GROUP_OFFSETS_H
#define MS_KAFKA_GROUP_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "mindstream/status.h"

/* One partition of one source (stream/source.h). */
struct ms_group_offset {
    int source;
    int32_t partition;
    int64_t committed; /* out: C, -1: none */
    int64_t
        upto; /* out: the offset behind the last record below C, as the note beside C tells; 0: it does not */
};

/* Asks the coordinator for |count| offsets. While one is in a transaction that is open it waits for its end, for a minute at
 * most, so that the outcome of none is still to come. MS_KAFKA. */
enum ms_status ms_group_offsets(const struct ms_config *config, const char *client,
                                struct ms_group_offset *offsets, size_t count,
                                struct ms_error *error) MS_MUST_CHECK;

#endif
