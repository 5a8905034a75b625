/* Vectors of 16 floats and of 8 doubles for implementation.c, made of as many native vectors as the instruction
 * set needs: one with AVX-512, two with AVX2, four with SSE2. Operations go lane by lane; sums across lanes
 * go by one fixed tree whatever the native width is. */
#ifndef MS_INTEREST_VECTORS_H
#define MS_INTEREST_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#if defined __AVX512F__
#define NATIVE 16 /* floats of a native vector */
#elif defined __AVX2__
#define NATIVE 8
#else
#define NATIVE 4
#endif
#define PARTS (16 / NATIVE)

typedef float vf __attribute__((vector_size(NATIVE * 4)));
typedef float vf_any __attribute__((vector_size(NATIVE * 4), aligned(4))); /* at any address of a float */
typedef float vf_half __attribute__((vector_size(NATIVE * 2)));
typedef float vf_half_any __attribute__((vector_size(NATIVE * 2), aligned(4)));
typedef int32_t vi __attribute__((vector_size(NATIVE * 4)));
typedef uint32_t vu __attribute__((vector_size(NATIVE * 4))); /* bits: these wrap around */
typedef double vd __attribute__((vector_size(NATIVE * 4)));
typedef double vd_half __attribute__((vector_size(NATIVE * 2)));
typedef int64_t vl __attribute__((vector_size(NATIVE * 4)));
typedef uint64_t vul __attribute__((vector_size(NATIVE * 4)));

/* Four doubles or floats: one number for each interest of a tile. */
typedef double v4d __attribute__((vector_size(32)));
typedef int64_t v4l __attribute__((vector_size(32)));
typedef uint64_t v4ul __attribute__((vector_size(32)));
typedef float v4f __attribute__((vector_size(16)));

struct f16 {
    vf p[PARTS];
};

struct d8 {
    vd p[PARTS];
};

#define INLINE   static inline __attribute__((always_inline))
#define EACH(i)  _Pragma("GCC unroll 16") for (size_t i = 0; i < PARTS; i++)
#define UNROLLED _Pragma("GCC unroll 16")

INLINE struct f16 f16_zero(void)
{
    return (struct f16){{{0}}};
}

INLINE struct f16 f16_splat(float value)
{
    struct f16 r;
    EACH (i)
        r.p[i] = value - (vf){0};
    return r;
}

INLINE struct f16 f16_load(const float *at) /* 64-byte aligned */
{
    struct f16 r;
    EACH (i)
        r.p[i] = *(const vf *)(const void *)(at + i * NATIVE);
    return r;
}

INLINE struct f16 f16_load_any(const float *at)
{
    struct f16 r;
    EACH (i)
        r.p[i] = *(const vf_any *)(at + i * NATIVE);
    return r;
}

/* The first |n| < 16 floats at |at|, the rest 0. */
INLINE struct f16 f16_load_part(const float *at, size_t n)
{
    _Alignas(64) float copy[16] = {0};
    memcpy(copy, at, n * sizeof *at);
    return f16_load(copy);
}

INLINE void f16_store_any(float *at, struct f16 v)
{
    EACH (i)
        *(vf_any *)(at + i * NATIVE) = v.p[i];
}

INLINE void f16_store(float *at, struct f16 v)
{
    EACH (i)
        *(vf *)(void *)(at + i * NATIVE) = v.p[i];
}

INLINE struct f16 f16_add(struct f16 a, struct f16 b)
{
    EACH (i)
        a.p[i] += b.p[i];
    return a;
}

INLINE struct f16 f16_sub(struct f16 a, struct f16 b)
{
    EACH (i)
        a.p[i] -= b.p[i];
    return a;
}

INLINE struct f16 f16_mul(struct f16 a, struct f16 b)
{
    EACH (i)
        a.p[i] *= b.p[i];
    return a;
}

INLINE struct f16 f16_div(struct f16 a, struct f16 b)
{
    EACH (i)
        a.p[i] /= b.p[i];
    return a;
}

/* a * b + c, in one rounding where the instruction set has it. */
INLINE struct f16 f16_fma(struct f16 a, struct f16 b, struct f16 c)
{
    EACH (i)
        c.p[i] = a.p[i] * b.p[i] + c.p[i];
    return c;
}

