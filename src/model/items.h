/* items.txt: the ids of the items, and the way from an id to its item. */
#ifndef MS_MODEL_ITEMS_H
#define MS_MODEL_ITEMS_H

#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "base/index.h"
#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_ITEMS_MAX_BYTES ((size_t)UINT32_MAX) /* starts are 32 bits wide */
#define MS_ITEMS_MAX_COUNT ((uint32_t)1 << 30)

struct ms_items {
    char *text;
    uint32_t
        *starts; /* [count + 1]; id of item i is text[starts[i] .. starts[i + 1] - 1), its newline cut off */
    uint32_t count;
    struct ms_index index;
};

/* Reads and checks the file, adding its length and bytes to |hash|. On failure *items is untouched. */
enum ms_status ms_items_load(struct ms_items *items, const char *path, XXH64_state_t *hash,
                             struct ms_error *error) MS_MUST_CHECK;
/* As ms_items_load without the index: ms_items_id alone may be called, and a repeated id is not noticed. */
enum ms_status ms_items_read(struct ms_items *items, const char *path, XXH64_state_t *hash,
                             struct ms_error *error) MS_MUST_CHECK;
/* Makes items of those of |all| whose ids are among the |count| of |ids| (repeated ones count once), in their order;
 * numbers[i], room for |count|, is what item i is in |all|. Costs a pass over all ids. MS_MEMORY. */
enum ms_status ms_items_pick(struct ms_items *items, uint32_t *numbers, const struct ms_items *all,
                             const struct ms_bytes *ids, size_t count, struct ms_error *error) MS_MUST_CHECK;
/* A zeroed struct is legal. */
void ms_items_free(struct ms_items *items);

/* The item of an id, MS_NO_ITEM when there is none. */
uint32_t ms_items_find(const struct ms_items *items, const char *id, size_t id_bytes);
/* The items of many, each step of all look-ups before the next, so that cache misses overlap. */
void ms_items_find_many(const struct ms_items *items, const char *const *ids, const size_t *id_bytes,
                        size_t count, uint32_t *found);

static inline const char *ms_items_id(const struct ms_items *items, uint32_t item, size_t *id_bytes)
{
    *id_bytes = items->starts[item + 1] - items->starts[item] - 1;
    return items->text + items->starts[item];
}

#endif
