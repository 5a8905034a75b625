/* Looking at topics on librdkafka's mock cluster. The mock answers neither DescribeConfigs nor
 * CreateTopics: what it shows is that looking makes no topic, and that failures are told. The rest is in
 * tests/kafka/topics_test.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/progress.h"
#include "stream/kafka/topics.h"

static struct {
    rd_kafka_t *host; /* the mock lives in its threads */
    rd_kafka_mock_cluster_t *mock;
    struct ms_config config;
    struct ms_topic_want wants[MS_TOPICS_MAX];
    struct ms_topic_found found[MS_TOPICS_MAX];
    struct ms_topics *topics;
} scene;

/* A plain client; |bootstrap| NULL: it only hosts the mock. */
static rd_kafka_t *make_client(const char *bootstrap)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "2", text, sizeof text);
    if (bootstrap)
        rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof text);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(client);
    return client;
}

static int setup(void **state)
{
    (void)state;
    memset(&scene, 0, sizeof scene);
    scene.host = make_client(NULL);
    scene.mock = rd_kafka_mock_cluster_new(scene.host, 1);
    scene.config = (struct ms_config){.bootstrap_servers = rd_kafka_mock_cluster_bootstraps(scene.mock),
                                      .input_topic = "clicks",
                                      .output_topic = "interests",
                                      .profile_topic = "",
                                      .dead_letter_topic = ""};
    assert_int_equal(ms_topic_plan(scene.wants, &scene.config, 3, 1), 2);
    assert_int_equal(ms_topics_open(&scene.topics, &scene.config, NULL), MS_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ms_topics_close(scene.topics);
    rd_kafka_mock_cluster_destroy(scene.mock);
    rd_kafka_destroy(scene.host);
    return 0;
}

/* The mock makes a topic when it is asked for that topic alone; looking must not ask so. */
static void test_looking_makes_none(void **state)
{
    (void)state;
    const struct rd_kafka_metadata *metadata;
    struct ms_error error;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ms_topics_look(scene.topics, scene.wants, 2, scene.found, &error), MS_OK);
        assert_false(scene.found[0].exists || scene.found[1].exists);
    }
    rd_kafka_t *other = make_client(scene.config.bootstrap_servers);
    assert_int_equal(rd_kafka_metadata(other, 1, NULL, &metadata, 5000), 0);
    assert_int_equal(metadata->topic_cnt, 0);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(other);
}

/* A broker that does not tell the cleanup policy: no topic is taken to fit. */
static void test_policy_is_not_told(void **state)
{
    (void)state;
    struct ms_error error;
    assert_int_equal(rd_kafka_mock_topic_create(scene.mock, "interests", 3, 1), 0);
    assert_int_equal(ms_topics_look(scene.topics, scene.wants, 2, scene.found, &error), MS_KAFKA);
    assert_non_null(strstr(error.text, "topic interests: its settings cannot be asked for: "));
}

static void test_no_broker(void **state)
{
    (void)state;
    struct ms_error error;
    struct ms_topics *topics = NULL;
    struct ms_config away = scene.config;
    away.bootstrap_servers = "127.0.0.1:1";
    double begin_s = ms_monotonic_s();
    assert_int_equal(ms_topics_open(&topics, &away, &error), MS_OK);
    assert_int_equal(ms_topics_look(topics, scene.wants, 2, scene.found, &error), MS_KAFKA);
    assert_non_null(strstr(error.text, "bootstrap.servers=127.0.0.1:1: no broker answers: "));
    assert_true(ms_monotonic_s() - begin_s < 20);
    ms_topics_close(topics);
}

static void test_bad_setting(void **state)
{
    (void)state;
    struct ms_error error;
    struct ms_topics *topics = NULL;
    struct ms_passthrough pass = {.key = "no.such.key", .value = "1", .producer = true};
    struct ms_config bad = scene.config;
    bad.passthrough = &pass;
    bad.passthrough_count = 1;
    assert_int_equal(ms_topics_open(&topics, &bad, &error), MS_CONFIG);
    assert_non_null(strstr(error.text, "no.such.key"));
    assert_null(topics);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_looking_makes_none),
        CASE(test_policy_is_not_told),
        CASE(test_no_broker),
        CASE(test_bad_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