/* a * b - c */
INLINE struct f16 f16_fms(struct f16 a, struct f16 b, struct f16 c)
{
    EACH (i)
        c.p[i] = a.p[i] * b.p[i] - c.p[i];
    return c;
}

INLINE struct f16 f16_fma1(float a, struct f16 b, struct f16 c)
{
    EACH (i)
        c.p[i] = a * b.p[i] + c.p[i];
    return c;
}

INLINE struct f16 f16_and(struct f16 a, struct f16 mask)
{
    EACH (i)
        a.p[i] = (vf)((vi)a.p[i] & (vi)mask.p[i]);
    return a;
}

/* Adds the low bits of |shifted|, as an exponent, to |a|: a * 2^n. */
INLINE struct f16 f16_scale_by_bits(struct f16 a, struct f16 shifted)
{
    EACH (i)
        a.p[i] = (vf)((vu)a.p[i] + ((vu)shifted.p[i] << 23));
    return a;
}

/* Shuffles inside each quad of lanes (a, b: quads of the first and of the second operand). */
#if NATIVE == 16
#define QUAD_SHUFFLE(a, b, i, j, k, l)                                                                       \
    __builtin_shufflevector(a, b, i, j, (k) + 12, (l) + 12, (i) + 4, (j) + 4, (k) + 16, (l) + 16, (i) + 8,   \
                            (j) + 8, (k) + 20, (l) + 20, (i) + 12, (j) + 12, (k) + 24, (l) + 24)
#define QUAD_UNPACK(a, b, i, j)                                                                              \
    __builtin_shufflevector(a, b, i, (i) + 16, j, (j) + 16, (i) + 4, (i) + 20, (j) + 4, (j) + 20, (i) + 8,   \
                            (i) + 24, (j) + 8, (j) + 24, (i) + 12, (i) + 28, (j) + 12, (j) + 28)
#elif NATIVE == 8
#define QUAD_SHUFFLE(a, b, i, j, k, l)                                                                       \
    __builtin_shufflevector(a, b, i, j, (k) + 4, (l) + 4, (i) + 4, (j) + 4, (k) + 8, (l) + 8)
#define QUAD_UNPACK(a, b, i, j)                                                                              \
    __builtin_shufflevector(a, b, i, (i) + 8, j, (j) + 8, (i) + 4, (i) + 12, (j) + 4, (j) + 12)
#else
#define QUAD_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#define QUAD_UNPACK(a, b, i, j)        __builtin_shufflevector(a, b, i, (i) + 4, j, (j) + 4)
#endif

/* Four vectors to one whose each quad of lanes holds (a, b, c, d) summed over the same quad: lanes 0 + 2 and
 * 1 + 3. */
INLINE struct f16 f16_sum_in_quads(struct f16 a, struct f16 b, struct f16 c, struct f16 d)
{
    struct f16 r;
    EACH (i) {
        vf ab = QUAD_UNPACK(a.p[i], b.p[i], 0, 1) + QUAD_UNPACK(a.p[i], b.p[i], 2, 3);
        vf cd = QUAD_UNPACK(c.p[i], d.p[i], 0, 1) + QUAD_UNPACK(c.p[i], d.p[i], 2, 3);
        r.p[i] = QUAD_SHUFFLE(ab, cd, 0, 1, 4, 5) + QUAD_SHUFFLE(ab, cd, 2, 3, 6, 7);
    }
    return r;
}

/* Lane |l| of each quad, in all four of its lanes. */
#define F16_QUAD_SPLAT(v, l)                                                                                 \
    __extension__({                                                                                          \
        struct f16 splat_;                                                                                   \
        EACH (i)                                                                                             \
            splat_.p[i] = QUAD_SHUFFLE((v).p[i], (v).p[i], l, l, (l) + 4, (l) + 4);                          \
        splat_;                                                                                              \
    })

