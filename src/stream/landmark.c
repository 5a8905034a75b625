/* The digest of a record. */
#include "stream/landmark.h"

#include "base/digest.h"

#define NO_DATA UINT64_MAX /* the size of a key or value that is null */

uint64_t ms_landmark_digest(int64_t time_ms, struct ms_bytes key, struct ms_bytes value)
{
    const uint64_t parts[] = {time_ms < 0 ? UINT64_MAX : (uint64_t)time_ms, key.data ? key.size : NO_DATA,
                              key.data ? ms_digest(key.data, key.size) : 0, value.data ? value.size : NO_DATA,
                              value.data ? ms_digest(value.data, value.size) : 0};
    uint64_t digest = ms_digest(parts, sizeof parts);
    return digest ? digest : 1; /* 0 is not written into a note */
}
