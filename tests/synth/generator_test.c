/* The generated stream: the same bytes for a seed, ids in range, the promised laws, and the model's files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "app/generator.h"
#include "app/zipf.h"

#include "mindstream/model.h"

static struct ms_generator *make(uint32_t users, uint32_t items, uint64_t seed)
{
    struct ms_generator_settings settings = ms_generator_defaults();
    settings.users = users;
    settings.items = items;
    settings.seed = seed;
    struct ms_generator *generator = NULL;
    struct ms_error error = {0};
    if (ms_generator_new(&generator, &settings, &error) != MS_OK)
        fail_msg("%s", error.text);
    return generator;
}

static uint64_t hash_of_stream(uint64_t seed, int events)
{
    struct ms_generator *generator = make(5000, 3000, seed);
    XXH64_state_t *state = XXH64_createState();
    XXH64_reset(state, 0);
    for (int i = 0; i < events; i++) {
        char line[MS_GENERATOR_JSON_MAX_BYTES];
        struct ms_generated event;
        ms_generator_next(generator, &event);
        XXH64_update(state, line, ms_generator_json(line, &event));
    }
    uint64_t hash = XXH64_digest(state);
    XXH64_freeState(state);
    ms_generator_destroy(generator);
    return hash;
}

/* The hash was taken once; another one on any machine or with any compiler means that logs are no longer
 * comparable. */
static void test_same_bytes(void **state)
{
    (void)state;
    assert_int_equal(hash_of_stream(1, 200000), 0x2f5457ac87ffa023);
    assert_int_equal(hash_of_stream(1, 200000), hash_of_stream(1, 200000));
    assert_int_not_equal(hash_of_stream(2, 1000), hash_of_stream(1, 1000));
}

static void test_ranges(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 4, 99, 100, 200, 257, 100000, MS_GENERATOR_MAX_IDS};
    static const double skews[] = {0, 0.3, 1.0, 1.0000000001, 2.5, 10};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t j = 0; j < sizeof skews / sizeof skews[0]; j++) {
            struct ms_generator_settings settings = ms_generator_defaults();
            settings.users = sizes[i];
            settings.items = sizes[sizeof sizes / sizeof sizes[0] - 1 - i];
            settings.item_skew = skews[j];
            settings.user_skew = skews[j];
            settings.interval_ms = i % 2 ? 1 : 1000;
            struct ms_generator *generator = NULL;
            assert_int_equal(ms_generator_new(&generator, &settings, NULL), MS_OK);
            for (int64_t n = 0, last_ms = -1; n < 3000; n++) {
                struct ms_generated event;
                ms_generator_next(generator, &event);
                assert_true(event.user < settings.users && event.item < settings.items);
                assert_true(ms_generator_cluster(generator, event.item) < ms_generator_clusters(generator));
                assert_true(event.time_ms > last_ms);
                assert_int_equal((event.time_ms - settings.start_ms) / settings.interval_ms, n);
                last_ms = event.time_ms;
            }
            ms_generator_destroy(generator);
        }
    }
}

/* Every id is some rank's: a shuffle that is not one to one would leave items out. */
static void test_all_items_come(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 30, 250, 256};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ms_generator_settings settings = ms_generator_defaults();
        settings.users = settings.items = sizes[i];
        settings.item_skew = settings.user_skew = 0;
        struct ms_generator *generator = NULL;
        assert_int_equal(ms_generator_new(&generator, &settings, NULL), MS_OK);
        bool users[256] = {false}, items[256] = {false};
        for (int n = 0; n < 30000; n++) {
            struct ms_generated event;
            ms_generator_next(generator, &event);
            users[event.user] = items[event.item] = true;
        }
        for (uint32_t id = 0; id < sizes[i]; id++)
            assert_true(users[id] && items[id]);
        ms_generator_destroy(generator);
    }
}

