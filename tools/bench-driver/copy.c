/* The bare copy loop: what Kafka alone costs. Each worker reads its partitions and writes a record of a fixed
 * size for every event, in transactions that carry the offsets and commit by the service's rule: when the
 * interval has passed, or at once when nothing waits. No decoding, no state. */
#include "driver.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As the service has them: records a poll, and how long an empty queue counts as busy. */
enum { BATCH = 256, IDLE_MS = 2, WAIT_MS = 100 };

static atomic_bool stopping; /* set by the signal handler, read by the workers */

struct worker {
    const struct driver_options *options;
    int number, partitions;
    rd_kafka_t *consumer, *producer;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *output;
    rd_kafka_message_t *messages[BATCH];
    char *value; /* record_bytes bytes, sent with every record, shortened by the key */
    int64_t next[DRIVER_MAX_PARTITIONS];
    bool moved[DRIVER_MAX_PARTITIONS];
    bool open; /* a transaction is open */
    double opened_s;
    pthread_t thread;
};

static void check(rd_kafka_error_t *error, const char *what)
{
    if (error) {
        driver_die("%s: %s", what, rd_kafka_error_string(error));
    }
}

static void commit(struct worker *worker)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(worker->partitions);
    for (int p = 0; p < worker->partitions; p++) {
        if (worker->moved[p]) {
            rd_kafka_topic_partition_list_add(offsets, worker->options->topic, p)->offset = worker->next[p];
            worker->moved[p] = false;
        }
    }
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(worker->consumer);
    check(rd_kafka_send_offsets_to_transaction(worker->producer, offsets, group, -1), "send offsets");
    check(rd_kafka_commit_transaction(worker->producer, -1), "commit");
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
    worker->open = false;
}

static void copy(struct worker *worker, const rd_kafka_message_t *message)
{
    size_t size = (size_t)worker->options->record_bytes;
    size = size > message->key_len ? size - message->key_len : 0;
    while (rd_kafka_produce(worker->output, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, worker->value, size,
                            message->key, message->key_len, NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            driver_die("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
        }
        rd_kafka_poll(worker->producer, 1);
    }
    worker->next[message->partition] = message->offset + 1;
    worker->moved[message->partition] = true;
}

static void *work(void *context)
{
    struct worker *worker = context;
    double interval_s = worker->options->commit_interval_ms / 1000.0;
    while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
        ssize_t count = rd_kafka_consume_batch_queue(worker->queue, worker->open ? IDLE_MS : WAIT_MS,
                                                     worker->messages, BATCH);
        if (count > 0 && !worker->open) {
            check(rd_kafka_begin_transaction(worker->producer), "begin");
            worker->open = true;
            worker->opened_s = driver_now_s();
        }
        for (ssize_t i = 0; i < count; i++) {
            if (worker->messages[i]->err) {
                driver_die("consume: %s", rd_kafka_message_errstr(worker->messages[i]));
            }
            copy(worker, worker->messages[i]);
            rd_kafka_message_destroy(worker->messages[i]);
        }
        rd_kafka_poll(worker->producer, 0);
        if (worker->open && (count <= 0 || driver_now_s() - worker->opened_s >= interval_s)) {
            commit(worker);
        }
    }
    return NULL;
}

static void start(struct worker *worker, const struct driver_options *options, int number)
{
    /* The settings of src/stream/kafka/clients.c: both sides of the comparison talk to the broker alike. The queue
     * alone is longer: nobody here wakes a fetcher that sleeps when it is full (src/stream/kafka/consumer_queue.h). */
    const char *const consumer[] = {"group.id",
                                    options->group,
                                    "socket.nagle.disable",
                                    "true",
                                    "enable.auto.commit",
                                    "false",
                                    "enable.auto.offset.store",
                                    "false",
                                    "isolation.level",
                                    "read_committed",
                                    "auto.offset.reset",
                                    "error",
                                    "queued.min.messages",
                                    "300000",
                                    "fetch.wait.max.ms",
                                    "100",
                                    NULL};
    char id[256];
    snprintf(id, sizeof id, "%s-%d", options->group, number);
    const char *const producer[] = {"transactional.id",
                                    id,
                                    "socket.nagle.disable",
                                    "true",
                                    "partitioner",
                                    "murmur2_random",
                                    "queue.buffering.max.messages",
                                    "500000",
                                    "transaction.timeout.ms",
                                    "30000",
                                    "linger.ms",
                                    "1000",
                                    NULL};
    worker->options = options;
    worker->number = number;
    worker->value = calloc(1, (size_t)options->record_bytes);
    worker->consumer = driver_client(options, RD_KAFKA_CONSUMER, "consumer.", consumer);
    worker->producer = driver_client(options, RD_KAFKA_PRODUCER, "producer.", producer);
    /* Records of real bytes, not of zeros: a broker or a disk that compresses must not be flattered. */
    for (int i = 0; worker->value && i < options->record_bytes; i++) {
        worker->value[i] = (char)(rand() & 0xff);
    }
    worker->output = rd_kafka_topic_new(worker->producer, options->output, NULL);
    worker->partitions = driver_partitions(worker->consumer, options->topic);
    rd_kafka_poll_set_consumer(worker->consumer);
    worker->queue = rd_kafka_queue_get_consumer(worker->consumer);
    check(rd_kafka_init_transactions(worker->producer, 60000), "init transactions");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(worker->partitions);
    for (int p = number; p < worker->partitions; p += options->workers) {
        rd_kafka_topic_partition_list_add(list, options->topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_resp_err_t err = rd_kafka_assign(worker->consumer, list);
    if (err) {
        driver_die("assign: %s", rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void stop(int signal_number)
{
    (void)signal_number;
    atomic_store_explicit(&stopping, true, memory_order_relaxed);
}

int driver_copy(const struct driver_options *options)
{
    if (!options->output || !options->group || options->workers > DRIVER_MAX_WORKERS) {
        driver_die("copy needs --output, --group and at most %d workers", DRIVER_MAX_WORKERS);
    }
    struct worker *workers = calloc((size_t)options->workers, sizeof *workers);
    if (!workers) {
        driver_die("out of memory");
    }
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    for (int i = 0; i < options->workers; i++) {
        start(&workers[i], options, i);
    }
    for (int i = 0; i < options->workers; i++) {
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
            driver_die("no thread for worker %d", i);
        }
    }
    for (int i = 0; i < options->workers; i++) {
        pthread_join(workers[i].thread, NULL);
        rd_kafka_queue_destroy(workers[i].queue);
        rd_kafka_topic_destroy(workers[i].output);
        rd_kafka_consumer_close(workers[i].consumer);
        rd_kafka_destroy(workers[i].consumer);
        rd_kafka_destroy(workers[i].producer);
        free(workers[i].value);
    }
    free(workers);
    return 0;
}
