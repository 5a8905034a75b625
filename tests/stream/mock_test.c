/* The service on librdkafka's mock cluster: errors that a real broker gives rarely, and ways of the client
 * that the service works around (consumer_queue.h, in_flight.h). The argument is the scenario.
 *
 * The mock keeps no transactional offsets and hides no aborted records. So a session that begins anew reads
 * from the start of the log again, and what is looked at is whether it goes on, ends, or waits as it should.
 */
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
#include "stream/kafka/clients.h"
#include "stream/kafka/consumer_queue.h"
#include "stream/kafka/service.h"
#include "stream/offsets.h"

enum request {
    PRODUCE = 0,
    OFFSET_COMMIT = 8,
    HEARTBEAT = 12,
    INIT_PRODUCER_ID = 22,
    ADD_OFFSETS = 25,
    END_TXN = 26,
    TXN_OFFSETS = 28
};

#define EVENTS 40 /* of one stretch */
#define WAIT_S 50

static struct scene {
    rd_kafka_t *host; /* the mock lives in its threads */
    rd_kafka_mock_cluster_t *mock;
    const char *bootstrap;
    struct life_model model;
    char *dir;
    struct ms_passthrough pass[7];
    struct ms_config config;
    atomic_int stop;
    bool incremental;
    struct ms_service *service;
    int produced;
    bool seen[EVENTS * 8]; /* versions of the user that the output has */
} scene;

static void setup(void)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    scene.host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(scene.host);
    scene.mock = rd_kafka_mock_cluster_new(scene.host, 2);
    scene.bootstrap = rd_kafka_mock_cluster_bootstraps(scene.mock);
    assert_int_equal(rd_kafka_mock_topic_create(scene.mock, "in", 1, 1), 0);
    assert_int_equal(rd_kafka_mock_topic_create(scene.mock, "out", 1, 1), 0);
    /* The output alone is on broker 2, so that errors of producing to it can be had. */
    rd_kafka_mock_partition_set_leader(scene.mock, "in", 0, 1);
    rd_kafka_mock_partition_set_leader(scene.mock, "out", 0, 2);
    rd_kafka_mock_coordinator_set(scene.mock, "group", "app", 1);
    rd_kafka_mock_coordinator_set(scene.mock, "transaction", "app-one-0", 1);
    life_model_open(&scene.model, 3, 3, 4);
    scene.dir = state_dir_new();
    scene.pass[0] = (struct ms_passthrough){.key = "fetch.wait.max.ms", .value = "10", .consumer = true};
    scene.pass[1] = (struct ms_passthrough){.key = "session.timeout.ms", .value = "6000", .consumer = true};
    scene.pass[2] = (struct ms_passthrough){
        .key = "topic.metadata.refresh.interval.ms", .value = "500", .consumer = true, .producer = true};
    scene.pass[3] = (struct ms_passthrough){.key = "retry.backoff.ms", .value = "50", .producer = true};
    scene.config = (struct ms_config){.application_id = "app",
                                      .instance_id = "one",
                                      .bootstrap_servers = scene.bootstrap,
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
                                      .state_flush_interval_ms = 1000000, /* no row: see above */
                                      .profile_topic = "",
                                      .passthrough = scene.pass,
                                      .passthrough_count = 4};
}

static void teardown(void)
{
    rd_kafka_mock_cluster_destroy(scene.mock);
    rd_kafka_destroy(scene.host);
    life_model_close(&scene.model);
    state_dir_remove(scene.dir);
}

/* ---- the service ---- */

static enum ms_status start(struct ms_error *error)
{
    const struct ms_service_options options = {.config = &scene.config,
                                               .model = scene.model.model,
                                               .decay = {.count = 1, .per_event = {0.9}},
                                               .incremental = scene.incremental,
                                               .stop = &scene.stop};
    return ms_service_start(&scene.service, &options, error);
}

static void must_start(void)
{
    struct ms_error error;
    if (start(&error) != MS_OK)
        fail_msg("%s", error.text);
}

