/* The hashes of Kafka's clients. */
#include "stream/partitioner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#define NUMBER_MAX 20 /* digits and sign of a long */

const char *ms_partitioner_name(enum ms_partitioner partitioner)
{
    return partitioner == MS_PARTITIONER_MURMUR2 ? "murmur2" : "crc32";
}

static uint32_t read_le32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* org.apache.kafka.common.utils.Utils.murmur2, that is MurmurHash2 of 32 bits with Kafka's seed. */
static uint32_t murmur2(struct ms_bytes key)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *at = (const unsigned char *)key.data;
    uint32_t h = 0x9747b28cu ^ (uint32_t)key.size;
    size_t left = key.size;
    for (; left >= 4; left -= 4, at += 4) {
        uint32_t k = read_le32(at) * m;
        h = h * m ^ (k ^ k >> 24) * m;
    }
    if (left == 3)
        h ^= (uint32_t)at[2] << 16;
    if (left >= 2)
        h ^= (uint32_t)at[1] << 8;
    if (left >= 1)
        h = (h ^ at[0]) * m;
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

int32_t ms_partition_of_key(enum ms_partitioner partitioner, struct ms_bytes key, int32_t partitions)
{
    assert(partitions > 0);
    uint32_t hash = partitioner == MS_PARTITIONER_MURMUR2
                        ? murmur2(key) & 0x7fffffff
                        : (uint32_t)crc32_z(0, (const unsigned char *)key.data, key.size);
    return (int32_t)(hash % (uint32_t)partitions);
}

static bool read_long(struct ms_bytes user, int64_t *number)
{
    char text[NUMBER_MAX + 1], *end;
    if (user.size == 0 || user.size > NUMBER_MAX)
        return false;
    memcpy(text, user.data, user.size);
    text[user.size] = '\0';
    if (strspn(text, "-0123456789") != user.size)
        return false;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0;
}

bool ms_key_of_user(enum ms_key_format format, struct ms_bytes user, char room[MS_LONG_KEY_BYTES],
                    struct ms_bytes *key)
{
    int64_t number;
    *key = user;
    if (format == MS_KEY_STRING)
        return true;
    if (format != MS_KEY_LONG || !read_long(user, &number))
        return false;
    for (int i = 0; i < MS_LONG_KEY_BYTES; i++)
        room[i] = (char)((uint64_t)number >> (8 * (MS_LONG_KEY_BYTES - 1 - i)));
    *key = (struct ms_bytes){room, MS_LONG_KEY_BYTES};
    return true;
}