/* Four vectors to one: quad r is the sum of the quads of the r-th, (0 + 2) + (1 + 3). */
INLINE struct f16 f16_sum_quads(struct f16 a, struct f16 b, struct f16 c, struct f16 d)
{
    struct f16 r;
#if NATIVE == 16
#define HALVES(a, b, i)                                                                                      \
    __builtin_shufflevector(a, b, i, (i) + 1, (i) + 2, (i) + 3, (i) + 4, (i) + 5, (i) + 6, (i) + 7,          \
                            (i) + 16, (i) + 17, (i) + 18, (i) + 19, (i) + 20, (i) + 21, (i) + 22, (i) + 23)
#define QUADS(a, b, i)                                                                                       \
    __builtin_shufflevector(a, b, i, (i) + 1, (i) + 2, (i) + 3, (i) + 8, (i) + 9, (i) + 10, (i) + 11,        \
                            (i) + 16, (i) + 17, (i) + 18, (i) + 19, (i) + 24, (i) + 25, (i) + 26, (i) + 27)
    vf ab = HALVES(a.p[0], b.p[0], 0) + HALVES(a.p[0], b.p[0], 8);
    vf cd = HALVES(c.p[0], d.p[0], 0) + HALVES(c.p[0], d.p[0], 8);
    r.p[0] = QUADS(ab, cd, 0) + QUADS(ab, cd, 4);
#elif NATIVE == 8
#define QUADS(a, b, i)                                                                                       \
    __builtin_shufflevector(a, b, i, (i) + 1, (i) + 2, (i) + 3, (i) + 8, (i) + 9, (i) + 10, (i) + 11)
    vf as = a.p[0] + a.p[1], bs = b.p[0] + b.p[1], cs = c.p[0] + c.p[1], ds = d.p[0] + d.p[1];
    r.p[0] = QUADS(as, bs, 0) + QUADS(as, bs, 4);
    r.p[1] = QUADS(cs, ds, 0) + QUADS(cs, ds, 4);
#else
    r.p[0] = (a.p[0] + a.p[2]) + (a.p[1] + a.p[3]);
    r.p[1] = (b.p[0] + b.p[2]) + (b.p[1] + b.p[3]);
    r.p[2] = (c.p[0] + c.p[2]) + (c.p[1] + c.p[3]);
    r.p[3] = (d.p[0] + d.p[2]) + (d.p[1] + d.p[3]);
#endif
    return r;
}

/* Lanes of |tile| whose interest exists, and lanes of the first |rows| rows, as masks. */
INLINE struct f16 f16_lanes_below(const int32_t lanes[16], int32_t limit)
{
    struct f16 r;
    EACH (i) {
        vi lane;
        memcpy(&lane, lanes + i * NATIVE, sizeof lane);
        r.p[i] = (vf)(lane < limit);
    }
    return r;
}

INLINE struct d8 d8_zero(void)
{
    return (struct d8){{{0}}};
}

INLINE struct d8 d8_load(const double *at) /* 64-byte aligned */
{
    struct d8 r;
    EACH (i)
        r.p[i] = *(const vd *)(const void *)(at + i * (NATIVE / 2));
    return r;
}

INLINE void d8_store(double *at, struct d8 v)
{
    EACH (i)
        *(vd *)(void *)(at + i * (NATIVE / 2)) = v.p[i];
}

/* GCC 12 converts half a vector at a time; the instruction takes a whole one. */
INLINE vd vd_widen(vf_half half)
{
#if NATIVE == 16
    return (vd)_mm512_cvtps_pd((__m256)half);
#elif NATIVE == 8
    return (vd)_mm256_cvtps_pd((__m128)half);
#else
    return __builtin_convertvector(half, vd);
#endif
}

/* Eight floats at any address, as doubles. */
INLINE struct d8 d8_widen(const float *at)
{
    struct d8 r;
    EACH (i)
        r.p[i] = vd_widen(*(const vf_half_any *)(at + i * (NATIVE / 2)));
    return r;
}

INLINE struct d8 d8_widen_part(const float *at, size_t n)
{
    float copy[8] = {0};
    memcpy(copy, at, n * sizeof *at);
    return d8_widen(copy);
}

INLINE struct d8 d8_add(struct d8 a, struct d8 b)
{
    EACH (i)
        a.p[i] += b.p[i];
    return a;
}

INLINE struct d8 d8_fma(struct d8 a, struct d8 b, struct d8 c)
{
    EACH (i)
        c.p[i] = a.p[i] * b.p[i] + c.p[i];
    return c;
}