/* A count of the service as it is now. */
#define COUNTED(name) counted(offsetof(struct ms_stats, name))

static uint64_t counted(size_t counter)
{
    struct ms_stats *total = calloc(1, sizeof *total);
    assert_non_null(total);
    ms_service_stats(scene.service, total);
    uint64_t n = ms_counted((const _Atomic uint64_t *)(const void *)((const char *)total + counter));
    free(total);
    return n;
}

static uint64_t restarts(void)
{
    return COUNTED(restarts);
}

/* Waits until the service has ended by itself, and returns how. */
static enum ms_status ends(struct ms_error *error)
{
    double until_s = ms_monotonic_s() + WAIT_S;
    while (!ms_service_done(scene.service)) {
        assert_true(ms_monotonic_s() < until_s);
        usleep(20000);
    }
    return ms_service_end(scene.service, error);
}

static void must_stop(void)
{
    struct ms_error error = {0};
    double began_s = ms_monotonic_s();
    atomic_store(&scene.stop, 1);
    if (ends(&error) != MS_OK)
        fail_msg("%s", error.text);
    assert_true(ms_monotonic_s() - began_s < 8);
}

/* ---- input and output ---- */

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    assert_int_equal(message->err, 0);
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *key, const char *value)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", scene.bootstrap, text, sizeof text), 0);
    assert_int_equal(rd_kafka_conf_set(conf, key, value, text, sizeof text), 0);
    if (type == RD_KAFKA_CONSUMER)
        assert_int_equal(rd_kafka_conf_set(conf, "fetch.wait.max.ms", "10", text, sizeof text), 0);
    else
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    assert_non_null(rk);
    return rk;
}

static void produce_some(int count, const char *linger_ms)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, "linger.ms", linger_ms);
    for (int i = 0; i < count; i++) {
        char value[128];
        int n = snprintf(value, sizeof value,
                         "{\"user_id\":\"u\",\"item_id\":\"item-%d\",\"timestamp\":%lld}", i % 3,
                         1700000000000LL + scene.produced++);
        assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("in"), RD_KAFKA_V_PARTITION(0),
                                           RD_KAFKA_V_VALUE(value, (size_t)n), RD_KAFKA_V_KEY("u", 1),
                                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                         0);
    }
    assert_int_equal(rd_kafka_flush(rk, 10000), 0);
    rd_kafka_destroy(rk);
}

static void produce(void)
{
    produce_some(EVENTS, "0");
}

static bool all_seen(void)
{
    for (int version = 1; version <= scene.produced; version++) {
        if (!scene.seen[version])
            return false;
    }
    return true;
}

static void look(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    char text[24] = "";
    assert_int_equal(message->key_len, 1);
    assert_int_equal(rd_kafka_message_headers(message, &headers), 0);
    assert_int_equal(rd_kafka_header_get_last(headers, "mindstream-version", &value, &size), 0);
    assert_true(size < sizeof text);
    memcpy(text, value, size);
    int version = atoi(text);
    assert_in_range(version, 1, scene.produced);
    scene.seen[version] = true;
}

