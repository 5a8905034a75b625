/* The generated stream: the same bytes for a seed, ids in range, and the promised laws. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "synth/generator.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),     cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_all_items_come), cmocka_unit_test(test_stream),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
