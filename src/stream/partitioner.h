/* Where producers put the records of a key. Pure. */
#ifndef MS_STREAM_PARTITIONER_H
#define MS_STREAM_PARTITIONER_H

#include <stdbool.h>
#include <stdint.h>

#include "event/key.h"
#include "mindstream/bytes.h"

enum ms_partitioner {
    MS_PARTITIONER_MURMUR2, /* Kafka's Java clients, and what follows them */
    MS_PARTITIONER_CRC32,   /* librdkafka's default, consistent_random */
    MS_PARTITIONERS
};

/* "murmur2", "crc32". */
const char *ms_partitioner_name(enum ms_partitioner partitioner);

/* The partition of |key|, which is not empty, in a topic of |partitions|, at least one. */
int32_t ms_partition_of_key(enum ms_partitioner partitioner, struct ms_bytes key, int32_t partitions);

#define MS_LONG_KEY_BYTES 8
/* The key that a producer writes for |user|: its bytes (MS_KEY_STRING), or a big-endian number in |room| (MS_KEY_LONG). False
 * where the user is no such number, or where the format does not tell the key's bytes (all others). */
bool ms_key_of_user(enum ms_key_format format, struct ms_bytes user, char room[MS_LONG_KEY_BYTES],
                    struct ms_bytes *key);

#endif
