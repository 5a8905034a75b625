/* A worker: one thread, one consumer, one transactional producer, and the partitions assigned to it.
 *
 * Private to src/stream/kafka: worker.c is the loop, assignment.c decides where a partition begins,
 * produce.c, dead_letters.c and transaction.c publish and commit. The half that knows no Kafka is stream/session.h. Others use
 * service.h.
 *
 * There is one remedy for whatever goes wrong in a transaction: the session ends (its overlay is dropped, its
 * clients are closed) and a new one begins. init_transactions settles what was in doubt, the group's offset
 * says what was committed, and the replay from L to C brings the state up to it. */
#ifndef MS_KAFKA_WORKER_H
#define MS_KAFKA_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include <librdkafka/rdkafka.h>

#include "stream/kafka/asker.h"
#include "stream/kafka/broker_watch.h"
#include "stream/kafka/consumer_queue.h"
#include "stream/kafka/in_flight.h"
#include "stream/kafka/input_logs.h"
#include "stream/kafka/limits.h"
#include "stream/kafka/report.h"
#include "stream/gate.h"
#include "stream/opening.h"
#include "stream/session.h"

#define MS_BATCH 256 /* most records of one poll: what they touch stays in the second-level cache */

/* Settings that have changed since the start, for the workers to take over. */
struct ms_changes {
    pthread_mutex_t lock;
    _Atomic uint32_t number; /* rises with each change */
    struct ms_config config; /* under lock, as the next */
    size_t memory_bytes;     /* for the users of one worker */
};

struct ms_worker {
    /* Set by the service before the thread starts. */
    const struct ms_config *config; /* |own| */
    struct ms_changes *changes;
    struct ms_engine_options engine_options; /* all but the sink */
    const atomic_int *stop;
    const atomic_int *renewals; /* how often new clients were asked for */
    int number;
    const char *instance_id;
    const struct ms_input_logs *logs;
    struct ms_limits limits; /* as asked at the start; the thread lowers them */
    struct ms_stats stats;
    struct ms_config
        own; /* the settings, as this worker has taken over their changes. From the start on the thread's */
    /* The thread's. */
    struct ms_broker_watch brokers; /* the service looks at it */
    struct ms_gate gate;            /* through which others look at the engine */
    struct ms_report report;        /* others look at it, as at the next two */
    atomic_int phase;               /* enum ms_worker_phase (observe.h) */
    _Atomic int64_t turned_ms;      /* when the loop last turned, by the monotonic clock */
    _Atomic uint64_t turns;         /* of its loop, and of those that wait for Kafka */
    uint64_t turns_seen;            /* the service's: as of its last look */
    _Atomic uint32_t partitions;    /* that it is assigned */
    _Atomic uint32_t unopened;      /* of these, that are not open yet */
    _Atomic uint32_t replaying;     /* of these, that are open and replay */
    atomic_bool assigned;           /* it has an assignment, maybe an empty one */
    pthread_t thread;
    bool started;
    uint32_t changes_seen;
    atomic_bool done;
    _Atomic int64_t closing_ms;  /* since when its last session closes its clients, 0: not yet */
    _Atomic int64_t renewing_ms; /* since when another session does, 0: none */
    double replaced_s;           /* when another member had last taken this one's place, 0: never */
    enum ms_status status;       /* how it ended, and why: read after done */
    struct ms_error error;
    /* The session's. */
    struct ms_session session;
    char transactional_id[512], member_id[300];
    rd_kafka_t *consumer, *producer;
    bool opened; /* there was a session */
    int renewal; /* *renewals when they were made */
    struct ms_consumer_queue queue;
    struct ms_in_flight in_flight;
    rd_kafka_topic_t *output, *dead_letters;
    const char *denied; /* the topic that a record was refused of for lack of an access rule; NULL: none */
    bool in_transaction, dead_in_transaction; /* the latter: dead letters among its records */
    bool learned;                             /* of a refusal: the next session sends otherwise */
    _Atomic uint64_t delivery_failures;
    rd_kafka_message_t *messages[MS_BATCH];
    struct ms_input inputs[MS_BATCH];
    size_t batch, batch_bytes;
    struct ms_asker *asker;
    struct ms_openings openings; /* the partitions of the assignment */
    double looked_s;             /* when it was asked last whether the logs are still the same */
    double not_sought_s;         /* since when the consumer has not gone to where it is to read, 0: it has */
    atomic_bool topic_unknown;   /* the brokers have said that they do not know a topic */
    atomic_bool partitions_changed; /* the client has heard of another number of partitions */
    struct ms_end out_of_range;     /* the log does not have what a position reads next; partition -1: none */
};

