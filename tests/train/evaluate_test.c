/* A small evaluation by hand, one on several threads, and the metrics. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model_writer.h"
#include "train/evaluate.h"

enum { ITEMS = 90, DIM = 6, COLUMNS = 4 };

#define CONFIG                                                                                               \
    "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"mind\",\"dim\":6,"  \
    "\"interests\":2,\"max_behaviors\":5,\"interest_count\":\"fixed\",\"routing\":{\"bilinear\":\"none\"}}"

/* Items on the unit circle of the first two axes, a degree apart, so that neighbours rank by distance. */
static struct ms_model *circle(char **dir)
{
    static char ids[ITEMS][8];
    static const char *names[ITEMS];
    float embeddings[ITEMS * DIM] = {0};
    for (int i = 0; i < ITEMS; i++) {
        snprintf(ids[i], sizeof ids[i], "i%d", i);
        names[i] = ids[i];
        embeddings[i * DIM] = (float)cos(i * M_PI / 180);
        embeddings[i * DIM + 1] = (float)sin(i * M_PI / 180);
    }
    const struct writer_tensor tensor = {"item_embedding", embeddings, 2, {ITEMS, DIM}, false};
    struct ms_model *model;
    *dir = writer_temp_dir();
    writer_model(*dir, CONFIG, names, ITEMS, &tensor, 1);
    assert_int_equal(ms_model_load(&model, *dir, NULL), MS_OK);
    return model;
}

static void columns_of(struct ms_column columns[COLUMNS])
{
    const struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = (struct ms_column){.kind = (enum ms_column_kind)i, .decay = decay};
}

/* A history of item 40 alone: all vectors point at it, and item 40 + x has rank 2 |x| or so. */
static void by_hand(void **state)
{
    char *dir;
    struct ms_model *model = circle(&dir);
    struct ms_click clicks[] = {{0, 0, MS_NO_ITEM}, {1, 1, 40}, {2, 2, 40},         {3, 3, 40}, {4, 4, 43},
                                {5, 5, MS_NO_ITEM}, {6, 6, 0},  {7, 7, MS_NO_ITEM}, {8, 8, 40}};
    /* n = 6: half = 3, targets are clicks 4 and 5. The other user has one click, which is no target. */
    struct ms_history users[] = {{0, 6}, {8, 1}};
    struct ms_histories histories = {.users = users, .user_count = 2, .clicks = clicks, .timed = true};
    struct ms_column columns[COLUMNS];
    struct ms_evaluation evaluation;
    (void)state;
    columns_of(columns);
    assert_int_equal(ms_evaluate(model, &histories, columns, COLUMNS, 2, &evaluation, NULL), MS_OK);
    assert_int_equal(evaluation.targets, 1);
    assert_int_equal(evaluation.skipped, 1);
    for (int i = 0; i < COLUMNS; i++) {
        assert_int_equal(columns[i].steps, 2);
        /* Items 38 to 42 are nearer; 37 is as far, a tie that rounding decides. */
        assert_int_equal(columns[i].ranks.counts[5] + columns[i].ranks.counts[6], 1);
    }
    /* Nothing known before the target: a miss in every column. */
    struct ms_click unknown[] = {{0, 0, MS_NO_ITEM}, {0, 1, MS_NO_ITEM}, {0, 2, 7}};
    struct ms_history user = {0, 3};
    histories = (struct ms_histories){.users = &user, .user_count = 1, .clicks = unknown};
    assert_int_equal(ms_evaluate(model, &histories, columns, COLUMNS, 1, &evaluation, NULL), MS_OK);
    assert_int_equal(evaluation.targets, 1);
    for (int i = 0; i < COLUMNS; i++)
        assert_int_equal(columns[i].ranks.counts[MS_RANKS], 1);
    ms_model_destroy(model);
    writer_remove(dir);
    free(dir);
}

static void threads(void **state)
{
    enum { USERS = 300, CLICKS = 23 };
    char *dir;
    struct ms_model *model = circle(&dir);
    struct ms_click *clicks = calloc(USERS * CLICKS, sizeof *clicks);
    struct ms_history users[USERS];
    uint32_t x = 1;
    (void)state;
    for (uint32_t u = 0; u < USERS; u++) {
        users[u] = (struct ms_history){(size_t)u * CLICKS, u % CLICKS + 1};
        for (uint32_t i = 0; i < CLICKS; i++) {
            x = x * 1664525 + 1013904223;
            clicks[u * CLICKS + i] = (struct ms_click){i, i, x >> 30 ? (x >> 8) % ITEMS : MS_NO_ITEM};
        }
    }
    struct ms_histories histories = {.users = users, .user_count = USERS, .clicks = clicks, .timed = true};
    struct ms_column first[COLUMNS], again[COLUMNS];
    struct ms_evaluation evaluation, same;
    columns_of(first);
    columns_of(again);
    assert_int_equal(ms_evaluate(model, &histories, first, COLUMNS, 1, &evaluation, NULL), MS_OK);
    assert_int_equal(ms_evaluate(model, &histories, again, COLUMNS, 5, &same, NULL), MS_OK);
    assert_int_equal(evaluation.targets, same.targets);
    assert_int_equal(evaluation.skipped, same.skipped);
    assert_true(evaluation.targets > 1000 && evaluation.skipped > 300);
    for (int i = 0; i < COLUMNS; i++) {
        uint64_t total = 0;
        assert_memory_equal(&first[i].ranks, &again[i].ranks, sizeof first[i].ranks);
        for (int rank = 0; rank <= MS_RANKS; rank++)
            total += first[i].ranks.counts[rank];
        assert_int_equal(total, evaluation.targets);
    }
    free(clicks);
    ms_model_destroy(model);
    writer_remove(dir);
    free(dir);
}

static void metrics(void **state)
{
    struct ms_ranks ranks = {{0}};
    (void)state;
    assert_true(ms_recall(&ranks, 20).value == 0.0 && ms_ndcg(&ranks, 50).standard_error == 0.0);
    ranks.counts[0] = 1;  /* rank 1: gain 1 */
    ranks.counts[2] = 2;  /* rank 3: gain 1/2 */
    ranks.counts[19] = 1; /* rank 20 */
    ranks.counts[20] = 1; /* rank 21 */
    ranks.counts[MS_RANKS] = 5;
    struct ms_metric recall = ms_recall(&ranks, 20), wider = ms_recall(&ranks, 50),
                     ndcg = ms_ndcg(&ranks, 20);
    double g = 1 / log2(21.0), mean = (2.0 + g) / 10, variance = (1.5 + g * g) / 10 - mean * mean;
    assert_true(fabs(recall.value - 0.4) < 1e-15 && fabs(wider.value - 0.5) < 1e-15);
    assert_true(fabs(recall.standard_error - sqrt(0.4 * 0.6 / 10)) < 1e-15);
    assert_true(fabs(ndcg.value - mean) < 1e-15);
    assert_true(fabs(ndcg.standard_error - sqrt(variance / 10)) < 1e-15);
    assert_true(fabs(ms_ndcg(&ranks, 50).value - (mean + 0.1 / log2(22.0))) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(threads),
        cmocka_unit_test(metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
