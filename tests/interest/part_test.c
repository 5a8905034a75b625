/* A part of a model: interests are those of the whole model, bit for bit; what it does not know is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mindstream/extract.h"
#include "model/part.h"
#include "model/model_writer.h"

enum { ITEMS = 5000, D = 21, DIM = 24, K = 5, L = 30 };

static char texts[ITEMS][12];
static const char *ids[ITEMS];
static uint64_t random_state = 7;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static float *numbers(size_t count, float scale)
{
    float *out = malloc(count * sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++)
        out[i] = ((float)draw(20001) / 10000.0f - 1.0f) * scale;
    return out;
}

/* |scale|: of the items. With the large one routing outgrows float32, and needs more tables. */
static char *make_dir(const char *extractor, const char *options, float scale, bool half)
{
    char config[500];
    snprintf(
        config, sizeof config,
        "{\"format\": \"mindstream-model/1\", \"name\": \"t\", \"version\": \"1\", \"extractor\": \"%s\", \"dim\": "
        "%d, \"interests\": %d, \"max_behaviors\": %d%s}",
        extractor, DIM, K, L, options);
    bool attention = strcmp(extractor, "comirec-sa") == 0;
    bool own = strstr(options, "per-interest") != NULL;
    int64_t d = attention ? DIM : D;
    float *items = numbers((size_t)(ITEMS * d), scale), *maps = numbers((size_t)K * D * DIM, 0.3f);
    for (size_t i = 0; half && i < (size_t)(ITEMS * d); i++)
        items[i] = (float)(int)(items[i] * 64.0f) / 64.0f; /* exact as a half */
    const struct writer_tensor tensors[] = {
        {.name = attention ? "attention.w1" : "routing.bilinear",
         .data = maps,
         .rank = own ? 3 : 2,
         .shape = {own ? K : d,
                   own         ? D
                   : attention ? 9
                               : DIM,
                   DIM}},
        {.name = "item_embedding", .data = items, .rank = 2, .shape = {ITEMS, d}, .half = half},
        {.name = "attention.w2", .data = maps, .rank = 2, .shape = {9, K}}};
    for (int i = 0; i < ITEMS; i++) {
        snprintf(texts[i], sizeof texts[i], "item-%d", i);
        ids[i] = texts[i];
    }
    char *dir = writer_temp_dir();
    writer_model(dir, config, ids, ITEMS, tensors, attention ? 3 : 2);
    free(items);
    free(maps);
    return dir;
}

static void extract(const struct ms_model *model, const uint32_t *items, size_t n, struct ms_interests *out,
                    float *vectors)
{
    struct ms_extractor *extractor = NULL;
    assert_int_equal(ms_extractor_new(&extractor, model, NULL), MS_OK);
    *out = ms_extract_full(extractor, items, n, NULL, 0, NULL);
    memcpy(vectors, out->vectors, (size_t)out->count * DIM * sizeof *vectors);
    ms_extractor_destroy(extractor);
}

