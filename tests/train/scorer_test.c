/* Ranks are those of double arithmetic: next to ties, at the edges of batches, and where float32 overflows.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "mindstream/model.h"
#include "train/scorer.h"

static uint64_t random_state;

/* In (-1, 1), not quite evenly. */
static float random_float(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)((double)(random_state >> 33) / 1073741824.0 - 1.0);
}

static float *random_floats(size_t n)
{
    float *floats = malloc(n * sizeof *floats);
    for (size_t i = 0; i < n; i++)
        floats[i] = random_float();
    return floats;
}

struct naive {
    const float *embeddings;
    size_t items, dim;
};

static double naive_score(const struct naive *n, const float *vectors, int count, size_t item)
{
    double best = -INFINITY;
    for (int k = 0; k < count; k++) {
        double sum = 0.0;
        for (size_t i = 0; i < n->dim; i++)
            sum += (double)vectors[(size_t)k * n->dim + i] * (double)n->embeddings[item * n->dim + i];
        best = sum > best ? sum : best;
    }
    return best;
}

/* The score of every item; the caller frees it. */
static double *naive_scores(const struct naive *n, const float *vectors, int count)
{
    double *scores = malloc(n->items * sizeof *scores);
    for (size_t item = 0; item < n->items; item++)
        scores[item] = naive_score(n, vectors, count, item);
    return scores;
}

static size_t naive_rank(const double *scores, size_t items, size_t target)
{
    size_t higher = 0;
    for (size_t item = 0; item < items; item++)
        higher += scores[item] > scores[target];
    return higher < MS_RANKS ? higher : MS_RANKS;
}

/* The best of a few dozen items, which ones depends on |place|: mostly not far from the last rank that
 * counts. */
static uint32_t item_near_top(const double *scores, size_t items, size_t place)
{
    size_t step = items / 97 + 1;
    uint32_t best = (uint32_t)(place % items);
    for (size_t item = place % step; item < items; item += step)
        if (scores[item] > scores[best])
            best = (uint32_t)item;
    return best;
}

static struct ms_scorer *new_scorer(struct ms_catalogue *catalogue, const struct naive *n,
                                    struct ms_ranks *ranks)
{
    struct ms_scorer *scorer;
    memset(ranks, 0, 2 * sizeof *ranks);
    assert_int_equal(ms_catalogue_init(catalogue, n->embeddings, (uint32_t)n->items, (int)n->dim, NULL),
                     MS_OK);
    assert_int_equal(ms_scorer_new(&scorer, catalogue, ranks, NULL), MS_OK);
    return scorer;
}

static void assert_ranks(const struct ms_ranks *found, const struct ms_ranks *expected)
{
    for (size_t i = 0; i <= MS_RANKS; i++)
        assert_int_equal(found->counts[i], expected->counts[i]);
}

/* Asks for users with 1 to 64 vectors and several targets each, and compares all counts. */
static void compare(const struct naive *n, size_t users, size_t targets_each)
{
    struct ms_catalogue catalogue;
    struct ms_ranks found[2], expected[2] = {0};
    struct ms_scorer *scorer = new_scorer(&catalogue, n, found);
    uint32_t *targets = calloc(targets_each, sizeof *targets);
    for (size_t user = 0; user < users; user++) {
        int count = user % 5 == 4 ? MS_MAX_INTERESTS : 1 + (int)(user % 4), column = (int)(user % 2);
        float *vectors = random_floats((size_t)count * n->dim);
        double *scores = naive_scores(n, vectors, count);
        for (size_t i = 0; i < targets_each; i++) {
            targets[i] = item_near_top(scores, n->items, user * 31 + i);
            expected[column].counts[naive_rank(scores, n->items, targets[i])]++;
        }
        free(scores);
        ms_scorer_add(scorer, column, vectors, count, targets, targets_each);
        free(vectors);
    }
    ms_scorer_flush(scorer);
    assert_ranks(&found[0], &expected[0]);
    assert_ranks(&found[1], &expected[1]);
    ms_scorer_destroy(scorer);
    ms_catalogue_free(&catalogue);
    free(targets);
}

