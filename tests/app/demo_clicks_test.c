/* The demo's two ends of the stream, on librdkafka's mock cluster, without the service between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/demo_clicks.h"
#include "base/json.h"
#include "base/progress.h"

#define USERS  30
#define WAIT_S 20

static const struct ms_demo_topic topics[] = {
    {MS_DEMO_INPUT, MS_DEMO_PARTITIONS}, {MS_DEMO_OUTPUT, MS_DEMO_PARTITIONS}, {MS_DEMO_DEAD_LETTERS, 1}};

static struct stage {
    struct ms_demo_broker *broker;
    struct ms_generator *generator;
    struct ms_demo_clicks clicks;
    struct ms_demo_client *other; /* reads what was fed, and stands for the service */
    struct ms_json *json;
    uint64_t whole, cut; /* records of the input topic */
    uint32_t by_user[USERS];
} stage;

static int setup(void **state)
{
    (void)state;
    struct ms_generator_settings settings = ms_generator_defaults();
    struct ms_error error;
    settings.users = USERS;
    settings.items = 200;
    stage = (struct stage){.json = ms_json_new()};
    if (ms_demo_broker_new(&stage.broker, topics, 3, &error) != MS_OK ||
        ms_generator_new(&stage.generator, &settings, &error) != MS_OK ||
        ms_demo_clicks_init(&stage.clicks, stage.generator, ms_demo_broker_bootstrap(stage.broker), &error) !=
            MS_OK ||
        ms_demo_client_new(&stage.other, ms_demo_broker_bootstrap(stage.broker), topics, 1, &error) != MS_OK)
        fail_msg("%s", error.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ms_demo_clicks_free(&stage.clicks);
    ms_demo_client_destroy(stage.other);
    ms_demo_broker_destroy(stage.broker);
    ms_generator_destroy(stage.generator);
    ms_json_destroy(stage.json);
    return 0;
}

/* A whole click names its key as the user. */
static void count_input(void *context, const struct ms_demo_record *record)
{
    struct ms_json_value root, user;
    size_t size;
    (void)context;
    assert_string_equal(record->topic, MS_DEMO_INPUT);
    if (ms_json_read(stage.json, record->value.data, record->value.size, &root)) {
        stage.cut++;
        return;
    }
    assert_true(ms_json_member(root, "user_id", 7, &user));
    const char *text = ms_json_string(user, &size);
    assert_int_equal(size, record->key.size);
    assert_memory_equal(text, record->key.data, size);
    stage.by_user[atoi(text + 1)]++;
    stage.whole++;
}

static void read_input(uint64_t count)
{
    double until_s = ms_monotonic_s() + WAIT_S;
    assert_true(ms_demo_fed(stage.clicks.client, WAIT_S * 1000));
    while (stage.whole + stage.cut < count && ms_monotonic_s() < until_s)
        ms_demo_read(stage.other, 1000, 100, count_input, NULL);
    assert_int_equal(stage.whole + stage.cut, count);
}

static void fed_and_broken(void **state)
{
    (void)state;
    struct ms_error error;
    assert_int_equal(ms_demo_clicks_feed(&stage.clicks, 300, &error), MS_OK);
    assert_int_equal(ms_demo_clicks_break(&stage.clicks, 3, &error), MS_OK);
    assert_int_equal(stage.clicks.fed, 303);
    read_input(303);
    assert_int_equal(stage.whole, 300);
    assert_int_equal(stage.cut, 3);
    assert_memory_equal(stage.by_user, stage.clicks.clicks, sizeof stage.by_user);
}

/* Without a user of enough clicks, one more is of the user with most; then of one with enough. */
static void one_more(void **state)
{
    (void)state;
    struct ms_generated clicked;
    struct ms_error error;
    char key[MS_DEMO_KEY_BYTES];
    for (uint64_t count = 0; count < 1200; count += 1000) {
        assert_int_equal(ms_demo_clicks_feed(&stage.clicks, count, &error), MS_OK);
        uint32_t before[USERS];
        memcpy(before, stage.clicks.clicks, sizeof before);
        assert_int_equal(ms_demo_clicks_one_more(&stage.clicks, &clicked, &error), MS_OK);
        assert_int_equal(stage.clicks.clicks[clicked.user], before[clicked.user] + 1);
        assert_int_equal(stage.clicks.fed, count + 1 + (count > 0));
        assert_true(count == 0 || (before[clicked.user] >= 20 && before[clicked.user] <= 60));
        snprintf(key, sizeof key, "u%u", clicked.user);
        assert_string_equal(stage.clicks.watched, key);
        assert_false(stage.clicks.found);
    }
}

static void answer(const char *topic, const char *key, const char *value)
{
    struct ms_error error;
    assert_int_equal(ms_demo_feed(stage.other, topic, (struct ms_bytes){key, strlen(key)},
                                  (struct ms_bytes){value, strlen(value)}, &error),
                     MS_OK);
    assert_true(ms_demo_fed(stage.other, WAIT_S * 1000));
}

static void read_answers(uint64_t records, uint64_t dead_letters)
{
    double until_s = ms_monotonic_s() + WAIT_S;
    while (stage.clicks.records + stage.clicks.dead_letters < records + dead_letters &&
           ms_monotonic_s() < until_s)
        ms_demo_clicks_read(&stage.clicks, 100);
    assert_int_equal(stage.clicks.records, records);
    assert_int_equal(stage.clicks.dead_letters, dead_letters);
}

/* The newest record of the watched user is kept, and of no other. */
static void read_back(void **state)
{
    (void)state;
    struct ms_generated clicked;
    struct ms_error error;
    char longer[MS_DEMO_KEY_BYTES + 1];
    answer(MS_DEMO_OUTPUT, "u1", "nobody watches yet");
    read_answers(1, 0);
    assert_false(stage.clicks.found);
    assert_int_equal(ms_demo_clicks_one_more(&stage.clicks, &clicked, &error), MS_OK);
    snprintf(longer, sizeof longer, "%s0", stage.clicks.watched);
    answer(MS_DEMO_OUTPUT, longer, "of another user");
    answer(MS_DEMO_DEAD_LETTERS, stage.clicks.watched, "refused");
    read_answers(2, 1);
    assert_false(stage.clicks.found);
    answer(MS_DEMO_OUTPUT, stage.clicks.watched, "first, and longer than the second");
    read_answers(3, 1);
    assert_true(stage.clicks.found);
    answer(MS_DEMO_OUTPUT, stage.clicks.watched, "second");
    read_answers(4, 1);
    assert_int_equal(stage.clicks.last.value.size, 6);
    assert_memory_equal(stage.clicks.last.value.data, "second", 6);
    assert_true(stage.clicks.last.partition >= 0 && stage.clicks.last.partition < MS_DEMO_PARTITIONS);
    assert_true(stage.clicks.last.offset >= 1);
    assert_false(stage.clicks.out_of_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fed_and_broken, setup, teardown),
        cmocka_unit_test_setup_teardown(one_more, setup, teardown),
        cmocka_unit_test_setup_teardown(read_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
