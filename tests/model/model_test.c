/* A model directory as a whole: what is computed at load, how widths hang together, and what is refused. */
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

#include "mindstream/model.h"
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

static void refused(const char *dir, const char *file, const char *expected)
{
    struct ms_model *model = NULL;
    struct ms_error error = {0};
    char prefix[4200];
    assert_int_equal(load(dir, &model, &error), MS_MODEL);
    assert_null(model);
    snprintf(prefix, sizeof prefix, "%s/%s: ", dir, file);
    if (strncmp(error.text, prefix, strlen(prefix)) != 0 || !strstr(error.text, expected) ||
        strchr(error.text, '\n'))
        fail_msg("gives: %s\n wanted: %s %s", error.text, prefix, expected);
}

static const struct writer_tensor mind[] = {{"item_embedding", floats, 2, {4, 3}, false},
                                            {"routing.bilinear", floats, 2, {3, 2}, false}};

static void write_mind(const char *dir)
{
    writer_model(dir, CONFIG("mind", 2, ""), items, 4, mind, 2);
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
    assert_int_equal(ms_model_projected_dim(model), OUT);
    const float *projected = ms_model_projected(model);
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
static void rests(void **state)
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
        const float *rest = ms_model_projected_rest(model), *logits_rest = ms_model_item_logits_rest(model);
        assert_int_equal(ms_model_outgrows_float32(model), large);
        assert_int_equal(rest != NULL && logits_rest != NULL && ms_model_item_lengths(model) != NULL, large);
        for (size_t i = 0; rest && i < ROWS; i++) {
            double norm = 0.0, drawn[MS_MAX_INTERESTS];
            for (size_t o = 0; o < OUT; o++) {
                double expected = (double)bias[o];
                for (size_t d = 0; d < IN; d++)
                    expected += (double)embedding[i * IN + d] * (double)map[d * OUT + o];
                norm += expected * expected;
                double sum = (double)ms_model_projected(model)[i * OUT + o] + (double)rest[i * OUT + o];
                assert_true(fabs(sum - expected) < 1e-11);
            }
            assert_true(fabs((double)ms_model_item_lengths(model)[i] - sqrt(norm)) < 1e-3);
            size_t K = (size_t)ms_model_config(model)->interests;
            ms_model_draw_logits(model, (uint32_t)i, drawn);
            for (size_t j = 0; j < K; j++)
                assert_true(fabs((double)ms_model_item_logits(model)[i * K + j] +
                                 (double)logits_rest[i * K + j] - drawn[j]) < 1e-13);
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
    const float *logits = ms_model_item_logits(model);
    for (int j = 0; j < 3; j++)
        assert_true(fabs((double)logits[j] - plain[j]) < 1e-7);
    ms_model_destroy(model);
    writer_model(dir, CONFIG("mind", 2, ",\"routing\":{\"seed\":7,\"stddev\":0.5}"), items, 4, mind, 2);
    assert_int_equal(load(dir, &model, NULL), MS_OK);
    logits = ms_model_item_logits(model);
    for (int j = 0; j < 3; j++)
        assert_true(fabs((double)logits[9 + j] - seeded[j]) < 1e-7);
    ms_model_destroy(model);
    writer_model(dir, CONFIG("mind", 2, ",\"routing\":{\"initial_logits\":\"zeros\"}"), items, 4, mind, 2);
    assert_int_equal(load(dir, &model, NULL), MS_OK);
    assert_null(ms_model_item_logits(model));
    ms_model_destroy(model);
}

static void item_lookup(void **state)
{
    const char *dir = *state;
    struct ms_model *model;
    size_t size;
    write_mind(dir);
    assert_int_equal(load(dir, &model, NULL), MS_OK);
    assert_int_equal(ms_model_item_count(model), 4);
    for (uint32_t row = 0; row < 4; row++) {
        assert_int_equal(ms_model_find(model, items[row], strlen(items[row])), row);
        const char *id = ms_model_item_id(model, row, &size);
        assert_int_equal(size, strlen(items[row]));
        assert_memory_equal(id, items[row], size);
    }
    assert_int_equal(ms_model_find(model, "i4", 2), MS_NO_ITEM);
    assert_true(ms_model_bytes(model) > 4 * (3 + 2 + 3) * sizeof(float));
    ms_model_destroy(model);
}

/* What each variant asks for: it loads as it is, and not without any one of its required tensors. */
static void variants(void **state)
{
    static const struct {
        const char *config;
        int count, required, capsule, projected;
        struct writer_tensor tensors[6]; /* the required ones first; item_embedding [4, 3] goes before them */
    } rows[] = {
        {CONFIG("mind", 2, ""),
         2,
         1,
         2,
         2,
         {{"routing.bilinear", floats, 2, {3, 2}, false}, {"routing.bilinear_bias", floats, 1, {2}, false}}},
        {CONFIG("mind", 2, ",\"routing\":{\"bilinear\":\"per-interest\"}"),
         2,
         1,
         2,
         3,
         {{"routing.bilinear", floats, 3, {3, 3, 2}, false},
          {"routing.bilinear_bias", floats, 1, {2}, false}}},
        {CONFIG("comirec-dr", 2, ""), 1, 1, 2, 3, {{"routing.bilinear", floats, 4, {5, 3, 3, 2}, false}}},
        {CONFIG("mind", 3, ",\"routing\":{\"bilinear\":\"none\",\"initial_logits\":\"table\"}"),
         1,
         1,
         3,
         3,
         {{"routing.initial_logits", floats, 2, {5, 3}, false}}},
        {CONFIG("mind", 7, ",\"head\":[{\"activation\":\"relu\"},{\"activation\":\"linear\"}]"),
         5,
         3,
         2,
         2,
         {{"routing.bilinear", floats, 2, {3, 2}, false},
          {"head.0.weight", floats, 2, {4, 2}, false},
          {"head.1.weight", floats, 2, {7, 4}, false},
          {"head.0.bias", floats, 1, {4}, false},
          {"head.1.bias", floats, 1, {7}, false}}},
        {CONFIG("mind", 2, ",\"routing\":{\"bilinear\":\"none\"},\"head\":[{\"activation\":\"relu\"}]"),
         1,
         1,
         3,
         3,
         {{"head.0.weight", floats, 2, {2, 3}, false}}},
        {CONFIG("comirec-sa", 3, ""),
         5,
         2,
         3,
         3,
         {{"attention.w1", floats, 2, {3, 6}, false},
          {"attention.w2", floats, 2, {6, 3}, false},
          {"attention.b1", floats, 1, {6}, false},
          {"attention.b2", floats, 1, {3}, false},
          {"attention.position", floats, 2, {5, 3}, false}}},
    };
    const char *dir = *state;
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct writer_tensor tensors[7] = {{"item_embedding", floats, 2, {4, 3}, false}};
        struct ms_model *model;
        struct ms_error error = {0};
        char expected[100];
        memcpy(tensors + 1, rows[r].tensors, sizeof rows[r].tensors);
        writer_model(dir, rows[r].config, items, 4, tensors, (size_t)rows[r].count + 1);
        if (load(dir, &model, &error) != MS_OK)
            fail_msg("%s", error.text);
        assert_int_equal(ms_model_config(model)->capsule_dim, rows[r].capsule);
        assert_int_equal(ms_model_config(model)->item_dim, 3);
        assert_int_equal(ms_model_projected_dim(model), rows[r].projected);
        for (int i = 0; i < rows[r].count; i++) {
            struct ms_tensor tensor = ms_model_tensor(model, rows[r].tensors[i].name);
            assert_non_null(tensor.data);
            assert_int_equal(tensor.rank, rows[r].tensors[i].rank);
            assert_memory_equal(tensor.shape, rows[r].tensors[i].shape, sizeof tensor.shape);
        }
        ms_model_destroy(model);
        for (int i = 0; i < rows[r].count; i++) {
            struct writer_tensor kept = tensors[i + 1];
            tensors[i + 1].shape[0]++; /* every shape is checked, the optional ones' too */
            writer_tensors(dir, tensors, (size_t)rows[r].count + 1);
            snprintf(expected, sizeof expected, "tensor %s has shape [%d", kept.name, (int)kept.shape[0] + 1);
            if (strcmp(kept.name, "head.0.weight") != 0 ||
                rows[r].required == 1) /* a hidden width is free ... */
                refused(dir, "model.safetensors", expected);
            else /* ... but the next layer must take it */
                refused(dir, "model.safetensors", "tensor head.0.bias has shape [4], expected [out=5]");
            tensors[i + 1] = kept;
        }
        for (int i = 0; i < rows[r].required; i++) {
            struct writer_tensor kept = tensors[i + 1];
            tensors[i + 1].name = "novel";
            writer_tensors(dir, tensors, (size_t)rows[r].count + 1);
            snprintf(expected, sizeof expected, "tensor %s is missing, expected with shape [", kept.name);
            refused(dir, "model.safetensors", expected);
            tensors[i + 1] = kept;
        }
    }
}

