/* The items that retrieval by a user's interests would give. */
#ifndef MS_VIEW_RECOMMEND_H
#define MS_VIEW_RECOMMEND_H

#include "view/user.h"

#define MS_RECOMMEND_MAX 1000

/* |viewer| is the one that the view was made with. Fills view->recommended with the |count| items of greatest max_k <v_k, e>, the best first; of equal scores the item with
 * the lower number. Fewer where the catalogue is smaller, none where the user has no interests. Costs a pass over the item
 * table. MS_CONFIG where the view has no model or its items have another width; MS_MEMORY. */
enum ms_status ms_user_view_recommend(struct ms_user_view *view, const struct ms_viewer *viewer, size_t count,
                                      struct ms_error *error) MS_MUST_CHECK;

#endif
