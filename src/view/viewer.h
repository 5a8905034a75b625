/* What a thread needs to look at users with a model: an extractor, and the fold contexts that the state may have been
 * folded under. */
#ifndef MS_VIEW_VIEWER_H
#define MS_VIEW_VIEWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "mindstream/extract.h"
#include "model/part.h"
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

/* All items that the nearest and the recommended ones are looked for in: at first those of the model. A model of a few
 * items (model/part.h) comes with the catalogue of all, which must outlive the viewer and its views then. */
void ms_viewer_set_catalogue(struct ms_viewer *viewer, struct ms_catalogue catalogue);
const struct ms_catalogue *ms_viewer_catalogue(const struct ms_viewer *viewer);

/* The fold context with this fold id, or, where there is none, that of the configured mode: the user must be folded
 * again. It belongs to the viewer. */
struct ms_fold_context *ms_viewer_fold_context(struct ms_viewer *viewer, uint64_t fold_id);

/* Brings a complete user to its fold context: resolves its items, and folds it again where it was folded under another fold
 * id (*refolded) or stored without its sums. May move it. *context belongs to the viewer; ms_user_interests(*context, *user)
 * are the user's interests then. MS_STATE where the user's sums do not fit its fold id; MS_MEMORY. */
enum ms_status ms_viewer_fold(struct ms_viewer *viewer, struct ms_user **user,
                              struct ms_fold_context **context, bool *refolded,
                              struct ms_error *error) MS_MUST_CHECK;

#endif
