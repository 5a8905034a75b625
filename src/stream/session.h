/* The half of a worker that knows no Kafka: when it commits and flushes, and what has ended its session.
 *
 * Whatever breaks a transaction ends the session: nothing is committed or flushed any more, the engine is
 * destroyed, and a new session starts from what the broker and the disk say. */
#ifndef MS_STREAM_SESSION_H
#define MS_STREAM_SESSION_H

#include "stream/engine.h"
#include "stream/pace.h"

#define MS_READS   512 /* runs of one transaction whose times are kept apart */
#define MS_READ_MS 4   /* timestamps of a run are this close to its first */

/* A run of records of one batch with about the same timestamp, for the time from reading and from the timestamp to
 * publishing. */
struct ms_read {
    double at_s;     /* when the batch was read */
    int64_t time_ms; /* of its first record, negative: none */
    uint64_t events;
};

/* Makes what was emitted and the offsets of all positions to send (ms_position_to_send) durable together. */
struct ms_committer {
    void *context;
    enum ms_status (*commit)(void *context, struct ms_error *error);
};

struct ms_session {
    struct ms_engine *engine;
    struct ms_stats *stats;
    struct ms_committer committer;
    struct ms_pace pace;
    bool broken;           /* it is over: nothing is committed or flushed any more */
    enum ms_status status; /* what ended it */
    struct ms_error error;
    bool flushing; /* a flush is running */
    double flush_began_s;
    struct ms_read reads[MS_READS];
    size_t reads_count;
};

/* Where a topic's partition ended: told once the batch before it is folded. */
struct ms_end {
    int source;
    int32_t partition; /* -1: none */
    int64_t offset;
};

/* Begins without an engine, which the caller sets before anything below is called. */
void ms_session_begin(struct ms_session *session, const struct ms_config *config, struct ms_stats *stats,
                      struct ms_committer committer);

/* Takes settings that have changed (ms_config_reload): |memory_bytes| are the engine's. To be called where nothing is pending. */
void ms_session_reload(struct ms_session *session, const struct ms_config *config, size_t memory_bytes);

/* Ends the session with what happened. The first cause stays. */
void ms_session_break(struct ms_session *session, enum ms_status status, const struct ms_error *error);

/* Folds a batch and tells the engine where a partition ended. */
void ms_session_process(struct ms_session *session, const struct ms_input *inputs, size_t count,
                        struct ms_end end);

/* Publishes what waits and commits, when there is anything to commit. */
void ms_session_commit(struct ms_session *session);
/* The same, and withholds no user: before the partitions go, and at the end. */
void ms_session_commit_all(struct ms_session *session);

/* Starts a flush when there is anything to write, after waiting for the running one. */
void ms_session_flush_begin(struct ms_session *session);
/* Collects the result of the running flush, if there is one; waits for it where |wait|. */
void ms_session_flush_end(struct ms_session *session, bool wait);
/* Writes what there is to write, and waits until it is written, but for no compaction. */
void ms_session_flush_now(struct ms_session *session);

/* After each batch: commits and flushes when that is due, and pays the next part of a debt. |idle|: the queue was empty; |lagging|: more
 * records wait than are taken at once. */
void ms_session_maintain(struct ms_session *session, bool idle, bool lagging);

/* How long the next poll may wait, in ms. */
int ms_session_wait_ms(const struct ms_session *session, bool lagging);

/* The partitions go: what is folded is committed and flushed, unless they are |lost| already, and all are
 * closed. A transaction never outlives an assignment. */
void ms_session_release(struct ms_session *session, bool lost);

#endif
