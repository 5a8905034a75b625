/* A model directory, loaded and checked: config.json, model.safetensors, items.txt.
 *
 * A loaded model is immutable: any number of threads may use one at the same time. */
#ifndef MINDSTREAM_MODEL_H
#define MINDSTREAM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"

#define MS_NO_ITEM       UINT32_MAX /* ms_model_find: the model does not know the item */
#define MS_MAX_INTERESTS 64         /* largest K a model may ask for */
#define MS_MAX_DIM       4096       /* largest dim, and largest width of an item embedding */
#define MS_MAX_BEHAVIORS 100000     /* largest max_behaviors */
#define MS_MAX_HEAD      8          /* most head layers */
#define MS_MAX_PROFILE   32         /* most profile fields */
#define MS_MAX_ITEM_ID   32768      /* longest item id, in bytes */
/* Beyond this |softmax_scale * logit| routing amplifies float32's rounding too far. Measured on random
 * models: up to here the worst error is 3e-6 of the largest value, and it grows with the logits. */
#define MS_FLOAT32_LOGITS 30.0f
#define MS_MAX_REST_BYTES ((size_t)1 << 30) /* ms_model_projected_rest and ms_model_item_logits_rest */

enum ms_extractor_kind {
    MS_EXTRACTOR_MIND,
    MS_EXTRACTOR_COMIREC_SA,
    MS_EXTRACTOR_SINE
}; /* comirec-dr is MIND */
enum ms_count_rule {
    MS_COUNT_FIXED,
    MS_COUNT_LOG2_FLOOR,
    MS_COUNT_LOG2_CEIL,
    MS_COUNT_LOG2_PLUS_ONE_FLOOR,
    MS_COUNT_LN_FLOOR
};
enum ms_softmax { MS_SOFTMAX_INTERESTS, MS_SOFTMAX_BEHAVIORS, MS_SOFTMAX_BEHAVIORS_THEN_INTERESTS };
enum ms_initial_logits { MS_LOGITS_ITEM_NORMAL, MS_LOGITS_ZEROS, MS_LOGITS_TABLE };
enum ms_update { MS_UPDATE_ACCUMULATE, MS_UPDATE_REPLACE, MS_UPDATE_PROBABILITY };
enum ms_agreement { MS_AGREEMENT_SQUASHED, MS_AGREEMENT_UNIT, MS_AGREEMENT_RAW };
enum ms_bilinear { MS_BILINEAR_SHARED, MS_BILINEAR_PER_INTEREST, MS_BILINEAR_PER_POSITION, MS_BILINEAR_NONE };
enum ms_profile_order { MS_PROFILE_BEFORE_INTEREST, MS_PROFILE_AFTER_INTEREST };
enum ms_activation { MS_ACTIVATION_LINEAR, MS_ACTIVATION_RELU };

struct ms_routing {
    int iterations;
    enum ms_softmax softmax;
    bool padded_softmax;
    float softmax_scale;
    enum ms_initial_logits initial_logits;
    uint64_t seed;
    double stddev;
    enum ms_update update;
    enum ms_agreement agreement_interest;
    bool agreement_item_unit; /* false: raw */
    float agreement_scale;
    enum ms_bilinear bilinear;
    bool squash_every; /* false: in the last iteration only */
    float squash_power;
    float squash_scale;
};

/* config.json, with its defaults filled in. Strings are owned by the model. */
struct ms_model_config {
    const char *name;
    const char *version;
    const char *id;             /* "name@version", as output records carry it */
    const char *extractor_name; /* as config.json has it: "mind", "comirec-dr", "comirec-sa", "sine" */
    enum ms_extractor_kind extractor;
    int dim;           /* floats of a published interest vector */
    int item_dim;      /* d: width of item_embedding */
    int capsule_dim;   /* floats of a capsule, before the head: the bilinear map's last dimension, or item_dim
                          where there   is no map. Without a head it equals dim */
    int interests;     /* K */
    int max_behaviors; /* L: behaviors in the window */
    enum ms_count_rule interest_count;
    struct ms_routing routing;
    int head_layers;
    enum ms_activation head_activation[MS_MAX_HEAD];
    bool normalize;
    /* The user's profile, concatenated to every interest before the head: field i is profile_width[i] wide.
     */
    int profile_fields;
    const char *profile_field[MS_MAX_PROFILE];
    int profile_width[MS_MAX_PROFILE];
    int profile_dim; /* all fields together */
    enum ms_profile_order profile_order;
    bool attention_from_newest;
    /* sine */
    int sine_heads;            /* attention heads of each interest, and of the concept sequence */
    int sine_topics;           /* rows of the concept pool */
    bool sine_topic_norm;      /* choose topics by cosine instead of the inner product */
    bool sine_concept_feature; /* the concept sequence is topics plus items */
    bool sine_interests;       /* publish the K interests; false: the one vector they are aggregated to */
    double sine_temperature;
};

