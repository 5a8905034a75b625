/* What a thread needs to look at users with a model: an extractor, and the fold contexts that the state may have been
 * folded under. */
#ifndef MS_VIEW_VIEWER_H
#define MS_VIEW_VIEWER_H

#include <stdint.h>

#include "base/config.h"
#include "mindstream/extract.h"
#include "user/apply.h"

struct ms_viewer;

/* Makes a viewer on |model|, which must outlive it, with the settings of the service: routing.mode, the decay, and
 * state.behaviors.max. With MS_ROUTING_AUTO and a model that can be folded, a user may have been folded in either
 * mode; the viewer knows both. One thread each. MS_CONFIG where the mode does not fit the model; MS_MEMORY.
 * ms_viewer_destroy(NULL) is legal. */
enum ms_status ms_viewer_new(struct ms_viewer **viewer, const struct ms_model *model,
                             enum ms_routing_mode mode, const struct ms_decay *decay, uint32_t behaviors_max,
                             struct ms_error *error) MS_MUST_CHECK;
void ms_viewer_destroy(struct ms_viewer *viewer);

/* The fold context with this fold id, or, where there is none, that of the configured mode: the user must be folded
 * again. It belongs to the viewer. */
struct ms_fold_context *ms_viewer_fold_context(struct ms_viewer *viewer, uint64_t fold_id);

#endif
