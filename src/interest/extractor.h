/* Inside of an extractor: what all kinds share of the model's numbers and of one thread's scratch. Private to this
 * folder. */
#ifndef MS_INTEREST_EXTRACTOR_H
#define MS_INTEREST_EXTRACTOR_H

#include "interest/kernels/kernels.h"
#include "mindstream/extract.h"
#include "model/config.h"

/* A dense layer of the head: row-major, as the model file has it. */
struct ms_dense {
    const float *weight; /* [out][in] */
    const float *bias;   /* [out] or NULL */
    size_t in, out;
    bool relu;
};

/* One user's window, as ms_extract_full was called, cut to the last max_behaviors. */
struct ms_window {
    const uint32_t *items;
    size_t n;            /* routable behaviors, 1 .. max_behaviors */
    size_t interests;    /* K'u */
    const float *logits; /* per-call initial logits, [logit_rows][K], or NULL */
    size_t logit_rows;   /* those past n belong to the empty slots */
    float *coupling;     /* [n][K] out, or NULL */
};

struct ms_kind;

struct ms_extractor {
    const struct ms_model *model;
    const struct ms_model_spec *spec;
    const struct ms_kind *kind;
    const struct ms_kernels *kernels;
    void *context; /* the kind's */
    size_t K, L;
    size_t item_dim, capsule_dim, dim;
    size_t stride; /* of padded capsules and items */

    /* The user's profile, [profile_dim]: what is concatenated to each capsule before the head. */
    float *profile;
    size_t profile_dim;
    struct ms_dense head[MS_MAX_HEAD];
    size_t head_stride; /* of padded vectors on their way through the head */
    float *head_f32[2]; /* [K, padded][head_stride]: what goes into a layer, and what comes out */
    double *head_f64[2];

    double *z64, *mass64;     /* capsules [K, padded][stride] and what they weigh [K, padded], in double */
    float *vectors, *weights; /* results: [K][dim] and [K] */
    bool overflowed;          /* what is being made has left float32 somewhere */
    char *memory;             /* the one block that all the scratch lies in */
};

static inline size_t ms_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Takes arrays from a block, 64-byte aligned; with no block yet it only adds up how large the block must be. */
struct ms_carver {
    char *block;
    size_t used;
    bool overflow;
};
/* a * b elements of |element| bytes. */
void *ms_carve(struct ms_carver *carver, size_t a, size_t b, size_t element);

/* Softmax of n logits |step| apart, of which the first |kept| weights are written; w may be b. Pure. */
void ms_softmax(const double *b, double *w, size_t n, size_t kept, size_t step, double scale);

/* Finds the layers of the head; sets head, head_stride and profile_dim. */
void ms_head_bind(struct ms_extractor *x);
/* Takes the head's scratch. */
void ms_head_carve(struct ms_extractor *x, struct ms_carver *carver);
/* Head, normalize and weights; the result belongs to the extractor. The capsules are factors[j] * z_j, rows of z
 * |width| floats apart, at any address. */
struct ms_interests ms_finish_f32(struct ms_extractor *x, const float *z, size_t width, const float *factors,
                                  const float *mass, size_t count);
/* The weights alone, beside vectors that are there already. */
struct ms_interests ms_finish_weights(struct ms_extractor *x, const float *mass, size_t count);
/* As ms_finish_f32, of finished, padded capsules in double. */
struct ms_interests ms_finish_f64(struct ms_extractor *x, const double *capsules, const double *mass,
                                  size_t count);
/* No interests where one has left float32: a number in its place would be wrong. */
struct ms_interests ms_only_finite(const struct ms_extractor *x, struct ms_interests interests);

/* Whether a capsule is published as it is: no head, no profile, no normalize. */
bool ms_publishes_capsules(const struct ms_extractor *x);

/* Floats of a fold state before its sums: |arrays| arrays of K floats, filled up to whole cache lines. */
size_t ms_fold_header_floats(const struct ms_model *model, size_t arrays);

/* Brings a row that a fold will read towards the cache. */
void ms_fold_prefetch_row(const float *row, size_t floats);

/* As ms_extractor_new, on chosen kernels: for tests that compare them. */
enum ms_status ms_extractor_new_on(struct ms_extractor **extractor, const struct ms_model *model,
                                   const struct ms_kernels *kernels, struct ms_error *error) MS_MUST_CHECK;

#endif
