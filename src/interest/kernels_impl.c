/* The arithmetic of routing, compiled once for each instruction set (MS_KERNELS names the table it makes). */
#include "interest/kernels.h"

#include <assert.h>

#include "interest/vectors.h"

#define MAX_TILES 16 /* MS_MAX_INTERESTS / MS_TILE */

/* How much is held in registers at a time: all of a 4 x 4 tile where there are 32 wide ones, a row of it elsewhere.
 * The order of the sums is the same. */
#if NATIVE == 16
#define DOT_ROWS 4
#define SLAB     4
#else
#define DOT_ROWS 1
#define SLAB     1
#endif

/* The inner products of |rows| rows with the four interests of a tile, each left as sums of quads of lanes. */
INLINE void dots_of_rows(const float *x, size_t rows, const float *u, size_t stride, struct f16 *quads)
{
    struct f16 a[DOT_ROWS][MS_TILE];
    UNROLLED for (size_t r = 0; r < rows; r++)
    {
        UNROLLED for (size_t j = 0; j < MS_TILE; j++) a[r][j] = f16_zero();
    }
    for (size_t c = 0; c < stride; c += MS_LANES) {
        struct f16 uc[MS_TILE];
        UNROLLED for (size_t j = 0; j < MS_TILE; j++) uc[j] = f16_load(u + j * stride + c);
        UNROLLED for (size_t r = 0; r < rows; r++)
        {
            struct f16 xc = f16_load(x + r * stride + c);
            UNROLLED for (size_t j = 0; j < MS_TILE; j++) a[r][j] = f16_fma(xc, uc[j], a[r][j]);
        }
    }
    UNROLLED for (size_t r = 0; r < rows; r++) quads[r] = f16_sum_in_quads(a[r][0], a[r][1], a[r][2], a[r][3]);
}

/* Lane r * 4 + j is <x_r, u_j>, for four rows and four interests. */
INLINE struct f16 tile_dots(const float *x, const float *u, size_t stride)
{
    struct f16 quads[MS_TILE];
    UNROLLED for (size_t r = 0; r < MS_TILE; r += DOT_ROWS)
        dots_of_rows(x + r * stride, DOT_ROWS, u, stride, quads + r);
    return f16_sum_quads(quads[0], quads[1], quads[2], quads[3]);
}

static const int32_t interest_of_lane[MS_LANES] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
static const int32_t row_of_lane[MS_LANES] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};

/* What is the same for every row of an iteration. */
struct softmax {
    struct f16 to_log2, to_log2_rest; /* softmax_scale / ln 2, in two floats */
    struct f16 limit;                 /* squared, on the scale of log2 */
    struct f16 within;                /* its sign bits stay set as long as every logit is below the limit */
    struct f16 mass[MAX_TILES];
};

/* e^(softmax_scale * b), within 2 units in the last place; |softmax_scale * b| must be below 80. There is no need to
 * take the largest logit off first: one that is beyond the limit is noticed, and the result thrown away. */
INLINE struct f16 exp_of_logit(struct softmax *s, struct f16 b)
{
    const struct f16 magic = f16_splat(12582912.0f); /* 1.5 * 2^23: adding it leaves an integer in the low bits */
    struct f16 shifted = f16_fma(b, s->to_log2, magic);
    struct f16 n = f16_sub(shifted, magic);
    struct f16 r = f16_fma(b, s->to_log2_rest, f16_fms(b, s->to_log2, n));
    struct f16 rough = f16_mul(b, s->to_log2);
    s->within = f16_and(s->within, f16_fms(rough, rough, s->limit));
    struct f16 p = f16_splat(0x1.4258d8p-13f); /* 2^r on [-1/2, 1/2], least maximum error of degree 6 */
    p = f16_fma(p, r, f16_splat(0x1.5f44dcp-10f));
    p = f16_fma(p, r, f16_splat(0x1.3b2cc4p-7f));
    p = f16_fma(p, r, f16_splat(0x1.c6aed6p-5f));
    p = f16_fma(p, r, f16_splat(0x1.ebfbdcp-3f));
    p = f16_fma(p, r, f16_splat(0x1.62e43p-1f));
    p = f16_fma(p, r, f16_splat(1.0f));
    return f16_scale_by_bits(p, shifted);
}

