/* How many batches of a producer are in flight: sent to the broker and not answered.
 *
 * rd_kafka_commit_transaction flushes first. While a producer is flushed and has records that cannot be sent
 * yet, because an earlier batch of their partition is in flight, the client (2.0.2) busy-polls: up to a fifth
 * of a busy service's CPU. So a commit first sleeps until nothing is in flight; the rest is then sent at
 * once.
 *
 * It also counts how often a transaction's end was asked for. A request that the client has repeated by itself
 * may still reach the broker and would end a later transaction (KAFKA-17754). */
#ifndef MS_KAFKA_IN_FLIGHT_H
#define MS_KAFKA_IN_FLIGHT_H

#include <stdatomic.h>
#include <stdbool.h>

#include <librdkafka/rdkafka.h>

/* Written by the client's threads, read by the worker. */
struct ms_in_flight {
    atomic_int batches; /* sent and not answered */
    atomic_int sent;    /* since the last reset */
    atomic_int ends;    /* requests to end a transaction, since the last reset */
};

/* The client that |conf| will make counts its batches in |in_flight|, which outlives it. */
void ms_in_flight_count(rd_kafka_conf_t *conf, struct ms_in_flight *in_flight);

/* Sets the counts to zero. To be called before a transaction, when nothing can be in flight: a batch that
 * failed before it was sent is answered, too, so the count can be below zero. */
void ms_in_flight_reset(struct ms_in_flight *in_flight);

/* Whether the transaction's end was asked for more than once. */
bool ms_in_flight_end_repeated(struct ms_in_flight *in_flight);

bool ms_in_flight_any(struct ms_in_flight *in_flight);

/* Sleeps until nothing is in flight, or for |most_ms|. Returns at once where nothing was sent since the
 * reset.
 */
void ms_in_flight_wait(struct ms_in_flight *in_flight, int most_ms);

#endif
