/* config.json of a model: the keys that every model has, reading with these and the kinds' tables, and printing. */
#ifndef MS_MODEL_CONFIG_H
#define MS_MODEL_CONFIG_H

#include <stddef.h>

#include "base/arena.h"
#include "mindstream/model.h"
#include "model/kind.h"

#define MS_MODEL_FORMAT           "mindstream-model/1"
#define MS_MODEL_CONFIG_MAX_BYTES ((size_t)1 << 20)
#define MS_MODEL_NAME_MAX         255 /* bytes of name, and of version */

enum ms_activation { MS_ACTIVATION_LINEAR, MS_ACTIVATION_RELU };

#define MS_EVENT_WEIGHTS_MAX 64

/* What an event of one type counts in the fold. */
struct ms_event_weight {
    const char *type;
    size_t type_bytes;
    double weight; /* above 0 */
};

/* config.json, with its defaults filled in: the part that everybody sees, and what extractors need. */
struct ms_model_spec {
    struct ms_model_config config;
    const struct ms_model_kind *kind;
    const struct ms_model_kind *const *kinds; /* all that were offered */
    int capsule_dim; /* floats of a capsule, before the head: the last dimension of a map, or
                                                 item_dim. Without a head and a profile it equals dim */
    enum ms_count_rule interest_count;
    int head_layers;
    enum ms_activation head_activation[MS_MAX_HEAD];
    bool normalize;
    struct ms_event_weight event_weights[MS_EVENT_WEIGHTS_MAX];
    int event_weight_count;
    enum ms_profile_order profile_order;
    const char *training; /* the object "training" as JSON; NULL where there is none */
    _Alignas(16) unsigned char options[MS_KIND_OPTIONS_MAX]; /* the kind's */
};

/* Reads the text of config.json (|path| names it in errors) and fills in the defaults. Strings are copied to
 * |strings|. item_dim and capsule_dim stay 0: the tensors give them. On failure *spec is untouched. */
enum ms_status ms_model_spec_read(struct ms_model_spec *spec, const struct ms_model_kind *const *kinds,
                                  struct ms_arena *strings, const char *path, const char *text, size_t size,
                                  struct ms_error *error) MS_MUST_CHECK;

/* The keys in table order, for printing: the dotted path of key |i| and its value as text, or NULL past the last.
 * Keys of other kinds have an empty value. */
const char *ms_model_spec_key(const struct ms_model_spec *spec, size_t i, char *value, size_t value_size);

/* config.json of a loaded model. */
const struct ms_model_spec *ms_model_spec(const struct ms_model *model);

#endif
