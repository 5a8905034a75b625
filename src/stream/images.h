/* Users as they were before the open transaction changed them, for those who may see only what is committed.
 *
 * Kept only while somebody asks for users, because a copy costs more than counting an event. One thread at a time. */
#ifndef MS_STREAM_IMAGES_H
#define MS_STREAM_IMAGES_H

#include "base/arena.h"
#include "base/index.h"
#include "user/user.h"

#define MS_IMAGES_MAX_BYTES ((size_t)64 << 20) /* beyond, further users are not copied */

struct ms_images {
    bool on;
    struct ms_index index; /* of |list| */
    struct ms_arena arena;
    struct ms_image *list;
    size_t count, capacity, bytes;
};

struct ms_image {
    uint64_t hash;
    const struct ms_user *user;
};

/* A zeroed one is off and holds nothing. */
void ms_images_free(struct ms_images *images);

/* A transaction begins: nothing is kept any more. |on|: from now on users are. */
void ms_images_begin(struct ms_images *images, bool on);

/* Copies a user that is about to change, unless it was copied before in this transaction. Without memory it is not kept. */
void ms_images_keep(struct ms_images *images, uint64_t hash, const struct ms_user *user);

/* The copy; NULL where there is none. It holds until the next ms_images_begin. */
const struct ms_user *ms_images_find(const struct ms_images *images, uint64_t hash, uint16_t partition,
                                     struct ms_bytes id);

#endif