/* Reads the output until every event has had its record. */
static void published(void)
{
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, "group.id", "reader");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "out", 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    double until_s = ms_monotonic_s() + WAIT_S;
    while (!all_seen()) {
        if (ms_service_done(scene.service) || ms_monotonic_s() > until_s)
            fail_msg("not all of %d events were published", scene.produced);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (message && !message->err)
            look(message);
        if (message)
            rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static int32_t broker_of(enum request request)
{
    return request == PRODUCE ? 2 : 1;
}

static void fails_next(enum request request, rd_kafka_resp_err_t code, int times)
{
    for (int i = 0; i < times; i++)
        rd_kafka_mock_broker_push_request_error_rtts(scene.mock, broker_of(request), (int16_t)request, 1,
                                                     code, 0);
}

/* Runs in good health, meets an error, and goes on with |least| to |most| restarts. */
static void goes_on(enum request request, rd_kafka_resp_err_t code, int times, uint64_t least, uint64_t most)
{
    must_start();
    produce();
    published();
    assert_int_equal(restarts(), 0);
    fails_next(request, code, times);
    produce();
    published();
    assert_in_range(restarts(), least, most);
    size_t left = 1; /* errors that were not met */
    assert_int_equal(
        rd_kafka_mock_broker_error_stack_cnt(scene.mock, broker_of(request), (int16_t)request, &left), 0);
    assert_int_equal(left, 0);
    must_stop();
}

/* ---- the scenarios ---- */

static void produce_retried(void)
{
    goes_on(PRODUCE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 2, 0, 0);
}

/* More records than the producer holds: those that linger are sent, nothing waits for the clock. */
static void produce_queue_full(void)
{
    scene.pass[scene.config.passthrough_count++] = (struct ms_passthrough){
        .key = "queue.buffering.max.messages", .value = "2", .producer = true};
    must_start();
    produce();
    published();
    assert_int_equal(restarts(), 0);
    must_stop();
}

/* A record that the broker will never take is for the operator: the service ends and names the error. */
static void produce_refused(void)
{
    struct ms_error error;
    must_start();
    produce();
    published();
    fails_next(PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
    produce();
    assert_int_equal(ends(&error), MS_KAFKA_REFUSED);
    assert_non_null(strstr(error.text, "TOPIC_AUTHORIZATION_FAILED"));
}

static void offsets_coordinator_moves(void)
{
    goes_on(ADD_OFFSETS, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 2, 0, 0);
}

static void offsets_generation(void)
{
    goes_on(TXN_OFFSETS, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, 1, 1, 1);
}

/* The client repeats the request by itself. A new session follows: a late copy would end its next transaction. */
static void commit_coordinator_loads(void)
{
    goes_on(END_TXN, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 2, 1, 1);
}

/* A fatal error of the producer: nothing but a new one helps. */
static void producer_fenced(void)
{
    goes_on(END_TXN, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, 1, 1, 1);
}

static void wait_restarts(uint64_t count)
{
    for (double until_s = ms_monotonic_s() + WAIT_S; restarts() < count; usleep(20000)) {
        assert_false(ms_service_done(scene.service));
        assert_true(ms_monotonic_s() < until_s);
    }
}

/* A coordinator that takes the commit and does not answer: a service that is asked to stop does not wait for it without end. */
static void stopped_while_committing(void)
{
    struct ms_error error;
    must_start();
    produce();
    published();
    for (int i = 0; i < 20; i++)
        rd_kafka_mock_broker_push_request_error_rtts(scene.mock, broker_of(END_TXN), END_TXN, 1,
                                                     RD_KAFKA_RESP_ERR_NO_ERROR, 100000);
    produce();
    usleep(1000000);
    atomic_store(&scene.stop, 1);
    assert_int_equal(ends(&error), MS_KAFKA);
    assert_non_null(strstr(error.text, "the last commit failed"));
}

/* The group has given a member's place to another. It may have been its own: it joined again because the answer to its join was
 * lost. A new session tells. */
static void member_replaced(void)
{
    scene.config.group_static = true;
    must_start();
    produce();
    published();
    fails_next(HEARTBEAT, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, 1);
    wait_restarts(1);
    produce();
    published();
    assert_int_equal(restarts(), 1);
    must_stop();
}

/* Where the place is taken again soon, another process has the same name. */
static void member_replaced_again(void)
{
    struct ms_error error;
    scene.config.group_static = true;
    must_start();
    produce();
    published();
    fails_next(HEARTBEAT, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, 2);
    assert_int_equal(ends(&error), MS_KAFKA_REFUSED);
    assert_non_null(strstr(error.text, "another process runs with instance.id one"));
}

static void at_least_once_commit(void)
{
    scene.config.processing_guarantee = MS_AT_LEAST_ONCE;
    goes_on(OFFSET_COMMIT, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, 1, 1, 1);
}

/* A record that the broker refuses for good is not lost: its offset is not committed, and the next session
 * reads its event again. */
static void at_least_once_refused_record(void)
{
    scene.config.processing_guarantee = MS_AT_LEAST_ONCE;
    goes_on(PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1, 1, 1);
}

/* What the group has committed of the input: the offset, -1 when there is none yet, and the note beside
 * it. */
static int64_t committed(struct ms_offset_note *note)
{
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, "group.id", "app");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "in", 0);
    assert_int_equal(rd_kafka_committed(rk, list, 5000), 0);
    const rd_kafka_topic_partition_t *at = &list->elems[0];
    int64_t offset = at->offset < 0 ? -1 : at->offset;
    assert_int_equal(ms_offset_note_read(at->metadata, at->metadata_size, note), offset >= 0);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(rk);
    return offset;
}

