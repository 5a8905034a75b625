/* Part of kernels_impl.c: the incremental fold, and the functions of doubles that it shares with routing in
 * double. */
#ifndef MS_INTEREST_KERNELS_FOLD_H
#define MS_INTEREST_KERNELS_FOLD_H

#include "interest/kernels_route.h"

/* <x_l, z_l> and |z_l|^2 of the four rows of a tile; |shared|: all rows of x are one. */
#define FOLD_CHUNK(widen)                                                                                    \
    do {                                                                                                     \
        struct d8 first = widen(x[0]);                                                                       \
        UNROLLED for (size_t l = 0; l < MS_TILE; l++)                                                        \
        {                                                                                                    \
            struct d8 zc = widen(z[l]);                                                                      \
            struct d8 xc = shared ? first : widen(x[l]);                                                     \
            dot[l] = d8_fma(zc, xc, dot[l]);                                                                 \
            norm[l] = d8_fma(zc, zc, norm[l]);                                                               \
        }                                                                                                    \
    } while (0)

INLINE void fold_tile(const float *const *z, const float *const *x, size_t dim, bool shared, v4d *dots,
                      v4d *norms)
{
    struct d8 dot[MS_TILE], norm[MS_TILE];
    size_t c = 0;
    UNROLLED for (size_t l = 0; l < MS_TILE; l++) dot[l] = norm[l] = d8_zero();
#define WHOLE(at) d8_widen((at) + c)
    for (; c + 8 <= dim; c += 8)
        FOLD_CHUNK(WHOLE);
#define PART(at) d8_widen_part((at) + c, dim - c)
    if (c < dim)
        FOLD_CHUNK(PART);
    *dots = d8_sum_four(dot[0], dot[1], dot[2], dot[3]);
    *norms = d8_sum_four(norm[0], norm[1], norm[2], norm[3]);
}

INLINE void fold_dots_of_tile(const struct ms_fold_step *s, size_t j, v4d *dots, v4d *norms)
{
    const float *z[MS_TILE], *x[MS_TILE];
    UNROLLED for (size_t l = 0; l < MS_TILE; l++)
    {
        size_t at = j + l < s->interests ? j + l : j; /* lanes past the last repeat the tile's first */
        z[l] = s->z + at * s->dim;
        x[l] = s->x + at * s->x_stride;
    }
    if (s->x_stride)
        fold_tile(z, x, s->dim, false, dots, norms);
    else
        fold_tile(z, x, s->dim, true, dots, norms);
}

static void fold_dots(const struct ms_fold_step *s, double *dots, double *norms)
{
    for (size_t j = 0; j < s->interests; j += MS_TILE) {
        v4d dot, norm;
        fold_dots_of_tile(s, j, &dot, &norm);
        memcpy(dots + j, &dot, sizeof dot);
        memcpy(norms + j, &norm, sizeof norm);
    }
}

/* z = keep * z + add * x. keep comes as the sum of two floats: 0.9 alone is off by 3e-8, and thousands of
 * events would add that up. */
INLINE void fold_row(float *z, const float *x, size_t dim, double keep, float add)
{
    float head = (float)keep;
    struct f16 rest = f16_splat((float)(keep - (double)head)), share = f16_splat(add);
    size_t c = 0;
    for (; c + MS_LANES <= dim; c += MS_LANES) {
        struct f16 old = f16_load_any(z + c);
        struct f16 sum = f16_fma(rest, old, f16_mul(share, f16_load_any(x + c)));
        f16_store_any(z + c, f16_fma1(head, old, sum));
    }
    if (c < dim) {
        struct f16 old = f16_load_part(z + c, dim - c);
        struct f16 sum = f16_fma(rest, old, f16_mul(share, f16_load_part(x + c, dim - c)));
        sum = f16_fma1(head, old, sum);
        memcpy(z + c, &sum, (dim - c) * sizeof *z);
    }
}

static void fold_update(const struct ms_fold_step *s, const double *keep, const double *add)
{
    for (size_t j = 0; j < s->interests; j++)
        fold_row(s->z + j * s->dim, s->x + j * s->x_stride, s->dim, keep[j], (float)add[j]);
}

/* n / (1 + n) * scale / sqrt(n + 1e-9) with one division. */
INLINE v4d squash_of(v4d n, double scale)
{
    v4d root = n + 1e-9;
    UNROLLED for (int l = 0; l < 4; l++) root[l] = __builtin_sqrt(root[l]);
    return n * scale / ((1.0 + n) * root);
}

static void squash_f64(const double *norms, size_t n, double scale, double *factors)
{
    for (size_t j = 0; j < n; j += 4) {
        v4d norm;
        memcpy(&norm, norms + j, sizeof norm);
        norm = squash_of(norm, scale);
        memcpy(factors + j, &norm, sizeof norm);
    }
}

/* The coefficients of e^r = sum of r^i / i!, up to i = 11: for |r| <= ln 2 / 2 within 1e-14 of it. */
static const double taylor[] = {1.0,         1.0,          1.0 / 2,       1.0 / 6,
                                1.0 / 24,    1.0 / 120,    1.0 / 720,     1.0 / 5040,
                                1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800};

