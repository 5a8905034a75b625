/* Inside of an extractor: the model's numbers at hand, and the scratch of one thread. Private to this folder.
 */
#ifndef MS_INTEREST_EXTRACTOR_H
#define MS_INTEREST_EXTRACTOR_H

#include "interest/kernels.h"
#include "mindstream/extract.h"

/* A dense layer of the head, or of an attention: row-major, as the model file has it. */
struct ms_dense {
    const float *weight; /* [out][in] */
    const float *bias;   /* [out] or NULL */
    size_t in, out;
    bool relu;
};

struct ms_carver;

/* One user's window, as ms_extract_full was called, cut to the last max_behaviors. */
struct ms_window {
    const uint32_t *rows;
    size_t n;            /* routable behaviors, 1 .. max_behaviors */
    size_t interests;    /* K'u */
    const float *logits; /* per-call initial logits, [logit_rows][K], or NULL */
    size_t logit_rows;   /* those past n belong to the empty slots */
    float *coupling;     /* [n][K] out, or NULL */
};

/* tanh(. w1 + b1) w2 + b2: the logits of an attention, |out| a row. */
struct ms_net {
    const float *w1, *b1, *w2,
        *b2; /* [item_dim][hidden], [hidden], [hidden][out], [out]; biases may be NULL */
    size_t out;
};

/* What sine has beyond the rest: tensors, and scratch in double (rows |stride| apart). */
struct ms_sine {
    size_t heads, topics, topic_stride;
    struct ms_net select, pool, concept;
    const float *pool_query, *pool_query_bias, *concept_query, *concept_query_bias;
    const float *aggregate_query, *aggregate_query_bias;
    float *topic_columns;                            /* [item_dim][topics] */
    double *sequence, *belongs, *attention, *pooled; /* [L] rows, [L][K], [L][K heads], [K heads] rows */
    double *chosen, *gated, *head_weights, *scores;  /* [K] rows, [K] rows, [K][heads], [topics] */
    double *foretelling;                             /* [L][heads] */
    double *query_input, *query;                     /* two rows, one row */
};

struct ms_extractor {
    const struct ms_model *model;
    const struct ms_model_config *config;
    const struct ms_kernels *kernels;
    size_t K, L;
    size_t item_dim, capsule_dim, dim;
    size_t lead;        /* floats of a fold state before its sums */
    size_t stride;      /* of padded capsules and projected items */
    size_t wide_stride; /* of padded vectors on their way through the head */
    bool fast;          /* the options are ones that float32 routing knows */
    bool wide;          /* or knows but for their scales: ms_route_wide has them */

    const float *projected; /* [items][capsule_dim], where the map is shared or there is none */
    const float *bilinear, *bilinear_bias, *table, *item_logits;
    const float *lengths; /* of projected items, or NULL: no window's logits can outgrow float32 */
    double reach;         /* logits may grow to so many times the longest item's length; 0: not known */
    const float *projected_rest, *item_logits_rest; /* what the float32 tables lack, or NULL */
    struct ms_dense head[MS_MAX_HEAD];

    /* Results: [K][dim] and [K]. */
    float *vectors, *weights;
    /* float32 routing: */
    float *x32, *b32, *w32, *row_scale, *u32, *z32, *mass32, *wide32[2];
    /* double: the items, their projections, logits, weights, agreements, capsules. */
    double *e64, *x64, *b64, *w64, *a64, *norm64, *u64, *z64, *mass64, *wide64[2];
    /* fold: a projected item for each interest, where the map is per interest. */
    float *fold_x;
    /* comirec-sa and sine: positions, and the hidden layer [L][hidden_stride]. */
    const float *position;
    size_t hidden, hidden_stride, logit_stride;
    double *hidden64;
    struct ms_net attention;
    struct ms_sine sine;
    /* The user's profile, [profile_dim]: what is concatenated to each capsule before the head. */
    float *profile;
    size_t profile_dim;
    char *memory; /* the one block that all the scratch lies in */
};

/* (n/(1+n))^power * scale / sqrt(n + 1e-9) for n = |z|^2 (MIND, CIKM'19, eq. 7, with the power and the scale
 * of later implementations): what z is multiplied with. Pure. */
double ms_squash_factor(const struct ms_routing *routing, double n);

/* What z_j is multiplied with to give the vector that the agreement is taken with. Pure. */
double ms_agreement_factor(const struct ms_routing *routing, double n);

/* The factors of many, vectorized where the power is 1. |norms| and |factors| may be one array; in doubles
 * both have room for a multiple of 8. */