static void wait_committed(int64_t offset)
{
    struct ms_offset_note note;
    double until_s = ms_monotonic_s() + WAIT_S;
    while (committed(&note) != offset) {
        assert_true(ms_monotonic_s() < until_s);
        usleep(50000);
    }
}

/* Another machine: no state, so all it knows is what was committed. */
static void start_without_state(bool incremental)
{
    state_dir_remove(scene.dir);
    scene.dir = state_dir_new();
    scene.config.state_dir = scene.dir;
    scene.incremental = incremental;
    atomic_store(&scene.stop, 0);
    must_start();
}

/* Waits until |count| events were folded in silence, and something was or nothing has to be published. */
static void wait_replayed(uint64_t count, uint64_t records)
{
    double until_s = ms_monotonic_s() + WAIT_S;
    while (COUNTED(replayed) < count || COUNTED(records) < records) {
        assert_true(ms_monotonic_s() < until_s);
        usleep(20000);
    }
    assert_int_equal(COUNTED(replayed), count);
    assert_int_equal(COUNTED(records), records);
}

/* The worker commits origin, fold id and slots beside the offset, and goes by what it finds there.
 * at_least_once because the mock keeps no offsets of transactions. */
static void note_beside_offset(void)
{
    enum { BEFORE = 5 };
    struct ms_offset_note first = {0}, second = {0};
    scene.config.processing_guarantee = MS_AT_LEAST_ONCE;
    scene.config.input_start = MS_START_LATEST;
    produce_some(BEFORE, "0"); /* events that a group that starts at the end never sees */
    scene.produced = 0;
    must_start();
    wait_committed(BEFORE); /* the origin is pinned at once */
    produce();
    published();
    wait_committed(BEFORE + EVENTS);
    must_stop();
    assert_int_equal(committed(&first), BEFORE + EVENTS);
    assert_int_equal(first.origin, BEFORE);
    assert_int_equal(first.slots, ms_model_config(scene.model.model)->interests);

    /* The same fold: it replays from the origin to C, and publishes nothing of that. */
    start_without_state(false);
    wait_replayed(EVENTS, 0);
    produce();
    published(); /* versions go on where they were */
    assert_int_equal(COUNTED(records), EVENTS);
    wait_committed(BEFORE + 2 * EVENTS);
    must_stop();
    assert_int_equal(committed(&second), BEFORE + 2 * EVENTS);
    assert_int_equal(second.origin, BEFORE);
    assert_int_equal(second.fold_id, first.fold_id);

    /* Another fold: the user is owed a record, once, and the note then names this fold. */
    start_without_state(true);
    wait_replayed(2 * EVENTS, 1);
    double until_s = ms_monotonic_s() + WAIT_S;
    while (committed(&second), second.fold_id == first.fold_id) {
        assert_true(ms_monotonic_s() < until_s);
        usleep(50000);
    }
    assert_int_equal(second.origin, BEFORE);
    must_stop();
}

static void produce_one(const char *topic, const char *key, const char *value)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, "linger.ms", "0");
    assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
                                       RD_KAFKA_V_KEY(key, strlen(key)),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                     0);
    assert_int_equal(rd_kafka_flush(rk, 10000), 0);
    rd_kafka_destroy(rk);
}