/* Weights of the |groups| (up to 4) groups of four rows at |b|, to |w|; in place allowed. Rows past |rows| get 0. */
INLINE void softmax_groups(const struct ms_route_f32 *s, struct softmax *m, const float *b, float *w, size_t groups,
                           size_t rows)
{
    struct f16 total[4];
    UNROLLED for (size_t g = 0; g < groups; g++)
    {
        total[g] = f16_zero();
        for (size_t t = 0; t < s->tiles; t++) {
            size_t at = (g * s->tiles + t) * MS_LANES;
            struct f16 e = exp_of_logit(m, f16_load(b + at));
            e = f16_and(e, f16_lanes_below(interest_of_lane, (int32_t)(s->interests - t * MS_TILE)));
            total[g] = f16_add(total[g], e);
            f16_store(w + at, e);
        }
    }
    UNROLLED for (size_t g = groups; g < 4; g++) total[g] = total[0];
    struct f16 share = f16_div(f16_splat(1.0f), f16_sum_in_quads(total[0], total[1], total[2], total[3]));
    struct f16 shares[4] = {F16_QUAD_SPLAT(share, 0), F16_QUAD_SPLAT(share, 1), F16_QUAD_SPLAT(share, 2),
                            F16_QUAD_SPLAT(share, 3)};
    UNROLLED for (size_t g = 0; g < groups; g++)
    {
        if (rows < (g + 1) * MS_TILE)
            shares[g] = f16_and(shares[g], f16_lanes_below(row_of_lane, (int32_t)(rows - g * MS_TILE)));
        for (size_t t = 0; t < s->tiles; t++) {
            size_t at = (g * s->tiles + t) * MS_LANES;
            struct f16 weight = f16_mul(f16_load(w + at), shares[g]);
            m->mass[t] = f16_add(m->mass[t], weight);
            f16_store(w + at, weight);
        }
    }
}

INLINE void block_softmax(const struct ms_route_f32 *s, struct softmax *m, const float *b, float *w, size_t rows)
{
    size_t i = 0, group = s->tiles * MS_LANES;
    for (; i + 12 < rows; i += 16)
        softmax_groups(s, m, b + i / MS_TILE * group, w + i / MS_TILE * group, 4, rows - i);
    for (; i < rows; i += MS_TILE)
        softmax_groups(s, m, b + i / MS_TILE * group, w + i / MS_TILE * group, 1, rows - i);
}

/* Adds |width| vectors' width of the weighted rows of a block to z, for the four interests of a tile. The block's sum
 * is made on its own first: a long history then loses no more digits than a short one. */
INLINE void tile_sums(const struct ms_route_f32 *s, const float *x, const float *w, size_t rows, float *z, size_t width)
{
    struct f16 sum[MS_TILE][SLAB];
    UNROLLED for (size_t j = 0; j < MS_TILE; j++)
    {
        UNROLLED for (size_t c = 0; c < width; c++) sum[j][c] = f16_zero();
    }
    for (size_t i = 0; i < rows; i++) {
        const float *weight = w + (i / MS_TILE) * s->tiles * MS_LANES + (i % MS_TILE) * MS_TILE;
        struct f16 xc[SLAB];
        UNROLLED for (size_t c = 0; c < width; c++) xc[c] = f16_load(x + i * s->stride + c * MS_LANES);
        UNROLLED for (size_t j = 0; j < MS_TILE; j++)
        {
            UNROLLED for (size_t c = 0; c < width; c++) sum[j][c] = f16_fma1(weight[j], xc[c], sum[j][c]);
        }
    }
    UNROLLED for (size_t j = 0; j < MS_TILE; j++)
    {
        UNROLLED for (size_t c = 0; c < width; c++)
        {
            float *at = z + j * s->stride + c * MS_LANES;
            f16_store(at, f16_add(f16_load(at), sum[j][c]));
        }
    }
}

INLINE void block_sums(const struct ms_route_f32 *s, const float *x, const float *w, size_t rows)
{
    for (size_t t = 0; t < s->tiles; t++) {
        float *z = s->z + t * MS_TILE * s->stride;
        size_t c = 0;
        for (; c + SLAB * MS_LANES <= s->stride; c += SLAB * MS_LANES)
            tile_sums(s, x + c, w + t * MS_LANES, rows, z + c, SLAB);
        for (; c < s->stride; c += MS_LANES)
            tile_sums(s, x + c, w + t * MS_LANES, rows, z + c, 1);
    }
}

