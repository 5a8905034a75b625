/* What MIND computes once from a model: projected items, drawn logits, residuals; and how many interests a user has. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interest/mind/mind.h"
#include "model/model_writer.h"

#define CONFIG(extractor, dim, more)                                                                         \
    "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"" extractor         \
    "\",\"dim\":" #dim ","                                                                                   \
    "\"interests\":3,\"max_behaviors\":5" more "}"
#define COUNT(array) (sizeof array / sizeof *array)

static const char *const items[] = {"i1", "i2", "i3",
                                    "a much longer item id, past thirty-two bytes \xc3\xa9"};
static const float floats[2048] = {1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4, 0.5f, 0.25f, 0.125f};

static enum ms_status load(const char *dir, struct ms_model **model, struct ms_error *error)
{
    return ms_model_load(model, dir, error);
}

static const struct writer_tensor mind[] = {{"item_embedding", floats, 2, {4, 3}, false},
                                            {"routing.bilinear", floats, 2, {3, 2}, false}};

static void write_mind(const char *dir)
{
    writer_model(dir, CONFIG("mind", 2, ""), items, 4, mind, 2);
}

static const struct ms_mind_tables *tables_of(const struct ms_model *model)
{
    return ms_model_tables(model);
}

static void projection(void **state)
{
    enum { ROWS = 9001, IN = 5, OUT = 3 };
    const char *dir = *state;
    static char ids[ROWS][8];
    static const char *names[ROWS];
    float *embedding = malloc(ROWS * IN * sizeof *embedding), map[IN * OUT];
    const float bias[OUT] = {0.5f, -1, 2};
    for (int i = 0; i < ROWS; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        names[i] = ids[i];
    }
    for (int i = 0; i < ROWS * IN; i++)
        embedding[i] = sinf((float)i);
    for (int i = 0; i < IN * OUT; i++)
        map[i] = cosf((float)i);
    const struct writer_tensor tensors[] = {{"routing.bilinear_bias", bias, 1, {OUT}, false},
                                            {"item_embedding", embedding, 2, {ROWS, IN}, false},
                                            {"routing.bilinear", map, 2, {IN, OUT}, false}};
    struct ms_model *model;
    writer_model(dir, CONFIG("mind", 3, ""), names, ROWS, tensors, 3);
    assert_int_equal(load(dir, &model, NULL), MS_OK);
    assert_int_equal(ms_item_vector_dim(model), OUT);
    const float *projected = tables_of(model)->items;
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t o = 0; o < OUT; o++) {
            double expected = (double)bias[o];
            for (size_t d = 0; d < IN; d++)
                expected += (double)embedding[i * IN + d] * (double)map[d * OUT + o];
            assert_true(fabs((double)projected[i * OUT + o] - expected) < 2e-6);
        }
    }
    assert_memory_equal(ms_model_item_embedding(model, 9000), embedding + 9000 * IN, IN * sizeof(float));
    ms_model_destroy(model);
    free(embedding);
}

/* Where agreements may grow beyond float32, the tables have a second part; float32 and it are the numbers in
 * double. */
static void residuals(void **state)
{
    enum { ROWS = 700, IN = 5, OUT = 3 };
    const char *dir = *state;
    static char ids[ROWS][8];
    static const char *names[ROWS];
    static float embedding[ROWS * IN];
    float map[IN * OUT], bias[OUT] = {1, -2, 3};
    for (int i = 0; i < ROWS; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        names[i] = ids[i];
    }
    for (int large = 0; large < 2; large++) {
        for (int i = 0; i < ROWS * IN; i++)
            embedding[i] = (large ? 100.0f : 0.1f) * sinf((float)i);
        for (int i = 0; i < IN * OUT; i++)
            map[i] = cosf((float)i);
        const struct writer_tensor tensors[] = {{"routing.bilinear_bias", bias, 1, {OUT}, false},
                                                {"item_embedding", embedding, 2, {ROWS, IN}, false},
                                                {"routing.bilinear", map, 2, {IN, OUT}, false}};
        struct ms_model *model;
        writer_model(dir, CONFIG("mind", 3, ""), names, ROWS, tensors, 3);
        assert_int_equal(load(dir, &model, NULL), MS_OK);
        const struct ms_mind_tables *tables = tables_of(model);
        const float *residual = tables->items_residual, *logits_residual = tables->item_logits_residual;
        assert_int_equal(tables->outgrows_float32, large);
        assert_int_equal(residual != NULL && logits_residual != NULL && tables->item_lengths != NULL, large);
        for (size_t i = 0; residual && i < ROWS; i++) {
            double norm = 0.0, drawn[MS_MAX_INTERESTS];
            for (size_t o = 0; o < OUT; o++) {
                double expected = (double)bias[o];
                for (size_t d = 0; d < IN; d++)
                    expected += (double)embedding[i * IN + d] * (double)map[d * OUT + o];
                norm += expected * expected;
                double sum = (double)tables->items[i * OUT + o] + (double)residual[i * OUT + o];
                assert_true(fabs(sum - expected) < 1e-11);
            }
            assert_true(fabs((double)tables->item_lengths[i] - sqrt(norm)) < 1e-3);
            size_t K = (size_t)ms_model_config(model)->interests;
            ms_mind_draw_logits(model, (uint32_t)i, drawn);
            for (size_t j = 0; j < K; j++)
                assert_true(fabs((double)tables->item_logits[i * K + j] + (double)logits_residual[i * K + j] -
                                 drawn[j]) < 1e-13);
        }
        ms_model_destroy(model);
    }
}

