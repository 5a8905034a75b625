/* The table of extractor kinds, and loading a model as one of them. */
#include "interest/kind.h"
#include "model/part.h"

/* One row a kind, in the order in which errors and options name them. */
#define KINDS(ROW)                                                                                           \
    ROW(mind)                                                                                                \
    ROW(comirec_dr)                                                                                          \
    ROW(comirec_sa)                                                                                          \
    ROW(sine)                                                                                                \
    ROW(pooling)

#define DECLARE(kind) extern const struct ms_kind ms_kind_##kind;
#define ADDRESS(kind) &ms_kind_##kind.model,

KINDS(DECLARE)

const struct ms_model_kind *const ms_model_kinds[] = {KINDS(ADDRESS) NULL};

enum ms_status ms_model_load(struct ms_model **model, const char *dir, struct ms_error *error)
{
    return ms_model_load_as(model, dir, ms_model_kinds, error);
}

enum ms_status ms_model_part_open(struct ms_model_part **part, const char *dir, struct ms_error *error)
{
    return ms_model_part_open_as(part, dir, ms_model_kinds, error);
}
