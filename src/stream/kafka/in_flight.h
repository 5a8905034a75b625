/* How many batches a producer has on their way to the broker.
 *
 * rd_kafka_commit_transaction flushes first. While a producer is flushed and has records that cannot go yet,
 * because an earlier batch of their partition is still on its way, the client (2.0.2) polls without a pause:
 * up to a fifth of a busy service's CPU. So a commit waits until nothing is on its way, asleep; then what is
 * left goes at once. */
#ifndef MS_KAFKA_IN_FLIGHT_H
#define MS_KAFKA_IN_FLIGHT_H

#include <stdatomic.h>
#include <stdbool.h>

#include <librdkafka/rdkafka.h>

/* Written by the client's threads, read by the worker. */
struct ms_in_flight {
    atomic_int batches; /* sent and not answered */
    atomic_int sent;    /* since the last reset */
};

/* The client that |conf| will make counts its batches in |in_flight|, which outlives it. */
void ms_in_flight_count(rd_kafka_conf_t *conf, struct ms_in_flight *in_flight);

/* Before a transaction, when nothing can be on its way: a batch that failed before it was sent is answered,
 * too. */
void ms_in_flight_reset(struct ms_in_flight *in_flight);

bool ms_in_flight_any(struct ms_in_flight *in_flight);

/* Sleeps until nothing is on its way, or for |most_ms|. At once where nothing was sent since the reset. */
void ms_in_flight_wait(struct ms_in_flight *in_flight, int most_ms);

#endif