/* Draws against the law's own probabilities, by libm: chi-square over the ranks. */
static void test_zipf_law(void **state)
{
    (void)state;
    enum { COUNT = 50, DRAWS = 400000 };
    static const double exponents[] = {0, 0.5, 1.0, 1.3, 2.0}, shifts[] = {1.0, 0.01, 0.37, 3.0};
    uint64_t random = 42;
    for (size_t i = 0; i < 20; i++) {
        struct ms_zipf zipf;
        double exponent = exponents[i % 5], shift = shifts[i / 5], total = 0, chi_square = 0;
        int seen[COUNT] = {0};
        ms_zipf_init(&zipf, COUNT, exponent, shift);
        for (int n = 0; n < DRAWS; n++)
            seen[ms_zipf_draw(&zipf, &random)]++;
        for (int k = 0; k < COUNT; k++)
            total += pow(shift + k, -exponent);
        for (int k = 0; k < COUNT; k++) {
            double expected = DRAWS * pow(shift + k, -exponent) / total;
            chi_square += (seen[k] - expected) * (seen[k] - expected) / expected;
        }
        /* 49 degrees of freedom: 1 in 10,000 is above 94. The draws are fixed, so the test is, too. */
        if (chi_square > 94)
            fail_msg("exponent %g, shift %g: chi-square %g", exponent, shift, chi_square);
    }
}

/* Over all users the items follow the law, and a user's own clicks lie in few clusters. */
static void test_stream(void **state)
{
    (void)state;
    enum { ITEMS = 5000, USERS = 2000, EVENTS = 1000000, CLUSTERS = ITEMS / 100 };
    struct ms_generator *generator = make(USERS, ITEMS, 9);
    assert_int_equal(ms_generator_clusters(generator), CLUSTERS);
    static int items[ITEMS], of_user[USERS][CLUSTERS], events_of[USERS];
    for (int n = 0; n < EVENTS; n++) {
        struct ms_generated event;
        ms_generator_next(generator, &event);
        items[event.item]++;
        /* an average user's first 20 clicks: before much has drifted */
        if (n < 20 * USERS) {
            events_of[event.user]++;
            of_user[event.user][ms_generator_cluster(generator, event.item)]++;
        }
    }
    int most = 0, above_100th = 0;
    double harmonic = 0, share = 0, total = 0;
    for (int i = 0; i < ITEMS; i++) {
        harmonic += 1.0 / (i + 1);
        most = items[i] > most ? items[i] : most;
    }
    for (int i = 0; i < ITEMS; i++)
        above_100th += items[i] > EVENTS / harmonic / 100;
    assert_true(fabs(most * harmonic / EVENTS - 1) < 0.15);
    assert_true(above_100th > 85 && above_100th < 115);
    for (int u = 0; u < USERS; u++) {
        int top[4] = {0};
        for (int c = 0; c < CLUSTERS; c++) {
            int count = of_user[u][c];
            for (int j = 0; j < 4; j++) {
                if (count > top[j]) {
                    int swapped = top[j];
                    top[j] = count;
                    count = swapped;
                }
            }
        }
        share += top[0] + top[1] + top[2] + top[3];
        total += events_of[u];
    }
    assert_true(share / total > 0.8);
    ms_generator_destroy(generator);
}

static void test_refused(void **state)
{
    (void)state;
    struct ms_generator *generator = NULL;
    struct ms_error error = {0};
    for (int i = 0; i < 7; i++) {
        struct ms_generator_settings settings = ms_generator_defaults();
        settings.users = i == 0 ? 0 : 10;
        settings.items = i == 1 ? 0 : 10;
        settings.item_skew = i == 2 ? -1 : 1;
        settings.user_skew = i == 3 ? (double)NAN : 1;
        settings.interval_ms = i == 4 ? 0 : 1;
        settings.dim = i == 5 ? 0 : 8;
        settings.drift_events = i == 6 ? 0 : 1;
        assert_int_equal(ms_generator_new(&generator, &settings, &error), MS_USAGE);
        assert_null(generator);
    }
}

