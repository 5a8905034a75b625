/* Blocks of vectors against blocks of items. A target with MS_RANKS better items leaves the batch at once, so most of the
 * catalogue is scored for the few targets that are near the top. */
#include "train/scorer.h"

#include <assert.h>
#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "interest/blas.h"
#include "mindstream/model.h"

#define BATCH_ROWS    512     /* vectors of a batch */
#define BATCH_TARGETS 4096    /* targets of a batch */
#define BLOCK_ITEMS   512     /* items of a block: its scores (1 MiB) stay in the cache */
#define ROUNDING      0x1p-24 /* relative error of one float32 operation */

struct query {
    size_t first_row, rows;
    size_t first_target, targets; /* those not yet decided */
    int column;
    double length; /* of the longest vector */
};

struct target {
    double score;
    uint32_t item;
    uint32_t higher; /* items found that score higher */
};

struct ms_scorer {
    struct ms_catalogue *catalogue;
    struct ms_ranks *ranks;
    size_t dim;
    float *vectors; /* [BATCH_ROWS][dim] */
    float *scores;  /* [BATCH_ROWS][BLOCK_ITEMS] */
    float *best;    /* [BLOCK_ITEMS] of one query */
    struct query *queries;
    struct target *targets;
    size_t row_count, query_count, target_count;
    double seconds;
};

double ms_thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double dot(const float *a, const float *b, size_t n)
{
    double sums[4] = {0}, sum = 0.0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t lane = 0; lane < 4; lane++)
            sums[lane] += (double)a[i + lane] * (double)b[i + lane];
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum + ((sums[0] + sums[2]) + (sums[1] + sums[3]));
}

enum ms_status ms_catalogue_init(struct ms_catalogue *catalogue, const float *embeddings, uint32_t count,
                                 int dim, struct ms_error *error)
{
    size_t blocks = ((size_t)count + BLOCK_ITEMS - 1) / BLOCK_ITEMS;
    enum ms_status status = ms_blas_ready(error);
    double *lengths = status == MS_OK ? calloc(blocks + 1, sizeof *lengths) : NULL;
    if (status != MS_OK)
        return status;
    if (!lengths)
        return ms_fail(error, MS_MEMORY, "no memory for the lengths of %u items", count);
    for (uint32_t item = 0; item < count; item++) {
        const float *e = embeddings + (size_t)item * (size_t)dim;
        lengths[item / BLOCK_ITEMS] = fmax(lengths[item / BLOCK_ITEMS], sqrt(dot(e, e, (size_t)dim)));
    }
    *catalogue = (struct ms_catalogue){
        .embeddings = embeddings, .count = count, .dim = dim, .block_lengths = lengths};
    pthread_mutex_init(&catalogue->sgemm, NULL);
    return MS_OK;
}

void ms_catalogue_free(struct ms_catalogue *catalogue)
{
    if (!catalogue->block_lengths)
        return;
    pthread_mutex_destroy(&catalogue->sgemm);
    free(catalogue->block_lengths);
    *catalogue = (struct ms_catalogue){0};
}

enum ms_status ms_scorer_new(struct ms_scorer **out, struct ms_catalogue *catalogue, struct ms_ranks *ranks,
                             struct ms_error *error)
{
    struct ms_scorer *scorer = calloc(1, sizeof *scorer);
    size_t dim = (size_t)catalogue->dim;
    static_assert(BATCH_ROWS >= MS_MAX_INTERESTS, "a batch holds at least one user");
    if (scorer) {
        scorer->vectors = aligned_alloc(64, BATCH_ROWS * dim * sizeof *scorer->vectors);
        scorer->scores = aligned_alloc(64, BATCH_ROWS * BLOCK_ITEMS * sizeof *scorer->scores);
        scorer->best = aligned_alloc(64, BLOCK_ITEMS * sizeof *scorer->best);
        scorer->queries = calloc(BATCH_ROWS, sizeof *scorer->queries);
        scorer->targets = calloc(BATCH_TARGETS, sizeof *scorer->targets);
    }
    if (!scorer || !scorer->vectors || !scorer->scores || !scorer->best || !scorer->queries ||
        !scorer->targets) {
        ms_scorer_destroy(scorer);
        return ms_fail(error, MS_MEMORY, "no memory for blocks of %d vectors of %zu floats", BATCH_ROWS, dim);
    }
    scorer->catalogue = catalogue;
    scorer->ranks = ranks;
    scorer->dim = dim;
    *out = scorer;
    return MS_OK;
}

