/* The benchmark's own Kafka client: what tools/bench runs beside mindstream. One program, one job a call:
 * load a topic, copy one topic to another, read it, watch a group's progress, size up a topic. */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DRIVER_MAX_PARTITIONS = 256, DRIVER_MAX_WORKERS = 64, DRIVER_MAX_SETTINGS = 64 };

struct driver_options {
    const char *bootstrap, *topic, *output, *group;
    int partitions, workers, commit_interval_ms, record_bytes, pid, timeout_s;
    const char *settings[DRIVER_MAX_SETTINGS]; /* consumer.KEY=VALUE or producer.KEY=VALUE */
    int setting_count;
};

/* The jobs. Each returns the process's exit code and reports failures on stderr. */
int driver_create(
    const struct driver_options *options); /* makes topic with partitions, waits until it is there */
int driver_delete(const struct driver_options *options); /* removes topic */
int driver_load(
    const struct driver_options *options); /* JSON lines from stdin to topic, keyed by "user_id" */
int driver_copy(const struct driver_options *options); /* the bare copy loop, until SIGTERM */
int driver_read(const struct driver_options *options); /* the bare consumer, to the ends of topic, as JSON */
int driver_watch(
    const struct driver_options *options); /* progress of group on topic and CPU of pid, as JSON */
int driver_size(
    const struct driver_options *options); /* committed records of topic: count and bytes, as JSON */

/* A client of |type| with the given pairs of keys and values (NULL-ended), then those of options->settings
 * that start with |prefix|. Ends the process when librdkafka refuses one. The caller destroys it. */
rd_kafka_t *driver_client(const struct driver_options *options, rd_kafka_type_t type, const char *prefix,
                          const char *const *pairs);

/* Number of partitions of |topic|; ends the process when it cannot be told within 30 s. */
int driver_partitions(rd_kafka_t *client, const char *topic);

/* Seconds of a clock that never goes back. */
double driver_now_s(void);

/* Prints "mindstream_bench: ..." to stderr and ends the process with 1. */
_Noreturn void driver_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
