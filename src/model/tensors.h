/* Which tensors a config asks for, and whether a file's tensors are those. */
#ifndef MS_MODEL_TENSORS_H
#define MS_MODEL_TENSORS_H

#include "mindstream/model.h"
#include "model/safetensors.h"

/* Checks names, ranks and shapes of the tensors of |st| (|path| names it in errors) against the config, and
 * sets its item_dim and capsule_dim, which the tensors decide. Unknown names are refused, so are missing
 * ones. */
enum ms_status ms_tensors_check(struct ms_model_config *config, const struct ms_safetensors *st,
                                const char *path, struct ms_error *error) MS_MUST_CHECK;

/* The tensor of that name, NULL when absent. */
const struct ms_safetensor *ms_tensors_find(const struct ms_safetensors *st, const char *name);

#endif
