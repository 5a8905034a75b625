/* An extractor kind: what the loader knows of it (model/kind.h), how it extracts, and how it folds. A new kind is one
 * source file, which defines a struct ms_kind, and one row of registry.c. Nobody else asks which kind a model has. */
#ifndef MS_INTEREST_KIND_H
#define MS_INTEREST_KIND_H

#include "interest/extractor.h"
#include "interest/overflow.h"
#include "model/kind.h"

/* One event, as the fold of a kind sees it. */
struct ms_fold_event {
    uint32_t item;
    uint64_t events_folded; /* routable events so far, this one included */
    /* What old sums are multiplied with, and what this event counts: interest j has entry j mod |decays|. */
    size_t decays;
    const double *keep; /* NULL: the model's own decays, |decays| is 1 */
    const double *weight;
};

/* The incremental fold of a kind. */
struct ms_fold_ops {
    /* Why the model's options cannot be folded; NULL when they can. */
    const char *(*refusal)(const struct ms_model *model);
    /* Whether the model has decays of its own; NULL: never. */
    bool (*has_decays)(const struct ms_model *model);
    /* Floats of a state with |events_folded| events (at least 1), as ms_fold_floats_at says. */
    size_t (*floats)(const struct ms_model *model, uint64_t events_folded);
    void (*event)(struct ms_extractor *x, const struct ms_fold_event *event, float *state);
    void (*prefetch)(const struct ms_extractor *x, uint32_t item);
    struct ms_interests (*interests)(struct ms_extractor *x, const float *state, uint64_t events_folded);
};

struct ms_kind {
    struct ms_model_kind model; /* first: a model hands back a pointer to it */

    /* K'u for n >= 1 routable behaviors: ms_count_by_rule, or a function of the kind's own. */
    int (*count)(const struct ms_model_spec *spec, size_t n);

    /* The kind's part of an extractor, |context_bytes| of zeroed memory at x->context. bind finds tensors, tables and
     * widths; carve takes scratch, and runs twice: once to measure, once to take; prepare fills scratch that is
     * constant. Each may be NULL. */
    size_t context_bytes;
    void (*bind)(struct ms_extractor *x);
    void (*carve)(struct ms_extractor *x, struct ms_carver *carver);
    void (*prepare)(struct ms_extractor *x);

    /* The interests of a window. */
    struct ms_interests (*extract)(struct ms_extractor *x, const struct ms_window *window);

    /* NULL: the kind needs the whole window. */
    const struct ms_fold_ops *fold;

    /* Whether the kind's own numbers may leave float32 (overflow.h), and else how large those of a capsule may be: *capsule
     * comes as the largest number of the items. NULL: no sums in float32, and capsules are means of items. */
    bool (*overflows)(const struct ms_model *model, double *capsule, struct ms_overflow *found);

    /* How many rows of initial logits a call of |items| items may bring, at least |items|. NULL: none. */
    size_t (*logit_rows)(const struct ms_model *model, size_t items);
    /* See ms_item_vectors. NULL: the item's embedding. */
    const float *(*item_vectors)(struct ms_extractor *x, uint32_t item, size_t position, int *count);
};

static inline const struct ms_kind *ms_kind_at(const struct ms_model_kind *model_kind)
{
    return (const struct ms_kind *)(const void *)model_kind;
}

static inline const struct ms_kind *ms_kind_of(const struct ms_model *model)
{
    return ms_kind_at(ms_model_spec(model)->kind);
}

/* K'u by the rule of config.json, for n >= 1: max(1, min(K, r(n))), where n beyond max_behaviors counts as
 * max_behaviors. In integers. */
int ms_count_by_rule(const struct ms_model_spec *spec, size_t n);

/* The registry: the model part of every struct ms_kind, NULL past the last. */
extern const struct ms_model_kind *const ms_model_kinds[];

#endif
