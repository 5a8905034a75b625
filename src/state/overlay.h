/* One worker's users in memory, over the database: a cache of users, of which the dirty ones are ahead of
 * their rows.
 *
 * Dirty users gather here and are written together, in key order, with the partitions' rows in the same file
 * (ms_overlay_flush_begin). A transaction that aborts drops the overlay of its partitions (ms_overlay_drop);
 * what is on disk is still the state as of L. Clean users leave when memory passes the bound, those not used
 * lately first.
 *
 * Belongs to one thread. Nothing allocates per event once warm but new users and growing ones. */
#ifndef MS_STATE_OVERLAY_H
#define MS_STATE_OVERLAY_H

#include "state/store.h"
#include "user/apply.h"

struct ms_overlay;

/* What the worker keeps beside a user; the overlay only looks at the marks. */
struct ms_entry {
    struct ms_user *user;
    uint64_t hash;
    uint16_t marks;        /* enum ms_mark */
    uint16_t slots_before; /* the worker's: interests the user had when the transaction began */
    uint32_t flight;       /* the flush that last wrote the user; not evicted before that has arrived */
};

enum ms_mark {
    MS_MARK_DIRTY = 1,    /* ahead of its row */
    MS_MARK_USED = 2,     /* used since the eviction hand last came by */
    MS_MARK_TOUCHED = 4,  /* in the worker's list of this transaction; never evicted */
    MS_MARK_REFOLDED = 8, /* was met under another fold id since it was loaded */
    MS_MARK_OWED = 16,    /* the worker's: to be published when the replay reaches C; never evicted */
};

/* One user wanted. */
struct ms_wanted {
    uint16_t partition;
    struct ms_bytes id;
    uint64_t hash;   /* ms_overlay_hash */
    int64_t time_ms; /* of the event: tells whether the history is needed; INT64_MIN: all of it */
    uint32_t entry;  /* out: its place */
};

/* |fold_context| and |store| outlive the overlay. |memory_bytes| bounds the users in memory. |owner| is this
 * worker's name for ownership of partitions (not MS_NO_OWNER). */
enum ms_status ms_overlay_new(struct ms_overlay **overlay, struct ms_store *store,
                              struct ms_fold_context *fold_context, size_t memory_bytes, uint32_t owner,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_overlay_destroy(struct ms_overlay *overlay);

uint64_t ms_overlay_hash(uint16_t partition, struct ms_bytes id);

/* Finds the users of a batch, those that are not in memory together in the database, and makes those that are
 * nowhere. Users met under another fold id are refolded (and marked). Evicts clean users first when memory is
 * over the bound: places from earlier calls may be others' afterwards, but those of touched or dirty users.
 * On failure the wanted ones that could not be read are not in memory. */
enum ms_status ms_overlay_find(struct ms_overlay *overlay, struct ms_wanted *wanted, size_t count,
                               struct ms_error *error) MS_MUST_CHECK;

/* Nothing of this partition is stored: until one of its users leaves memory, who is not in memory is nowhere,
 * and is not looked for. */
void ms_overlay_whole(struct ms_overlay *overlay, uint16_t partition);

/* The entry at a place. The pointer holds until the next ms_overlay_find or ms_overlay_drop. */
struct ms_entry *ms_overlay_entry(struct ms_overlay *overlay, uint32_t place);

/* Reads the chunks of an incomplete user. */
enum ms_status ms_overlay_complete(struct ms_overlay *overlay, uint32_t place,
                                   struct ms_error *error) MS_MUST_CHECK;

/* Folds an event with item row |row| at input offset |offset| into the user at |place|, which is dirty then
 * unless the event is a duplicate. Reads the user's chunks where the event needs them. */
enum ms_status ms_overlay_fold(struct ms_overlay *overlay, uint32_t place, const struct ms_event *event,
                               uint32_t row, int64_t offset, enum ms_folded *folded,
                               struct ms_error *error) MS_MUST_CHECK;

/* Replaces the profile of the user at |place| as of the profile topic's |offset|; the version rises where the
 * user has events. */
enum ms_status ms_overlay_set_profile(struct ms_overlay *overlay, uint32_t place, struct ms_bytes profile,
                                      int64_t offset, struct ms_error *error) MS_MUST_CHECK;

/* Forgets the user at |place|: its rows go with the next flush. */
void ms_overlay_forget(struct ms_overlay *overlay, uint32_t place, int64_t offset);

/* Bytes of all users in memory, of the dirty ones, and how many there are. */
size_t ms_overlay_bytes(const struct ms_overlay *overlay);
size_t ms_overlay_dirty_bytes(const struct ms_overlay *overlay);
size_t ms_overlay_users(const struct ms_overlay *overlay);
size_t ms_overlay_dirty_users(const struct ms_overlay *overlay);

/* A partition's row as it is to be written with the dirty users. */
struct ms_flush_row {
    uint16_t partition;
    struct ms_partition_row row;
};

/* Writes all dirty users and |rows| as one atomic file: encoded here and now, on its way to disk (synced,
 * then ingested) in a thread of its own while the users take events again. Every partition with a dirty user
 * must be among the rows; the flush before has been ended. If it fails, here or on the way, or is lost, users
 * count as written that are not: the overlay is good for nothing then but dropping its partitions. */
enum ms_status ms_overlay_flush_begin(struct ms_overlay *overlay, const struct ms_flush_row *rows,
                                      size_t count, struct ms_error *error) MS_MUST_CHECK;
/* Whether ms_overlay_flush_end would not have to wait. */
bool ms_overlay_flush_arrived(const struct ms_overlay *overlay);
/* Waits for the file on its way, if there is one, and says what came of it. *lost tells that another owner
 * has one of the partitions: nothing was written then. */
enum ms_status ms_overlay_flush_end(struct ms_overlay *overlay, bool *lost,
                                    struct ms_error *error) MS_MUST_CHECK;
/* Both. */
enum ms_status ms_overlay_flush(struct ms_overlay *overlay, const struct ms_flush_row *rows, size_t count,
                                bool *lost, struct ms_error *error) MS_MUST_CHECK;

/* Forgets all users of a partition, written or not. Waits for a file on its way. */
void ms_overlay_drop(struct ms_overlay *overlay, uint16_t partition);

#endif
