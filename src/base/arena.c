/* A list of chunks, filled in order. */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)256 << 10)

struct ms_arena_chunk {
    struct ms_arena_chunk *next;
    size_t size;
    max_align_t data[];
};

static struct ms_arena_chunk *chunk_new(size_t size)
{
    struct ms_arena_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk) {
        chunk->next = NULL;
        chunk->size = size;
    }
    return chunk;
}

void *ms_arena_alloc(struct ms_arena *arena, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    while (arena->current && arena->current->size - arena->used < size && arena->current->next) {
        arena->current = arena->current->next;
        arena->used = 0;
    }
    if (!arena->current || arena->current->size - arena->used < size) {
        struct ms_arena_chunk *chunk = chunk_new(size > CHUNK_BYTES ? size : CHUNK_BYTES);
        if (!chunk)
            return NULL;
        if (arena->current)
            arena->current->next = chunk;
        else
            arena->first = chunk;
        arena->current = chunk;
        arena->used = 0;
    }
    void *at = (char *)arena->current->data + arena->used;
    arena->used += size;
    return at;
}

char *ms_arena_copy(struct ms_arena *arena, const void *data, size_t size)
{
    char *copy = ms_arena_alloc(arena, size ? size : 1);
    if (copy && size)
        memcpy(copy, data, size);
    return copy;
}

void ms_arena_reset(struct ms_arena *arena)
{
    arena->current = arena->first;
    arena->used = 0;
}

void ms_arena_free(struct ms_arena *arena)
{
    for (struct ms_arena_chunk *chunk = arena->first; chunk;) {
        struct ms_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    *arena = (struct ms_arena){0};
}
