/* Making, removing, filling and sizing up topics. */
#include "driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Waits for the one result of an admin request; an error in it ends the process unless it is |harmless|. */
static void admin_result(rd_kafka_queue_t *queue, const char *topic, rd_kafka_resp_err_t harmless)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 60000);
    if (!event) {
        driver_die("topic %s: no answer from the broker in 60 s", topic);
    }
    if (rd_kafka_event_error(event)) {
        driver_die("topic %s: %s", topic, rd_kafka_event_error_string(event));
    }
    size_t count = 0;
    const rd_kafka_topic_result_t **results = NULL;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT) {
        results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    } else {
        results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    }
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[i]);
        if (err && err != harmless) {
            driver_die("topic %s: %s", topic, rd_kafka_err2str(err));
        }
    }
    rd_kafka_event_destroy(event);
}

int driver_create(const struct driver_options *options)
{
    char reason[512];
    rd_kafka_t *client = driver_client(options, RD_KAFKA_PRODUCER, "kafka.", NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(options->topic, options->partitions, 1, reason,
                                                       sizeof reason);
    if (!topic) {
        driver_die("topic %s: %s", options->topic, reason);
    }
    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    admin_result(queue, options->topic, RD_KAFKA_RESP_ERR_NO_ERROR);
    driver_partitions(client, options->topic);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}

int driver_delete(const struct driver_options *options)
{
    rd_kafka_t *client = driver_client(options, RD_KAFKA_PRODUCER, "kafka.", NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(options->topic);
    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    admin_result(queue, options->topic, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}

/* The text of "user_id" in a line as `mindstream generate` writes them; no escapes are expected in it. */
static const char *user_of(const char *line, size_t *bytes)
{
    static const char name[] = "\"user_id\":";
    const char *at = strstr(line, name);
    if (!at) {
        return NULL;
    }
    at += sizeof name - 1;
    at += strspn(at, " \"");
    *bytes = strcspn(at, "\",}");
    return at;
}

int driver_load(const struct driver_options *options)
{
    const char *const pairs[] = {"partitioner", "murmur2_random", "enable.idempotence",
                                 "true",        "linger.ms",      "20",
                                 "batch.size",  "1000000",        NULL};
    rd_kafka_t *client = driver_client(options, RD_KAFKA_PRODUCER, "producer.", pairs);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, options->topic, NULL);
    char *line = NULL;
    size_t capacity = 0;
    uint64_t events = 0;
    for (ssize_t read; (read = getline(&line, &capacity, stdin)) > 0; events++) {
        size_t bytes = (size_t)read - (line[read - 1] == '\n'), key_bytes = 0;
        const char *key = user_of(line, &key_bytes);
        if (!key) {
            driver_die("line %" PRIu64 " has no user_id", events + 1);
        }
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, line, bytes, key,
                                key_bytes, NULL)) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                driver_die("topic %s: %s", options->topic, rd_kafka_err2str(rd_kafka_last_error()));
            }
            rd_kafka_poll(client, 10);
        }
    }
    free(line);
    if (rd_kafka_flush(client, 120000) || rd_kafka_outq_len(client)) {
        driver_die("topic %s: not all events were taken", options->topic);
    }
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    printf("{\"events\": %" PRIu64 "}\n", events);
    return 0;
}

/* Bytes of a record that a producer hands over: key, value, names and values of headers. */
static size_t record_bytes(const rd_kafka_message_t *message)
{
    size_t bytes = message->key_len + message->len, size;
    rd_kafka_headers_t *headers;
    if (!rd_kafka_message_headers(message, &headers)) {
        const char *name;
        const void *value;
        for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); i++) {
            bytes += strlen(name) + size;
        }
    }
    return bytes;
}

int driver_size(const struct driver_options *options)
{
    const char *const pairs[] = {"group.id",
                                 "mindstream-bench-size",
                                 "enable.auto.commit",
                                 "false",
                                 "enable.partition.eof",
                                 "true",
                                 "isolation.level",
                                 "read_committed",
                                 "queued.max.messages.kbytes",
                                 "65536",
                                 NULL};
    rd_kafka_t *client = driver_client(options, RD_KAFKA_CONSUMER, "kafka.", pairs);
    rd_kafka_poll_set_consumer(client);
    int partitions = driver_partitions(client, options->topic), open = partitions;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int p = 0; p < partitions; p++) {
        rd_kafka_topic_partition_list_add(list, options->topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_assign(client, list);
    uint64_t records = 0, bytes = 0;
    double deadline_s = driver_now_s() + options->timeout_s;
    while (open > 0) {
        if (driver_now_s() > deadline_s) {
            driver_die("topic %s: not read to its end in %d s", options->topic, options->timeout_s);
        }
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 1000);
        if (!message) {
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            open--;
        } else if (!message->err) {
            records++;
            bytes += record_bytes(message);
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    printf("{\"records\": %" PRIu64 ", \"bytes\": %" PRIu64 "}\n", records, bytes);
    return 0;
}