void ms_scorer_destroy(struct ms_scorer *scorer)
{
    if (!scorer)
        return;
    free(scorer->vectors);
    free(scorer->scores);
    free(scorer->best);
    free(scorer->queries);
    free(scorer->targets);
    free(scorer);
}

double ms_scorer_seconds(const struct ms_scorer *scorer)
{
    return scorer->seconds;
}

void ms_scorer_add(struct ms_scorer *scorer, int column, const float *vectors, int count,
                   const uint32_t *targets, size_t target_count)
{
    size_t rows = (size_t)count;
    assert(count <= MS_MAX_INTERESTS);
    if (rows == 0) {
        scorer->ranks[column].counts[MS_RANKS] += target_count;
        return;
    }
    while (target_count > 0) {
        if (scorer->row_count + rows > BATCH_ROWS || scorer->target_count == BATCH_TARGETS)
            ms_scorer_flush(scorer);
        size_t n = BATCH_TARGETS - scorer->target_count;
        n = target_count < n ? target_count : n;
        scorer->queries[scorer->query_count++] = (struct query){.first_row = scorer->row_count,
                                                                .rows = rows,
                                                                .first_target = scorer->target_count,
                                                                .targets = n,
                                                                .column = column};
        memcpy(scorer->vectors + scorer->row_count * scorer->dim, vectors,
               rows * scorer->dim * sizeof *vectors);
        for (size_t i = 0; i < n; i++)
            scorer->targets[scorer->target_count + i] = (struct target){.item = targets[i]};
        scorer->row_count += rows;
        scorer->target_count += n;
        targets += n;
        target_count -= n;
    }
}

static double score(const struct ms_scorer *scorer, const struct query *query, size_t item)
{
    const float *e = scorer->catalogue->embeddings + item * scorer->dim;
    double best = -INFINITY;
    for (size_t k = 0; k < query->rows; k++) {
        double s = dot(scorer->vectors + (query->first_row + k) * scorer->dim, e, scorer->dim);
        best = s > best || isnan(s) ? s : best;
    }
    return best;
}

/* Counts a target's rank and takes it out of the query. */
static void decide(struct ms_scorer *scorer, struct query *query, size_t target, uint32_t higher)
{
    scorer->ranks[query->column].counts[higher < MS_RANKS ? higher : MS_RANKS]++;
    scorer->targets[target] = scorer->targets[query->first_target + --query->targets];
}

static void begin_query(struct ms_scorer *scorer, struct query *query)
{
    for (size_t k = 0; k < query->rows; k++) {
        const float *v = scorer->vectors + (query->first_row + k) * scorer->dim;
        double length = sqrt(dot(v, v, scorer->dim));
        query->length = length > query->length || isnan(length) ? length : query->length;
    }
    for (size_t t = query->first_target; t < query->first_target + query->targets;) {
        struct target *target = &scorer->targets[t];
        target->score = score(scorer, query, target->item);
        if (isfinite(target->score))
            t++;
        else
            decide(scorer, query, t, MS_RANKS);
    }
}

/* The best of each item's scores. */
static void best_of(float *restrict best, const float *restrict scores, size_t rows)
{
    memcpy(best, scores, BLOCK_ITEMS * sizeof *best);
    for (size_t k = 1; k < rows; k++) {
        const float *row = scores + k * BLOCK_ITEMS;
        for (size_t i = 0; i < BLOCK_ITEMS; i++)
            best[i] = row[i] > best[i] ? row[i] : best[i];
    }
}

/* How many of |n| scores are above |high|, and at or above |low|. */
static void count_above(const float *best, size_t n, float low, float high, uint32_t *above, uint32_t *near)
{
    uint32_t a = 0, b = 0;
    for (size_t i = 0; i < n; i++) {
        a += best[i] > high;
        b += best[i] >= low;
    }
    *above = a;
    *near = b;
}

