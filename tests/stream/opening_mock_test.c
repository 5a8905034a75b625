/* The service on librdkafka's mock cluster, while one of its partitions cannot be opened: the events of the
 * other one are published all the time. The argument is the scenario.
 *
 * Partition 0 of the input, the output and the coordinators are on broker 1; partition 1 is on broker 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/log.h"
#include "base/progress.h"
#include "state/fixture.h"
#include "stream/kafka/service.h"

#define OFFSET_FETCH 9 /* of the protocol's requests */
#define WAIT_S       40
#define FLOW_S       6   /* for how long events are sent one by one */
#define WITHIN_S     1.0 /* and each has to be published */

static struct scene {
    rd_kafka_t *host; /* the mock lives in its threads */
    rd_kafka_mock_cluster_t *mock;
    struct life_model model;
    char *dir;
    struct ms_passthrough pass[5];
    struct ms_config config;
    atomic_int stop;
    struct ms_service *service;
    rd_kafka_t *producer, *reader;
    int produced[2], published[2]; /* by partition */
} scene;

static rd_kafka_t *client(rd_kafka_type_t type, const char *key, const char *value)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(
        rd_kafka_conf_set(conf, "bootstrap.servers", scene.config.bootstrap_servers, text, sizeof text), 0);
    assert_int_equal(rd_kafka_conf_set(conf, key, value, text, sizeof text), 0);
    if (type == RD_KAFKA_CONSUMER)
        assert_int_equal(rd_kafka_conf_set(conf, "fetch.wait.max.ms", "10", text, sizeof text), 0);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    assert_non_null(rk);
    return rk;
}

