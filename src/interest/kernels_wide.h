/* Part of kernels_impl.c: routing in double as routing in float32 is done, for models whose logits are large.
 */
#ifndef MS_INTEREST_KERNELS_WIDE_H
#define MS_INTEREST_KERNELS_WIDE_H

#include "interest/kernels_fold.h"
#include "interest/kernels_route.h"

#define PAIR      2                /* rows whose logits of four interests make one vector */
#define PAIR_SIZE (PAIR * MS_TILE) /* doubles of a d8 */

/* The inner products of four rows with the four interests of a tile, two rows a vector. */
INLINE void wide_dots(const double *x, const double *u, size_t stride, struct d8 pairs[2])
{
    struct d8 a[MS_TILE][MS_TILE];
    UNROLLED for (size_t first = 0; first < MS_TILE; first += DOT_ROWS)
    {
        UNROLLED for (size_t r = first; r < first + DOT_ROWS; r++)
        {
            UNROLLED for (size_t j = 0; j < MS_TILE; j++) a[r][j] = d8_zero();
        }
        for (size_t c = 0; c < stride; c += 8) {
            struct d8 uc[MS_TILE];
            UNROLLED for (size_t j = 0; j < MS_TILE; j++) uc[j] = d8_load(u + j * stride + c);
            UNROLLED for (size_t r = first; r < first + DOT_ROWS; r++)
            {
                struct d8 xc = d8_load(x + r * stride + c);
                UNROLLED for (size_t j = 0; j < MS_TILE; j++) a[r][j] = d8_fma(xc, uc[j], a[r][j]);
            }
        }
    }
    pairs[0] = d8_sum_eight(a[0], a[1]);
    pairs[1] = d8_sum_eight(a[2], a[3]);
}

INLINE void wide_logits(const struct ms_route_f64 *s, size_t tiles, size_t row, size_t rows)
{
    for (size_t i = row; i < row + rows; i += MS_TILE) {
        for (size_t t = 0; t < tiles; t++) {
            struct d8 a[2];
            wide_dots(s->x + i * s->stride, s->u + t * MS_TILE * s->stride, s->stride, a);
            UNROLLED for (size_t p = 0; p < 2; p++)
            {
                double *b = s->b + ((i / PAIR + p) * tiles + t) * PAIR_SIZE;
                struct d8 factor = s->row_scale ? d8_load(s->row_scale + (i / PAIR + p) * PAIR_SIZE)
                                                : d8_splat(s->scale);
                d8_store(b, s->replace ? d8_mul(factor, a[p]) : d8_fma(factor, a[p], d8_load(b)));
            }
        }
    }
}

/* What is the same for every row of an iteration. */
struct wide_softmax {
    struct d8 scale;
    struct d8 limit;           /* squared */
    struct d8 within;          /* its sign bits stay set as long as every logit is below the limit */
    struct d8 mass[MAX_TILES]; /* sums of weights */
    struct d8 lanes[MAX_TILES];
};

/* Weights of |pairs| (up to 4) pairs of rows at |b|, to |w|; in place allowed. Rows past |rows| get 0. The
 * largest logit is not taken off first: what e^b cannot hold is noticed. */
INLINE void wide_softmax_pairs(struct wide_softmax *m, size_t tiles, const double *b, double *w, size_t pairs,
                               size_t rows)
{
    struct d8 total[4];
    UNROLLED for (size_t g = 0; g < pairs; g++)
    {
        total[g] = d8_zero();
        for (size_t t = 0; t < tiles; t++) {
            size_t at = (g * tiles + t) * PAIR_SIZE;
            struct d8 e = d8_mul(m->scale, d8_load(b + at));
            m->within = d8_and(m->within, d8_fms(e, e, m->limit));
            EACH (i)
                e.p[i] = exp_of(e.p[i]);
            e = d8_and(e, m->lanes[t]);
            total[g] = d8_add(total[g], e);
            d8_store(w + at, e);
        }
    }
    UNROLLED for (size_t g = pairs; g < 4; g++) total[g] = total[0];
    struct d8 share = d8_div(d8_splat(1.0), d8_sum_in_halves(total[0], total[1], total[2], total[3]));
    struct d8 shares[4] = {D8_HALF_SPLAT(share, 0), D8_HALF_SPLAT(share, 1), D8_HALF_SPLAT(share, 2),
                           D8_HALF_SPLAT(share, 3)};
    UNROLLED for (size_t g = 0; g < pairs; g++)
    {
        if (rows < (g + 1) * PAIR) { /* the pair's second row, or both, are padding */
            const int64_t first[PAIR_SIZE] = {-1, -1, -1, -1}, none[PAIR_SIZE] = {0};
            struct d8 mask;
            memcpy(&mask, rows > g * PAIR ? first : none, sizeof mask);
            shares[g] = d8_and(shares[g], mask);
        }
        for (size_t t = 0; t < tiles; t++) {
            size_t at = (g * tiles + t) * PAIR_SIZE;
            struct d8 weight = d8_mul(d8_load(w + at), shares[g]);
            m->mass[t] = d8_add(m->mass[t], weight);
            d8_store(w + at, weight);
        }
    }
}