/* Items [first, first + n) that score higher than the target. |error| bounds how far SGEMM may be off. Negative: there is
 * no bound, and every item is scored in double. */
static uint32_t higher_in_block(const struct ms_scorer *scorer, const struct query *query,
                                const struct target *target, size_t first, size_t n, double error)
{
    uint32_t above = 0, near = (uint32_t)n;
    float low = -FLT_MAX, high = FLT_MAX;
    if (error >= 0.0) {
        low = nextafterf((float)(target->score - error), -FLT_MAX);
        high = nextafterf((float)(target->score + error), FLT_MAX);
        count_above(scorer->best, n, low, high, &above, &near);
    }
    if (above == near)
        return above;
    for (size_t i = 0; i < n; i++) {
        bool undecided = error < 0.0 || (scorer->best[i] >= low && scorer->best[i] <= high);
        if (undecided && score(scorer, query, first + i) > target->score)
            above++;
    }
    return above;
}

static void score_block(struct ms_scorer *scorer, size_t first, size_t n)
{
    struct ms_catalogue *catalogue = scorer->catalogue;
    size_t dim = scorer->dim;
    pthread_mutex_lock(&catalogue->sgemm);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)scorer->row_count, (int)n, (int)dim, 1.0f,
                scorer->vectors, (int)dim, catalogue->embeddings + first * dim, (int)dim, 0.0f,
                scorer->scores, BLOCK_ITEMS);
    pthread_mutex_unlock(&catalogue->sgemm);
    for (size_t q = 0; q < scorer->query_count; q++) {
        struct query *query = &scorer->queries[q];
        /* Any order of the dim products and sums is within this of the true value (Higham, Accuracy and
         * Stability of Numerical Algorithms, 3.1, with Cauchy and Schwarz); so is what underflows. */
        double size = query->length * catalogue->block_lengths[first / BLOCK_ITEMS];
        double error = 1.01 * (double)(dim + 8) * (ROUNDING * size + (double)FLT_MIN);
        if (!(size < 1e37))
            error = -1.0; /* float32 may overflow */
        best_of(scorer->best, scorer->scores + query->first_row * BLOCK_ITEMS, query->rows);
        for (size_t t = query->first_target; t < query->first_target + query->targets;) {
            struct target *target = &scorer->targets[t];
            target->higher += higher_in_block(scorer, query, target, first, n, error);
            if (target->higher < MS_RANKS)
                t++;
            else
                decide(scorer, query, t, target->higher);
        }
    }
}

/* Drops the queries without undecided targets, and their vectors. */
static void compact(struct ms_scorer *scorer)
{
    size_t queries = 0, rows = 0;
    for (size_t q = 0; q < scorer->query_count; q++) {
        struct query query = scorer->queries[q];
        if (query.targets == 0)
            continue;
        if (query.first_row != rows)
            memmove(scorer->vectors + rows * scorer->dim, scorer->vectors + query.first_row * scorer->dim,
                    query.rows * scorer->dim * sizeof *scorer->vectors);
        query.first_row = rows;
        rows += query.rows;
        scorer->queries[queries++] = query;
    }
    scorer->query_count = queries;
    scorer->row_count = rows;
}

void ms_scorer_flush(struct ms_scorer *scorer)
{
    double started = ms_thread_seconds();
    size_t items = scorer->catalogue->count;
    for (size_t q = 0; q < scorer->query_count; q++)
        begin_query(scorer, &scorer->queries[q]);
    compact(scorer);
    for (size_t first = 0; first < items && scorer->row_count > 0; first += BLOCK_ITEMS) {
        score_block(scorer, first, items - first < BLOCK_ITEMS ? items - first : BLOCK_ITEMS);
        compact(scorer);
    }
    for (size_t q = 0; q < scorer->query_count; q++) {
        struct query *query = &scorer->queries[q];
        while (query->targets > 0)
            decide(scorer, query, query->first_target, scorer->targets[query->first_target].higher);
    }
    scorer->row_count = scorer->query_count = scorer->target_count = 0;
    scorer->seconds += ms_thread_seconds() - started;
}