/* The worker's thread is alive: to be called in each loop that may run for long. */
static inline void ms_worker_turns(struct ms_worker *worker)
{
    ms_count(&worker->turns, 1);
}

/* worker.c: the thread's function. */
void *ms_worker_main(void *worker);

/* assignment.c: claims the partitions that were assigned, of which nothing is read yet. Asks nobody: it is called
 * within the rebalance. */
enum ms_status ms_assignment_start(struct ms_worker *worker,
                                   const rd_kafka_topic_partition_list_t *partitions,
                                   struct ms_error *error) MS_MUST_CHECK;
/* All partitions go: nothing is asked for them any more. */
void ms_assignment_revoke(struct ms_worker *worker);
/* Brings each partition that is not live one step further, to be called while openings.moving: has C and the ends
 * of the log asked, has ms_decide say where it begins, opens it in the engine. Does not block. MS_OFFSETS ends
 * the session where they do not fit together. */
void ms_assignment_step(struct ms_worker *worker);
/* Has it asked whether the logs that are read are still the same, when the client has looked for their leaders anew, and
 * ends the session with MS_OFFSETS where one is not. To be called now and then; does not block. */
void ms_assignment_look(struct ms_worker *worker);
/* What follows when the log does not have what a position reads next: MS_OFFSETS with the offsets and the
 * command that mends it, or MS_KAFKA_ABORT where a new session can go on, as with accept_gap. MS_OK where the
 * partition is not held. To be called between transactions; blocks for some seconds at most. */
enum ms_status ms_assignment_out_of_range(struct ms_worker *worker, int source, int32_t partition,
                                          struct ms_error *error) MS_MUST_CHECK;
/* What follows when the brokers do not know a topic that is read: MS_OFFSETS where it is gone for some seconds,
 * else MS_KAFKA_ABORT: a new session looks at what it is now. */
enum ms_status ms_assignment_topic_unknown(struct ms_worker *worker, struct ms_error *error) MS_MUST_CHECK;
/* The brokers have told of another number of partitions: MS_OFFSETS where a topic has not as many as its positions were
 * read with, unless that is accepted. */
enum ms_status ms_assignment_partitions(struct ms_worker *worker, struct ms_error *error) MS_MUST_CHECK;
/* transaction.c */
enum ms_status ms_transaction_emit(void *worker, const struct ms_output *output, struct ms_error *error);
/* The session's committer: commits what was emitted with the offsets that are to be sent, in the guarantee
 * that is configured. */
enum ms_status ms_transaction_commit(void *worker, struct ms_error *error);
/* Notes the records that the broker has refused. A callback of the producer, which tells of no others. */
void ms_transaction_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

/* produce.c: produces a record with |headers|, which it takes whatever happens, waiting while the producer's queue is full.
 * |time_ms| 0: now. */
enum ms_status ms_produce(struct ms_worker *worker, rd_kafka_topic_t *topic, struct ms_bytes key,
                          struct ms_bytes value, int64_t time_ms, rd_kafka_headers_t *headers,
                          struct ms_error *error) MS_MUST_CHECK;
/* dead_letters.c: produces a dead letter within the limits of its topic. */
enum ms_status ms_dead_letters_emit(struct ms_worker *worker, const struct ms_output *output,
                                    struct ms_error *error) MS_MUST_CHECK;

#endif
