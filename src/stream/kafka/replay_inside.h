/* The insides of a replay, shared by its files: replay.c (plan and workers), replay_reader.c (a worker), replay_engine.c (engine and positions), replay_log.c
 * (questions about the logs), replay_publish.c and replay_handover.c. For these alone. */
#ifndef MS_KAFKA_REPLAY_INSIDE_H
#define MS_KAFKA_REPLAY_INSIDE_H

#include <pthread.h>

#include <librdkafka/rdkafka.h>

#include "state/store.h"
#include "stream/engine.h"
#include "stream/kafka/consumer_queue.h"
#include "stream/kafka/replay.h"

struct ms_replay_reader {
    struct ms_replay *replay;
    int number, of; /* reads the partitions p with p mod of = number */
    pthread_t thread;
    bool started;
    atomic_bool done;
    enum ms_status status;
    struct ms_error error;
    struct ms_stats stats;
    struct ms_engine *engine;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    struct ms_consumer_queue fetching; /* wakes the fetcher, which sleeps while the queue is taken */
    double flushed_s;
    size_t open; /* positions that have not reached their end */
    struct ms_replay_reason reasons[MS_REPLAY_REASONS];
};

struct ms_replay {
    struct ms_replay_options options;
    struct ms_config config; /* with the group of the replay in place of the application's */
    char group[600];
    struct ms_store *store;
    struct ms_replay_plan plan;
    bool resumes;
    _Atomic int64_t *next; /* of each part */
    struct ms_replay_reader *readers;
    int reader_count;
    atomic_bool failed;
    atomic_int never;                  /* stays 0 */
    const atomic_int *stop_publishing; /* a replay that follows publishes after it was told to end */
    _Atomic uint64_t published;
};

/* A consumer that joins nothing, with the replay's group. */
enum ms_status ms_replay_consumer(rd_kafka_t **consumer, const struct ms_config *config, const char *client,
                                  struct ms_error *error) MS_MUST_CHECK;

/* replay_log.c: resolves the bounds of every partition of every source into |plan|. */
enum ms_status ms_replay_resolve(struct ms_replay *replay, const struct ms_bound *from,
                                 const struct ms_bound *to, struct ms_error *error) MS_MUST_CHECK;
/* Whether the logs still have what the plan reads. */
enum ms_status ms_replay_check_logs(struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;

/* replay_reader.c: a worker's thread. */
void *ms_replay_reader_main(void *reader);

/* An engine of this replay, whose records go nowhere. |reader|, where not NULL, counts its bad records. */
enum ms_status ms_replay_engine(struct ms_replay *replay, struct ms_engine **engine, struct ms_stats *stats,
                                size_t memory_bytes, uint32_t owner, struct ms_replay_reader *reader,
                                struct ms_error *error) MS_MUST_CHECK;
/* How many partitions of a source a plan has. */
int ms_replay_partitions(const struct ms_replay_plan *plan, int source);
/* Claims the partition of a part where no other source of it has, and opens the part: folded up to the row's L, silent up to
 * its end. *position is where it stands. */
enum ms_status ms_replay_open_part(const struct ms_replay *replay, struct ms_engine *engine,
                                   const struct ms_replay_part *part, struct ms_position *position,
                                   struct ms_error *error) MS_MUST_CHECK;

#endif
