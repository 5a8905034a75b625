/* What happens to a batch of records: decode, look the users up together, apply to each, publish.
 *
 * The engine knows offsets and partitions but no Kafka: records come in as bytes, what is to be published
 * goes out through a sink. The worker (kafka/worker.h) puts it between a consumer and a transactional
 * producer; tests put it between arrays.
 *
 * An engine belongs to one thread. Engines share the store and the model, nothing else. */
#ifndef MS_STREAM_ENGINE_H
#define MS_STREAM_ENGINE_H

#include "base/config.h"
#include "mindstream/extract.h"
#include "state/store.h"
#include "stream/offsets.h"
#include "stream/positions.h"
#include "stream/records.h"
#include "stream/stats.h"

struct ms_engine;
struct ms_hot_user;
struct ms_recent_event;

struct ms_engine_options {
    const struct ms_config *config;
    const struct ms_model *model;
    struct ms_store *store;
    const struct ms_decay *decay;
    bool incremental;
    size_t memory_bytes; /* for this engine's users */
    size_t pay_records;  /* of one transaction that pays a debt, 0: MS_PAY_RECORDS (pay.h) */
    uint32_t owner;
    unsigned files; /* sources (1 << index) that files feed, whether or not they have a topic */
    struct ms_sink sink;
    struct ms_stats *stats;
    struct ms_gate *gate; /* through which others look (gate.h); NULL: nobody does */
    /* Told of each bad record in place of the dead-letter topic; NULL: that gets those outside of replays. */
    void (*on_bad)(void *context, const struct ms_input *input, const char *reason);
    void *on_bad_context;
};

enum ms_status ms_engine_new(struct ms_engine **engine, const struct ms_engine_options *options,
                             struct ms_error *error) MS_MUST_CHECK;
void ms_engine_destroy(struct ms_engine *engine);

/* Changes the memory for this engine's users. */
void ms_engine_set_memory(struct ms_engine *engine, size_t memory_bytes);

/* Under what it folds, and decodes. */
uint64_t ms_engine_fold_id(const struct ms_engine *engine);
uint64_t ms_engine_decode_id(const struct ms_engine *engine);

/* Makes this engine the owner of a partition, whose flushes alone count, and then reads the partition's row.
 * The order matters: a former owner that does not know yet could flush between the two, and a later flush
 * would set L back below the users on disk. *row is MS_EMPTY_ROW where nothing is stored. */
enum ms_status ms_engine_claim(struct ms_engine *engine, int32_t partition, struct ms_partition_row *row,
                               struct ms_error *error) MS_MUST_CHECK;
/* Opens a source of a claimed partition at |position| (see ms_decide), which is copied. */
void ms_engine_open(struct ms_engine *engine, const struct ms_position *position);
/* Closes all sources of a partition, drops its users, flushed or not, and gives up the ownership. Does
 * nothing where the partition is not claimed. */
void ms_engine_close(struct ms_engine *engine, int32_t partition);
/* The same for all partitions, in one walk over the users. */
void ms_engine_close_all(struct ms_engine *engine);
/* The positions of all sources. They belong to the engine; the worker may change |paused| and
 * |passed_over|. */
struct ms_positions *ms_engine_positions(struct ms_engine *engine);
/* Whether an open position has to wait for other sources of its partition (source.h). Records of it that come
 * meanwhile are passed over, and all others until the caller has gone back to the next offset and has cleared
 * |passed_over|. */
bool ms_engine_waits(const struct ms_engine *engine, const struct ms_position *position);
/* Writes the note that goes beside an offset of |position| when it is committed (offsets.h), and returns its
 * length. */
size_t ms_engine_note(const struct ms_engine *engine, const struct ms_position *position,
                      char text[MS_NOTE_BYTES]);

