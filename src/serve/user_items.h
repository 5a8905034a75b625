/* The items of a user's view, for who shows them to people: their vectors and what they are called. */
#ifndef MS_SERVE_USER_ITEMS_H
#define MS_SERVE_USER_ITEMS_H

#include <jansson.h>

#include "serve/titles.h"
#include "view/user.h"

/* An object with a member for each item of the behaviors, of the nearest items and of the recommended ones: {"title", "image"}
 * where |titles| (NULL: none) has them and, with |vectors|, {"vector"}, the item's embedding, of those that |model| knows. Items
 * about which there is nothing to tell are left out. NULL where memory ended. */
json_t *ms_user_items_json(const struct ms_user_view *view, const struct ms_model *model,
                           const struct ms_titles *titles, bool vectors);

#endif
