/* The routing mode of a model: full routing, or the incremental fold. */
#ifndef MS_INTEREST_MODE_H
#define MS_INTEREST_MODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "mindstream/model.h"

/* Decides whether |mode| means the incremental fold for this model, and writes *incremental. With
 * MS_ROUTING_AUTO it does where the model can be folded; |reason| [reason_bytes] then says why it cannot, and is
 * empty otherwise. MS_CONFIG, naming routing.mode, when the fold is asked for and the model cannot be folded.
 * Pure. */
enum ms_status ms_routing_mode_resolve(const struct ms_model *model, enum ms_routing_mode mode,
                                       bool *incremental, char *reason, size_t reason_bytes,
                                       struct ms_error *error) MS_MUST_CHECK;

#endif