static void item_logits(void **state)
{
    /* from tests/python/ms_model.py: item_normal("i1", 3), and of the long id with seed 7 and stddev 0.5 */
    const double plain[3] = {0.74330776, -1.39794885, -1.54020822},
                 seeded[3] = {0.75401875, -1.34991742, 0.05187582};
    const char *dir = *state;
    struct ms_model *model;
    write_mind(dir);
    assert_int_equal(load(dir, &model, NULL), MS_OK);
    const float *logits = tables_of(model)->item_logits;
    for (int j = 0; j < 3; j++)
        assert_true(fabs((double)logits[j] - plain[j]) < 1e-7);
    ms_model_destroy(model);
    writer_model(dir, CONFIG("mind", 2, ",\"routing\":{\"seed\":7,\"stddev\":0.5}"), items, 4, mind, 2);
    assert_int_equal(load(dir, &model, NULL), MS_OK);
    logits = tables_of(model)->item_logits;
    for (int j = 0; j < 3; j++)
        assert_true(fabs((double)logits[9 + j] - seeded[j]) < 1e-7);
    ms_model_destroy(model);
    writer_model(dir, CONFIG("mind", 2, ",\"routing\":{\"initial_logits\":\"zeros\"}"), items, 4, mind, 2);
    assert_int_equal(load(dir, &model, NULL), MS_OK);
    assert_null(tables_of(model)->item_logits);
    ms_model_destroy(model);
}

static void overflow(void **state)
{
    const char *dir = *state;
    float big[12] = {1};
    big[7] = 3e38f;
    struct writer_tensor tensors[2] = {mind[0], mind[1]};
    tensors[0].data = big;
    writer_model(dir, CONFIG("mind", 2, ""), items, 4, tensors, 2);
    struct ms_model *model = NULL;
    struct ms_error error;
    assert_int_equal(load(dir, &model, &error), MS_MODEL);
    assert_non_null(strstr(error.text, "item row 2 times tensor routing.bilinear overflows float32"));
}

static struct ms_model *model_of(const char *dir, int interests, int max_behaviors, const char *rule)
{
    char config[400];
    struct ms_model *model;
    snprintf(
        config, sizeof config,
        "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"mind\",\"dim\":2,"
        "\"interests\":%d,\"max_behaviors\":%d,\"interest_count\":\"%s\"}",
        interests, max_behaviors, rule);
    writer_model(dir, config, items, 4, mind, 2);
    assert_int_equal(load(dir, &model, NULL), MS_OK);
    return model;
}

static void counts(void **state)
{
    static const struct {
        const char *rule;
        size_t n;
        int expected;
    } rows[] = {
        {"fixed", 1, 64},
        {"log2-floor", 1, 1},
        {"log2-floor", 3, 1},
        {"log2-floor", 4, 2},
        {"log2-floor", 7, 2},
        {"log2-floor", 8, 3},
        {"log2-ceil", 1, 1},
        {"log2-ceil", 2, 1},
        {"log2-ceil", 3, 2},
        {"log2-ceil", 4, 2},
        {"log2-ceil", 5, 3},
        {"log2-plus-one-floor", 1, 1},
        {"log2-plus-one-floor", 2, 1},
        {"log2-plus-one-floor", 3, 2},
        {"log2-plus-one-floor", 7, 3},
        {"ln-floor", 1, 1},
        {"ln-floor", 7, 1},
        {"ln-floor", 8, 2},
        {"ln-floor", 20, 2},
        {"ln-floor", 21, 3},
        {"ln-floor", SIZE_MAX, 11},
        {"log2-floor", SIZE_MAX, 16},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ms_model *model = model_of(*state, 64, MS_MAX_BEHAVIORS, rows[i].rule);
        assert_int_equal(ms_interest_count(model, rows[i].n), rows[i].expected);
        assert_int_equal(ms_interest_count(model, 0), 0);
        ms_model_destroy(model);
    }
    struct ms_model *model = model_of(*state, 64, MS_MAX_BEHAVIORS, "ln-floor");
    for (size_t n = 1; n <= MS_MAX_BEHAVIORS;
         n++) { /* no n lies so near a power of e that doubles could err */
        int expected = (int)floor(log((double)n));
        assert_int_equal(ms_interest_count(model, n), expected > 1 ? expected : 1);
    }
    ms_model_destroy(model);
    model = model_of(*state, 2, MS_MAX_BEHAVIORS, "log2-floor");
    assert_int_equal(ms_interest_count(model, 1000), 2);
    ms_model_destroy(model);
    model = model_of(*state, 64, 20, "log2-floor");
    assert_int_equal(ms_interest_count(model, 1000), 4);
    ms_model_destroy(model);
}

static int set_up(void **state)
{
    *state = writer_temp_dir();
    return 0;
}

static int tear_down(void **state)
{
    writer_remove(*state);
    free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(projection), cmocka_unit_test(residuals), cmocka_unit_test(item_logits),
        cmocka_unit_test(overflow),   cmocka_unit_test(counts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
