/* Inner products of all items with the interests of a user: in float32 first, and in double where that leaves it open. */
#ifndef MS_VIEW_SCORE_H
#define MS_VIEW_SCORE_H

#include <stdbool.h>

#include "interest/kernels/kernels.h"
#include "model/part.h"
#include "view/user.h"

#define MS_SCORE_BATCH 256 /* items scored together */

/* The scores of a batch of items. Zeroed, it is empty. */
struct ms_scorer {
    const struct ms_kernels *kernels;
    const struct ms_catalogue *catalogue;
    const struct ms_view_interest *interests;
    size_t count, stride;
    float *vectors;                /* the interests, [count, padded to tiles][stride] */
    float *products;               /* [count, padded to tiles][MS_SCORE_BATCH], in float32 */
    float lengths[MS_SCORE_BATCH]; /* of the items */
    double slack
        [MS_MAX_INTERESTS]; /* how far a product may be from the one in double, for an item of length 1 */
};

/* For the interests of |view|, which are as wide as the items of |catalogue|; both outlive it. False when memory ended;
 * ms_scorer_free in any case. */
bool ms_scorer_init(struct ms_scorer *scorer, const struct ms_user_view *view,
                    const struct ms_catalogue *catalogue);
void ms_scorer_free(struct ms_scorer *scorer);

/* Scores the items from |first| on. Returns how many, at most MS_SCORE_BATCH; 0 at the end. */
uint32_t ms_scorer_take(struct ms_scorer *scorer, uint32_t first);

/* Whether the product of interest |k| and item |i| of the batch may be as large as |least|. Never false where it is. */
static inline bool ms_score_reaches(const struct ms_scorer *scorer, size_t k, uint32_t i, double least)
{
    return !((double)scorer->products[k * MS_SCORE_BATCH + i] +
                 scorer->slack[k] * ((double)scorer->lengths[i] + 0x1p-60) <
             least); /* NaN reaches it */
}

/* Of two vectors of |dim| floats, in double. Pure. */
double ms_view_inner_product(const float *a, const float *b, int dim);

#endif