static void random_items(void **state)
{
    static const size_t sizes[][2] = {{1, 1}, {7, 3}, {511, 8}, {513, 24}, {2100, 33}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct naive n = {random_floats(sizes[i][0] * sizes[i][1]), sizes[i][0], sizes[i][1]};
        compare(&n, 40, 3);
        free((void *)n.embeddings);
    }
}

/* Every item has copies, and neighbours one unit in the last place away: float32 sums cannot tell them apart.
 */
static void near_ties(void **state)
{
    enum { ITEMS = 1500, DIM = 40, KINDS = 60 };
    float *embeddings = random_floats((size_t)ITEMS * DIM);
    (void)state;
    for (size_t item = KINDS; item < ITEMS; item++) {
        memcpy(embeddings + item * DIM, embeddings + item % KINDS * DIM, DIM * sizeof *embeddings);
        float *one = &embeddings[item * DIM + item / KINDS % DIM];
        if (item % 3)
            *one = nextafterf(*one, item % 2 ? 2.0f : -2.0f);
    }
    struct naive n = {embeddings, ITEMS, DIM};
    compare(&n, 40, 4);
    free(embeddings);
}

/* Lengths far apart: products beyond float32's range on both sides. */
static void extremes(void **state)
{
    enum { ITEMS = 1200, DIM = 12 };
    float *embeddings = random_floats((size_t)ITEMS * DIM);
    (void)state;
    for (size_t item = 0; item < ITEMS; item++)
        for (size_t i = 0; i < DIM; i++)
            embeddings[item * DIM + i] *= item % 100 == 3 ? 3e38f
                                          : item < 512    ? 1e-30f
                                          : item % 7      ? 1e-42f
                                                          : 1.0f;
    struct naive n = {embeddings, ITEMS, DIM};
    compare(&n, 20, 5);
    free(embeddings);
}

/* More targets than a batch holds, under one vector. */
static void many_targets(void **state)
{
    enum { ITEMS = 100, DIM = 4, TARGETS = 10000 };
    struct naive n = {random_floats((size_t)ITEMS * DIM), ITEMS, DIM};
    struct ms_catalogue catalogue;
    struct ms_ranks found[2], expected = {0};
    struct ms_scorer *scorer = new_scorer(&catalogue, &n, found);
    uint32_t *targets = calloc(TARGETS, sizeof *targets);
    float *vector = random_floats(DIM);
    double *scores = naive_scores(&n, vector, 1);
    (void)state;
    for (uint32_t i = 0; i < TARGETS; i++) {
        targets[i] = i % ITEMS;
        expected.counts[naive_rank(scores, ITEMS, targets[i])]++;
    }
    ms_scorer_add(scorer, 1, vector, 1, targets, TARGETS);
    ms_scorer_flush(scorer);
    assert_ranks(&found[1], &expected);
    assert_true(ms_scorer_seconds(scorer) > 0.0);
    ms_scorer_destroy(scorer);
    ms_catalogue_free(&catalogue);
    free(targets);
    free(scores);
    free(vector);
    free((void *)n.embeddings);
}

/* ---- threads ---- */

enum { SHARED_ITEMS = 700, SHARED_DIM = 64, SHARED_SETS = 50, SHARED_QUERIES = 3000, SHARED_TARGETS = 8 };

/* Threads with a scorer each on one catalogue; every query is a batch of its own, so they often call SGEMM at once. */
struct shared_work {
    struct ms_scorer *scorers[4];
    const float *vectors; /* [SHARED_SETS][MS_MAX_INTERESTS][SHARED_DIM] */
};

