/* The keys of the database, spelled here and nowhere else.
 *
 *   partition row   partition (u16 big-endian)
 *   head row        partition (u16 big-endian), user id
 *   chunk row       partition | 0x8000 (u16 big-endian), user id, number (u32 big-endian)
 *
 * In key order a partition's row comes first, then its users by the bytes of their ids. The chunk rows of all
 * partitions follow after the last head row. Pure; any thread. */
#ifndef MS_STATE_KEY_H
#define MS_STATE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"

#define MS_MAX_PARTITIONS 32768 /* partitions 0 .. 32767 fit the key */
#define MS_MAX_USER_ID    32768
#define MS_KEY_MAX        (2 + MS_MAX_USER_ID + 4)

/* Each puts one key into |key|, over what was there. False when memory ended. */
bool ms_key_partition(struct ms_buffer *key, uint16_t partition);
bool ms_key_user(struct ms_buffer *key, uint16_t partition, struct ms_bytes id);
bool ms_key_chunk(struct ms_buffer *key, uint16_t partition, struct ms_bytes id, uint32_t number);

/* Appends the key of a chunk row to |keys|. False when memory ended. */
bool ms_key_append_chunk(struct ms_buffer *keys, uint16_t partition, struct ms_bytes id, uint32_t number);

enum ms_key_kind {
    MS_KEY_PARTITION,
    MS_KEY_USER,
    MS_KEY_CHUNK,
};

/* A key taken apart. |id| points into the key. */
struct ms_key {
    enum ms_key_kind kind;
    uint16_t partition;
    struct ms_bytes id; /* of MS_KEY_USER and MS_KEY_CHUNK */
    uint32_t number;    /* of MS_KEY_CHUNK */
};

/* Takes a key apart. False when it is none of the three. */
bool ms_key_parse(struct ms_bytes bytes, struct ms_key *key);

/* Many keys, one after the other in one buffer. Adding one may move the buffer, so the list notes where each
 * key ends. Zeroed, it is empty. Memory is kept until ms_key_list_free. */
struct ms_key_list {
    struct ms_buffer bytes;
    size_t *ends;
    size_t count, ends_capacity;
    struct ms_bytes *keys; /* as ms_key_list_keys made them */
    size_t keys_capacity;
};

void ms_key_list_clear(struct ms_key_list *list);
void ms_key_list_free(struct ms_key_list *list);

/* Add a key at the end. False when memory ended. */
bool ms_key_list_add_user(struct ms_key_list *list, uint16_t partition, struct ms_bytes id);
bool ms_key_list_add_chunk(struct ms_key_list *list, uint16_t partition, struct ms_bytes id, uint32_t number);

/* The |list->count| keys. They hold until the list changes. NULL when memory ended. */
const struct ms_bytes *ms_key_list_keys(struct ms_key_list *list);

#endif