/* e^y for |y| <= 700, for a vector type of doubles and the integers of its size. The polynomial is summed by
 * halves (Estrin), which waits less than Horner's way. */
#define DEFINE_EXP(name, vector, integers)                                                                   \
    INLINE vector name(vector y)                                                                             \
    {                                                                                                        \
        const double magic =                                                                                 \
            6755399441055744.0; /* 1.5 * 2^52: adding it leaves an integer in the low bits */                \
        vector shifted = y * 1.4426950408889634 + magic;                                                     \
        vector n = shifted - magic;                                                                          \
        vector r = (y - n * 0x1.62e42fefa38p-1) - n * 0x1.ef35793c7673p-45;                                  \
        vector r2 = r * r, r4 = r2 * r2;                                                                     \
        vector low = (taylor[0] + taylor[1] * r) + (taylor[2] + taylor[3] * r) * r2;                         \
        vector mid = (taylor[4] + taylor[5] * r) + (taylor[6] + taylor[7] * r) * r2;                         \
        vector high = (taylor[8] + taylor[9] * r) + (taylor[10] + taylor[11] * r) * r2;                      \
        vector p = low + (mid + high * r4) * r4;                                                             \
        return (vector)((integers)p + ((integers)shifted << 52));                                            \
    }
DEFINE_EXP(exp_of, vd, vul)
DEFINE_EXP(exp_of_four, v4d, v4ul)

INLINE v4d v4d_select(v4l mask, v4d yes, v4d no)
{
    return (v4d)(((v4l)yes & mask) | ((v4l)no & ~mask));
}

INLINE v4d v4d_max(v4d a, v4d b)
{
    return v4d_select(a > b, a, b);
}

INLINE v4d swap_pairs(v4d a)
{
    return __builtin_shufflevector(a, a, 2, 3, 0, 1);
}

INLINE v4d swap_lanes(v4d a)
{
    return __builtin_shufflevector(a, a, 1, 0, 3, 2);
}

static void fold_four(const struct ms_fold_four *f)
{
    const struct ms_fold_step *s = &f->step;
    const v4l lane = {0, 1, 2, 3};
    v4l on = lane < (int64_t)s->interests;
    v4d b, norms;
    v4f initial = {0}, mass = {0};
    if (s->interests == 4) { /* a copy of known size is one load */
        memcpy(&mass, f->mass, sizeof mass);
        if (f->b0)
            memcpy(&initial, f->b0, sizeof initial);
    } else {
        memcpy(&mass, f->mass, s->interests * sizeof(float));
        if (f->b0)
            memcpy(&initial, f->b0, s->interests * sizeof(float));
    }
    fold_dots_of_tile(s, 0, &b, &norms);
    b *= f->agreement;
    if (f->squashed)
        b *= squash_of(norms, f->squash_scale);
    b += f->initial * __builtin_convertvector(initial, v4d);
    v4d top = v4d_select(on, b, (v4d){0} - __builtin_inf());
    top = v4d_max(top, swap_pairs(top));
    top = v4d_max(top, swap_lanes(top));
    b -= top;
    v4d e = exp_of_four(v4d_select(b < -700.0, (v4d){0} - 700.0, b));
    e = v4d_select(on, e, (v4d){0});
    v4d total = e + swap_pairs(e);
    total += swap_lanes(total);
    v4d w = e * f->worth / total;
    v4f add = __builtin_convertvector(w, v4f);
    mass = __builtin_convertvector(f->keep * __builtin_convertvector(mass, v4d) + w, v4f);
    if (s->interests == 4)
        memcpy(f->mass, &mass, sizeof mass);
    else
        memcpy(f->mass, &mass, s->interests * sizeof(float));
    for (size_t j = 0; j < s->interests; j++)
        fold_row(s->z + j * s->dim, s->x + j * s->x_stride, s->dim, f->keep, add[j]);
}

static void squash_four(const float *z, size_t n, size_t dim, double scale, float *out)
{
    struct f16 sum[MS_TILE];
    UNROLLED for (size_t l = 0; l < MS_TILE; l++)
    {
        const float *row = z + (l < n ? l : 0) * dim;
        size_t c = 0;
        sum[l] = f16_zero();
        for (; c + MS_LANES <= dim; c += MS_LANES) {
            struct f16 v = f16_load_any(row + c);
            sum[l] = f16_fma(v, v, sum[l]);
        }
        if (c < dim) {
            struct f16 v = f16_load_part(row + c, dim - c);
            sum[l] = f16_fma(v, v, sum[l]);
        }
    }
    struct f16 quads = f16_sum_in_quads(sum[0], sum[1], sum[2], sum[3]);
    quads = f16_sum_quads(quads, quads, quads, quads);
    v4f norms;
    memcpy(&norms, &quads, sizeof norms);
    v4f factors = __builtin_convertvector(squash_of(__builtin_convertvector(norms, v4d), scale), v4f);
    float factor[MS_TILE];
    memcpy(factor, &factors, sizeof factor);
    scale_rows(z, n, dim, factor, out, dim);
}

#endif
