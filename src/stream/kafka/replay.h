/* A replay: reads the input topics from a beginning to an end that are fixed at its start, into a state directory of its
 * own, without joining the group.
 *
 *     open -> (start -> done? ... -> finish) -> publish -> hand over -> close
 *
 * Its partitions are folded as those of a service that starts with committed offsets at the end: in silence, so L in the
 * rows of the state says how far it has come, and a replay that was killed goes on there. The file DIR/replay holds the
 * plan (replay_plan.h).
 *
 * With MS_REPLAY_PUBLISH_EVERY they are folded as those of a running service: records and offsets of the replay's own group
 * ride in one transaction. That offset is C: below it, what L does not hold yet is folded again in silence. */
#ifndef MS_KAFKA_REPLAY_H
#define MS_KAFKA_REPLAY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/config.h"
#include "mindstream/bytes.h"
#include "mindstream/extract.h"
#include "stream/partitioner.h"
#include "stream/replay_plan.h"

struct ms_feed;
struct ms_feed_counts;
struct ms_replay;

/* The files of a replay. */
struct ms_replay_files {
    unsigned sources;                  /* (1 << index) whose events come from files */
    const struct ms_replay_file *list; /* in the order in which they are read */
    size_t count;
    uint64_t reading; /* a digest of all that says how they are read; the partitioner is added */
    enum ms_partitioner partitioner;
    int32_t partitions; /* of the input topic, 0: the topic tells */
};

enum ms_replay_publish {
    MS_REPLAY_PUBLISH_NONE,
    MS_REPLAY_PUBLISH_FINAL, /* each user once, by ms_replay_publish */
    MS_REPLAY_PUBLISH_EVERY, /* a record for each event, while the log is read */
};

struct ms_replay_options {
    const struct ms_config
        *config; /* state.dir is where the replay builds; outlives the replay, as all here */
    const struct ms_model *model;
    struct ms_decay decay;
    bool incremental;
    const atomic_int *stop; /* set: end where it is, after a flush */
    const char *from, *to;  /* as in ms_bound_parse */
    double rate;            /* most events a second, 0: as fast as it goes */
    double checkpoint_s;    /* seconds of reading that a kill may cost */
    enum ms_replay_publish publish;
    /* Told by ms_replay_publish now and then how many users it has published in this run, and how many are left. */
    void (*on_published)(void *context, uint64_t users, uint64_t left);
    void *on_published_context;
    const struct ms_replay_files *files; /* NULL: none */
    bool follow;                         /* go on at the end until |stop| */
    bool restart;                        /* drop what an earlier replay has built here */
    /* What is read, in place of |from| and |to|, which are texts then: its parts are copied. NULL: none is given. */
    const struct ms_replay_plan *given;
    /* Whose records are folded; any thread. NULL: everybody's. */
    bool (*wants)(const void *context, struct ms_bytes user);
    const void *wants_context;
};

/* Why a part cannot be read as it was. */
enum ms_replay_lack {
    MS_REPLAY_WHOLE,
    MS_REPLAY_LACKS_BEGINNING, /* the log begins later */
    MS_REPLAY_LACKS_END,  /* the log ends earlier, or there is no such partition: the topic was made anew */
    MS_REPLAY_LACKS_SOME, /* the topic is compacted, and accept_holes is not set */
};
/* Asks the brokers whether the logs still have each of |parts|, and writes |lack| for each. The parts of compacted sources
 * begin where their logs do. */
enum ms_status ms_replay_lacks(const struct ms_config *config, struct ms_replay_part *parts, size_t count,
                               enum ms_replay_lack *lack, struct ms_error *error) MS_MUST_CHECK;

/* How far a part is. */
struct ms_replay_at {
    struct ms_replay_part part;
    int64_t next; /* the next offset to fold */
};

struct ms_replay_counts {
    uint64_t read;      /* records in this run */
    uint64_t folded;    /* events in this run */
    uint64_t bad;       /* records that could not be decoded */
    uint64_t left;      /* records before the ends, holes counted */
    uint64_t published; /* records in committed transactions of this run */
};

/* Why records were bad: the words before the colon of their reasons, and how many. */
#define MS_REPLAY_REASONS 16
struct ms_replay_reason {
    char what[32];
    uint64_t count;
};

/* Asks the brokers for the logs' ends and fixes the plan, or reads that of a replay that was begun here. MS_USAGE where
 * that one was asked for otherwise, MS_OFFSETS where the plan does not fit the logs, MS_STATE where the directory holds
 * something else, MS_KAFKA. With |dry| nothing is written or made. */
enum ms_status ms_replay_open(struct ms_replay **replay, const struct ms_replay_options *options, bool dry,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_replay_close(struct ms_replay *replay);

const struct ms_replay_plan *ms_replay_plan_of(const struct ms_replay *replay);
/* Whether the plan was there before. */
bool ms_replay_resumes(const struct ms_replay *replay);

/* How many workers it has: no more than there are partitions. */
int ms_replay_workers(const struct ms_replay *replay);

/* Files. A replay of files has begin -> (add ... add) -> end for each source that still waits, profiles before clicks, and
 * these before ms_replay_start; ms_replay_start and ms_replay_finish then do nothing where the clicks came from files. */

/* Whether files of |source| are still to be read. */
bool ms_replay_waits_for_files(const struct ms_replay *replay, int source);
/* Partitions of the input topic. */
int32_t ms_replay_partition_count(const struct ms_replay *replay);
/* A feed (stream/feed.h) of |source|, which passes over what the state has already. */
enum ms_status ms_replay_feed_begin(struct ms_replay *replay, int source, struct ms_feed **feed,
                                    struct ms_error *error) MS_MUST_CHECK;
/* Waits for it, notes that all files of |source| are read, where they are |whole|, and frees it. *counts is what it did, also
 * where this fails. */
enum ms_status ms_replay_feed_end(struct ms_replay *replay, int source, struct ms_feed *feed, bool whole,
                                  struct ms_feed_counts *counts, struct ms_error *error) MS_MUST_CHECK;

/* Starts the workers. */
enum ms_status ms_replay_start(struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;
bool ms_replay_done(const struct ms_replay *replay);
/* Where part |i| of the plan stands, false behind the last; and what was counted. Any thread. */
bool ms_replay_where(const struct ms_replay *replay, size_t i, struct ms_replay_at *at);
struct ms_replay_counts ms_replay_counted(const struct ms_replay *replay);
/* Reason |i|, false behind the last. After ms_replay_finish. */
bool ms_replay_reason(const struct ms_replay *replay, size_t i, struct ms_replay_reason *reason);
/* Waits for the workers, which flush, and notes what is read. *whole tells whether all of it is. */
enum ms_status ms_replay_finish(struct ms_replay *replay, bool *whole, struct ms_error *error) MS_MUST_CHECK;

/* How many users the state has, those with a profile alone included. After ms_replay_finish. */
enum ms_status ms_replay_users(const struct ms_replay *replay, uint64_t *users,
                               struct ms_error *error) MS_MUST_CHECK;

/* Publishes one record of each user to output.topic, in the order of partition and id, in transactions of bounded size. What
 * a former run published is not published again. */
enum ms_status ms_replay_publish(struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;

/* Sets the group's offsets to the ends of the plan, with the notes beside them, so that a service with this state goes on
 * there. MS_KAFKA_REFUSED where the group has members, who are named, or other offsets. */
enum ms_status ms_replay_hand_over(struct ms_replay *replay, struct ms_error *error) MS_MUST_CHECK;

#endif