/* A window of some items, one of them unknown and some of them twice, by both models. */
static void compare(const char *dir, const struct ms_model *whole, size_t n)
{
    struct ms_model_part *part = NULL;
    struct ms_model *model = NULL;
    struct ms_error error = {0};
    struct ms_bytes wanted[L + 2];
    uint32_t in_whole[L], in_part[L];
    float expected[K * DIM], found[K * DIM];
    struct ms_interests a, b;
    for (size_t i = 0; i < n; i++) {
        in_whole[i] = i % 5 == 4 ? in_whole[i - 1] : draw(ITEMS);
        wanted[i] = (struct ms_bytes){ids[in_whole[i]], strlen(ids[in_whole[i]])};
    }
    wanted[n] = (struct ms_bytes){"nowhere", 7};
    if (ms_model_part_open(&part, dir, &error) != MS_OK ||
        ms_model_part_pick(part, wanted, n + 1, &model, &error) != MS_OK)
        fail_msg("%s", error.text);
    assert_int_equal(ms_model_hash(model), ms_model_hash(whole));
    assert_true(ms_model_item_count(model) <= n + 1);
    assert_int_equal(ms_model_find(model, "nowhere", 7), MS_NO_ITEM);
    for (size_t i = 0; i < n; i++) {
        in_part[i] = ms_model_find(model, wanted[i].data, wanted[i].size);
        assert_int_not_equal(in_part[i], MS_NO_ITEM);
    }
    extract(whole, in_whole, n, &a, expected);
    extract(model, in_part, n, &b, found);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(expected, found, (size_t)a.count * DIM * sizeof *found);
    struct ms_catalogue all = ms_model_part_catalogue(part);
    assert_int_equal(all.count, ITEMS);
    for (uint32_t i = 0; i < ITEMS; i += 499) {
        struct ms_bytes id = ms_catalogue_id(&all, i);
        assert_int_equal(id.size, strlen(ids[i]));
        assert_memory_equal(id.data, ids[i], id.size);
        assert_memory_equal(ms_catalogue_row(&all, i), ms_model_item_embedding(whole, i),
                            (size_t)all.dim * sizeof(float));
    }
    ms_model_part_close(part);
}

static void same_as_the_whole(const char *extractor, const char *options, float scale)
{
    char *dir = make_dir(extractor, options, scale, false);
    struct ms_model *whole = NULL;
    struct ms_error error;
    if (ms_model_load(&whole, dir, &error) != MS_OK)
        fail_msg("%s", error.text);
    for (size_t n = 1; n <= L; n += 7)
        compare(dir, whole, n);
    ms_model_destroy(whole);
    writer_remove(dir);
    free(dir);
}

static void mind(void **state)
{
    (void)state;
    same_as_the_whole("mind", "", 0.5f);
}

static void mind_beyond_float32(void **state)
{
    (void)state;
    same_as_the_whole("mind", "", 4.0f);
}

static void map_per_interest(void **state)
{
    (void)state;
    same_as_the_whole("mind", ", \"routing\": {\"bilinear\": \"per-interest\"}", 0.5f);
}

static void attention(void **state)
{
    (void)state;
    same_as_the_whole("comirec-sa", "", 0.5f);
}

/* The history of a user may have no item that the model knows. */
static void no_items(void **state)
{
    (void)state;
    struct ms_model_part *part = NULL;
    struct ms_model *model = NULL;
    char *dir = make_dir("mind", "", 0.5f, false);
    assert_int_equal(ms_model_part_open(&part, dir, NULL), MS_OK);
    assert_int_equal(ms_model_part_pick(part, NULL, 0, &model, NULL), MS_OK);
    assert_int_equal(ms_model_item_count(model), 1);
    ms_model_part_close(part);
    writer_remove(dir);
    free(dir);
}

static void half_floats_are_not_mapped(void **state)
{
    (void)state;
    struct ms_model_part *part = NULL;
    char *dir = make_dir("mind", "", 0.5f, true);
    assert_int_equal(ms_model_part_open(&part, dir, NULL), MS_CONFIG);
    writer_remove(dir);
    free(dir);
}

/* The last number of the last tensor but one. */
static void what_is_not_finite_is_refused(void **state)
{
    (void)state;
    struct ms_model_part *part = NULL;
    struct ms_error error;
    char path[200], *dir = make_dir("mind", "", 0.5f, false);
    const unsigned char nan[] = {0, 0, 0xC0, 0x7F};
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -4, SEEK_END), 0);
    assert_int_equal(fwrite(nan, 1, sizeof nan, file), sizeof nan);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(ms_model_part_open(&part, dir, &error), MS_MODEL);
    assert_non_null(strstr(error.text, "item_embedding: element 104999 is NaN, at [4999, 20]"));
    writer_remove(dir);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mind),
        cmocka_unit_test(mind_beyond_float32),
        cmocka_unit_test(map_per_interest),
        cmocka_unit_test(attention),
        cmocka_unit_test(no_items),
        cmocka_unit_test(half_floats_are_not_mapped),
        cmocka_unit_test(what_is_not_finite_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
