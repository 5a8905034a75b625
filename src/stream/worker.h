/* A worker: one thread, one consumer, one transactional producer, and the partitions assigned to it.
 *
 * Private to src/stream: worker.c is the loop, assignment.c decides where a partition begins, transaction.c
 * publishes and commits. service.h is what others use.
 *
 * Whatever goes wrong in a transaction is mended one way: the session ends (its overlay is dropped, its
 * clients are closed) and a new one begins. init_transactions settles what was in doubt, the group's offset
 * says what was committed, and the replay from L to C brings the state up to it. */
#ifndef MS_STREAM_WORKER_H
#define MS_STREAM_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include <librdkafka/rdkafka.h>

#include "stream/engine.h"
#include "stream/fetch.h"
#include "stream/in_flight.h"

#define MS_BATCH       256 /* most records of one poll: what they touch stays in the second-level cache */
#define MS_READS       256 /* polls of one transaction whose times are kept apart */
#define MS_IDLE_MS     2   /* an empty queue for this long is idle */
#define MS_WAIT_MS     100 /* longest wait for records */
#define MS_FLUSHING_MS 10  /* and while a flush is on its way */
#define MS_BEHIND      5   /* flush intervals between two flushes while events wait in line */

/* When a poll's events were read, for the time from reading to publishing. */
struct ms_read {
    double at_s;
    uint64_t events;
};

struct ms_worker {
    /* Set by the service before the thread starts. */
    const struct ms_config *config;
    struct ms_engine_options engine_options; /* all but the sink */
    const atomic_int *stop;
    int number;
    const char *instance_id;
    struct ms_stats stats;
    /* The thread's. */
    pthread_t thread;
    bool started;
    atomic_bool done;
    enum ms_status status; /* how it ended, and why: read after done */
    struct ms_error error;
    /* The session's. */
    char transactional_id[512], member_id[300];
    struct ms_engine *engine;
    rd_kafka_t *consumer, *producer;
    struct ms_fetch fetch;
    struct ms_in_flight in_flight;
    rd_kafka_topic_t *output, *dead_letters;
    bool in_transaction;
    bool broken;            /* the session is over: nothing is committed or flushed any more */
    enum ms_status session; /* what ended it, set in callbacks */
    struct ms_error session_error;
    _Atomic uint64_t delivery_failures; /* at_least_once */
    double pending_since_s;             /* first uncommitted event, 0: none */
    double flushed_s, flush_began_s;
    bool flushing; /* a flush is on its way to disk */
    rd_kafka_message_t *messages[MS_BATCH];
    struct ms_input inputs[MS_BATCH];
    size_t batch, batch_bytes;
    struct ms_read reads[MS_READS];
    size_t reads_count;
};

/* worker.c: the thread's function. */
void *ms_worker_main(void *worker);
/* Ends the session with what happened. The first cause stays. */
void ms_worker_break(struct ms_worker *worker, enum ms_status status, const struct ms_error *error);

/* assignment.c: reads C, the metadata beside it, the ends of the log and L, has ms_decide say where each
 * partition begins, opens it in the engine and sets its offset in |partitions| for rd_kafka_assign.
 * MS_OFFSETS when they do not fit together. */
enum ms_status ms_assignment_start(struct ms_worker *worker, rd_kafka_topic_partition_list_t *partitions,
                                   struct ms_error *error) MS_MUST_CHECK;
/* Updates the lag in the stats, from what the consumer has heard of the ends. */
void ms_assignment_lag(struct ms_worker *worker);

/* transaction.c */
enum ms_status ms_transaction_emit(void *worker, const struct ms_output *output, struct ms_error *error);
/* Publishes what waits, sends offsets and commits, in the guarantee that is configured. Nothing to do is
 * MS_OK. */
enum ms_status ms_transaction_commit(struct ms_worker *worker, struct ms_error *error) MS_MUST_CHECK;
void ms_transaction_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

#endif