static void shapes_and_names(void **state)
{
    const char *dir = *state;
    struct writer_tensor tensors[3] = {mind[0], mind[1], {"routing.bias", floats, 1, {2}, false}};
    writer_model(dir, CONFIG("mind", 2, ""), items, 4, tensors, 3);
    refused(dir, "model.safetensors", "tensor routing.bias is not one that this config asks for");
    tensors[1].shape[1] = 3;
    writer_tensors(dir, tensors, 2);
    refused(dir, "model.safetensors", "tensor routing.bilinear has shape [3, 3], expected [d=3, dim=2]");
    tensors[1] = mind[1];
    tensors[0].rank = 3, tensors[0].shape[2] = 1;
    writer_tensors(dir, tensors, 2);
    refused(dir, "model.safetensors", "tensor item_embedding has shape [4, 3, 1], expected [items, d]");
    tensors[0] = mind[0], tensors[0].shape[0] = 0;
    writer_tensors(dir, tensors, 2);
    refused(dir, "model.safetensors", "tensor item_embedding has shape [0, 3], expected [items, d]");
    writer_tensors(dir, mind + 1, 1);
    refused(dir, "model.safetensors", "tensor item_embedding is missing, expected with shape [items, d]");
    tensors[0] = (struct writer_tensor){"x\\ny", floats, 1, {1}, false};
    writer_tensors(dir, tensors, 1);
    refused(dir, "model.safetensors", "tensor item_embedding is missing");
    writer_model(dir, CONFIG("mind", 2, ",\"routing\":{\"bilinear\":\"none\"}"), items, 4, mind, 1);
    refused(dir, "model.safetensors", "tensor item_embedding is 3 wide, expected dim=2");
    writer_model(dir, CONFIG("comirec-sa", 2, ""), items, 4, mind, 1);
    refused(dir, "model.safetensors", "tensor item_embedding is 3 wide, expected dim=2");
    tensors[0] = mind[0], tensors[1] = mind[1], tensors[2].name = "a\\nb";
    writer_model(dir, CONFIG("mind", 2, ""), items, 4, tensors, 3);
    refused(dir, "model.safetensors", "tensor a?b is not one"); /* still one line */
}

