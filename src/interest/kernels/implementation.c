/* The arithmetic of the extractors, compiled once for each instruction set (MS_KERNELS names the table it
 * makes): routing in float32, the fold, and here the products in double. */
#include "interest/kernels/fold.inc"
#include "interest/kernels/route_f32.inc"
#include "interest/kernels/route_f64.inc"

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
        vd y = *(vd *)(void *)(v + c);
        *(vd *)(void *)(v + c) = exp_of(vd_select(y < -700.0, -700.0 - (vd){0}, y));
    }
}

/* tanh(x) = 1 - 2 / (e^2x + 1), x held within +-20, where it is 1 to the last bit. */
static void tanh_f64(double *v, size_t n)
{
    for (size_t c = 0; c < n; c += NATIVE / 2) {
        vd y = 2.0 * *(vd *)(void *)(v + c);
        y = vd_select(y > 40.0, 40.0 - (vd){0}, vd_select(y < -40.0, -40.0 - (vd){0}, y));
        *(vd *)(void *)(v + c) = 1.0 - 2.0 / (exp_of(y) + 1.0);
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
    .route_f64 = route_f64,
    .gather_f32 = gather_f32,
    .gather_f64 = gather_f64,
    .norms_f32 = norms_f32,
    .norms_f64 = norms_f64,
    .scale_f32 = scale_f32,
    .scale_f64 = scale_f64,
    .publish_f64 = publish_f64,
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
