/* What `mindstream demo` needs of Kafka beside the service: an embedded broker, and a client that feeds and
 * reads it.
 *
 * The broker is librdkafka's mock cluster: real TCP on the loopback, so that other processes can join it, but
 * in memory, with about 5 MiB kept a partition, without the isolation of transactions, and without the
 * offsets that transactions commit. It shows the service at work; it proves nothing about exactly-once. */
#ifndef MS_KAFKA_DEMO_BROKER_H
#define MS_KAFKA_DEMO_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "mindstream/status.h"

struct ms_demo_broker;

struct ms_demo_topic {
    const char *name;
    int partitions;
};

/* Starts a broker with |topics|. The caller destroys it after all clients of it have ended; destroying NULL
 * is legal. */
enum ms_status ms_demo_broker_new(struct ms_demo_broker **broker, const struct ms_demo_topic *topics,
                                  size_t count, struct ms_error *error) MS_MUST_CHECK;
void ms_demo_broker_destroy(struct ms_demo_broker *broker);
/* "127.0.0.1:port"; belongs to the broker. */
const char *ms_demo_broker_bootstrap(const struct ms_demo_broker *broker);

struct ms_demo_client;

/* A producer, and a consumer (of no group) of all partitions of |topics| from their beginnings; where the
 * broker has dropped records it goes on with what is left. One thread. Destroying NULL is legal. */
enum ms_status ms_demo_client_new(struct ms_demo_client **client, const char *bootstrap,
                                  const struct ms_demo_topic *topics, size_t count,
                                  struct ms_error *error) MS_MUST_CHECK;
void ms_demo_client_destroy(struct ms_demo_client *client);

/* Produces a record; its bytes are copied. MS_KAFKA_RETRY when the queue is full. */
enum ms_status ms_demo_feed(struct ms_demo_client *client, const char *topic, struct ms_bytes key,
                            struct ms_bytes value, struct ms_error *error) MS_MUST_CHECK;
/* Waits until all that was fed lies on the broker, at most |timeout_ms|; false when some does not. */
bool ms_demo_fed(struct ms_demo_client *client, int timeout_ms);

/* One record as it was read; the bytes hold during the call. */
struct ms_demo_record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    struct ms_bytes key, value;
};
typedef void ms_demo_record_fn(void *context, const struct ms_demo_record *record);

/* Hands what has arrived to |fn|, at most |max| records, waiting |timeout_ms| for the first. Returns how
 * many. */
size_t ms_demo_read(struct ms_demo_client *client, size_t max, int timeout_ms, ms_demo_record_fn *fn,
                    void *context);

#endif
