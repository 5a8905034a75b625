/* Copies in an arena, and an index of them. */
#include "stream/images.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define FIRST_IMAGES 1024

void ms_images_free(struct ms_images *images)
{
    ms_index_free(&images->index);
    ms_arena_free(&images->arena);
    free(images->list);
    *images = (struct ms_images){.on = false};
}

void ms_images_begin(struct ms_images *images, bool on)
{
    if (images->count > 0) {
        memset(images->index.slots, 0xff, ((size_t)images->index.mask + 1) * sizeof *images->index.slots);
        images->index.count = 0;
        ms_arena_reset(&images->arena);
    }
    images->count = images->bytes = 0;
    if (!on)
        ms_images_free(images); /* nobody asks: the memory goes back */
    images->on = on && (images->index.slots || ms_index_init(&images->index, FIRST_IMAGES));
}

static uint64_t hash_of(void *context, uint32_t number)
{
    const struct ms_images *images = context;
    return images->list[number].hash;
}

const struct ms_user *ms_images_find(const struct ms_images *images, uint64_t hash, uint16_t partition,
                                     struct ms_bytes id)
{
    uint32_t number;
    if (images->count == 0)
        return NULL;
    uint32_t cursor = ms_index_start(&images->index, hash);
    while (ms_index_next(&images->index, hash, &cursor, &number)) {
        const struct ms_user *user = images->list[number].user;
        if (user->partition == partition && user->id_bytes == id.size &&
            memcmp(ms_user_id_bytes(user), id.data, id.size) == 0)
            return user;
    }
    return NULL;
}

void ms_images_keep(struct ms_images *images, uint64_t hash, const struct ms_user *user)
{
    if (images->bytes + user->block_bytes > MS_IMAGES_MAX_BYTES ||
        ms_images_find(images, hash, user->partition, ms_user_id(user)) ||
        !ms_array_reserve(&images->list, &images->capacity, images->count + 1, sizeof *images->list))
        return;
    void *copy = ms_arena_copy(&images->arena, user, user->block_bytes);
    if (!copy)
        return;
    images->list[images->count] = (struct ms_image){hash, copy};
    if (!ms_index_add(&images->index, hash, (uint32_t)images->count, hash_of, images))
        return;
    images->count++;
    images->bytes += user->block_bytes;
}