static void item_counts(void **state)
{
    const char *dir = *state;
    write_mind(dir);
    writer_items(dir, items, 3);
    refused(dir, "items.txt", "3 lines, but tensor item_embedding has 4 rows");
    const char *const more[] = {"a", "b", "c", "d", "e"};
    writer_items(dir, more, 5);
    refused(dir, "items.txt", "5 lines, but tensor item_embedding has 4 rows");
}

static void half_written(void **state)
{
    static const char *const files[] = {"config.json", "model.safetensors", "items.txt"};
    const char *dir = *state;
    char path[4200];
    for (size_t i = 0; i < COUNT(files); i++) {
        write_mind(dir);
        writer_file(dir, files[i], "", 0);
        refused(dir, files[i], "the file is empty");
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
        refused(dir, files[i], "the file is missing");
    }
    struct ms_model *model = NULL;
    struct ms_error error;
    snprintf(path, sizeof path, "%s/none", dir);
    assert_int_equal(load(path, &model, &error), MS_MODEL);
    assert_non_null(strstr(error.text, "/none: not a directory"));
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

static void hash(void **state)
{
    const char *dir = *state;
    uint64_t hashes[4];
    float other[12];
    struct writer_tensor tensors[2] = {mind[0], mind[1]};
    const char *const renamed[] = {"i1", "i2", "i3", "i4"};
    memcpy(other, floats, sizeof other);
    other[11] = 9;
    for (int i = 0; i < 5; i++) {
        struct ms_model *model;
        tensors[0].data = i == 1 ? other : floats;
        writer_model(dir, i == 2 ? CONFIG("mind", 2, " ") : CONFIG("mind", 2, ""), i == 3 ? renamed : items,
                     4, tensors, 2);
        assert_int_equal(load(dir, &model, NULL), MS_OK);
        uint64_t value = ms_model_hash(model);
        ms_model_destroy(model);
        for (int before = 0; before < i && i < 4; before++)
            assert_true(hashes[before] != value);
        if (i == 4)
            assert_true(hashes[0] == value);
        else
            hashes[i] = value;
    }
}

/* float16 weights give what their float32 values give, from data that lies at an odd multiple of two bytes.
 */
static void half_precision(void **state)
{
    const char *dir = *state;
    struct ms_model *full, *half;
    struct writer_tensor tensors[3] = {mind[0], mind[1]};
    write_mind(dir);
    assert_int_equal(load(dir, &full, NULL), MS_OK);
    const struct writer_tensor odd[] = {
        {"routing.bilinear_bias", floats + 100, 1, {2}, true}, mind[1], mind[0]};
    memcpy(tensors, odd, sizeof odd);
    tensors[1].half = true;
    writer_tensors(dir, tensors, 3);
    assert_int_equal(load(dir, &half, NULL), MS_OK);
    assert_memory_equal(ms_model_projected(full), ms_model_projected(half), 8 * sizeof(float));
    assert_int_equal((uintptr_t)ms_model_tensor(half, "item_embedding").data % 64, 0);
    ms_model_destroy(full);
    ms_model_destroy(half);
}

static void counts(void **state)
{
    static const struct {
        enum ms_count_rule rule;
        size_t n;
        int expected;
    } rows[] = {
        {MS_COUNT_FIXED, 1, 64},
        {MS_COUNT_LOG2_FLOOR, 1, 1},
        {MS_COUNT_LOG2_FLOOR, 3, 1},
        {MS_COUNT_LOG2_FLOOR, 4, 2},
        {MS_COUNT_LOG2_FLOOR, 7, 2},
        {MS_COUNT_LOG2_FLOOR, 8, 3},
        {MS_COUNT_LOG2_CEIL, 1, 1},
        {MS_COUNT_LOG2_CEIL, 2, 1},
        {MS_COUNT_LOG2_CEIL, 3, 2},
        {MS_COUNT_LOG2_CEIL, 4, 2},
        {MS_COUNT_LOG2_CEIL, 5, 3},
        {MS_COUNT_LOG2_PLUS_ONE_FLOOR, 1, 1},
        {MS_COUNT_LOG2_PLUS_ONE_FLOOR, 2, 1},
        {MS_COUNT_LOG2_PLUS_ONE_FLOOR, 3, 2},
        {MS_COUNT_LOG2_PLUS_ONE_FLOOR, 7, 3},
        {MS_COUNT_LN_FLOOR, 1, 1},
        {MS_COUNT_LN_FLOOR, 7, 1},
        {MS_COUNT_LN_FLOOR, 8, 2},
        {MS_COUNT_LN_FLOOR, 20, 2},
        {MS_COUNT_LN_FLOOR, 21, 3},
        {MS_COUNT_LN_FLOOR, SIZE_MAX, 11},
        {MS_COUNT_LOG2_FLOOR, SIZE_MAX, 16},
    };
    (void)state;
    struct ms_model_config config = {.interests = 64, .max_behaviors = MS_MAX_BEHAVIORS};
    for (size_t i = 0; i < COUNT(rows); i++) {
        config.interest_count = rows[i].rule;
        assert_int_equal(ms_interest_count(&config, rows[i].n), rows[i].expected);
        assert_int_equal(ms_interest_count(&config, 0), 0);
    }
    for (size_t n = 1; n <= MS_MAX_BEHAVIORS;
         n++) { /* no n lies so near a power of e that doubles could err */
        config.interest_count = MS_COUNT_LN_FLOOR;
        double k = floor(log((double)n));
        int expected = (int)k;
        assert_int_equal(ms_interest_count(&config, n), expected > 1 ? expected : 1);
    }
    config.interests = 2;
    config.interest_count = MS_COUNT_LOG2_FLOOR;
    assert_int_equal(ms_interest_count(&config, 1000), 2);
    config.interests = 64;
    config.max_behaviors = 20;
    assert_int_equal(ms_interest_count(&config, 1000), 4);
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
        cmocka_unit_test(projection),  cmocka_unit_test(rests),          cmocka_unit_test(item_logits),
        cmocka_unit_test(item_lookup), cmocka_unit_test(variants),       cmocka_unit_test(shapes_and_names),
        cmocka_unit_test(item_counts), cmocka_unit_test(half_written),   cmocka_unit_test(overflow),
        cmocka_unit_test(hash),        cmocka_unit_test(half_precision), cmocka_unit_test(counts),
    };
    ms_model_destroy(NULL);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