INLINE void wide_block_softmax(struct wide_softmax *m, size_t tiles, const double *b, double *w, size_t rows)
{
    size_t i = 0, pair = tiles * PAIR_SIZE;
    for (; i + 6 < rows; i += 8)
        wide_softmax_pairs(m, tiles, b + i / PAIR * pair, w + i / PAIR * pair, 4, rows - i);
    for (; i < rows; i += PAIR)
        wide_softmax_pairs(m, tiles, b + i / PAIR * pair, w + i / PAIR * pair, 1, rows - i);
}

/* Adds |width| vectors' width of the weighted rows of a block to z, for the four interests of a tile. */
INLINE void wide_tile_sums(const struct ms_route_f64 *s, size_t tiles, const double *x, const double *w,
                           size_t rows, double *z, size_t width)
{
    struct d8 sum[MS_TILE][SLAB];
    UNROLLED for (size_t j = 0; j < MS_TILE; j++)
    {
        UNROLLED for (size_t c = 0; c < width; c++) sum[j][c] = d8_load(z + j * s->stride + c * 8);
    }
    for (size_t i = 0; i < rows; i++) {
        const double *weight = w + i / PAIR * tiles * PAIR_SIZE + i % PAIR * MS_TILE;
        struct d8 xc[SLAB];
        UNROLLED for (size_t c = 0; c < width; c++) xc[c] = d8_load(x + i * s->stride + c * 8);
        UNROLLED for (size_t j = 0; j < MS_TILE; j++)
        {
            UNROLLED for (size_t c = 0; c < width; c++) sum[j][c] = d8_fma1(weight[j], xc[c], sum[j][c]);
        }
    }
    UNROLLED for (size_t j = 0; j < MS_TILE; j++)
    {
        UNROLLED for (size_t c = 0; c < width; c++) d8_store(z + j * s->stride + c * 8, sum[j][c]);
    }
}

INLINE void wide_block_sums(const struct ms_route_f64 *s, size_t tiles, const double *x, const double *w,
                            size_t rows)
{
    for (size_t t = 0; t < tiles; t++) {
        double *z = s->z + t * MS_TILE * s->stride;
        size_t c = 0;
        for (; c + SLAB * 8 <= s->stride; c += SLAB * 8)
            wide_tile_sums(s, tiles, x + c, w + t * PAIR_SIZE, rows, z + c, SLAB);
        for (; c < s->stride; c += 8)
            wide_tile_sums(s, tiles, x + c, w + t * PAIR_SIZE, rows, z + c, 1);
    }
}

static void wide_softmax_start(const struct ms_route_f64 *s, struct wide_softmax *m)
{
    m->scale = d8_splat(s->softmax_scale);
    m->limit = d8_splat(MS_WIDE_LOGITS * MS_WIDE_LOGITS);
    m->within = d8_splat(-1.0);
    for (size_t t = 0; t < s->tiles; t++) {
        int64_t lane[PAIR_SIZE];
        for (size_t l = 0; l < PAIR_SIZE; l++)
            lane[l] = t * MS_TILE + l % MS_TILE < s->interests ? -1 : 0;
        memcpy(&m->lanes[t], lane, sizeof lane);
        m->mass[t] = d8_zero();
    }
}

static void wide_softmax_end(struct ms_route_f64 *s, const struct wide_softmax *m)
{
    int64_t bits[PAIR_SIZE], all = -1;
    memcpy(bits, &m->within, sizeof bits);
    for (size_t l = 0; l < PAIR_SIZE; l++)
        all &= bits[l];
    s->beyond = s->beyond || all >= 0;
    for (size_t t = 0; t < s->tiles; t++) {
        double lane[PAIR_SIZE];
        memcpy(lane, &m->mass[t], sizeof lane);
        for (size_t j = 0; j < MS_TILE; j++)
            s->mass[t * MS_TILE + j] = lane[j] + lane[j + MS_TILE];
    }
}

