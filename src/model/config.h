/* config.json of a model: the table of its keys, reading with that table, and printing. */
#ifndef MS_MODEL_CONFIG_H
#define MS_MODEL_CONFIG_H

#include <stddef.h>

#include "base/arena.h"
#include "mindstream/model.h"

#define MS_MODEL_FORMAT           "mindstream-model/1"
#define MS_MODEL_CONFIG_MAX_BYTES ((size_t)1 << 20)
#define MS_MODEL_NAME_MAX         255 /* bytes of name, and of version */

/* Reads the text of config.json (|path| names it in errors) and fills in the defaults. Strings are copied to
 * |strings|. item_dim and capsule_dim stay 0: the tensors give them. On failure *config is untouched. */
enum ms_status ms_model_config_read(struct ms_model_config *config, struct ms_arena *strings,
                                    const char *path, const char *text, size_t size,
                                    struct ms_error *error) MS_MUST_CHECK;

/* The keys in table order, for printing: the dotted path of key |i| and its value as text, or NULL past the
 * last. Keys that do not concern the config's extractor have an empty value. */
const char *ms_model_config_key(const struct ms_model_config *config, size_t i, char *value,
                                size_t value_size);

#endif
