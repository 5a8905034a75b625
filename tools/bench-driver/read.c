/* The bare consumer: how fast librdkafka alone hands a topic's records over. Each thread has a consumer of its own, reads
 * its partitions to the ends that they had at the start, looks at no byte and frees the records. What a replay of the same
 * topic is measured against. */
#include "driver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 1024, WAIT_MS = 100 };

struct reader {
    const struct driver_options *options;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    int open; /* partitions that have not reached their end */
    uint64_t records, bytes;
    rd_kafka_message_t *messages[BATCH];
    pthread_t thread;
};

static void take(struct reader *reader, rd_kafka_message_t *message)
{
    if (!message->err) {
        reader->records++;
        reader->bytes += message->key_len + message->len;
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reader->open--;
    } else {
        driver_die("consume: %s", rd_kafka_message_errstr(message));
    }
    rd_kafka_message_destroy(message);
}

static void *work(void *context)
{
    struct reader *reader = context;
    while (reader->open > 0) {
        ssize_t count = rd_kafka_consume_batch_queue(reader->queue, WAIT_MS, reader->messages, BATCH);
        for (ssize_t i = 0; i < count; i++) {
            take(reader, reader->messages[i]);
        }
    }
    return NULL;
}

static void start(struct reader *reader, const struct driver_options *options, int number)
{
    /* As src/stream/kafka/clients.c has them, but for the queue: nobody here wakes a fetcher that sleeps when it is full. */
    const char *const settings[] = {"group.id",
                                    "mindstream_bench-read",
                                    "socket.nagle.disable",
                                    "true",
                                    "enable.auto.commit",
                                    "false",
                                    "enable.auto.offset.store",
                                    "false",
                                    "enable.partition.eof",
                                    "true",
                                    "isolation.level",
                                    "read_committed",
                                    "queued.min.messages",
                                    "300000",
                                    "fetch.wait.max.ms",
                                    "100",
                                    NULL};
    reader->options = options;
    reader->consumer = driver_client(options, RD_KAFKA_CONSUMER, "consumer.", settings);
    rd_kafka_poll_set_consumer(reader->consumer);
    reader->queue = rd_kafka_queue_get_consumer(reader->consumer);
    int partitions = driver_partitions(reader->consumer, options->topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int p = number; p < partitions; p += options->workers) {
        rd_kafka_topic_partition_list_add(list, options->topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
        reader->open++;
    }
    rd_kafka_resp_err_t err = rd_kafka_assign(reader->consumer, list);
    if (err) {
        driver_die("assign: %s", rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

int driver_read(const struct driver_options *options)
{
    static struct reader readers[DRIVER_MAX_WORKERS];
    uint64_t records = 0, bytes = 0;
    double began_s = driver_now_s();
    if (options->workers > DRIVER_MAX_WORKERS) {
        driver_die("read needs at most %d workers", DRIVER_MAX_WORKERS);
    }
    for (int i = 0; i < options->workers; i++) {
        start(&readers[i], options, i);
        if (pthread_create(&readers[i].thread, NULL, work, &readers[i])) {
            driver_die("no thread for reader %d", i);
        }
    }
    for (int i = 0; i < options->workers; i++) {
        pthread_join(readers[i].thread, NULL);
        records += readers[i].records;
        bytes += readers[i].bytes;
    }
    double seconds = driver_now_s() - began_s;
    for (int i = 0; i < options->workers; i++) {
        rd_kafka_queue_destroy(readers[i].queue);
        rd_kafka_destroy(readers[i].consumer);
    }
    printf("{\"records\": %llu, \"bytes\": %llu, \"seconds\": %.3f, \"records_per_s\": %.0f}\n",
           (unsigned long long)records, (unsigned long long)bytes, seconds, (double)records / seconds);
    return 0;
}