/* What others may see of a user. */
enum ms_sight {
    MS_SIGHT_STORED,      /* it is not in memory: the database has it, or nobody */
    MS_SIGHT_COMMITTED,   /* *user is what is committed; version 0: there is none */
    MS_SIGHT_UNCOMMITTED, /* it has changed since, and no image was kept: the next commit shows it */
    MS_SIGHT_REPLAYING,   /* its partition is not at C yet */
};
/* Looks at a user of an open partition without changing anything. *user holds until the engine goes on. */
enum ms_sight ms_engine_peek(const struct ms_engine *engine, const struct ms_partition *partition,
                             struct ms_bytes id, const struct ms_user **user);

/* Appends the users with the most events and the last events, as hot.h and recent.h say. Return how many. */
size_t ms_engine_hot(const struct ms_engine *engine, struct ms_hot_user *out, size_t limit);
size_t ms_engine_recent(const struct ms_engine *engine, struct ms_recent_event *out, size_t limit);

/* Applies a batch of records, in order, and emits what is to be published. Records of partitions not held,
 * records already folded, and those of sources that wait, are passed over. MS_KAFKA_ABORT when the sink
 * refused. */
enum ms_status ms_engine_process(struct ms_engine *engine, const struct ms_input *inputs, size_t count,
                                 struct ms_error *error) MS_MUST_CHECK;

/* All records of |source| below |offset| have been seen: ends a replay that no record ends. Outside of a
 * replay the next offset moves there, behind what is no record: the marks of transactions and what they
 * aborted. So C follows, and it stays in the log when its start has passed them. */
void ms_engine_reached(struct ms_engine *engine, int source, int32_t partition, int64_t offset);

/* Emits what waits for the commit (publish.mode=latest), but for users that user.max.publish.rate withholds at |now_s|, by any
 * clock that does not go back; INFINITY withholds nobody. Call before sending offsets. */
enum ms_status ms_engine_before_commit(struct ms_engine *engine, double now_s,
                                       struct ms_error *error) MS_MUST_CHECK;
/* When a commit is due although nothing has come, because users are withheld; INFINITY: at no time. */
double ms_engine_due_s(const struct ms_engine *engine);
/* The transaction has committed: C of every position that does not replay moves up to its next offset. */
void ms_engine_committed(struct ms_engine *engine);
/* Whether there is anything that a commit would change. */
bool ms_engine_pending(const struct ms_engine *engine);

/* Writes dirty users and L = min(next offset, C) of all positions. Only between transactions. The file is
 * encoded when this returns, and is written by a thread of its own. ms_engine_flush_end waits for it and
 * says how it ended; it has to be called before the next flush begins. After a failure, or where the flush
 * was lost (see ms_overlay_flush_end), the engine is to be destroyed. */
enum ms_status ms_engine_flush_begin(struct ms_engine *engine, struct ms_error *error) MS_MUST_CHECK;
/* While |hurry| is set, files do not wait for compactions that are behind: before a partition leaves, and at the
 * end. */
void ms_engine_flush_hurry(struct ms_engine *engine, bool hurry);
bool ms_engine_flush_arrived(const struct ms_engine *engine);
enum ms_status ms_engine_flush_end(struct ms_engine *engine, bool *lost,
                                   struct ms_error *error) MS_MUST_CHECK;
/* Both. */
enum ms_status ms_engine_flush(struct ms_engine *engine, bool *lost, struct ms_error *error) MS_MUST_CHECK;
/* Whether dirty users take more memory than they should, and whether there is anything to write. */
bool ms_engine_flush_due(const struct ms_engine *engine);
bool ms_engine_dirty(const struct ms_engine *engine);

/* Whether a partition stands at C with a debt to be paid (debt.h), and whether its users are all on disk: before
 * that it cannot be paid. */
bool ms_engine_owes(const struct ms_engine *engine);
bool ms_engine_debt_stored(const struct ms_engine *engine);
/* Emits the next part of a debt that is stored, about as much as one transaction should carry. To be called
 * between transactions, and committed at once. */
enum ms_status ms_engine_pay(struct ms_engine *engine, struct ms_error *error) MS_MUST_CHECK;

#endif
