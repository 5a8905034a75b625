/* What items are called, for people: the file of items.meta, JSON lines {"item_id": "i9", "title": "Red shoe", "image": "https://..."}.
 * Read once; any number of threads may look items up. */
#ifndef MS_SERVE_TITLES_H
#define MS_SERVE_TITLES_H

#include <stddef.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_TITLE_MAX_BYTES 1024 /* of a title; a longer one is cut at a character */
#define MS_IMAGE_MAX_BYTES 4096 /* of a picture's address; a longer one is left out */

struct ms_titles;

struct ms_title {
    struct ms_bytes title, image; /* size 0: not given */
};

/* Reads |path|. Items may be strings or integers; what else a line has is passed over, and so are pictures whose address is no
 * http://, https:// or data:image/ one. The last line of an item counts. MS_CONFIG names file and line of what cannot be read, MS_MEMORY. The caller frees
 * it with ms_titles_free, which is legal on NULL. */
enum ms_status ms_titles_load(struct ms_titles **titles, const char *path,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_titles_free(struct ms_titles *titles);

/* How many items have a line. */
size_t ms_titles_count(const struct ms_titles *titles);
/* What the item is called; both empty where nothing is known, and where |titles| is NULL. */
struct ms_title ms_titles_find(const struct ms_titles *titles, struct ms_bytes item);

#endif