INLINE void block_logits(const struct ms_route_f32 *s, size_t row, size_t rows)
{
    for (size_t i = row; i < row + rows; i += MS_TILE) {
        struct f16 factor = s->row_scale ? f16_load(s->row_scale + i * MS_TILE) : f16_splat(s->scale);
        for (size_t t = 0; t < s->tiles; t++) {
            float *b = s->b + (i / MS_TILE * s->tiles + t) * MS_LANES;
            struct f16 a = tile_dots(s->x + i * s->stride, s->u + t * MS_TILE * s->stride, s->stride);
            f16_store(b, s->replace ? f16_mul(factor, a) : f16_fma(factor, a, f16_load(b)));
        }
    }
}

static void softmax_start(const struct ms_route_f32 *s, struct softmax *m)
{
    const double log2e = 1.4426950408889634;
    float head = (float)(s->softmax_scale * log2e);
    float limit = s->limit * (float)log2e;
    m->to_log2 = f16_splat(head);
    m->to_log2_rest = f16_splat((float)(s->softmax_scale * log2e - (double)head));
    m->limit = f16_splat(limit * limit);
    m->within = f16_splat(-1.0f);
    for (size_t t = 0; t < s->tiles; t++)
        m->mass[t] = f16_zero();
}

static void softmax_end(struct ms_route_f32 *s, const struct softmax *m)
{
    float lane[MS_LANES];
    for (size_t t = 0; t < s->tiles; t++) {
        memcpy(lane, &m->mass[t], sizeof lane);
        for (size_t j = 0; j < MS_TILE; j++)
            s->mass[t * MS_TILE + j] = (lane[j] + lane[j + 4]) + (lane[j + 8] + lane[j + 12]);
    }
    int32_t bits[MS_LANES], all = -1;
    memcpy(bits, &m->within, sizeof bits);
    for (size_t l = 0; l < MS_LANES; l++)
        all &= bits[l];
    s->beyond = s->beyond || all >= 0;
}

static void route_f32(struct ms_route_f32 *s)
{
    assert(s->tiles >= 1 && s->tiles <= MAX_TILES);
    struct softmax m;
    softmax_start(s, &m);
    memset(s->z, 0, s->tiles * MS_TILE * s->stride * sizeof *s->z);
    for (size_t row = 0; row < s->rows; row += MS_BLOCK_ROWS) {
        size_t rows = s->rows - row < MS_BLOCK_ROWS ? s->rows - row : MS_BLOCK_ROWS;
        if (s->u)
            block_logits(s, row, rows);
        float *b = s->b + row / MS_TILE * s->tiles * MS_LANES;
        float *w = s->keep ? b : s->w;
        block_softmax(s, &m, b, w, rows);
        block_sums(s, s->x + row * s->stride, w, rows);
    }
    softmax_end(s, &m);
}

/* |v_j|^2 and factors come for padded rows, four or fewer. */
static void norms_f32(const float *v, size_t n, size_t stride, float *norms)
{
    for (size_t j = 0; j < n; j++) {
        struct f16 sum = f16_zero();
        for (size_t c = 0; c < stride; c += MS_LANES) {
            struct f16 vc = f16_load(v + j * stride + c);
            sum = f16_fma(vc, vc, sum);
        }
        float lane[MS_LANES], quad[4];
        memcpy(lane, &sum, sizeof lane);
        for (size_t q = 0; q < 4; q++)
            quad[q] = (lane[4 * q] + lane[4 * q + 2]) + (lane[4 * q + 1] + lane[4 * q + 3]);
        norms[j] = (quad[0] + quad[2]) + (quad[1] + quad[3]);
    }
}

static void scale_f32(const float *v, size_t n, size_t stride, const float *factors, float *out)
{
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < stride; c += MS_LANES)
            f16_store(out + j * stride + c, f16_mul(f16_splat(factors[j]), f16_load(v + j * stride + c)));
}

