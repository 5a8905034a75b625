/* Keeps the consumer's queue short without letting its fetcher sleep.
 *
 * librdkafka fetches ahead until queued.min.messages records (or queued.max.messages.kbytes) wait in the
 * consumer's queue. In 2.0.2 the thread that fetches then sleeps for up to a second, however many are taken
 * meanwhile. A queue that lasts longer than the second would hide that, but its records are no longer in the
 * processor's caches when they are folded. So the queue is short, and the thread is woken as soon as half of
 * it has been taken. */
#ifndef MS_KAFKA_CONSUMER_QUEUE_H
#define MS_KAFKA_CONSUMER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

#include "mindstream/status.h"

struct ms_consumer_queue {
    rd_kafka_t *consumer;
    rd_kafka_queue_t *handle;
    char *username, *password; /* as configured, "" where not */
    size_t half_records, half_bytes;
    double record_bytes; /* of the records taken last */
    bool filled;         /* the fetcher may be asleep */
    double filled_s;     /* when the queue was last seen half full, 0: never */
};

/* Of a consumer whose records are taken from its one queue (rd_kafka_poll_set_consumer). MS_MEMORY. */
enum ms_status ms_consumer_queue_open(struct ms_consumer_queue *queue, rd_kafka_t *consumer,
                                      struct ms_error *error) MS_MUST_CHECK;

/* Before the consumer is closed; an unopened (zeroed) one is fine. */
void ms_consumer_queue_close(struct ms_consumer_queue *queue);

/* To be called between polls: |records| of |bytes| in all were taken since the last call. Wakes the fetcher
 * where it may sleep and half the queue or more is gone; costs next to nothing else. */
void ms_consumer_queue_watch(struct ms_consumer_queue *queue, size_t records, size_t bytes, double now_s);

/* Whether more events waited than are taken at once, now or within the last |within_s|. */
bool ms_consumer_queue_lags(const struct ms_consumer_queue *queue, double now_s, double within_s);

#endif
