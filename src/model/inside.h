/* The insides of a model, shared by model.c (a model as a whole) and part.c (a few of its items). For these two alone. */
#ifndef MS_MODEL_INSIDE_H
#define MS_MODEL_INSIDE_H

#include "model/config.h"
#include "model/file.h"
#include "model/items.h"
#include "model/safetensors.h"

struct ms_model {
    struct ms_model_spec spec;
    struct ms_arena strings;
    struct ms_safetensors tensors;
    struct ms_items items;
    const float *embedding;                         /* in tensors */
    void *tables;                                   /* the kind's, or NULL */
    struct ms_items profile_values[MS_MAX_PROFILE]; /* profile_<field>.txt */
    const float *profile_rows[MS_MAX_PROFILE];      /* in tensors */
    uint32_t profile_default[MS_MAX_PROFILE];
    void *picked; /* rows of item_embedding, where it is a part of a model (part.h); else NULL */
    size_t picked_bytes;
    uint32_t *places; /* of its items in the whole model; else NULL */
    uint64_t hash;
};

#define MS_MODEL_TENSORS_MAX_BYTES ((size_t)1 << 40)

/* DIR/NAME; MS_MODEL where that is too long. */
enum ms_status ms_model_path(char *path, size_t size, const char *dir, const char *name,
                             struct ms_error *error) MS_MUST_CHECK;
/* Reads config.json of |dir| into the model, and adds its bytes to |hash|. */
enum ms_status ms_model_read_config(struct ms_model *model, const struct ms_model_kind *const *kinds,
                                    const char *dir, XXH64_state_t *hash,
                                    struct ms_error *error) MS_MUST_CHECK;
/* Whether items.txt has a line for each row of item_embedding. */
enum ms_status ms_model_fits_items(const struct ms_model *model, const struct ms_items *items,
                                   const char *path, struct ms_error *error) MS_MUST_CHECK;
/* Reads the vocabularies of the profile; the tensors are there. */
enum ms_status ms_model_read_profile(struct ms_model *model, const char *dir, XXH64_state_t *hash,
                                     struct ms_error *error) MS_MUST_CHECK;
/* What the kind computes from tensors and items. */
enum ms_status ms_model_make_tables(struct ms_model *model, const char *dir,
                                    struct ms_error *error) MS_MUST_CHECK;

#endif