static void dense_f32(const float *a, size_t rows, size_t width, const float *v, size_t n, size_t stride, float *out,
                      size_t out_stride)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < n; j += MS_TILE) {
            struct f16 sum[MS_TILE] = {f16_zero(), f16_zero(), f16_zero(), f16_zero()};
            for (size_t c = 0; c < width; c += MS_LANES) {
                const float *at = a + r * width + c;
                struct f16 ac = width - c >= MS_LANES ? f16_load_any(at) : f16_load_part(at, width - c);
                UNROLLED for (size_t l = 0; l < MS_TILE; l++)
                    sum[l] = f16_fma(ac, f16_load(v + (j + l) * stride + c), sum[l]);
            }
            struct f16 quads = f16_sum_in_quads(sum[0], sum[1], sum[2], sum[3]);
            quads = f16_sum_quads(quads, quads, quads, quads);
            float lane[MS_LANES];
            memcpy(lane, &quads, sizeof lane);
            for (size_t l = 0; l < MS_TILE && j + l < n; l++)
                out[(j + l) * out_stride + r] = lane[l];
        }
    }
}

static void fold_dots(const struct ms_fold_step *s, double *dots, double *norms)
{
    for (size_t j = 0; j < s->interests; j++) {
        const float *z = s->z + j * s->dim, *x = s->x + j * s->x_stride;
        struct d8 dot = d8_zero(), norm = d8_zero();
        size_t c = 0;
        for (; c + 8 <= s->dim; c += 8) {
            struct d8 zc = d8_widen(z + c);
            dot = d8_fma(zc, d8_widen(x + c), dot);
            norm = d8_fma(zc, zc, norm);
        }
        if (c < s->dim) {
            struct d8 zc = d8_widen_part(z + c, s->dim - c);
            dot = d8_fma(zc, d8_widen_part(x + c, s->dim - c), dot);
            norm = d8_fma(zc, zc, norm);
        }
        dots[j] = d8_sum(dot);
        norms[j] = d8_sum(norm);
    }
}

static void fold_update(const struct ms_fold_step *s, const double *keep, const double *add)
{
    for (size_t j = 0; j < s->interests; j++) {
        float *z = s->z + j * s->dim;
        const float *x = s->x + j * s->x_stride;
        size_t c = 0;
        for (; c + 8 <= s->dim; c += 8)
            d8_narrow(z + c, d8_fma1(keep[j], d8_widen(z + c), d8_mul1(add[j], d8_widen(x + c))));
        if (c < s->dim) {
            float sum[8];
            struct d8 old = d8_widen_part(z + c, s->dim - c), item = d8_widen_part(x + c, s->dim - c);
            d8_narrow(sum, d8_fma1(keep[j], old, d8_mul1(add[j], item)));
            memcpy(z + c, sum, (s->dim - c) * sizeof *z);
        }
    }
}

/* |rows| (up to 4) rows times |width8| (up to 4) vectors' width of M; |part| is the width of the last vector. */
INLINE void project_tile(const double *e, size_t rows, size_t e_stride, size_t in, const float *m, size_t width, size_t width8,
                         size_t part, const float *bias, double *out, size_t stride)
{
    struct d8 sum[4][4];
    UNROLLED for (size_t r = 0; r < rows; r++)
    {
        UNROLLED for (size_t c = 0; c < width8; c++) sum[r][c] = d8_zero();
    }
    for (size_t d = 0; d < in; d++) {
        struct d8 mc[4];
        UNROLLED for (size_t c = 0; c < width8; c++) mc[c] =
            part == 8 ? d8_widen(m + d * width + 8 * c) : d8_widen_part(m + d * width + 8 * c, part);
        UNROLLED for (size_t r = 0; r < rows; r++)
        {
            UNROLLED for (size_t c = 0; c < width8; c++) sum[r][c] = d8_fma1(e[r * e_stride + d], mc[c], sum[r][c]);
        }
    }
    UNROLLED for (size_t c = 0; c < width8; c++)
    {
        struct d8 add = d8_zero();
        if (bias)
            add = part == 8 ? d8_widen(bias + 8 * c) : d8_widen_part(bias + 8 * c, part);
        UNROLLED for (size_t r = 0; r < rows; r++) d8_store(out + r * stride + 8 * c, d8_add(sum[r][c], add));
    }
}