INLINE void wide_route(struct ms_route_f64 *s, size_t tiles)
{
    struct wide_softmax m;
    wide_softmax_start(s, &m);
    memset(s->z, 0, tiles * MS_TILE * s->stride * sizeof *s->z);
    for (size_t row = 0; row < s->rows; row += MS_BLOCK_ROWS) {
        size_t rows = s->rows - row < MS_BLOCK_ROWS ? s->rows - row : MS_BLOCK_ROWS;
        if (s->u)
            wide_logits(s, tiles, row, rows);
        double *b = s->b + row / PAIR * tiles * PAIR_SIZE;
        double *w = s->keep ? b : s->w;
        wide_block_softmax(&m, tiles, b, w, rows);
        wide_block_sums(s, tiles, s->x + row * s->stride, w, rows);
    }
    wide_softmax_end(s, &m);
}

static void route_f64(struct ms_route_f64 *s)
{
    assert(s->tiles >= 1 && s->tiles <= MAX_TILES);
    if (s->tiles == 1)
        wide_route(s, 1);
    else
        wide_route(s, s->tiles);
}

INLINE void gather_wide(const float *table, const float *rest, const uint32_t *rows, size_t n, size_t dim,
                        size_t stride, double *out)
{
    for (size_t i = 0; i < n && i < FETCH_AHEAD; i++) {
        fetch(table + rows[i] * dim, dim);
        if (rest)
            fetch(rest + rows[i] * dim, dim);
    }
    for (size_t i = 0; i < n; i++) {
        const float *from = table + rows[i] * dim, *more = rest ? rest + rows[i] * dim : NULL;
        double *to = out + i * stride;
        size_t c = 0;
        if (i + FETCH_AHEAD < n) {
            fetch(table + rows[i + FETCH_AHEAD] * dim, dim);
            if (rest)
                fetch(rest + rows[i + FETCH_AHEAD] * dim, dim);
        }
        for (; c + 8 <= dim; c += 8)
            d8_store(to + c, rest ? d8_add(d8_widen(from + c), d8_widen(more + c)) : d8_widen(from + c));
        for (; c < dim; c++)
            to[c] = (double)from[c] + (rest ? (double)more[c] : 0.0);
        for (; c < stride; c++)
            to[c] = 0.0;
    }
    for (size_t i = n; i % MS_TILE; i++)
        memset(out + i * stride, 0, stride * sizeof *out);
}

static void gather_f64(const float *table, const float *rest, const uint32_t *rows, size_t n, size_t dim,
                       size_t stride, double *out)
{
    if (rest)
        gather_wide(table, rest, rows, n, dim, stride, out);
    else
        gather_wide(table, NULL, rows, n, dim, stride, out);
}

static void norms_f64(const double *v, size_t n, size_t stride, double *norms)
{
    for (size_t j = 0; j < n; j += MS_TILE) {
        struct d8 sum[MS_TILE] = {d8_zero(), d8_zero(), d8_zero(), d8_zero()};
        for (size_t c = 0; c < stride; c += 8)
            UNROLLED for (size_t l = 0; l < MS_TILE; l++)
            {
                struct d8 vc = d8_load(v + (j + l) * stride + c);
                sum[l] = d8_fma(vc, vc, sum[l]);
            }
        v4d four = d8_sum_four(sum[0], sum[1], sum[2], sum[3]);
        memcpy(norms + j, &four, sizeof four);
    }
}

static void scale_f64(const double *v, size_t n, size_t stride, const double *factors, double *out)
{
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < stride; c += 8)
            d8_store(out + j * stride + c, d8_mul(d8_splat(factors[j]), d8_load(v + j * stride + c)));
}

/* NaN to 0, and what passes the largest float to that. */
INLINE struct d8 publishable(struct d8 v)
{
    const vd most = (double)__FLT_MAX__ - (vd){0};
    EACH (i) {
        v.p[i] = vd_select(v.p[i] > most, most, vd_select(v.p[i] < -most, -most, v.p[i]));
        v.p[i] = vd_select(v.p[i] == v.p[i], v.p[i], (vd){0});
    }
    return v;
}

static void publish_f64(const double *v, size_t n, double factor, float *out)
{
    size_t c = 0;
    for (; c + 8 <= n; c += 8)
        d8_narrow(out + c, publishable(d8_mul(d8_splat(factor), d8_load(v + c))));
    if (c < n) {
        double part[8] = {0};
        float narrow[8];
        struct d8 rest;
        memcpy(part, v + c, (n - c) * sizeof *v);
        memcpy(&rest, part, sizeof rest);
        d8_narrow(narrow, publishable(d8_mul(d8_splat(factor), rest)));
        memcpy(out + c, narrow, (n - c) * sizeof *out);
    }
}

#endif