static enum ms_status rank_query(void *context, int thread, size_t index, struct ms_error *error)
{
    const struct shared_work *work = context;
    const float *vectors = work->vectors + index % SHARED_SETS * MS_MAX_INTERESTS * SHARED_DIM;
    uint32_t targets[SHARED_TARGETS];
    (void)error;
    for (size_t i = 0; i < SHARED_TARGETS; i++)
        targets[i] = (uint32_t)((index * SHARED_TARGETS + i) * 37 % SHARED_ITEMS);
    ms_scorer_add(work->scorers[thread], 0, vectors, MS_MAX_INTERESTS, targets, SHARED_TARGETS);
    ms_scorer_flush(work->scorers[thread]);
    return MS_OK;
}

/* A race shows in a long run only; valgrind, which runs one thread at a time, is asked of memory alone. */
static size_t shared_queries(void)
{
    return getenv("VALGRIND") ? 8 : SHARED_QUERIES;
}

static struct ms_ranks ranks_by(struct ms_catalogue *catalogue, const float *vectors, int threads)
{
    struct shared_work work = {.vectors = vectors};
    struct ms_ranks found[4] = {0}, sum = {0};
    struct ms_pool *pool;
    for (int i = 0; i < threads; i++)
        assert_int_equal(ms_scorer_new(&work.scorers[i], catalogue, &found[i], NULL), MS_OK);
    assert_int_equal(ms_pool_new(&pool, threads, NULL), MS_OK);
    assert_int_equal(ms_pool_for(pool, shared_queries(), rank_query, &work, NULL), MS_OK);
    for (int i = 0; i < threads; i++) {
        for (size_t rank = 0; rank <= MS_RANKS; rank++)
            sum.counts[rank] += found[i].counts[rank];
        ms_scorer_destroy(work.scorers[i]);
    }
    ms_pool_destroy(pool);
    return sum;
}

static void threads_agree(void **state)
{
    float *embeddings = random_floats((size_t)SHARED_ITEMS * SHARED_DIM);
    float *vectors = random_floats((size_t)SHARED_SETS * MS_MAX_INTERESTS * SHARED_DIM);
    struct ms_catalogue catalogue;
    (void)state;
    assert_int_equal(ms_catalogue_init(&catalogue, embeddings, SHARED_ITEMS, SHARED_DIM, NULL), MS_OK);
    struct ms_ranks expected = ranks_by(&catalogue, vectors, 1);
    for (int round = 0; round < 3; round++) {
        struct ms_ranks found = ranks_by(&catalogue, vectors, 4);
        assert_ranks(&found, &expected);
    }
    ms_catalogue_free(&catalogue);
    free(vectors);
    free(embeddings);
}

/* No vectors, or vectors that are no numbers, predict nothing; a vector of zeros predicts all alike. */
static void nothing(void **state)
{
    struct naive n = {random_floats(300), 100, 3};
    struct ms_catalogue catalogue;
    struct ms_ranks found[2];
    struct ms_scorer *scorer = new_scorer(&catalogue, &n, found);
    const uint32_t targets[] = {5, 6, 7};
    const float broken[6] = {1, 2, 3, 1, NAN, 3}, zeros[3] = {0}, endless[3] = {INFINITY, 0, 0};
    (void)state;
    ms_scorer_add(scorer, 0, NULL, 0, targets, 3);
    ms_scorer_add(scorer, 0, broken, 2, targets, 2);
    ms_scorer_add(scorer, 0, endless, 1, targets, 1);
    ms_scorer_add(scorer, 1, zeros, 1, targets, 3);
    ms_scorer_flush(scorer);
    assert_int_equal(found[0].counts[MS_RANKS], 6);
    assert_int_equal(found[1].counts[0], 3);
    ms_scorer_destroy(scorer);
    ms_catalogue_free(&catalogue);
    free((void *)n.embeddings);
}

static int seed(void **state)
{
    (void)state;
    random_state = 42;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(random_items, seed), cmocka_unit_test_setup(near_ties, seed),
        cmocka_unit_test_setup(extremes, seed),     cmocka_unit_test_setup(many_targets, seed),
        cmocka_unit_test_setup(nothing, seed),      cmocka_unit_test_setup(threads_agree, seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
