/* Which tensors a config asks for, and whether a file's tensors are those. */
#ifndef MS_MODEL_TENSORS_H
#define MS_MODEL_TENSORS_H

#include "model/config.h"
#include "model/safetensors.h"

/* Checks names, ranks and shapes of the tensors of |st| (|path| names it in errors) against what the model's kind, its
 * profile and its head ask for. Sets item_dim, capsule_dim and the widths of the profile, which the tensors decide.
 * Unknown names are refused, so are missing ones. */
enum ms_status ms_tensors_check(struct ms_model_spec *spec, const struct ms_safetensors *st, const char *path,
                                struct ms_error *error) MS_MUST_CHECK;

/* Whether a tensor of a checked file has a row for each item. */
bool ms_tensors_is_by_item(const struct ms_model_spec *spec, const char *name);

/* The tensor of that name, NULL when absent. */
const struct ms_safetensor *ms_tensors_find(const struct ms_safetensors *st, const char *name);

#endif
