/* A model of a few items: what looking at one user takes. The whole model of a large catalogue costs a tenth of a second to
 * make, most of it for items that nobody asks for.
 *
 * Files are read, hashed and checked as for a whole model, but that item_embedding stays mapped from the file. Tables are
 * made for the items that are asked for. Vectors are those of the whole model, bit for bit. */
#ifndef MS_MODEL_PART_H
#define MS_MODEL_PART_H

#include "mindstream/bytes.h"
#include "mindstream/model.h"

/* All items of a model: their ids, and their embeddings as the model file has them. A plain value; it holds as long as
 * what it was taken from. */
struct ms_catalogue {
    uint32_t count;
    int dim;           /* floats of a row */
    const float *rows; /* [count][dim] */
    const struct ms_items *ids;
};

struct ms_catalogue ms_model_catalogue(const struct ms_model *model);
/* The id of item |item|; not NUL-terminated. */
struct ms_bytes ms_catalogue_id(const struct ms_catalogue *catalogue, uint32_t item);
static inline const float *ms_catalogue_row(const struct ms_catalogue *catalogue, uint32_t item)
{
    return catalogue->rows + (size_t)item * (size_t)catalogue->dim;
}

struct ms_model_part;

/* Reads the model directory |dir|. Not for a process that lives on: a model file that is truncated in place meanwhile ends
 * it. MS_CONFIG where its item_embedding cannot be mapped, because it is not float32; else as ms_model_load, but that
 * repeated ids are not noticed. The interest layer defines it, with all kinds. ms_model_part_close(NULL) is legal. */
enum ms_status ms_model_part_open(struct ms_model_part **part, const char *dir,
                                  struct ms_error *error) MS_MUST_CHECK;
/* The same with a list of kinds (kind.h). */
struct ms_model_kind;
enum ms_status ms_model_part_open_as(struct ms_model_part **part, const char *dir,
                                     const struct ms_model_kind *const *kinds,
                                     struct ms_error *error) MS_MUST_CHECK;
void ms_model_part_close(struct ms_model_part *part);

/* Makes the model of the items whose ids are among |ids|, once. It belongs to the part; the other items are not known to
 * it, and its numbers of items are its own. The bytes of |ids| are read during the call only. */
enum ms_status ms_model_part_pick(struct ms_model_part *part, const struct ms_bytes *ids, size_t count,
                                  struct ms_model **model, struct ms_error *error) MS_MUST_CHECK;

/* All items of the model; holds as long as the part. */
struct ms_catalogue ms_model_part_catalogue(const struct ms_model_part *part);

#endif