INLINE struct d8 d8_fma1(double a, struct d8 b, struct d8 c)
{
    EACH (i)
        c.p[i] = a * b.p[i] + c.p[i];
    return c;
}

INLINE struct d8 d8_splat(double value)
{
    struct d8 r;
    EACH (i)
        r.p[i] = value - (vd){0};
    return r;
}

INLINE struct d8 d8_mul(struct d8 a, struct d8 b)
{
    EACH (i)
        a.p[i] *= b.p[i];
    return a;
}

INLINE struct d8 d8_div(struct d8 a, struct d8 b)
{
    EACH (i)
        a.p[i] /= b.p[i];
    return a;
}

INLINE struct d8 d8_and(struct d8 a, struct d8 mask)
{
    EACH (i)
        a.p[i] = (vd)((vl)a.p[i] & (vl)mask.p[i]);
    return a;
}

/* a * b - c */
INLINE struct d8 d8_fms(struct d8 a, struct d8 b, struct d8 c)
{
    EACH (i)
        c.p[i] = a.p[i] * b.p[i] - c.p[i];
    return c;
}

INLINE vd vd_select(vl mask, vd yes, vd no)
{
    return (vd)(((vl)yes & mask) | ((vl)no & ~mask));
}

/* Sum of the lanes: neighbors first, then (0 + 2) + (1 + 3) of the four pairs, as d8_sum_four does. */
INLINE double d8_sum(struct d8 v)
{
    double lane[8];
    memcpy(lane, &v, sizeof lane);
    return ((lane[0] + lane[1]) + (lane[4] + lane[5])) + ((lane[2] + lane[3]) + (lane[6] + lane[7]));
}

/* The sums of four vectors. */
INLINE v4d d8_sum_four(struct d8 a, struct d8 b, struct d8 c, struct d8 d)
{
    struct d8 ab, cd;
    v4d out;
#if NATIVE == 16
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#elif NATIVE == 8
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 4, 2, 6)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 5, 3, 7)
#else
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3)
#endif
    EACH (i) {
        ab.p[i] = EVEN(a.p[i], b.p[i]) + ODD(a.p[i], b.p[i]);
        cd.p[i] = EVEN(c.p[i], d.p[i]) + ODD(c.p[i], d.p[i]);
    }
#if NATIVE == 16
    vd halves = __builtin_shufflevector(ab.p[0], cd.p[0], 0, 1, 2, 3, 8, 9, 10, 11) +
                __builtin_shufflevector(ab.p[0], cd.p[0], 4, 5, 6, 7, 12, 13, 14, 15);
    vd_half sums = __builtin_shufflevector(halves, halves, 0, 1, 4, 5) +
                   __builtin_shufflevector(halves, halves, 2, 3, 6, 7);
    memcpy(&out, &sums, sizeof sums);
#elif NATIVE == 8
    vd left = ab.p[0] + ab.p[1], right = cd.p[0] + cd.p[1];
    vd sums = __builtin_shufflevector(left, right, 0, 1, 4, 5) +
              __builtin_shufflevector(left, right, 2, 3, 6, 7);
    memcpy(&out, &sums, sizeof sums);
#else
    vd left = (ab.p[0] + ab.p[2]) + (ab.p[1] + ab.p[3]), right = (cd.p[0] + cd.p[2]) + (cd.p[1] + cd.p[3]);
    memcpy(&out, &left, sizeof left);
    memcpy((char *)&out + sizeof left, &right, sizeof right);
#endif
    return out;
}

/* The sums of two times four vectors, each by the tree of d8_sum_four. */
INLINE struct d8 d8_sum_eight(const struct d8 a[4], const struct d8 b[4])
{
    struct d8 r;
#if NATIVE == 16
#define LOWER(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define UPPER(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
    vd a01 = EVEN(a[0].p[0], a[1].p[0]) + ODD(a[0].p[0], a[1].p[0]),
       a23 = EVEN(a[2].p[0], a[3].p[0]) + ODD(a[2].p[0], a[3].p[0]),
       b01 = EVEN(b[0].p[0], b[1].p[0]) + ODD(b[0].p[0], b[1].p[0]),
       b23 = EVEN(b[2].p[0], b[3].p[0]) + ODD(b[2].p[0], b[3].p[0]);
    vd left = LOWER(a01, b01) + UPPER(a01, b01), right = LOWER(a23, b23) + UPPER(a23, b23);
    r.p[0] = __builtin_shufflevector(left, right, 0, 1, 8, 9, 4, 5, 12, 13) +
             __builtin_shufflevector(left, right, 2, 3, 10, 11, 6, 7, 14, 15);
#else
    v4d both[2] = {d8_sum_four(a[0], a[1], a[2], a[3]), d8_sum_four(b[0], b[1], b[2], b[3])};
    memcpy(&r, both, sizeof r);
#endif
    return r;
}

