/* Where an item cannot come among the best by the bound on the rounding of float32, its product in double is not made. */
#include "view/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LANES 4
#define SUMS  4 /* side by side */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

double ms_view_inner_product(const float *a, const float *b, int dim)
{
    double sum = 0;
    for (int i = 0; i < dim; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static float length_of(const float *row, size_t dim)
{
    lanes sums[SUMS] = {{0}}, x;
    size_t i = 0;
    for (; i + (size_t)SUMS * LANES <= dim; i += (size_t)SUMS * LANES) {
        for (size_t s = 0; s < SUMS; s++) {
            memcpy(&x, row + i + s * LANES, sizeof x);
            sums[s] += x * x;
        }
    }
    lanes all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    float sum = (all[0] + all[1]) + (all[2] + all[3]);
    for (; i < dim; i++)
        sum += row[i] * row[i];
    return sqrtf(sum);
}

/* A sum of |dim| products in float32, in any order, is within dim 2^-24 (1 + ...) |a| |b| of the exact one (Higham,
 * Accuracy and Stability of Numerical Algorithms, 3.1). Twice that covers the rounding of the lengths. */
bool ms_scorer_init(struct ms_scorer *scorer, const struct ms_user_view *view,
                    const struct ms_catalogue *catalogue)
{
    size_t count = (size_t)view->interest_count, dim = (size_t)catalogue->dim,
           rows = (count + MS_TILE) / MS_TILE * MS_TILE, stride = (dim + MS_LANES - 1) / MS_LANES * MS_LANES;
    *scorer = (struct ms_scorer){.kernels = ms_kernels_best(),
                                 .catalogue = catalogue,
                                 .interests = view->interests,
                                 .count = count,
                                 .stride = stride,
                                 .vectors = aligned_alloc(64, rows * stride * sizeof(float)),
                                 .products = aligned_alloc(64, rows * MS_SCORE_BATCH * sizeof(float))};
    if (!scorer->vectors || !scorer->products)
        return false;
    memset(scorer->vectors, 0, rows * stride * sizeof(float));
    for (size_t k = 0; k < count; k++) {
        memcpy(scorer->vectors + k * stride, view->interests[k].vector, dim * sizeof(float));
        scorer->slack[k] = (double)(dim + MS_LANES) * 0x1p-23 * (view->interests[k].norm + 0x1p-60);
    }
    return true;
}

void ms_scorer_free(struct ms_scorer *scorer)
{
    free(scorer->vectors);
    free(scorer->products);
    *scorer = (struct ms_scorer){0};
}

uint32_t ms_scorer_take(struct ms_scorer *scorer, uint32_t first)
{
    const struct ms_catalogue *catalogue = scorer->catalogue;
    uint32_t left = catalogue->count - first, n = left < MS_SCORE_BATCH ? left : MS_SCORE_BATCH;
    size_t dim = (size_t)catalogue->dim;
    if (n)
        scorer->kernels->dense_f32(ms_catalogue_row(catalogue, first), n, dim, scorer->vectors, scorer->count,
                                   scorer->stride, scorer->products, MS_SCORE_BATCH);
    for (uint32_t i = 0; i < n; i++)
        scorer->lengths[i] = length_of(ms_catalogue_row(catalogue, first + i), dim);
    return n;
}
