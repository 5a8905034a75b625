/* Part of kernels_impl.c: routing in float32, and what goes around it. */
#ifndef MS_INTEREST_KERNELS_ROUTE_H
#define MS_INTEREST_KERNELS_ROUTE_H

#include <assert.h>

#include "interest/kernels.h"
#include "interest/vectors.h"

#define MAX_TILES 16 /* MS_MAX_INTERESTS / MS_TILE */

/* How much is held in registers at a time: all of a 4 x 4 tile where there are 32 wide ones, a row of it
 * elsewhere. The order of the sums is the same. */
#if NATIVE == 16
#define DOT_ROWS 4
#define SLAB     4
#else
#define DOT_ROWS 1
#define SLAB     1
#endif

/* The inner products of |rows| rows with the four interests of a tile, each left as sums of quads of lanes.
 */
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
    UNROLLED for (size_t r = 0; r < rows; r++)
        quads[r] = f16_sum_in_quads(a[r][0], a[r][1], a[r][2], a[r][3]);
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
    struct f16 mass[MAX_TILES], lanes[MAX_TILES]; /* sums of weights, and which lanes are interests at all */
};

/* e^(softmax_scale * b), within 2 units in the last place; |softmax_scale * b| must be below 80. There is no
 * need to take the largest logit off first: one that is beyond the limit is noticed, and the result thrown
 * away. */
