/* The insides of a replay, shared by its files: replay.c (plan and workers), replay_reader.c (a worker), replay_engine.c (engine and positions), replay_log.c
 * (questions about the logs), replay_transaction.c (what is published, and how far), replay_publish.c and replay_handover.c.
 * For these alone. */
#ifndef MS_KAFKA_REPLAY_INSIDE_H
#define MS_KAFKA_REPLAY_INSIDE_H

#include <pthread.h>

#include <librdkafka/rdkafka.h>

#include "state/store.h"
#include "stream/engine.h"
#include "stream/kafka/consumer_queue.h"
#include "stream/kafka/in_flight.h"
#include "stream/kafka/replay.h"
#include "stream/kafka/replay_filter.h"
#include "stream/source.h"

#define MS_REPLAY_BLOCK_CACHE                                                                                \
    ((size_t)32 << 20) /* of the database; the rest of state.memory.bytes is for users */

/* A transactional producer of a replay. Zeroed, there is none. */
struct ms_replay_sender {
    const struct ms_replay *replay;
    rd_kafka_t *producer;
    rd_kafka_topic_t *topic;
    rd_kafka_consumer_group_metadata_t *group;
    bool in_transaction;
    double began_s;             /* the open transaction */
    size_t records, bytes;      /* in the open transaction */
    _Atomic uint64_t published; /* records of committed transactions */
    int number;                 /* of its transactional id */
    struct ms_in_flight in_flight;
    atomic_int refused; /* why the first record was that was not delivered */
};

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
    size_t open;                    /* positions that have not reached their end */
    int64_t *ends;                  /* [partition] of the source that is read: where it is read to */
    struct ms_replay_sender sender; /* --publish every; else zeroed */
    struct ms_replay_reason reasons[MS_REPLAY_REASONS];
    struct ms_replay_filter *filter; /* NULL: everybody's records are folded */
};

struct ms_replay {
    struct ms_replay_options options;
    struct ms_config config; /* with the group of the replay in place of the application's */
    char group[600];         /* of this replay alone, named by its plan's id */
    char mark[64];           /* beside its offsets */
    struct ms_store *store;
    struct ms_replay_plan plan;
    bool resumes;
    _Atomic int64_t *next; /* of each part */
    int64_t *committed;    /* [partition] --publish every: below it all is published, -1: nothing was yet */
    struct ms_replay_reader *readers;
    int reader_count;
    atomic_bool failed;
    atomic_int never;                  /* stays 0 */
    const atomic_int *stop_publishing; /* a replay that follows publishes after it was told to end */
    _Atomic uint64_t published;        /* records of ms_replay_publish */
};

/* Whether each event's record is published while the log is read. */
static inline bool ms_replay_publishes_every(const struct ms_replay *replay)
{
    return replay->options.publish == MS_REPLAY_PUBLISH_EVERY && replay->plan.stage == MS_REPLAY_READING;
}

/* A consumer that joins nothing, with the replay's group. */
enum ms_status ms_replay_consumer(rd_kafka_t **consumer, const struct ms_config *config, const char *client,
                                  struct ms_error *error) MS_MUST_CHECK;

/* replay_log.c: resolves the bounds of every partition of every source into |plan|. */
enum ms_status ms_replay_resolve(struct ms_replay *replay, const struct ms_bound *from,
                                 const struct ms_bound *to, struct ms_error *error) MS_MUST_CHECK;
/* Whether the logs still have what the plan reads. */
enum ms_status ms_replay_check_logs(struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;

/* Whether output.topic is there. */
enum ms_status ms_replay_check_output(const struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;

/* Whether the clicks come from files: then no log is read. */
static inline bool ms_replay_of_files(const struct ms_replay *replay)
{
    return replay->plan.files & 1u << MS_SOURCE_CLICKS;
}

/* replay_files.c: fixes the parts of a replay of files. */
enum ms_status ms_replay_files_plan(struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;
/* Adds the files to the plan. */
enum ms_status ms_replay_files_note(struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;
/* MS_USAGE where the files of a plan that was read are not those that are asked for. */
enum ms_status ms_replay_files_same(const struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;
/* Makes the parts those of the topic where the service begins (--to), and has the rows say that the state is folded up to
 * there. */
enum ms_status ms_replay_files_seam(struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;

/* Memory for the users of all workers. */
size_t ms_replay_memory(const struct ms_replay *replay);

/* replay_transaction.c: makes a producer with the replay's transactional id |number|, which settles the transaction that
 * a former one with this id left open. It is to be closed also where this fails. */
enum ms_status ms_replay_sender_open(struct ms_replay_sender *sender, const struct ms_replay *replay,
                                     int number, struct ms_error *error) MS_MUST_CHECK;
/* Aborts an open transaction. A zeroed one is legal. */
void ms_replay_sender_close(struct ms_replay_sender *sender);
/* Produces a record, in a new transaction where none is open. */
enum ms_status ms_replay_send(struct ms_replay_sender *sender, struct ms_bytes key, struct ms_bytes value,
                              uint64_t version, struct ms_error *error) MS_MUST_CHECK;
/* Whether the open transaction is as large as it should become. */
bool ms_replay_sender_full(const struct ms_replay_sender *sender);
/* Commits it, or a new one, with the offsets of |list|, which get the replay's mark beside them. */
enum ms_status ms_replay_sender_commit(struct ms_replay_sender *sender, rd_kafka_topic_partition_list_t *list,
                                       struct ms_error *error) MS_MUST_CHECK;
/* The offsets of the replay's group for input.topic, -1 where there is none with this replay's mark. */
enum ms_status ms_replay_committed(const struct ms_replay *replay, size_t partitions, int64_t *offsets,
                                   struct ms_error *error) MS_MUST_CHECK;
/* Settles the transactional ids |from| .. |to|-1: of workers that a run before had and this one does not. */
enum ms_status ms_replay_settle(const struct ms_replay *replay, int from, int to,
                                struct ms_error *error) MS_MUST_CHECK;

/* replay_reader.c: a worker's thread. */
void *ms_replay_reader_main(void *reader);

/* An engine of this replay. |reader|, where not NULL, counts its bad records, and its sender takes what is published. */
enum ms_status ms_replay_engine(struct ms_replay *replay, struct ms_engine **engine, struct ms_stats *stats,
                                size_t memory_bytes, uint32_t owner, struct ms_replay_reader *reader,
                                struct ms_error *error) MS_MUST_CHECK;
/* How many partitions of a source a plan has. */
int ms_replay_partitions(const struct ms_replay_plan *plan, int source);
/* To where a part is read now: its end, or INT64_MAX where the replay follows. */
int64_t ms_replay_end(const struct ms_replay *replay, const struct ms_replay_part *part);
/* Claims the partition of a part where no other source of it has, and opens the part: folded up to the row's L, silent up to
 * its end, or up to C where each event is published. *position is where it stands. */
enum ms_status ms_replay_open_part(const struct ms_replay *replay, struct ms_engine *engine,
                                   const struct ms_replay_part *part, struct ms_position *position,
                                   struct ms_error *error) MS_MUST_CHECK;

#endif
