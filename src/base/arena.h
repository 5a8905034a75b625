/* Bump memory for what lives as long as a batch. Reset keeps the chunks, so a warm arena does not allocate,
 * and a pointer holds until the reset. */
#ifndef MS_BASE_ARENA_H
#define MS_BASE_ARENA_H

#include <stddef.h>

struct ms_arena_chunk;

struct ms_arena {
    struct ms_arena_chunk *first, *current;
    size_t used; /* in the current chunk */
};

/* |size| bytes, 8-byte aligned; NULL when memory ended. A zeroed struct ms_arena is an empty one. */
void *ms_arena_alloc(struct ms_arena *arena, size_t size);
/* A copy of |size| bytes. */
char *ms_arena_copy(struct ms_arena *arena, const void *data, size_t size);
void ms_arena_reset(struct ms_arena *arena);
void ms_arena_free(struct ms_arena *arena);

#endif
