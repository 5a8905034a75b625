/* The model of a generated stream: it loads, and items of one cluster are alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mindstream/model.h"
#include "synth/model.h"

static struct ms_generator *make_generator(uint32_t items, uint64_t seed)
{
    struct ms_generator_settings settings = ms_generator_defaults();
    settings.users = 10;
    settings.items = items;
    settings.seed = seed;
    struct ms_generator *generator = NULL;
    assert_int_equal(ms_generator_new(&generator, &settings, NULL), MS_OK);
    return generator;
}

static double cosine(const float *a, const float *b, int dim)
{
    double dot = 0, aa = 0, bb = 0;
    for (int d = 0; d < dim; d++) {
        dot += (double)a[d] * (double)b[d];
        aa += (double)a[d] * (double)a[d];
        bb += (double)b[d] * (double)b[d];
    }
    return dot / sqrt(aa * bb);
}

/* Mean cosine of item 0 and the items of its cluster, or of the others. */
static double likeness(const struct ms_generator *generator, const struct ms_model *model, bool same_cluster)
{
    double sum = 0;
    int count = 0;
    for (uint32_t i = 1; i < ms_model_item_count(model); i++) {
        if ((ms_generator_cluster(generator, 0) == ms_generator_cluster(generator, i)) != same_cluster)
            continue;
        sum += cosine(ms_model_item_embedding(model, 0), ms_model_item_embedding(model, i), 64);
        count++;
    }
    assert_true(count > 0);
    return sum / count;
}

static void remove_file(const char *dir, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(unlink(path), 0);
}

static void test_model(void **state)
{
    (void)state;
    char base[] = "/tmp/ms-generator-XXXXXX", dir[64];
    struct ms_error error = {0};
    struct ms_model *model = NULL;
    assert_non_null(mkdtemp(base));
    snprintf(dir, sizeof dir, "%s/model", base);
    struct ms_generator *generator = make_generator(300, 5);
    assert_int_equal(ms_generator_write_model(generator, dir, false, &error), MS_OK);
    if (ms_model_load(&model, dir, &error) != MS_OK)
        fail_msg("%s", error.text);
    assert_string_equal(ms_model_config(model)->id, "generated@5");
    assert_int_equal(ms_model_item_count(model), 300);
    assert_int_equal(ms_model_find(model, "i299", 4), 299);
    assert_true(likeness(generator, model, true) > 0.75 && likeness(generator, model, false) < 0.4);
    ms_model_destroy(model);
    remove_file(dir, "config.json");
    remove_file(dir, "items.txt");
    remove_file(dir, "model.safetensors");
    remove_file(dir, ".mindstream-written");
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(base), 0);
    assert_int_equal(ms_generator_write_model(generator, dir, false, &error),
                     MS_IO); /* no parent directory */
    ms_generator_destroy(generator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
