/* The last record that was read of a log, so that it can be told later whether the log is still the same. */
#ifndef MS_STREAM_LANDMARK_H
#define MS_STREAM_LANDMARK_H

#include <stdint.h>

#include "mindstream/bytes.h"

struct ms_landmark {
    int64_t upto;    /* the offset behind the record, 0: none is told. From there to C no record was read */
    uint64_t digest; /* ms_landmark_digest of the record */
};

/* What tells a record from others: its time (negative: none), key and value. */
uint64_t ms_landmark_digest(int64_t time_ms, struct ms_bytes key, struct ms_bytes value);

#endif