INLINE struct f16 exp_of_logit(struct softmax *s, struct f16 b)
{
    const struct f16 magic = f16_splat(
        12582912.0f); /* 1.5 * 2^23: adding it leaves an integer in the low bits */
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

/* Weights of the |groups| (up to 4) groups of four rows at |b|, to |w|; in place allowed. Rows past |rows|
 * get 0. */
INLINE void softmax_groups(struct softmax *m, size_t tiles, const float *b, float *w, size_t groups,
                           size_t rows)
{
    struct f16 total[4];
    UNROLLED for (size_t g = 0; g < groups; g++)
    {
        total[g] = f16_zero();
        for (size_t t = 0; t < tiles; t++) {
            size_t at = (g * tiles + t) * MS_LANES;
            struct f16 e = exp_of_logit(m, f16_load(b + at));
            e = f16_and(e, m->lanes[t]);
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
        for (size_t t = 0; t < tiles; t++) {
            size_t at = (g * tiles + t) * MS_LANES;
            struct f16 weight = f16_mul(f16_load(w + at), shares[g]);
            m->mass[t] = f16_add(m->mass[t], weight);
            f16_store(w + at, weight);
        }
    }
}

INLINE void block_softmax(struct softmax *m, size_t tiles, const float *b, float *w, size_t rows)
{
    size_t i = 0, group = tiles * MS_LANES;
    for (; i + 12 < rows; i += 16)
        softmax_groups(m, tiles, b + i / MS_TILE * group, w + i / MS_TILE * group, 4, rows - i);
    for (; i < rows; i += MS_TILE)
        softmax_groups(m, tiles, b + i / MS_TILE * group, w + i / MS_TILE * group, 1, rows - i);
}

/* Adds |width| vectors' width of the weighted rows of a block to z, for the four interests of a tile. The
 * block's sum is made on its own first: a long history then loses no more digits than a short one. */
INLINE void tile_sums(const struct ms_route_f32 *s, size_t tiles, const float *x, const float *w, size_t rows,
                      float *z, size_t width)
{
    struct f16 sum[MS_TILE][SLAB];
    UNROLLED for (size_t j = 0; j < MS_TILE; j++)
    {
        UNROLLED for (size_t c = 0; c < width; c++) sum[j][c] = f16_zero();
    }
    for (size_t i = 0; i < rows; i++) {
        const float *weight = w + (i / MS_TILE) * tiles * MS_LANES + (i % MS_TILE) * MS_TILE;
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

INLINE void block_sums(const struct ms_route_f32 *s, size_t tiles, const float *x, const float *w,
                       size_t rows)
{
    for (size_t t = 0; t < tiles; t++) {
        float *z = s->z + t * MS_TILE * s->stride;
        size_t c = 0;
        for (; c + SLAB * MS_LANES <= s->stride; c += SLAB * MS_LANES)
            tile_sums(s, tiles, x + c, w + t * MS_LANES, rows, z + c, SLAB);
        for (; c < s->stride; c += MS_LANES)
            tile_sums(s, tiles, x + c, w + t * MS_LANES, rows, z + c, 1);
    }
}

INLINE void block_logits(const struct ms_route_f32 *s, size_t tiles, size_t row, size_t rows)
{
    for (size_t i = row; i < row + rows; i += MS_TILE) {
        struct f16 factor = s->row_scale ? f16_load(s->row_scale + i * MS_TILE) : f16_splat(s->scale);
        for (size_t t = 0; t < tiles; t++) {
            float *b = s->b + (i / MS_TILE * tiles + t) * MS_LANES;
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
    for (size_t t = 0; t < s->tiles; t++) {
        m->mass[t] = f16_zero();
        m->lanes[t] = f16_lanes_below(interest_of_lane, (int32_t)(s->interests - t * MS_TILE));
    }
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

INLINE void route(struct ms_route_f32 *s, size_t tiles)
{
    struct softmax m;
    softmax_start(s, &m);
    memset(s->z, 0, tiles * MS_TILE * s->stride * sizeof *s->z);
    for (size_t row = 0; row < s->rows; row += MS_BLOCK_ROWS) {
        size_t rows = s->rows - row < MS_BLOCK_ROWS ? s->rows - row : MS_BLOCK_ROWS;
        if (s->u)
            block_logits(s, tiles, row, rows);
        float *b = s->b + row / MS_TILE * tiles * MS_LANES;
        float *w = s->keep ? b : s->w;
        block_softmax(&m, tiles, b, w, rows);
        block_sums(s, tiles, s->x + row * s->stride, w, rows);
    }
    softmax_end(s, &m);
}

static void route_f32(struct ms_route_f32 *s)
{
    assert(s->tiles >= 1 && s->tiles <= MAX_TILES);
    if (s->tiles == 1) /* up to four interests: the common case, with its loops over tiles gone */
        route(s, 1);
    else
        route(s, s->tiles);
}

/* How many rows ahead of their use items are fetched. */
#define FETCH_AHEAD 12

INLINE void fetch(const float *row, size_t dim)
{
    for (size_t byte = 0; byte < dim * sizeof *row; byte += 64)
        __builtin_prefetch((const char *)row + byte);
}

static void gather_f32(const float *table, const uint32_t *rows, size_t n, size_t dim, size_t stride,
                       float *out)
{
    for (size_t i = 0; i < n && i < FETCH_AHEAD; i++)
        fetch(table + rows[i] * dim, dim);
    for (size_t i = 0; i < n; i++) {
        const float *from = table + rows[i] * dim;
        size_t c = 0;
        if (i + FETCH_AHEAD < n)
            fetch(table + rows[i + FETCH_AHEAD] * dim, dim);
        for (; c + MS_LANES <= dim; c += MS_LANES)
            f16_store(out + i * stride + c, f16_load_any(from + c));
        if (c < dim)
            f16_store(out + i * stride + c, f16_load_part(from + c, dim - c));
    }
    for (size_t i = n; i % MS_TILE; i++)
        memset(out + i * stride, 0, stride * sizeof *out);
}

static void norms_f32(const float *v, size_t n, size_t stride, float *norms)
{
    for (size_t j = 0; j < n; j += MS_TILE) {
        struct f16 sum[MS_TILE] = {f16_zero(), f16_zero(), f16_zero(), f16_zero()};
        for (size_t c = 0; c < stride; c += MS_LANES)
            UNROLLED for (size_t l = 0; l < MS_TILE; l++)
            {
                struct f16 vc = f16_load(v + (j + l) * stride + c);
                sum[l] = f16_fma(vc, vc, sum[l]);
            }
        struct f16 quads = f16_sum_in_quads(sum[0], sum[1], sum[2], sum[3]);
        quads = f16_sum_quads(quads, quads, quads, quads);
        memcpy(norms + j, &quads, MS_TILE * sizeof *norms);
    }
}

static void scale_rows(const float *v, size_t n, size_t dim, const float *factors, float *out, size_t stride)
{
    for (size_t j = 0; j < n; j++) {
        struct f16 factor = f16_splat(factors[j]);
        size_t c = 0;
        for (; c + MS_LANES <= dim; c += MS_LANES)
            f16_store_any(out + j * stride + c, f16_mul(factor, f16_load_any(v + j * dim + c)));
        for (; c < dim; c++)
            out[j * stride + c] = factors[j] * v[j * dim + c];
        for (; c < stride; c++)
            out[j * stride + c] = 0.0f;
    }
}

static void scale_f32(const float *v, size_t n, size_t stride, const float *factors, float *out)
{
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < stride; c += MS_LANES)
            f16_store(out + j * stride + c, f16_mul(f16_splat(factors[j]), f16_load(v + j * stride + c)));
}

static void dense_f32(const float *a, size_t rows, size_t width, const float *v, size_t n, size_t stride,
                      float *out, size_t out_stride)
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

#endif
