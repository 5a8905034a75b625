/* The arithmetic of routing, compiled once for each instruction set (MS_KERNELS names the table it makes). */
#include "interest/kernels.h"

#include <assert.h>

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
DEFINE_EXP(exp_of, vd, vl)
DEFINE_EXP(exp_of_four, v4d, v4l)

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

/* |rows| (up to 4) rows times |width8| (up to 4) vectors' width of M; |part| is the width of the last vector.
 */
INLINE void project_tile(const double *e, size_t rows, size_t e_stride, size_t in, const float *m,
                         size_t width, size_t width8, size_t part, const float *bias, double *out,
                         size_t stride)
{
    struct d8 sum[4][4];
    UNROLLED for (size_t r = 0; r < rows; r++)
    {
        UNROLLED for (size_t c = 0; c < width8; c++) sum[r][c] = d8_zero();
    }
    for (size_t d = 0; d < in; d++) {
        struct d8 mc[4];
        UNROLLED for (size_t c = 0; c < width8; c++)
            mc[c] = part == 8 ? d8_widen(m + d * width + 8 * c) : d8_widen_part(m + d * width + 8 * c, part);
        UNROLLED for (size_t r = 0; r < rows; r++)
        {
            UNROLLED for (size_t c = 0; c < width8; c++)
                sum[r][c] = d8_fma1(e[r * e_stride + d], mc[c], sum[r][c]);
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

INLINE void project_rows(const double *e, size_t rows, size_t e_stride, size_t in, const float *m,
                         size_t width, const float *bias, double *out, size_t stride)
{
    size_t c = 0;
    for (; c + 32 <= width; c += 32)
        project_tile(e, rows, e_stride, in, m + c, width, 4, 8, bias ? bias + c : NULL, out + c, stride);
    for (; c + 8 <= width; c += 8)
        project_tile(e, rows, e_stride, in, m + c, width, 1, 8, bias ? bias + c : NULL, out + c, stride);
    if (c < width) {
        project_tile(e, rows, e_stride, in, m + c, width, 1, width - c, bias ? bias + c : NULL, out + c,
                     stride);
        c += 8;
    }
    for (size_t r = 0; r < rows && c < stride; r++)
        memset(out + r * stride + c, 0, (stride - c) * sizeof *out);
}

static void project_f64(const double *e, size_t rows, size_t e_stride, size_t in, const float *m,
                        size_t width, const float *bias, double *out, size_t stride)
{
    size_t r = 0;
    for (; r + 4 <= rows; r += 4)
        project_rows(e + r * e_stride, 4, e_stride, in, m, width, bias, out + r * stride, stride);
    for (; r < rows; r++)
        project_rows(e + r * e_stride, 1, e_stride, in, m, width, bias, out + r * stride, stride);
}

static void exp_f64(double *v, size_t n)
{
    for (size_t c = 0; c < n; c += NATIVE / 2) {
        vd y = *(vd *)(v + c);
        *(vd *)(v + c) = exp_of(vd_select(y < -700.0, -700.0 - (vd){0}, y));
    }
}

/* tanh(x) = 1 - 2 / (e^2x + 1), x held within +-20, where it is 1 to the last bit. */
static void tanh_f64(double *v, size_t n)
{
    for (size_t c = 0; c < n; c += NATIVE / 2) {
        vd y = 2.0 * *(vd *)(v + c);
        y = vd_select(y > 40.0, 40.0 - (vd){0}, vd_select(y < -40.0, -40.0 - (vd){0}, y));
        *(vd *)(v + c) = 1.0 - 2.0 / (exp_of(y) + 1.0);
    }
}

static void dots_f64(const double *x, size_t rows, size_t row_stride, size_t interest_stride, const double *u,
                     size_t n, size_t stride, double *a)
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

static void sums_f64(const double *x, size_t rows, size_t row_stride, size_t interest_stride, const double *w,
                     size_t n, size_t stride, double *z)
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
    .gather_f32 = gather_f32,
    .norms_f32 = norms_f32,
    .scale_f32 = scale_f32,
    .scale_rows = scale_rows,
    .dense_f32 = dense_f32,
    .fold_dots = fold_dots,
    .fold_update = fold_update,
    .fold_four = fold_four,
    .squash_four = squash_four,
    .squash_f64 = squash_f64,
    .exp_f64 = exp_f64,
    .project_f64 = project_f64,
    .tanh_f64 = tanh_f64,
    .dots_f64 = dots_f64,
    .sums_f64 = sums_f64,
};
