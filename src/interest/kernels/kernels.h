/* The arithmetic under the extractors: one source (implementation.c), compiled for several instruction sets.
 *
 * Every sum runs over fixed 16-float (8-double) vectors and a fixed tree, so instruction sets differ by the
 * rounding of fused multiply-adds only. "Padded" rows have a stride that is a multiple of 16, start on 64
 * bytes, and hold zeros beyond their length. Nothing here allocates or keeps anything; any thread. */
#ifndef MS_INTEREST_KERNELS_H
#define MS_INTEREST_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tiles. Logits and weights of a window lie in tiles of four interests, so that a vector holds whole rows of a tile:
 *
 *     float32: a group of 4 rows, 16 lanes          double: a pair of 2 rows, 8 lanes
 *
 *     interest     0   1   2   3                    interest     0   1   2   3
 *     row 4g       0   1   2   3   <- lanes         row 2p       0   1   2   3   <- lanes
 *     row 4g + 1   4   5   6   7                    row 2p + 1   4   5   6   7
 *     row 4g + 2   8   9  10  11
 *     row 4g + 3  12  13  14  15
 *
 *     b and w:  | group 0: tile 0, tile 1, ... | group 1: tile 0, tile 1, ... | ...      tile t: interests 4t .. 4t + 3
 *     logit (i, j) stands at  ((i / 4) tiles + j / 4) 16 + (i mod 4) 4 + j mod 4         in double: i / 2, 8, i mod 2
 *
 * The last group and the last tile are filled up: rows that do not exist are zeros, lanes that do not exist are masked. */
#define MS_LANES      16 /* floats of a vector; strides are multiples of it */
#define MS_TILE       4  /* rows and interests of a tile: 4 x 4 inner products make one vector */
#define MS_BLOCK_ROWS 64 /* rows whose weighted sum is added up on its own before it joins the total */

/* One routing iteration in float32, softmax over the interests. |interests| is K'u; arrays that have a row or
 * a lane for each interest are padded to tiles (a multiple of 4). */
struct ms_route_f32 {
    const float *x; /* [rows, padded to 4 with zero rows][stride]: projected behaviors */
    size_t rows;
    size_t stride;
    size_t interests;
    size_t tiles;   /* (interests + 3) / 4 */
    const float *u; /* [tiles * 4][stride]: what the agreement is taken with; NULL in the first iteration */
    const float *row_scale; /* [rows padded to 4][4 equal floats]: factors of agreements; NULL: |scale| */
    float scale;            /* agreement_scale, where row_scale is NULL */
    double softmax_scale;
    float limit; /* largest |softmax_scale * logit| that is still exact enough */
    bool
        beyond; /* out: set when a logit passed the limit (then z, mass and b may be anything); never cleared */
    bool replace; /* the agreement replaces the logits instead of adding to them */
    bool keep;   /* the softmax is stored over the logits: for update=probability and for the last coupling */
    float *b;    /* [row groups][tiles][4 rows * 4 interests] logits, updated */
    float *w;    /* scratch, like b for MS_BLOCK_ROWS rows */
    float *z;    /* [tiles * 4][stride] out: weighted sums */
    float *mass; /* [tiles * 4] out: sums of the weights */
};

/* The same in double, |beyond| only what e^b cannot hold. Where the float32 step has groups of four rows,
 * this has pairs. */
struct ms_route_f64 {
    const double *x; /* [rows, padded to 4 with zero rows][stride] */
    size_t rows;
    size_t stride;
    size_t interests;
    size_t tiles;
    const double *u;         /* [tiles * 4][stride], NULL in the first iteration */
    const double *row_scale; /* [rows padded to 4][4 equal numbers], or NULL: |scale| */
    double scale;
    double softmax_scale;
    bool beyond; /* out: set when a logit passed MS_FLOAT64_LOGITS; never cleared */
    bool replace;
    bool keep;
    double *b;    /* [row pairs, padded to even][tiles][2 rows * 4 interests] */
    double *w;    /* scratch, like b for MS_BLOCK_ROWS rows */
    double *z;    /* [tiles * 4][stride] out */
    double *mass; /* [tiles * 4] out */
};
#define MS_FLOAT64_LOGITS 600.0

/* One event folded into one user's sums. */
struct ms_fold_step {
    float *z;   /* [interests][dim], updated */
    size_t dim; /* floats of a sum, not padded */
    size_t interests;
    const float *x;  /* the projected item, [dim], or [interests][dim] with |x_stride| = dim */
    size_t x_stride; /* 0: one projection for all */
};

