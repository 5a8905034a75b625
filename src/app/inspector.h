/* Looks users up in a state directory and makes their views: for `mindstream inspect user` and the demo. */
#ifndef MS_APP_INSPECTOR_H
#define MS_APP_INSPECTOR_H

#include <stdint.h>

#include "base/config.h"
#include "state/store.h"
#include "view/as_of.h"
#include "view/user.h"

/* A state directory opened for reading, beside a running service or alone, and the model if there is one. One
 * thread. */
struct ms_inspector;

/* Opens state.dir of |config|, and reads its model.dir where that is not "": of the model, what one user needs. The inspector sees the state as of now; a
 * new one sees what was flushed since. |config| must outlive it. MS_CONFIG, MS_NOT_FOUND, MS_STATE, MS_MODEL.
 * ms_inspector_destroy(NULL) is legal. */
enum ms_status ms_inspector_new(struct ms_inspector **inspector, const struct ms_config *config,
                                struct ms_error *error) MS_MUST_CHECK;
void ms_inspector_destroy(struct ms_inspector *inspector);

/* What of a user is wanted. Zeroed but for the partition: the user as it is now. */
struct ms_inspected {
    int32_t partition;              /* negative: any, the first that has the user */
    const struct ms_moment *moment; /* NULL: now */
    size_t recommend;               /* this many recommended items */
};

/* Finds a user and makes its view, which lists the partitions that have such a user. The view holds until the
 * inspector's next one or its end. MS_NOT_FOUND says how many partitions were looked through, or why the moment cannot be told; MS_CONFIG where
 * something is wanted that takes a model. */
enum ms_status ms_inspector_view(struct ms_inspector *inspector, struct ms_bytes id,
                                 const struct ms_inspected *inspected, struct ms_user_view **view,
                                 struct ms_error *error) MS_MUST_CHECK;

/* Opens only the state. Tries again while a running service changes its files under the reader. */
enum ms_status ms_inspect_open(struct ms_store **store, const struct ms_config *config,
                               struct ms_error *error) MS_MUST_CHECK;

/* A viewer with the routing settings of |config| (viewer.h). |model| must outlive it. */
enum ms_status ms_inspect_viewer(struct ms_viewer **viewer, const struct ms_model *model,
                                 const struct ms_config *config, struct ms_error *error) MS_MUST_CHECK;

#endif