static void setup(void)
{
    char text[256];
    scene.host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    assert_non_null(scene.host);
    scene.mock = rd_kafka_mock_cluster_new(scene.host, 3);
    assert_int_equal(rd_kafka_mock_topic_create(scene.mock, "in", 2, 1), 0);
    assert_int_equal(rd_kafka_mock_topic_create(scene.mock, "out", 1, 1), 0);
    rd_kafka_mock_partition_set_leader(scene.mock, "in", 0, 1);
    rd_kafka_mock_partition_set_leader(scene.mock, "in", 1, 3);
    rd_kafka_mock_partition_set_leader(scene.mock, "out", 0, 1);
    rd_kafka_mock_coordinator_set(scene.mock, "group", "app", 1);
    rd_kafka_mock_coordinator_set(scene.mock, "transaction", "app-one-0", 1);
    life_model_open(&scene.model, 3, 3, 4);
    scene.dir = state_dir_new();
    scene.pass[0] = (struct ms_passthrough){.key = "fetch.wait.max.ms", .value = "10", .consumer = true};
    scene.pass[1] = (struct ms_passthrough){.key = "session.timeout.ms", .value = "6000", .consumer = true};
    scene.pass[2] = (struct ms_passthrough){.key = "max.poll.interval.ms", .value = "6000", .consumer = true};
    scene.pass[3] = (struct ms_passthrough){
        .key = "topic.metadata.refresh.interval.ms", .value = "500", .consumer = true, .producer = true};
    scene.config = (struct ms_config){.application_id = "app",
                                      .instance_id = "one",
                                      .bootstrap_servers = rd_kafka_mock_cluster_bootstraps(scene.mock),
                                      .input_topic = "in",
                                      .input_user_field = "user_id",
                                      .input_item_field = "item_id",
                                      .input_time_field = "timestamp",
                                      .input_type_field = "event_type",
                                      .input_types = "",
                                      .input_id_max_bytes = 256,
                                      .output_topic = "out",
                                      .publish_mode = MS_PUBLISH_EVERY,
                                      .dead_letter_topic = "",
                                      .commit_interval_ms = 20,
                                      .workers = 1,
                                      .state_dir = scene.dir,
                                      .state_behaviors_max = 50,
                                      .state_memory_bytes = 64 << 20,
                                      .state_flush_interval_ms = 1000000,
                                      .profile_topic = "",
                                      .passthrough = scene.pass,
                                      .passthrough_count = 4};
    scene.producer = client(RD_KAFKA_PRODUCER, "linger.ms", "0");
    scene.reader = client(RD_KAFKA_CONSUMER, "group.id", "reader");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "out", 0)->offset = 0;
    assert_int_equal(rd_kafka_assign(scene.reader, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
}

static void teardown(void)
{
    rd_kafka_consumer_close(scene.reader);
    rd_kafka_destroy(scene.reader);
    rd_kafka_destroy(scene.producer);
    rd_kafka_mock_cluster_destroy(scene.mock);
    rd_kafka_destroy(scene.host);
    life_model_close(&scene.model);
    state_dir_remove(scene.dir);
}

/* ---- the service ---- */

static void must_start(void)
{
    struct ms_error error;
    const struct ms_service_options options = {.config = &scene.config,
                                               .model = scene.model.model,
                                               .decay = {.count = 1, .per_event = {0.9}},
                                               .stop = &scene.stop};
    if (ms_service_start(&scene.service, &options, &error) != MS_OK)
        fail_msg("%s", error.text);
}

static uint64_t restarts(void)
{
    struct ms_stats *total = calloc(1, sizeof *total);
    assert_non_null(total);
    ms_service_stats(scene.service, total);
    uint64_t n = ms_counted(&total->restarts);
    free(total);
    return n;
}

static void must_stop(void)
{
    struct ms_error error = {0};
    double began_s = ms_monotonic_s();
    atomic_store(&scene.stop, 1);
    while (!ms_service_done(scene.service)) {
        assert_true(ms_monotonic_s() < began_s + 15);
        usleep(20000);
    }
    if (ms_service_end(scene.service, &error) != MS_OK)
        fail_msg("%s", error.text);
    atomic_store(&scene.stop, 0);
}

/* ---- input and output ---- */

/* An event of user "0" or "1", who has the partition of that number. Its leader need not be there. */
static void produce(int partition)
{
    char value[128];
    int n = snprintf(value, sizeof value, "{\"user_id\":\"%d\",\"item_id\":\"item-1\",\"timestamp\":%lld}",
                     partition, 1700000000000LL + scene.produced[partition]++);
    assert_int_equal(rd_kafka_producev(scene.producer, RD_KAFKA_V_TOPIC("in"),
                                       RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_VALUE(value, (size_t)n),
                                       RD_KAFKA_V_KEY(partition ? "1" : "0", 1),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                     0);
    rd_kafka_poll(scene.producer, 0);
}

/* Reads the output for |for_s|, or until all that was produced to |partition| has been published. */
static bool read_output(int partition, double for_s)
{
    double until_s = ms_monotonic_s() + for_s;
    while (scene.published[partition] < scene.produced[partition]) {
        if (ms_monotonic_s() > until_s)
            return false;
        assert_false(ms_service_done(scene.service));
        rd_kafka_message_t *message = rd_kafka_consumer_poll(scene.reader, 20);
        if (message && !message->err)
            scene.published[((const char *)message->key)[0] - '0']++;
        if (message)
            rd_kafka_message_destroy(message);
    }
    return true;
}

static void must_publish(int partition, double within_s)
{
    if (!read_output(partition, within_s))
        fail_msg("of partition %d only %d of %d events were published in %.1f s", partition,
                 scene.published[partition], scene.produced[partition], within_s);
}

/* For some seconds, an event of partition 0 every 50 ms, each of which is to be published at once. */
static void flows(void)
{
    double worst_s = 0;
    for (double until_s = ms_monotonic_s() + FLOW_S; ms_monotonic_s() < until_s; usleep(50000)) {
        double began_s = ms_monotonic_s();
        produce(0);
        must_publish(0, WITHIN_S);
        if (ms_monotonic_s() - began_s > worst_s)
            worst_s = ms_monotonic_s() - began_s;
    }
    print_message("%d events, the slowest was published after %.0f ms\n", scene.published[0], worst_s * 1e3);
}

/* What the group has committed of a partition, -1: nothing. */
static int64_t committed(int partition)
{
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, "group.id", "app");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "in", partition);
    assert_int_equal(rd_kafka_committed(rk, list, 5000), 0);
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return offset < 0 ? -1 : offset;
}

/* ---- the scenarios ---- */