/* The whole of the commonest fold: up to 4 interests, one softmax. */
struct ms_fold_four {
    struct ms_fold_step step;
    float *mass;      /* [interests], updated */
    const float *b0;  /* [interests] initial logits, or NULL */
    double agreement; /* what <x, u> is multiplied with; softmax_scale is in it */
    double initial;   /* what b0 is multiplied with */
    bool squashed;    /* u = squash(z) with power 1, else z */
    double squash_scale;
    double keep[MS_TILE]; /* what old sums are multiplied with, by interest; those past |interests| are 0 */
    double weight;        /* what the event counts */
};

struct ms_kernels {
    const char *name;

    void (*route_f32)(struct ms_route_f32 *step);
    void (*route_f64)(struct ms_route_f64 *step);

    /* out rows |stride| apart and padded = the rows of the table [][dim], fetched ahead: a table of millions
     * lies in no cache. Rows n .. the next multiple of 4 are zeroed. */
    void (*gather_f32)(const float *table, const uint32_t *rows, size_t n, size_t dim, size_t stride,
                       float *out);
    /* The same in double, each number the sum of those in two tables (|residual| may be NULL). */
    void (*gather_f64)(const float *table, const float *residual, const uint32_t *rows, size_t n, size_t dim,
                       size_t stride, double *out);
    /* norms[j] = |v_j|^2 for |n| padded rows, n a multiple of 4. */
    void (*norms_f32)(const float *v, size_t n, size_t stride, float *norms);
    void (*norms_f64)(const double *v, size_t n, size_t stride, double *norms);
    /* out_j = factors[j] * v_j for |n| padded rows; out may be v. */
    void (*scale_f32)(const float *v, size_t n, size_t stride, const float *factors, float *out);
    void (*scale_f64)(const double *v, size_t n, size_t stride, const double *factors, double *out);
    /* out = factor * v rounded to float, for |n| numbers from a 64-byte boundary on: NaN becomes 0, and what
     * is too large the largest float. */
    void (*publish_f64)(const double *v, size_t n, double factor, float *out);
    /* out_j = factors[j] * v_j from rows of |dim| floats at any address to rows |stride| >= dim apart, zero
     * from dim on. */
    void (*scale_rows)(const float *v, size_t n, size_t dim, const float *factors, float *out, size_t stride);
    /* out[r][j] = <a_r, v_j>, a row-major [rows][width] of a model tensor (not padded), v padded rows, |n| of
     * them. */
    void (*dense_f32)(const float *a, size_t rows, size_t width, const float *v, size_t n, size_t stride,
                      float *out, size_t out_stride);

    /* dots[j] = <x_j, z_j> and norms[j] = |z_j|^2 over unpadded float rows, summed in double. */
    void (*fold_dots)(const struct ms_fold_step *step, double *dots, double *norms);
    /* z_j = keep[j] * z_j + add[j] * x_j, within two roundings. */
    void (*fold_update)(const struct ms_fold_step *step, const double *keep, const double *add);
    /* The three steps of a fold in one. */
    void (*fold_four)(const struct ms_fold_four *fold);
    /* out_j = squash(z_j), power 1, for up to 4 rows of |dim| floats, at any address. */
    void (*squash_four)(const float *z, size_t n, size_t dim, double scale, float *out);
    /* factors[j] = n_j / (1 + n_j) * scale / sqrt(n_j + 1e-9), n a multiple of 8; factors may be norms. */
    void (*squash_f64)(const double *norms, size_t n, double scale, double *factors);
    /* v = e^v for v <= 0 (below -700: e^-700), n a multiple of 8. */
    void (*exp_f64)(double *v, size_t n);

    /* out_r = e_r M + bias for |rows| rows: e [rows] of |in| doubles, |e_stride| apart, M row-major
     * [in][width] of a model tensor, bias [width] or NULL, out rows |stride| apart and zero from width on. */
    void (*project_f64)(const double *e, size_t rows, size_t e_stride, size_t in, const float *m,
                        size_t width, const float *bias, double *out, size_t stride);
    /* v = tanh(v), n a multiple of 8; within 1e-15 absolute. */
    void (*tanh_f64)(double *v, size_t n);
    /* a[i * n + j] = <x_ij, u_j>; x_ij at x + i * row_stride + j * interest_stride; all padded to |stride|.
     */
    void (*dots_f64)(const double *x, size_t rows, size_t row_stride, size_t interest_stride, const double *u,
                     size_t n, size_t stride, double *a);
    /* z_j = sum over i of w[i * n + j] * x_ij. */
    void (*sums_f64)(const double *x, size_t rows, size_t row_stride, size_t interest_stride, const double *w,
                     size_t n, size_t stride, double *z);
};

/* The best kernels this processor can run. */
const struct ms_kernels *ms_kernels_best(void);
/* All kernels this processor can run, the plainest first; NULL past the last. For tests that compare them. */
const struct ms_kernels *ms_kernels_at(int index);

#endif
