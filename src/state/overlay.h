/* One worker's users: a cache in memory over the rows of the database.
 *
 * A user that changes in memory is dirty: ahead of its row. Dirty users are written together, in key order, in
 * one file with the rows of their partitions (ms_overlay_flush_begin). Clean users are evicted when memory
 * passes the bound. A transaction that aborts drops its partitions (ms_overlay_drop); the database still holds
 * the state as of L, the applied offset of the partition's row.
 *
 * An entry's index names a user until it is evicted or dropped. Dirty users and those that the worker holds
 * (MS_MARK_HELD) are not evicted.
 *
 * Belongs to one thread. Once warm, only new and growing users allocate. */
#ifndef MS_STATE_OVERLAY_H
#define MS_STATE_OVERLAY_H

#include "state/entry.h"
#include "state/store.h"
#include "user/apply.h"

struct ms_overlay;

/* A user to find. */
struct ms_wanted {
    uint16_t partition;
    struct ms_bytes id;
    uint64_t hash;   /* ms_overlay_hash */
    int64_t time_ms; /* of the event: tells whether the history is needed; INT64_MIN: all of it */
    uint32_t entry;  /* out: the index of its entry */
};

/* |fold_context| and |store| outlive the overlay. |memory_bytes| bounds the users in memory. |owner| is this
 * worker's name for ownership of partitions (not MS_NO_OWNER). */
enum ms_status ms_overlay_new(struct ms_overlay **overlay, struct ms_store *store,
                              struct ms_fold_context *fold_context, size_t memory_bytes, uint32_t owner,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_overlay_destroy(struct ms_overlay *overlay);

uint64_t ms_overlay_hash(uint16_t partition, struct ms_bytes id);

/* Finds the users of a batch. Those that are not in memory are looked up together in the database; those that
 * are in neither are new users. A user met under another fold id is refolded and marked. Evicts first when
 * memory is over the bound. On failure, wanted users that were not in memory before are not in memory after
 * it. */
enum ms_status ms_overlay_find(struct ms_overlay *overlay, struct ms_wanted *wanted, size_t count,
                               struct ms_error *error) MS_MUST_CHECK;

/* Tells that nothing of this partition is stored. Its users are not looked up in the database until one of
 * them leaves memory. */
void ms_overlay_nothing_stored(struct ms_overlay *overlay, uint16_t partition);

/* The entry with this index. The pointer holds until the next ms_overlay_find or ms_overlay_drop. */
struct ms_entry *ms_overlay_entry(struct ms_overlay *overlay, uint32_t index);

/* The user where it is in memory, else NULL; it holds as an entry does. Changes nothing. */
const struct ms_user *ms_overlay_peek(const struct ms_overlay *overlay, uint16_t partition,
                                      struct ms_bytes id, uint64_t hash);

/* Reads the chunks of an incomplete user. */
enum ms_status ms_overlay_complete(struct ms_overlay *overlay, uint32_t index,
                                   struct ms_error *error) MS_MUST_CHECK;

/* Folds an event on the model's item |item| (or MS_NO_ITEM) at input offset |offset| into a user. The user is
 * dirty then, unless the event is a duplicate. Reads the user's chunks where the event needs them. */
enum ms_status ms_overlay_fold(struct ms_overlay *overlay, uint32_t index, const struct ms_event *event,
                               uint32_t item, int64_t offset, enum ms_folded *folded,
                               struct ms_error *error) MS_MUST_CHECK;

/* Replaces the profile of a user as of the profile topic's |offset|. The version rises where the user has
 * events. */
enum ms_status ms_overlay_set_profile(struct ms_overlay *overlay, uint32_t index, struct ms_bytes profile,
                                      int64_t offset, struct ms_error *error) MS_MUST_CHECK;

/* What is stored of a user beside its events has changed: the next flush writes it. */
void ms_overlay_touch(struct ms_overlay *overlay, uint32_t index);

/* Forgets a user. The next flush deletes its rows. */
void ms_overlay_forget(struct ms_overlay *overlay, uint32_t index, int64_t offset);

/* Changes the bound; what is over it is evicted with the next ms_overlay_find. */
void ms_overlay_set_memory(struct ms_overlay *overlay, size_t memory_bytes);

/* Bytes of all users in memory and of the dirty ones, and how many there are. */
size_t ms_overlay_bytes(const struct ms_overlay *overlay);
size_t ms_overlay_dirty_bytes(const struct ms_overlay *overlay);
size_t ms_overlay_users(const struct ms_overlay *overlay);
size_t ms_overlay_dirty_users(const struct ms_overlay *overlay);

/* What was looked up in the database so far. */
struct ms_overlay_reads {
    uint64_t users, found, chunks;
};
struct ms_overlay_reads ms_overlay_reads(const struct ms_overlay *overlay);

/* Writes all dirty users and |rows| as one atomic file. The users are encoded before this returns and may take
 * events again at once; a thread of its own syncs the file and has it ingested. Every partition with a dirty
 * user must be among the rows, and the flush before must have been ended.
 *
 * Users count as written from here on. If the flush fails, now or on the way, or is lost, the caller must drop
 * its partitions (or destroy the overlay). */
enum ms_status ms_overlay_flush_begin(struct ms_overlay *overlay, const struct ms_flush_row *rows,
                                      size_t count, struct ms_error *error) MS_MUST_CHECK;
/* Has |pause| called now and then while users are encoded, for who must not wait so long. It may look at users (ms_overlay_peek), and
 * changes nothing. */
void ms_overlay_flush_pause(struct ms_overlay *overlay, void (*pause)(void *context), void *context);
/* Whether ms_overlay_flush_end would not wait. */
bool ms_overlay_flush_arrived(const struct ms_overlay *overlay);
/* While |hurry| is set, files do not wait for compactions that are behind (ingest.h). */
void ms_overlay_flush_hurry(struct ms_overlay *overlay, bool hurry);
/* Waits for the file on its way, if there is one, and gives the outcome. *lost tells that another owner has one
 * of the partitions: nothing was written then. */
enum ms_status ms_overlay_flush_end(struct ms_overlay *overlay, bool *lost,
                                    struct ms_error *error) MS_MUST_CHECK;
/* Both. */
enum ms_status ms_overlay_flush(struct ms_overlay *overlay, const struct ms_flush_row *rows, size_t count,
                                bool *lost, struct ms_error *error) MS_MUST_CHECK;

/* Frees all users of a partition, dirty or not. Waits for a file on its way, because the partition's next
 * owner reads from the database. */
void ms_overlay_drop(struct ms_overlay *overlay, uint16_t partition);
/* The same for all partitions, in one walk over the users. */
void ms_overlay_drop_all(struct ms_overlay *overlay);

#endif