static void assert_header(const rd_kafka_message_t *message, const char *name, const char *expected)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    assert_int_equal(rd_kafka_message_headers(message, &headers), 0);
    assert_int_equal(rd_kafka_header_get_last(headers, name, &value, &size), 0);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(value, expected, size);
}

/* The first record of a topic. */
static rd_kafka_message_t *first_of(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    for (double until_s = ms_monotonic_s() + WAIT_S;;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (message && !message->err)
            return message;
        if (message)
            rd_kafka_message_destroy(message);
        assert_true(ms_monotonic_s() < until_s);
    }
}

/* A record that is no event goes to the dead letters as it came, with where it came from and why. */
static void dead_letter(void)
{
    assert_int_equal(rd_kafka_mock_topic_create(scene.mock, "bad", 1, 1), 0);
    scene.config.dead_letter_topic = "bad";
    must_start();
    produce();
    produce_one("in", "key", "no event");
    published();
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, "group.id", "reader");
    rd_kafka_message_t *message = first_of(rk, "bad");
    assert_int_equal(message->key_len, 3);
    assert_memory_equal(message->key, "key", 3);
    assert_int_equal(message->len, strlen("no event"));
    assert_memory_equal(message->payload, "no event", message->len);
    assert_header(message, "source-topic", "in");
    assert_header(message, "source-partition", "0");
    assert_header(message, "source-offset", "40");
    rd_kafka_message_destroy(message);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    assert_int_equal(COUNTED(dead_letters), 1);
    assert_int_equal(COUNTED(records), EVENTS);
    must_stop();
}

/* Clicks wait until the profiles that are there have been read; then a profile that changes is published. */
static void profiles_before_clicks(void)
{
    assert_int_equal(rd_kafka_mock_topic_create(scene.mock, "profiles", 1, 1), 0);
    scene.config.profile_topic = "profiles";
    produce_one("profiles", "u", "{\"a\":1}");
    produce();
    must_start();
    published();
    assert_int_equal(COUNTED(profiles), 1);
    assert_int_equal(COUNTED(records), EVENTS); /* a profile after a click would have been one more */
    produce_one("profiles", "u", "{\"a\":2}");
    scene.produced++; /* it gives the user a version, as an event does */
    published();
    assert_int_equal(COUNTED(profiles), 2);
    assert_int_equal(COUNTED(records), EVENTS + 1);
    assert_int_equal(restarts(), 0);
    must_stop();
}

/* State of an earlier run, but a group without an offset (the mock keeps none of transactions). The worker
 * asks again for a while, and then ends with the command that mends it. */
static void state_without_offset(void)
{
    struct ms_error error;
    must_start();
    produce();
    published();
    must_stop(); /* which flushes */
    atomic_store(&scene.stop, 0);
    must_start();
    assert_int_equal(ends(&error), MS_OFFSETS);
    assert_non_null(strstr(error.text, "no committed offset but there is local state"));
    assert_non_null(strstr(error.text, "--to-offset 40 --execute"));
}

static void coordinator_loads_at_start(void)
{
    fails_next(INIT_PRODUCER_ID, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 3);
    must_start();
    produce();
    published();
    must_stop();
}

static void transactional_id_forbidden(void)
{
    struct ms_error error;
    fails_next(INIT_PRODUCER_ID, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 4);
    must_start();
    assert_int_equal(ends(&error), MS_KAFKA_REFUSED);
    assert_non_null(strstr(error.text, "app-one-0"));
}

static void *raise_broker(void *unused)
{
    (void)unused;
    usleep(1500000);
    rd_kafka_mock_broker_set_up(scene.mock, 1);
    rd_kafka_mock_broker_set_up(scene.mock, 2);
    return NULL;
}

