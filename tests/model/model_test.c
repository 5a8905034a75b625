/* A model directory as a whole: what is computed at load, how widths hang together, and what is refused. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mindstream/extract.h"
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
        int count, required, capsule;
        struct writer_tensor tensors[6]; /* the required ones first; item_embedding [4, 3] goes before them */
    } rows[] = {
        {CONFIG("mind", 2, ""),
         2,
         1,
         2,
         {{"routing.bilinear", floats, 2, {3, 2}, false}, {"routing.bilinear_bias", floats, 1, {2}, false}}},
        {CONFIG("mind", 2, ",\"routing\":{\"bilinear\":\"per-interest\"}"),
         2,
         1,
         2,
         {{"routing.bilinear", floats, 3, {3, 3, 2}, false},
          {"routing.bilinear_bias", floats, 1, {2}, false}}},
        {CONFIG("comirec-dr", 2, ""), 1, 1, 2, {{"routing.bilinear", floats, 4, {5, 3, 3, 2}, false}}},
        {CONFIG("mind", 3, ",\"routing\":{\"bilinear\":\"none\",\"initial_logits\":\"table\"}"),
         1,
         1,
         3,
         {{"routing.initial_logits", floats, 2, {5, 3}, false}}},
        {CONFIG("mind", 7, ",\"head\":[{\"activation\":\"relu\"},{\"activation\":\"linear\"}]"),
         5,
         3,
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
         {{"head.0.weight", floats, 2, {2, 3}, false}}},
        {CONFIG("comirec-sa", 3, ""),
         5,
         2,
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
        assert_int_equal(ms_item_vector_dim(model), rows[r].capsule);
        assert_int_equal(ms_model_config(model)->item_dim, 3);
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
    assert_memory_equal(ms_model_item_embedding(full, 0), ms_model_item_embedding(half, 0),
                        12 * sizeof(float));
    assert_memory_equal(ms_model_tensor(full, "routing.bilinear").data,
                        ms_model_tensor(half, "routing.bilinear").data, 6 * sizeof(float));
    assert_int_equal((uintptr_t)ms_model_tensor(half, "item_embedding").data % 64, 0);
    ms_model_destroy(full);
    ms_model_destroy(half);
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
        cmocka_unit_test(item_lookup),    cmocka_unit_test(variants),     cmocka_unit_test(shapes_and_names),
        cmocka_unit_test(item_counts),    cmocka_unit_test(half_written), cmocka_unit_test(hash),
        cmocka_unit_test(half_precision),
    };
    ms_model_destroy(NULL);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