/* A tensor of the model in row-major float32 (float16 was widened), 64-byte aligned. data is NULL when
 * absent. */
struct ms_tensor {
    const float *data;
    int rank;
    int64_t shape[4];
};

struct ms_model;

/* Loads and checks the model directory |dir| and projects its item table (item_embedding times S) where
 * bilinear is shared. On failure *error names the file and the tensor or line, with what was found and what
 * was expected, and *model is untouched. The caller owns the model; ms_model_destroy(NULL) is legal. */
enum ms_status ms_model_load(struct ms_model **model, const char *dir, struct ms_error *error) MS_MUST_CHECK;
void ms_model_destroy(struct ms_model *model);

const struct ms_model_config *ms_model_config(const struct ms_model *model);
/* XXH64 over the lengths and bytes of the files (config, tensors, items, profile vocabularies): two models
 * with one hash give the same vectors. */
uint64_t ms_model_hash(const struct ms_model *model);

/* Items: row 0 .. count-1. ms_model_find is O(1) and returns MS_NO_ITEM for an unknown id. Ids are not
 * NUL-terminated. */
uint32_t ms_model_item_count(const struct ms_model *model);
uint32_t ms_model_find(const struct ms_model *model, const char *id, size_t id_bytes);
/* The rows of many ids together: their cache misses overlap, so that each costs a fraction of one alone. */
void ms_model_find_many(const struct ms_model *model, const char *const *ids, const size_t *id_bytes,
                        size_t count, uint32_t *rows);
const char *ms_model_item_id(const struct ms_model *model, uint32_t row, size_t *id_bytes);

/* The item's embedding, item_dim floats, as the model file has it. */
const float *ms_model_item_embedding(const struct ms_model *model, uint32_t row);
/* What routing works on, one row of ms_model_projected_dim floats an item, 64-byte aligned rows are not
 * promised: e S + bias where bilinear is shared (capsule_dim floats); the raw embedding otherwise (item_dim
 * floats). */
const float *ms_model_projected(const struct ms_model *model);
int ms_model_projected_dim(const struct ms_model *model);
/* What ms_model_projected and ms_model_item_logits lack: the same shape, and the sums of the two are the
 * numbers in double (within 1e-13 of them). Made where routing may want more than float32
 * (ms_model_outgrows_float32) and both take no more than MS_MAX_REST_BYTES; else, and where there is nothing
 * to lack, NULL. */
const float *ms_model_projected_rest(const struct ms_model *model);
const float *ms_model_item_logits_rest(const struct ms_model *model);
/* Whether routing with this model's items, slot table and options may pass MS_FLOAT32_LOGITS, or has options
 * that always want double. */
bool ms_model_outgrows_float32(const struct ms_model *model);
/* The length of each row of ms_model_projected where ms_model_outgrows_float32; NULL elsewhere. */
const float *ms_model_item_lengths(const struct ms_model *model);
/* Whether the options are ones that routing in float32 knows and can follow exactly enough. Pure. */
bool ms_routing_fits_float32(const struct ms_model_config *config);
/* Where initial logits are item-normal: the normal numbers b_ij drawn from (seed, item id, j), K floats an
 * item. NULL otherwise. */
const float *ms_model_item_logits(const struct ms_model *model);
/* The same numbers before they were rounded to float32, drawn anew: K doubles of one item, in about K * 60
 * ns. */
void ms_model_draw_logits(const struct ms_model *model, uint32_t row, double *logits);

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

/* K'u = max(1, min(K, r(n))) for n >= 1 routable behaviors in the window (n beyond max_behaviors counts as
 * that), 0 for n = 0. In integers. */
int ms_interest_count(const struct ms_model_config *config, size_t n);

#endif
