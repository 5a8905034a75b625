/* The way of a batch of records through the house: decode -> look the users up together -> fold -> encode ->
 * emit.
 *
 * Knows offsets and partitions but no Kafka: records come in as bytes, what is to be published goes out
 * through a sink. The worker (worker.h) puts it between a consumer and a transactional producer; tests put it
 * between arrays.
 *
 * An engine belongs to one thread. Engines share the store and the model, nothing else. */
#ifndef MS_STREAM_ENGINE_H
#define MS_STREAM_ENGINE_H

#include "base/config.h"
#include "base/log.h"
#include "event/event.h"
#include "state/overlay.h"
#include "mindstream/record.h"
#include "stream/stats.h"

/* One record of the input topic, or of the profile topic. data NULL: no key, no value. */
struct ms_input {
    int32_t partition;
    int64_t offset;
    int64_t time_ms; /* of the record, negative: none */
    struct ms_bytes key, value;
    bool profile; /* it came from the profile topic */
};

enum ms_output_kind { MS_OUTPUT_RECORD, MS_OUTPUT_DEAD_LETTER };

/* One record to publish. */
struct ms_output {
    enum ms_output_kind kind;
    struct ms_bytes key, value;   /* value.data NULL: a null value */
    uint64_t version;             /* of the user, for the header */
    const struct ms_input *input; /* dead letters: where it came from */
    const char *reason;           /* dead letters */
};

struct ms_sink {
    void *context;
    /* Takes a record; its bytes are the caller's again afterwards. */
    enum ms_status (*emit)(void *context, const struct ms_output *output, struct ms_error *error);
};

/* Where a partition stands. C is the committed offset, L the applied one. */
struct ms_part {
    int32_t partition;
    int64_t committed;    /* C: the group's offset, -1: none yet */
    int64_t folded;       /* events below it are in the overlay */
    int64_t replay_until; /* events below it are folded in silence: C as of the assignment */
    int64_t origin;
    int64_t flushed; /* L as stored or on its way there, -1: no row yet */
    bool must_send; /* something was emitted for it, or its first offset is to be pinned: the next transaction
                       carries its offset */
    bool republish; /* what [L, C) published came from another fold id: its users are owed a record at C */
    int shown_slots; /* with republish: slots that the other fold may have shown of them */
    uint32_t owed;   /* how many are */
    bool open;
    bool paused;        /* the worker's: the consumer does not fetch it */
    bool passed_over;   /* records from |folded| on came while it had to rest: they are to be read again */
    bool profile;       /* of the profile topic: its offsets are that topic's */
    int64_t wait_until; /* of a profile part: clicks wait until it is folded up to here; 0: they do not */
    struct ms_partition_row row; /* as stored when it was opened */
};

struct ms_engine;

struct ms_engine_options {
    const struct ms_config *config;
    const struct ms_model *model;
    struct ms_store *store;
    const struct ms_decay *decay;
    bool incremental;
    size_t memory_bytes; /* for this engine's users */
    uint32_t owner;
    struct ms_sink sink;
    struct ms_stats *stats;
};

enum ms_status ms_engine_new(struct ms_engine **engine, const struct ms_engine_options *options,
                             struct ms_error *error) MS_MUST_CHECK;
void ms_engine_destroy(struct ms_engine *engine);

uint64_t ms_engine_fold_id(const struct ms_engine *engine);

/* Makes this engine's owner the one whose flushes count for a partition, and reads its row. In this order: a
 * former owner that does not know yet could else flush between the look at L and the taking over, and later L
 * would be set back below the users on disk. Without a row (*stored false) *row is that of a partition of
 * which nothing is applied. */
enum ms_status ms_engine_claim_part(struct ms_engine *engine, int32_t partition, struct ms_partition_row *row,
                                    bool *stored, struct ms_error *error) MS_MUST_CHECK;
/* Takes a claimed partition: |part| says where it stands (folded = where reading begins). */
void ms_engine_open_part(struct ms_engine *engine, const struct ms_part *part);
/* Lets a partition go, with its users, flushed or not. */
void ms_engine_close_part(struct ms_engine *engine, int32_t partition);
/* The partitions held, in any order; closed ones have open == false. */
struct ms_part *ms_engine_parts(struct ms_engine *engine, size_t *count);
struct ms_part *ms_engine_part(struct ms_engine *engine, int32_t partition);
/* The same of the profile topic's partition: its clicks' twin, with offsets of its own and the same users. */
struct ms_part *ms_engine_profile_part(struct ms_engine *engine, int32_t partition);
/* Whether this part has to rest so that nothing is published from half of what is known: profiles while their
 * clicks replay; clicks, once at C, while their profiles replay or those that were there at the assignment
 * are not all read. What comes of it meanwhile is passed over, and |passed_over| tells so. */
bool ms_engine_rests(struct ms_engine *engine, const struct ms_part *part);

/* Folds a batch of records, in order, emitting what they call for. Records of partitions not held, records
 * already folded, and those of parts that rest, are passed over. MS_KAFKA_ABORT when the sink refused. */
enum ms_status ms_engine_process(struct ms_engine *engine, const struct ms_input *inputs, size_t count,
                                 struct ms_error *error) MS_MUST_CHECK;

/* The log of a partition has nothing below |offset| that has not been seen: ends a replay that no record
 * ends. */
enum ms_status ms_engine_reached(struct ms_engine *engine, int32_t partition, int64_t offset,
                                 struct ms_error *error) MS_MUST_CHECK;
enum ms_status ms_engine_profile_reached(struct ms_engine *engine, int32_t partition, int64_t offset,
                                         struct ms_error *error) MS_MUST_CHECK;

/* Emits what waits for the commit (publish.mode=latest). Call before sending offsets. */
enum ms_status ms_engine_before_commit(struct ms_engine *engine, struct ms_error *error) MS_MUST_CHECK;
/* The transaction has committed: every part not in replay stands at its folded offset. */
void ms_engine_committed(struct ms_engine *engine);
/* Whether there is anything that a commit would change. */
bool ms_engine_pending(const struct ms_engine *engine);

/* Writes dirty users and L = min(folded, C) of all parts. Only between transactions. The file is on its way
 * when this returns; ms_engine_flush_end waits for it and says what came of it, and has to before the next
 * begins. After a failure, or where it was lost (see ms_overlay_flush_end), the engine is to be destroyed. */
enum ms_status ms_engine_flush_begin(struct ms_engine *engine, struct ms_error *error) MS_MUST_CHECK;
bool ms_engine_flush_arrived(const struct ms_engine *engine);
enum ms_status ms_engine_flush_end(struct ms_engine *engine, bool *lost,
                                   struct ms_error *error) MS_MUST_CHECK;
/* Both. */
enum ms_status ms_engine_flush(struct ms_engine *engine, bool *lost, struct ms_error *error) MS_MUST_CHECK;
/* Whether dirty users take more memory than they should, and whether there is anything to write. Neither
 * while a replay owes users a record: a flush would move L past events whose users would then never get it.
 */
bool ms_engine_flush_due(const struct ms_engine *engine);
bool ms_engine_dirty(const struct ms_engine *engine);

#endif