void ms_squash_factors(const struct ms_extractor *x, const double *norms, size_t n, double *factors);
void ms_agreement_factors(const struct ms_extractor *x, const double *norms, size_t n, double *factors);

/* Routing in float32, for shared maps and a softmax over the interests. False when the numbers grow beyond
 * what float32 can hold exactly enough; then nothing is known of the outputs, and ms_route_exact takes over.
 * On success z32 holds the last iteration's sums and mass32 the routing mass. */
bool ms_route_fast(struct ms_extractor *x, const struct ms_window *window);

/* Routing in double for the same options (with scales of any size), on the same kind of kernel. False when a
 * logit passes MS_WIDE_LOGITS; ms_route_exact takes over. Results as ms_route_exact's, with z64 padded to a
 * whole tile. */
bool ms_route_wide(struct ms_extractor *x, const struct ms_window *window);

/* The window's projected items to x64: [n, padded to 4 with zero rows][stride] where every interest sees the
 * same projection, [K'u][L][stride] where each has its own. */
void ms_project_f64(struct ms_extractor *x, const struct ms_window *window);
/* The item-normal logits of an item, K of them, as they were before they were rounded to float32. */
void ms_item_logits_f64(const struct ms_extractor *x, uint32_t row, double *logits);
/* Where logit (i, j) stands in the pairs of rows that the kernel works on. */
static inline double *ms_wide_logit(double *b, size_t i, size_t j, size_t tiles)
{
    return b + (i / 2 * tiles + j / MS_TILE) * 2 * MS_TILE + i % 2 * MS_TILE + j % MS_TILE;
}

/* Routing in double, for every option: z64 [K'u][stride] and mass64 [K'u]. */
void ms_route_exact(struct ms_extractor *x, const struct ms_window *window);

/* Floats of a fold state before its sums: the masses and what else is kept by interest, filled up to whole
 * cache lines. */
size_t ms_fold_lead(const struct ms_model_config *config);

/* ComiRec's self-attentive pooling: z64 and mass64 as above. */
void ms_attend(struct ms_extractor *x, const struct ms_window *window);
/* Finds its tensors and takes its scratch. */
void ms_attention_bind(struct ms_extractor *x);
void ms_attention_carve(struct ms_extractor *x, struct ms_carver *carver);
/* Its fold: the softmax as a running one. |keeps| and |worths| are what old sums and this event count,
 * [numbers]. */
void ms_fold_attention(struct ms_extractor *x, float *state, uint32_t row, const double *keeps,
                       const double *worths, size_t numbers);

/* a64 [n][logit_stride] = the net's logits of the inputs e64 [n][item_dim]. */
void ms_net_logits(struct ms_extractor *x, const struct ms_net *net, size_t n);

/* SINE: interests to z64 and what they count to mass64; the one vector they make is row 0 where that is
 * published. */
void ms_sine_extract(struct ms_extractor *x, const struct ms_window *window);
void ms_sine_bind(struct ms_extractor *x);
void ms_sine_carve(struct ms_extractor *x, struct ms_carver *carver);
void ms_sine_prepare(struct ms_extractor *x); /* once the scratch is there */

/* Softmax of n logits |step| apart, of which the first |kept| weights are written; w may be b. Pure. */
void ms_softmax(const double *b, double *w, size_t n, size_t kept, size_t step, double scale);

/* Takes arrays from a block, 64-byte aligned; with no block yet it only adds up how large the block must be.
 */
struct ms_carver {
    char *block;
    size_t used;
    bool overflow;
};
/* a * b elements of |element| bytes. */
void *ms_carve(struct ms_carver *carver, size_t a, size_t b, size_t element);

/* Head, normalize and weights; the result belongs to the extractor. The capsules are factors[j] * z_j, rows
 * of z |width| floats apart, at any address. */
struct ms_interests ms_finish_f32(struct ms_extractor *x, const float *z, size_t width, const float *factors,
                                  const float *mass, size_t count);
/* The weights alone, beside vectors that are there already. */
struct ms_interests ms_finish_weights(struct ms_extractor *x, const float *mass, size_t count);
/* As ms_finish_f32, of finished, padded capsules in double. */
struct ms_interests ms_finish_f64(struct ms_extractor *x, const double *capsules, const double *mass,
                                  size_t count);

/* As ms_extractor_new, on chosen kernels: for tests that compare them. */
enum ms_status ms_extractor_new_on(struct ms_extractor **extractor, const struct ms_model *model,
                                   const struct ms_kernels *kernels, struct ms_error *error) MS_MUST_CHECK;

#endif
