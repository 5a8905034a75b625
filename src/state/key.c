/* Building keys and taking them apart. */
#include "state/key.h"

#include <stdlib.h>

#include "base/array.h"

#define CHUNK_BIT    0x8000u
#define PREFIX_BYTES 2
#define NUMBER_BYTES 4

/* Appends the partition with or without the bit, then the id. */
static bool append_user(struct ms_buffer *keys, unsigned prefix, struct ms_bytes id)
{
    if (!ms_buffer_reserve(keys, PREFIX_BYTES + id.size + NUMBER_BYTES))
        return false;
    char *at = keys->data + keys->size;
    at[0] = (char)(prefix >> 8);
    at[1] = (char)prefix;
    if (id.size)
        memcpy(at + PREFIX_BYTES, id.data, id.size);
    keys->size += PREFIX_BYTES + id.size;
    return true;
}

bool ms_key_append_chunk(struct ms_buffer *keys, uint16_t partition, struct ms_bytes id, uint32_t number)
{
    if (!append_user(keys, partition | CHUNK_BIT, id))
        return false;
    char *at = keys->data + keys->size;
    for (int i = 0; i < NUMBER_BYTES; i++)
        at[i] = (char)(number >> 8 * (NUMBER_BYTES - 1 - i));
    keys->size += NUMBER_BYTES;
    return true;
}

bool ms_key_partition(struct ms_buffer *key, uint16_t partition)
{
    key->size = 0;
    return append_user(key, partition, (struct ms_bytes){NULL, 0});
}

bool ms_key_user(struct ms_buffer *key, uint16_t partition, struct ms_bytes id)
{
    key->size = 0;
    return append_user(key, partition, id);
}

bool ms_key_chunk(struct ms_buffer *key, uint16_t partition, struct ms_bytes id, uint32_t number)
{
    key->size = 0;
    return ms_key_append_chunk(key, partition, id, number);
}

bool ms_key_parse(struct ms_bytes bytes, struct ms_key *key)
{
    if (bytes.size < PREFIX_BYTES)
        return false;
    const unsigned char *at = (const unsigned char *)bytes.data;
    unsigned prefix = (unsigned)at[0] << 8 | at[1];
    struct ms_key parsed = {.kind = MS_KEY_PARTITION,
                            .partition = (uint16_t)(prefix & ~CHUNK_BIT),
                            .id = {bytes.data + PREFIX_BYTES, bytes.size - PREFIX_BYTES}};
    if (prefix & CHUNK_BIT) {
        if (parsed.id.size < NUMBER_BYTES)
            return false;
        parsed.kind = MS_KEY_CHUNK;
        parsed.id.size -= NUMBER_BYTES;
        at += bytes.size - NUMBER_BYTES;
        for (int i = 0; i < NUMBER_BYTES; i++)
            parsed.number = parsed.number << 8 | at[i];
    } else if (parsed.id.size) {
        parsed.kind = MS_KEY_USER;
    }
    *key = parsed;
    return true;
}

/* ---- many keys ---- */

void ms_key_list_clear(struct ms_key_list *list)
{
    list->bytes.size = 0;
    list->count = 0;
}

void ms_key_list_free(struct ms_key_list *list)
{
    ms_buffer_free(&list->bytes);
    free(list->ends);
    free(list->keys);
    *list = (struct ms_key_list){0};
}

/* Notes that a key has been appended to the bytes. Room was reserved. */
static bool added(struct ms_key_list *list, bool appended)
{
    if (appended)
        list->ends[list->count++] = list->bytes.size;
    return appended;
}

static bool reserve_one(struct ms_key_list *list)
{
    return ms_array_reserve(&list->ends, &list->ends_capacity, list->count + 1, sizeof *list->ends);
}

bool ms_key_list_add_user(struct ms_key_list *list, uint16_t partition, struct ms_bytes id)
{
    return reserve_one(list) && added(list, append_user(&list->bytes, partition, id));
}

bool ms_key_list_add_chunk(struct ms_key_list *list, uint16_t partition, struct ms_bytes id, uint32_t number)
{
    return reserve_one(list) && added(list, ms_key_append_chunk(&list->bytes, partition, id, number));
}

const struct ms_bytes *ms_key_list_keys(struct ms_key_list *list)
{
    if (!ms_array_reserve(&list->keys, &list->keys_capacity, list->count + 1, sizeof *list->keys))
        return NULL;
    size_t start = 0;
    for (size_t i = 0; i < list->count; i++) {
        list->keys[i] = (struct ms_bytes){list->bytes.data + start, list->ends[i] - start};
        start = list->ends[i];
    }
    return list->keys;
}