/* Starts with partition 1 out of reach: that of partition 0 flows from the first seconds on. */
static void healthy_one_flows(void)
{
    for (int i = 0; i < 40; i++)
        produce(0);
    must_start();
    must_publish(
        0,
        WAIT_S); /* the mock's group takes some seconds to form, more where a slow broker is asked for it */
    flows();
    assert_int_equal(scene.published[1], 0);
}

/* Then it comes back. */
static void other_one_follows(void)
{
    must_publish(1, 20);
    flows();
    assert_int_equal(restarts(), 0);
    must_stop();
}

static void leader_down(void)
{
    produce(1);
    assert_int_equal(rd_kafka_flush(scene.producer, 5000), 0);
    rd_kafka_mock_broker_set_down(scene.mock, 3);
    healthy_one_flows();
    rd_kafka_mock_broker_set_up(scene.mock, 3);
    other_one_follows();
}

/* An election that takes its time. */
static void leader_unknown(void)
{
    produce(1);
    assert_int_equal(rd_kafka_flush(scene.producer, 5000), 0);
    rd_kafka_mock_partition_set_leader(scene.mock, "in", 1, -1);
    healthy_one_flows();
    rd_kafka_mock_partition_set_leader(scene.mock, "in", 1, 3);
    other_one_follows();
}

/* The leader takes the connection and the question, and answers late. */
static void leader_slow(void)
{
    produce(1);
    assert_int_equal(rd_kafka_flush(scene.producer, 5000), 0);
    rd_kafka_mock_broker_set_rtt(scene.mock, 3, 5000);
    healthy_one_flows();
    rd_kafka_mock_broker_set_rtt(scene.mock, 3, 0);
    other_one_follows();
}

/* A leader that goes while both partitions are read. */
static void leader_goes(void)
{
    must_start();
    produce(0);
    produce(1);
    must_publish(0, WAIT_S);
    must_publish(1, WAIT_S);
    rd_kafka_mock_broker_set_down(scene.mock, 3);
    flows();
    rd_kafka_mock_broker_set_up(scene.mock, 3);
    produce(1);
    other_one_follows();
}

/* The coordinator has no offsets to tell for longer than max.poll.interval.ms: the worker polls meanwhile, and
 * nothing was lost in the end. */
static void coordinator_slow(void)
{
    produce(0);
    produce(1);
    for (int i = 0; i < 24; i++)
        rd_kafka_mock_broker_push_request_error_rtts(scene.mock, 1, OFFSET_FETCH, 1,
                                                     RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 400);
    double began_s = ms_monotonic_s();
    must_start();
    must_publish(0, 40);
    must_publish(1, 10);
    print_message("published after %.1f s\n", ms_monotonic_s() - began_s);
    flows();
    assert_int_equal(restarts(), 0);
    must_stop();
}

/* The service is stopped while a partition waits: nothing was sent for it, and the next start reads all of it. */
static void stopped_while_waiting(void)
{
    scene.config.processing_guarantee = MS_AT_LEAST_ONCE; /* the mock keeps no offsets of transactions */
    scene.config.state_flush_interval_ms = 100;
    produce(1);
    assert_int_equal(rd_kafka_flush(scene.producer, 5000), 0);
    rd_kafka_mock_broker_set_down(scene.mock, 3);
    healthy_one_flows();
    must_stop();
    assert_int_equal(committed(0), scene.produced[0]);
    assert_int_equal(committed(1), -1);
    rd_kafka_mock_broker_set_up(scene.mock, 3);
    must_start();
    must_publish(1, 20);
    flows();
    must_stop();
    assert_int_equal(committed(1), 1);
}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
    {"leader_down", leader_down},           {"leader_unknown", leader_unknown},
    {"leader_slow", leader_slow},           {"leader_goes", leader_goes},
    {"coordinator_slow", coordinator_slow}, {"stopped_while_waiting", stopped_while_waiting},
};

static const char *wanted;

static void scenario(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(scenarios[i].name, wanted) == 0) {
            setup();
            scenarios[i].run();
            teardown();
            return;
        }
    }
    fail_msg("no scenario %s", wanted);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scenario)};
    wanted = argc == 2 ? argv[1] : "";
    ms_log_set_level(getenv("TRACE") ? MS_LOG_DEBUG : MS_LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