static void broker_down_at_start(void)
{
    pthread_t thread;
    double began_s = ms_monotonic_s();
    produce();
    rd_kafka_mock_broker_set_down(scene.mock, 1);
    rd_kafka_mock_broker_set_down(scene.mock, 2);
    assert_int_equal(pthread_create(&thread, NULL, raise_broker, NULL), 0);
    must_start();
    assert_true(ms_monotonic_s() - began_s > 1.4);
    pthread_join(thread, NULL);
    published();
    assert_int_equal(restarts(), 0);
    must_stop();
}

static void broker_down_meanwhile(void)
{
    must_start();
    produce();
    published();
    rd_kafka_mock_broker_set_down(scene.mock, 1);
    rd_kafka_mock_broker_set_down(scene.mock, 2);
    usleep(1000000);
    rd_kafka_mock_broker_set_up(scene.mock, 1);
    rd_kafka_mock_broker_set_up(scene.mock, 2);
    produce();
    published();
    must_stop();
}

static void missing_topic_fails_fast(void)
{
    struct ms_error error;
    double began_s = ms_monotonic_s();
    scene.config.fail_fast = true;
    rd_kafka_mock_topic_set_error(scene.mock, "out", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(start(&error), MS_KAFKA);
    assert_non_null(strstr(error.text, "\"out\""));
    assert_true(ms_monotonic_s() - began_s < 5);
}

static void *stop_soon(void *unused)
{
    (void)unused;
    usleep(1000000);
    atomic_store(&scene.stop, 1);
    return NULL;
}

static void missing_topic_waits(void)
{
    struct ms_error error;
    pthread_t thread;
    rd_kafka_mock_topic_set_error(scene.mock, "out", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    assert_int_equal(start(&error), MS_KAFKA_RETRY); /* it waited until it was asked to stop */
    pthread_join(thread, NULL);
}

static void no_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                         void *opaque)
{
    (void)rk;
    (void)code;
    (void)list;
    (void)opaque;
}

static void assert_setting(rd_kafka_t *rk, const char *key, const char *value)
{
    char text[64] = "";
    size_t size = sizeof text;
    assert_int_equal(rd_kafka_conf_get(rd_kafka_conf(rk), key, text, &size), RD_KAFKA_CONF_OK);
    assert_string_equal(text, value);
}

/* Reads |records| with a queue of 1000; how many polls of 100 ms came back with nothing after the first. */
static int empty_polls(int records, bool wakes)
{
    struct ms_error error;
    struct ms_consumer_queue queue;
    rd_kafka_t *rk = NULL;
    int empty = 0, read = 0;
    scene.pass[4] = (struct ms_passthrough){.key = "queued.min.messages", .value = "1000", .consumer = true};
    scene.pass[5] = (struct ms_passthrough){.key = "sasl.username", .value = "someone", .consumer = true};
    scene.pass[6] = (struct ms_passthrough){.key = "sasl.password", .value = "a secret", .consumer = true};
    scene.config.passthrough_count = 7;
    assert_int_equal(ms_consumer_new(&rk, &scene.config, "reader", NULL,
                                     &(struct ms_consumer_callbacks){.rebalance = no_rebalance}, &error),
                     MS_OK);
    assert_int_equal(ms_consumer_queue_open(&queue, rk, &error), MS_OK);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "in", 0)->offset = 0;
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    while (read < records) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        bool record = message && !message->err;
        read += record;
        empty += read > 0 && !message;
        if (record && read % 200 == 0)
            usleep(10000); /* slower than the fetcher, as folding is */
        if (wakes)
            ms_consumer_queue_watch(&queue, record, record ? message->len : 0, ms_monotonic_s());
        if (message)
            rd_kafka_message_destroy(message);
    }
    assert_true(wakes == ms_consumer_queue_lags(&queue, ms_monotonic_s(), 60));
    assert_setting(rk, "sasl.username", "someone"); /* waking goes by way of them */
    assert_setting(rk, "sasl.password", "a secret");
    ms_consumer_queue_close(&queue);
    rd_kafka_consumer_close(rk);
    ms_client_destroy(rk);
    return empty;
}

