/* A user's view: all that is shown of one user, as plain values. */
#ifndef MS_VIEW_USER_H
#define MS_VIEW_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/model.h"
#include "user/user.h"
#include "view/viewer.h"

#define MS_VIEW_NEAREST    5  /* items shown with an interest */
#define MS_VIEW_PARTITIONS 16 /* most partitions that are listed of a user that is in several */

struct ms_view_item {
    struct ms_bytes item;
    double score; /* inner product with the interest */
};

struct ms_view_interest {
    float weight;
    double norm;
    const float *vector;                          /* [dim] */
    struct ms_view_item nearest[MS_VIEW_NEAREST]; /* the best first */
    size_t nearest_count;
};

/* An item that the interests would retrieve. */
struct ms_view_recommendation {
    struct ms_bytes item;
    uint32_t number; /* of the item in the model */
    int slot;        /* the interest that scores it highest */
    double score;    /* max_k <v_k, e> */
    bool in_history; /* a kept behavior has it */
};

struct ms_view_behavior {
    struct ms_bytes item, type;
    int64_t time_ms;
    /* With a model: */
    bool known;            /* the model knows the item */
    const float *coupling; /* to each interest, [coupling_count]; NULL: not in the window */
};

/* Ids, types and texts point into |user| and into the model. */
struct ms_user_view {
    struct ms_bytes id;
    uint16_t partition;
    uint16_t partitions
        [MS_VIEW_PARTITIONS]; /* all that have such a user; only |partition| until the caller adds */
    size_t partition_count;
    uint64_t version;
    int64_t last_time_ms;    /* INT64_MIN: no event yet */
    int64_t own_offset;      /* input offset up to which (exclusive) it is folded, -1: none */
    struct ms_bytes profile; /* its text as it came; size 0: none */
    uint64_t fold_id;        /* model and settings under which the user was folded */
    int slots_max;           /* most interests there ever were */
    uint32_t kept;
    struct ms_view_behavior *behaviors; /* oldest first */
    size_t behavior_count;
    bool as_of;         /* it is the user of an earlier moment (as_of.h); the caller sets it */
    int interest_count; /* K'u: of |interests|, or without a model what the state says */

    /* With a model: */
    const char *model; /* its id, "name@version"; NULL: no model */
    bool incremental;
    bool refolded;          /* folded again in a copy: fold_id is not that of this model and these settings */
    uint64_t model_fold_id; /* of this model and these settings */
    int dim;                /* floats of a vector */
    int max_behaviors;      /* most behaviors of a window */
    uint32_t window;        /* behaviors in the window */
    int coupling_count;     /* interests that couplings are shown to */
    bool has_nearest;       /* item embeddings have |dim| floats, so that inner products exist */
    struct ms_view_interest *interests; /* NULL without a model */

    struct ms_view_recommendation *recommended; /* NULL until recommend.h filled it */
    size_t recommended_count;

    /* What the above points into. */
    struct ms_user *user;
    float *vectors, *coupling;
};

/* Makes the view of a complete user. |viewer| may be NULL: no interests and couplings then. The user stays the caller's
 * and is not changed; it may be freed. The viewer's model and catalogue must outlive the view. Couplings are those of full routing
 * over the kept window, in incremental mode too. Costs a pass over the item table for each interest. MS_STATE where
 * the user's sums do not fit its fold id; MS_MEMORY. ms_user_view_destroy(NULL) is legal. */
enum ms_status ms_user_view_new(struct ms_user_view **view, struct ms_viewer *viewer,
                                const struct ms_user *user, struct ms_error *error) MS_MUST_CHECK;
void ms_user_view_destroy(struct ms_user_view *view);

#endif