/* Four vectors to one whose each half holds (a, b, c, d) summed over the same half: (0 + 1) + (2 + 3). */
INLINE struct d8 d8_sum_in_halves(struct d8 a, struct d8 b, struct d8 c, struct d8 d)
{
    struct d8 r, ab, cd;
    EACH (i) {
        ab.p[i] = EVEN(a.p[i], b.p[i]) + ODD(a.p[i], b.p[i]);
        cd.p[i] = EVEN(c.p[i], d.p[i]) + ODD(c.p[i], d.p[i]);
    }
#if NATIVE == 16
    r.p[0] = __builtin_shufflevector(ab.p[0], cd.p[0], 0, 1, 8, 9, 4, 5, 12, 13) +
             __builtin_shufflevector(ab.p[0], cd.p[0], 2, 3, 10, 11, 6, 7, 14, 15);
#elif NATIVE == 8
    EACH (i)
        r.p[i] = __builtin_shufflevector(ab.p[i], cd.p[i], 0, 1, 4, 5) +
                 __builtin_shufflevector(ab.p[i], cd.p[i], 2, 3, 6, 7);
#else
    r.p[0] = ab.p[0] + ab.p[1];
    r.p[1] = cd.p[0] + cd.p[1];
    r.p[2] = ab.p[2] + ab.p[3];
    r.p[3] = cd.p[2] + cd.p[3];
#endif
    return r;
}

/* Lane |l| of each half, in all four of its lanes. */
#if NATIVE == 16
#define D8_HALF_SPLAT(v, l)                                                                                  \
    (struct d8)                                                                                              \
    {                                                                                                        \
        {                                                                                                    \
            __builtin_shufflevector((v).p[0], (v).p[0], l, l, l, l, (l) + 4, (l) + 4, (l) + 4, (l) + 4)      \
        }                                                                                                    \
    }
#elif NATIVE == 8
#define D8_HALF_SPLAT(v, l)                                                                                  \
    (struct d8)                                                                                              \
    {                                                                                                        \
        {                                                                                                    \
            __builtin_shufflevector((v).p[0], (v).p[0], l, l, l, l),                                         \
                __builtin_shufflevector((v).p[1], (v).p[1], l, l, l, l)                                      \
        }                                                                                                    \
    }
#else
#define D8_PAIR_SPLAT(v, l, half)                                                                            \
    __builtin_shufflevector((v).p[2 * (half) + (l) / 2], (v).p[2 * (half) + (l) / 2], (l) % 2, (l) % 2)
#define D8_HALF_SPLAT(v, l)                                                                                  \
    (struct d8)                                                                                              \
    {                                                                                                        \
        {                                                                                                    \
            D8_PAIR_SPLAT(v, l, 0), D8_PAIR_SPLAT(v, l, 0), D8_PAIR_SPLAT(v, l, 1), D8_PAIR_SPLAT(v, l, 1)   \
        }                                                                                                    \
    }
#endif

/* Rounded to eight floats, at any address. */
INLINE void d8_narrow(float *at, struct d8 v)
{
#if NATIVE == 16
    vf_half r = (vf_half)_mm512_cvtpd_ps((__m512d)v.p[0]);
    memcpy(at, &r, sizeof r);
#elif NATIVE == 8
    EACH (i) {
        vf_half r = (vf_half)_mm256_cvtpd_ps((__m256d)v.p[i]);
        memcpy(at + i * (NATIVE / 2), &r, sizeof r);
    }
#else
    EACH (i) {
        vf_half r = __builtin_convertvector(v.p[i], vf_half);
        memcpy(at + i * (NATIVE / 2), &r, sizeof r);
    }
#endif
}

#endif