/* A full queue puts librdkafka's fetcher to sleep for a second, unless it is woken. */
static void fetcher_woken(void)
{
    for (int i = 0; i < 40; i++) /* the mock gives a batch a fetch */
        produce_some(250, "100");
    int slept = empty_polls(scene.produced, false);
    int woken = empty_polls(scene.produced, true);
    if (woken > 5 || slept < woken + 10)
        fail_msg("%d empty polls where the fetcher is woken, %d where it is not", woken, slept);
}

static void send_one(rd_kafka_t *rk, struct ms_in_flight *in_flight)
{
    int before = atomic_load(&in_flight->sent);
    char value[] = "v";
    assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("out"), RD_KAFKA_V_PARTITION(0),
                                       RD_KAFKA_V_VALUE(value, 1), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                       RD_KAFKA_V_END),
                     0);
    for (double until_s = ms_monotonic_s() + WAIT_S; atomic_load(&in_flight->sent) == before; usleep(1000))
        assert_true(ms_monotonic_s() < until_s);
}

/* A commit waits for batches that are answered late, not for ones that are lost, and not longer than it may.
 */
/* What no passed-through setting may change, and a time-out that an old client takes in another unit. */
static void client_settings(void)
{
    struct ms_error error;
    rd_kafka_t *rk;
    scene.pass[scene.config.passthrough_count++] = (struct ms_passthrough){
        .key = "allow.auto.create.topics", .value = "true", .consumer = true, .producer = true};
    assert_int_equal(ms_producer_new(&rk, &scene.config, "p", NULL, NULL, NULL, NULL, NULL, 0, &error),
                     MS_OK);
    assert_setting(rk, "allow.auto.create.topics", "false");
    ms_client_destroy(rk);
    assert_int_equal(ms_admin_new(&rk, &scene.config, "a", &error), MS_OK);
    assert_setting(rk, "allow.auto.create.topics", "false");
    ms_client_destroy(rk);
    assert_int_equal(ms_kafka_seek_timeout(0x020002ff, 10000), 10000000);
    assert_int_equal(ms_kafka_seek_timeout(0x020100ff, 10000), 10000);
}

/* A worker of an earlier run whose transaction cannot be settled yet: a stop is heard meanwhile. */
static void stopped_while_settling(void)
{
    struct ms_error error;
    pthread_t thread;
    scene.config.workers = 2;
    must_start();
    must_stop();
    atomic_store(&scene.stop, 0);
    scene.config.workers = 1;
    for (int broker = 1; broker <= 2; broker++) {
        for (int i = 0; i < 1000; i++)
            rd_kafka_mock_broker_push_request_error_rtts(scene.mock, broker, INIT_PRODUCER_ID, 1,
                                                         RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, 0);
    }
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    assert_int_equal(start(&error), MS_KAFKA_RETRY);
    pthread_join(thread, NULL);
}

/* Said once, again every 10 s, and when it has ended. */
static void silence_said(void)
{
    struct ms_silence silence = {0};
    int away = 0;
    assert_int_equal(ms_silence_look(&silence, 100), MS_SILENCE_NOTHING);
    assert_int_equal(ms_silence_look(&silence, 4999), MS_SILENCE_NOTHING);
    assert_int_equal(ms_silence_look(&silence, 0), MS_SILENCE_NOTHING); /* short: nothing to say */
    for (int64_t ms = 0; ms <= 40000; ms += 50)
        away += ms_silence_look(&silence, ms) == MS_SILENCE_AWAY;
    assert_int_equal(away, 4); /* at 5, 15, 25 and 35 s */
    assert_int_equal(ms_silence_look(&silence, 30), MS_SILENCE_BACK);
    assert_int_equal(ms_silence_look(&silence, 80), MS_SILENCE_NOTHING);
}