static void test_json(void **state)
{
    (void)state;
    char line[MS_GENERATOR_JSON_MAX_BYTES + 1];
    struct ms_generated event = {.user = 0, .item = 1999999999, .time_ms = 1700000000123};
    line[ms_generator_json(line, &event)] = '\0';
    assert_string_equal(line, "{\"user_id\":\"u0\",\"item_id\":\"i1999999999\",\"timestamp\":1700000000123,"
                              "\"event_type\":\"click\"}");
    for (uint32_t n = 0; n < 1200; n++) {
        char expected[200];
        event = (struct ms_generated){n, n * 1000 + 7, n};
        line[ms_generator_json(line, &event)] = '\0';
        snprintf(expected, sizeof expected,
                 "{\"user_id\":\"u%" PRIu32 "\",\"item_id\":\"i%" PRIu32 "\",\"timestamp\":%" PRIu32
                 ",\"event_type\":\"click\"}",
                 n, n * 1000 + 7, n);
        assert_string_equal(line, expected);
    }
    event = (struct ms_generated){UINT32_MAX, UINT32_MAX, INT64_MAX};
    assert_true(ms_generator_json(line, &event) <= MS_GENERATOR_JSON_MAX_BYTES);
}

static void touch(const char *dir, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void drop(const char *dir, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

static off_t size_of(const char *dir, const char *name)
{
    struct stat found;
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &found) == 0 ? found.st_size : -1;
}

static void test_model(void **state)
{
    (void)state;
    char base[] = "/tmp/ms-generator-XXXXXX", dir[64];
    struct ms_error error = {0};
    assert_non_null(mkdtemp(base));
    snprintf(dir, sizeof dir, "%s/model", base);
    struct ms_generator *generator = make(10, 300, 5);
    assert_int_equal(ms_generator_write_model(generator, dir, &error), MS_OK);
    assert_int_equal(size_of(dir, "items.txt"), 10 * 3 + 90 * 4 + 200 * 5);
    assert_true(size_of(dir, "model.safetensors") > (300 + 64) * 64 * 4);
    /* A model gives way to a model, in one step; nothing else is left beside it. */
    touch(dir, "config.json", "old");
    assert_int_equal(ms_generator_write_model(generator, dir, &error), MS_OK);
    assert_true(size_of(dir, "config.json") > 100);

    struct ms_model *model = NULL;
    if (ms_model_load(&model, dir, &error) != MS_OK)
        fail_msg("%s", error.text);
    assert_string_equal(ms_model_config(model)->id, "generated@5");
    assert_int_equal(ms_model_item_count(model), 300);
    assert_int_equal(ms_model_find(model, "i299", 4), 299);
    /* Items of one cluster are alike, others are not. */
    double same = 0, other = 0;
    int same_count = 0, other_count = 0;
    for (uint32_t i = 1; i < 300; i++) {
        const float *a = ms_model_item_embedding(model, 0), *b = ms_model_item_embedding(model, i);
        double dot = 0, aa = 0, bb = 0;
        for (int d = 0; d < 64; d++) {
            dot += (double)a[d] * (double)b[d];
            aa += (double)a[d] * (double)a[d];
            bb += (double)b[d] * (double)b[d];
        }
        bool together = ms_generator_cluster(generator, 0) == ms_generator_cluster(generator, i);
        *(together ? &same : &other) += dot / sqrt(aa * bb);
        *(together ? &same_count : &other_count) += 1;
    }
    assert_true(same / same_count > 0.75 && other / other_count < 0.4);
    ms_model_destroy(model);

    /* What is no model is left alone. */
    touch(dir, "thesis.tex", "precious");
    assert_int_equal(ms_generator_write_model(generator, dir, &error), MS_IO);
    assert_non_null(strstr(error.text, "thesis.tex"));
    assert_int_equal(size_of(dir, "thesis.tex"), 8);
    drop(dir, "thesis.tex");
    drop(dir, "config.json");
    drop(dir, "items.txt");
    drop(dir, "model.safetensors");
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(base), 0);
    assert_int_equal(ms_generator_write_model(generator, dir, &error), MS_IO); /* no parent directory */
    ms_generator_destroy(generator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),     cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_all_items_come), cmocka_unit_test(test_zipf_law),
        cmocka_unit_test(test_stream),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_json),           cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