INLINE void project_rows(const double *e, size_t rows, size_t e_stride, size_t in, const float *m, size_t width, const float *bias,
                         double *out, size_t stride)
{
    size_t c = 0;
    for (; c + 32 <= width; c += 32)
        project_tile(e, rows, e_stride, in, m + c, width, 4, 8, bias ? bias + c : NULL, out + c, stride);
    for (; c + 8 <= width; c += 8)
        project_tile(e, rows, e_stride, in, m + c, width, 1, 8, bias ? bias + c : NULL, out + c, stride);
    if (c < width) {
        project_tile(e, rows, e_stride, in, m + c, width, 1, width - c, bias ? bias + c : NULL, out + c, stride);
        c += 8;
    }
    for (size_t r = 0; r < rows && c < stride; r++)
        memset(out + r * stride + c, 0, (stride - c) * sizeof *out);
}

static void project_f64(const double *e, size_t rows, size_t e_stride, size_t in, const float *m, size_t width, const float *bias,
                        double *out, size_t stride)
{
    size_t r = 0;
    for (; r + 4 <= rows; r += 4)
        project_rows(e + r * e_stride, 4, e_stride, in, m, width, bias, out + r * stride, stride);
    for (; r < rows; r++)
        project_rows(e + r * e_stride, 1, e_stride, in, m, width, bias, out + r * stride, stride);
}

/* tanh(x) = 1 - 2 / (e^2x + 1), x held within +-20, where it is 1 to the last bit. */
INLINE struct d8 tanh8(struct d8 x)
{
    static const double taylor[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                    1.0 / 40320,      1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,
                                    1.0 / 6,          1.0 / 2,         1.0,            1.0};
    EACH(i)
    {
        const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it leaves an integer in the low bits */
        vd y = 2.0 * x.p[i];
        y = vd_select(y > 40.0, 40.0 - (vd){0}, vd_select(y < -40.0, -40.0 - (vd){0}, y));
        vd shifted = y * 1.4426950408889634 + magic;
        vd n = shifted - magic;
        vd r = (y - n * 0x1.62e42fefa38p-1) - n * 0x1.ef35793c7673p-45;
        vd p = taylor[0] - (vd){0};
        UNROLLED for (size_t t = 1; t < sizeof taylor / sizeof *taylor; t++) p = p * r + taylor[t];
        p = (vd)((vl)p + ((vl)shifted << 52));
        x.p[i] = 1.0 - 2.0 / (p + 1.0);
    }
    return x;
}

static void tanh_f64(double *v, size_t n)
{
    for (size_t c = 0; c < n; c += 8)
        d8_store(v + c, tanh8(d8_load(v + c)));
}

static void dots_f64(const double *x, size_t rows, size_t row_stride, size_t interest_stride, const double *u, size_t n,
                     size_t stride, double *a)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < n; j++) {
            const double *xi = x + i * row_stride + j * interest_stride, *uj = u + j * stride;
            struct d8 even = d8_zero(), odd = d8_zero();
            for (size_t c = 0; c < stride; c += 16) {
                even = d8_fma(d8_load(xi + c), d8_load(uj + c), even);
                odd = d8_fma(d8_load(xi + c + 8), d8_load(uj + c + 8), odd);
            }
            a[i * n + j] = d8_sum(d8_add(even, odd));
        }
    }
}

static void sums_f64(const double *x, size_t rows, size_t row_stride, size_t interest_stride, const double *w, size_t n,
                     size_t stride, double *z)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t c = 0; c < stride; c += 16) {
            struct d8 even = d8_zero(), odd = d8_zero();
            for (size_t i = 0; i < rows; i++) {
                const double *xi = x + i * row_stride + j * interest_stride + c;
                even = d8_fma1(w[i * n + j], d8_load(xi), even);
                odd = d8_fma1(w[i * n + j], d8_load(xi + 8), odd);
            }
            d8_store(z + j * stride + c, even);
            d8_store(z + j * stride + c + 8, odd);
        }
    }
}

extern const struct ms_kernels MS_KERNELS;
const struct ms_kernels MS_KERNELS = {
    .name = MS_KERNELS_NAME,
    .route_f32 = route_f32,
    .norms_f32 = norms_f32,
    .scale_f32 = scale_f32,
    .dense_f32 = dense_f32,
    .fold_dots = fold_dots,
    .fold_update = fold_update,
    .project_f64 = project_f64,
    .tanh_f64 = tanh_f64,
    .dots_f64 = dots_f64,
    .sums_f64 = sums_f64,
};