static void batches_on_their_way(void)
{
    struct ms_error error;
    struct ms_in_flight in_flight = {0};
    rd_kafka_t *rk = NULL;
    assert_int_equal(ms_producer_new(&rk, &scene.config, "p", NULL, NULL, NULL, &in_flight, NULL, 0, &error),
                     MS_OK);
    double began_s = ms_monotonic_s();
    ms_in_flight_wait(&in_flight, 10000); /* nothing was sent */
    assert_true(ms_monotonic_s() - began_s < 1);

    assert_int_equal(rd_kafka_mock_broker_set_rtt(scene.mock, 2, 700), 0);
    send_one(rk, &in_flight);
    assert_int_equal(atomic_load(&in_flight.batches), 1);
    began_s = ms_monotonic_s();
    ms_in_flight_wait(&in_flight, 50);
    assert_int_equal(atomic_load(&in_flight.batches), 1);
    ms_in_flight_wait(&in_flight, 10000);
    assert_int_equal(atomic_load(&in_flight.batches), 0);
    assert_true(ms_monotonic_s() - began_s > 0.3 && ms_monotonic_s() - began_s < 5);

    assert_int_equal(rd_kafka_mock_broker_set_rtt(scene.mock, 2, 60000), 0);
    send_one(rk, &in_flight);
    assert_int_equal(atomic_load(&in_flight.batches), 1);
    rd_kafka_mock_broker_set_down(scene.mock, 2);
    ms_in_flight_wait(&in_flight, 10000);
    assert_int_equal(atomic_load(&in_flight.batches), 0);
    ms_in_flight_reset(&in_flight);
    assert_int_equal(atomic_load(&in_flight.sent), 0);
    rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    ms_client_destroy(rk);
}

/* A user's clicks and profile would lie in partitions of different numbers. */
static void partition_counts_differ(void)
{
    struct ms_error error;
    assert_int_equal(rd_kafka_mock_topic_create(scene.mock, "profiles", 3, 1), 0);
    scene.config.profile_topic = "profiles";
    assert_int_equal(start(&error), MS_CONFIG);
    assert_non_null(strstr(error.text, "topic in has 1 partitions and profile.topic profiles has 3"));
}

/* The log line tells what the workers have counted. */
static void progress_line(void)
{
    char line[2048];
    int log = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    assert_non_null(file);
    must_start();
    produce();
    published();
    ms_log_set_level(MS_LOG_INFO);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    ms_service_log(scene.service);
    assert_true(dup2(log, STDERR_FILENO) >= 0);
    close(log);
    ms_log_set_level(MS_LOG_WARN);
    rewind(file);
    do
        assert_non_null(fgets(line, sizeof line, file));
    while (!strstr(line, " progress "));
    char counts[64];
    snprintf(counts, sizeof counts, " events=%d ", EVENTS);
    assert_non_null(strstr(line, counts));
    snprintf(counts, sizeof counts, " records=%d ", EVENTS);
    assert_non_null(strstr(line, counts));
    fclose(file);
    must_stop();
}

static const struct {
    const char *name;
    void (*run)(void);
} scenarios[] = {
#define S(name)                                                                                              \
    {                                                                                                        \
#name, name                                                                                          \
    }
    S(produce_retried),
    S(produce_queue_full),
    S(produce_refused),
    S(offsets_coordinator_moves),
    S(offsets_generation),
    S(commit_coordinator_loads),
    S(producer_fenced),
    S(stopped_while_committing),
    S(member_replaced),
    S(member_replaced_again),
    S(at_least_once_commit),
    S(coordinator_loads_at_start),
    S(transactional_id_forbidden),
    S(broker_down_at_start),
    S(broker_down_meanwhile),
    S(missing_topic_fails_fast),
    S(missing_topic_waits),
    S(fetcher_woken),
    S(batches_on_their_way),
    S(at_least_once_refused_record),
    S(note_beside_offset),
    S(dead_letter),
    S(state_without_offset),
    S(profiles_before_clicks),
    S(partition_counts_differ),
    S(progress_line),
    S(silence_said),
    S(client_settings),
    S(stopped_while_settling),
#undef S
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
