/* A model directory, loaded and checked: config.json, model.safetensors, items.txt.
 *
 * A loaded model is immutable: any number of threads may use one at the same time. */
#ifndef MINDSTREAM_MODEL_H
#define MINDSTREAM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/api.h"
#include "mindstream/status.h"

MS_API_BEGIN

#define MS_NO_ITEM       UINT32_MAX /* ms_model_find: the model does not know the item */
#define MS_MAX_INTERESTS 64         /* largest K a model may ask for */
#define MS_MAX_DIM       4096       /* largest dim, and largest width of an item embedding */
#define MS_MAX_BEHAVIORS 100000     /* largest max_behaviors */
#define MS_MAX_HEAD      8          /* most head layers */
#define MS_MAX_PROFILE   32         /* most profile fields */
#define MS_MAX_ITEM_ID   32768      /* longest item id, in bytes */

enum ms_profile_order { MS_PROFILE_BEFORE_INTEREST, MS_PROFILE_AFTER_INTEREST };

/* config.json, as far as it concerns everybody, with its defaults filled in. Strings are owned by the model. */
struct ms_model_config {
    const char *name;
    const char *version;
    const char *id;             /* "name@version", as output records carry it */
    const char *extractor_name; /* as config.json has it: "mind" and the like */
    int dim;                    /* floats of a published interest vector */
    int item_dim;               /* d: width of item_embedding */
    int interests;              /* K */
    int max_behaviors;          /* L: behaviors in the window */
    /* The user's profile, concatenated to every interest before the head: field i is profile_width[i] wide. */
    int profile_fields;
    const char *profile_field[MS_MAX_PROFILE];
    int profile_width[MS_MAX_PROFILE];
    int profile_dim; /* all fields together */
};

/* A tensor of the model in row-major float32 (float16 was widened), 64-byte aligned. data is NULL when
 * absent. */
struct ms_tensor {
    const float *data;
    int rank;
    int64_t shape[4];
};

struct ms_model;

/* Loads and checks the model directory |dir|, and computes what its extractor needs once. On failure *error names the
 * file and the tensor or line, with what was found and what was expected, and *model is untouched. The caller owns the
 * model; ms_model_destroy(NULL) is legal. */
enum ms_status ms_model_load(struct ms_model **model, const char *dir, struct ms_error *error) MS_MUST_CHECK;
void ms_model_destroy(struct ms_model *model);

const struct ms_model_config *ms_model_config(const struct ms_model *model);
/* Whether events of some types count more than others in the fold (event_weights of config.json), and what an event of
 * this type counts: above 0, and 1 for types that are not listed. */
bool ms_model_weighs_events(const struct ms_model *model);
double ms_model_event_weight(const struct ms_model *model, const char *type, size_t type_bytes);

/* What trained the model says of itself: the JSON object under "training" in config.json, as text. NULL: nothing. */
const char *ms_model_training(const struct ms_model *model);

/* XXH64 over the lengths and bytes of the files (config, tensors, items, profile vocabularies): two models
 * with one hash give the same vectors. */
uint64_t ms_model_hash(const struct ms_model *model);

/* Items are numbered 0 .. count-1, as the lines of items.txt and the rows of item_embedding. ms_model_find is O(1) and
 * returns MS_NO_ITEM for an unknown id. Ids are not NUL-terminated. */
uint32_t ms_model_item_count(const struct ms_model *model);
uint32_t ms_model_find(const struct ms_model *model, const char *id, size_t id_bytes);
/* The items of many ids together: their cache misses overlap, so that each costs a fraction of one alone. */
void ms_model_find_many(const struct ms_model *model, const char *const *ids, const size_t *id_bytes,
                        size_t count, uint32_t *items);
const char *ms_model_item_id(const struct ms_model *model, uint32_t item, size_t *id_bytes);

/* The item's embedding, item_dim floats, as the model file has it. */
const float *ms_model_item_embedding(const struct ms_model *model, uint32_t item);

/* A tensor by its name in model.safetensors ("routing.bilinear", "head.0.weight", ...); data is NULL when
 * absent. Only names that the config makes legal are in a loaded model, and their shapes have been checked.
 */
struct ms_tensor ms_model_tensor(const struct ms_model *model, const char *name);
/* Tensor number |i| in the order of the file, with its name; data is NULL (and *name untouched) past the
 * last. */
struct ms_tensor ms_model_tensor_at(const struct ms_model *model, size_t i, const char **name);

/* Bytes of memory that the model holds. */
size_t ms_model_bytes(const struct ms_model *model);

/* The embedding of a value of profile field |field|, profile_width[field] floats: a row of tensor
 * profile.<field>. Values that profile_<field>.txt does not name take the default row: the first, or where
 * the tensor has a row more than the file has lines, the last. |value| NULL asks for the default row. */
const float *ms_model_profile_row(const struct ms_model *model, int field, const char *value,
                                  size_t value_bytes);

/* Overrides the model's own order of profile and interest. Only before the model is shared. */
void ms_model_set_profile_order(struct ms_model *model, enum ms_profile_order order);

MS_API_END

#endif
