/* One user as the state has it, with what the model makes of it: for `mindstream inspect user` and the demo.
 */
#ifndef MS_APP_INSPECT_USER_H
#define MS_APP_INSPECT_USER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/config.h"
#include "mindstream/extract.h"
#include "state/store.h"
#include "user/user.h"

/* A state directory opened for reading, beside a running service or alone, and the model if there is one. One
 * thread. */
struct ms_inspector;

/* Opens |config|'s state.dir, and loads its model.dir where that is not "". The store is a view as of now:
 * another inspector sees what was flushed since. |config| must outlive it. MS_CONFIG, MS_NOT_FOUND, MS_STATE,
 * MS_MODEL. */
enum ms_status ms_inspector_new(struct ms_inspector **inspector, const struct ms_config *config,
                                struct ms_error *error) MS_MUST_CHECK;
void ms_inspector_destroy(struct ms_inspector *inspector);
struct ms_store *ms_inspector_store(struct ms_inspector *inspector);

/* Opens only the state, tried again while a running service changes its files under the reader. */
enum ms_status ms_inspect_open(struct ms_store **store, const struct ms_config *config,
                               struct ms_error *error) MS_MUST_CHECK;

#define MS_VIEW_NEAREST    5
#define MS_VIEW_PARTITIONS 16 /* most partitions that are told of a user that is in several */

struct ms_near_item {
    uint32_t row;
    double score; /* inner product with the interest */
};

/* All that is shown. Arrays belong to the view; the model to the inspector, which must outlive the view. */
struct ms_user_view {
    struct ms_user *user;                    /* complete; refolded where |refolded| */
    const struct ms_model *model;            /* NULL: behaviors and counters only */
    uint16_t partitions[MS_VIEW_PARTITIONS]; /* that have such a user; the first is the one shown unless one
                                                was asked for */
    size_t partition_count;
    uint64_t stored_fold_id;
    int stored_slots;
    /* With a model. */
    bool incremental;
    bool refolded; /* the state was folded under other settings or another model */
    uint64_t fold_id;
    int count, dim;               /* K'u; floats of a vector */
    float *vectors, *weights;     /* [count][dim], [count] */
    struct ms_near_item *nearest; /* [count][MS_VIEW_NEAREST]; NULL: embeddings are not of |dim| floats */
    size_t nearest_count;         /* of each, at most MS_VIEW_NEAREST */
    uint32_t window;              /* behaviors that take part in full routing */
    int columns, stride;          /* of the coupling: interests shown, floats of a row */
    float *coupling;              /* [window][stride], full routing over the kept window */
    int64_t *place; /* of each behavior, its row of the coupling; -1: outside the window, -2: unknown item */
};

/* Finds the user (in |partition|, or in any where it is negative) and works out all of it. MS_NOT_FOUND says
 * how many partitions were looked through. */
enum ms_status ms_user_view_new(struct ms_user_view **view, struct ms_inspector *inspector,
                                struct ms_bytes id, int32_t partition, struct ms_error *error) MS_MUST_CHECK;
void ms_user_view_destroy(struct ms_user_view *view);

/* Text with the newest |limit| behaviors (0: all), and JSON with everything. */
enum ms_status ms_user_view_text(const struct ms_user_view *view, FILE *out, size_t limit,
                                 struct ms_error *error) MS_MUST_CHECK;
enum ms_status ms_user_view_json(const struct ms_user_view *view, FILE *out,
                                 struct ms_error *error) MS_MUST_CHECK;

#endif
