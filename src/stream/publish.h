/* What is to be published: now, at the commit, or when a debt is paid (debt.h).
 *
 * publish.mode=every publishes a user at each change. publish.mode=latest notes a changed user and publishes
 * it once, at the commit. Users that are noted are held in the overlay: they are not evicted.
 *
 * user.max.publish.rate withholds a user at the commit that was published a moment before: it stays noted, and is published at
 * the first commit after its time has come, with whatever has happened to it until then. See withheld.h.
 *
 * In layout interest a user has a record per interest, and slots that it no longer has get a null value. The
 * publisher knows how many slots a reader sees: those of the user before its change, or those that were
 * stored where loading refolded the user. */
#ifndef MS_STREAM_PUBLISH_H
#define MS_STREAM_PUBLISH_H

#include "base/config.h"
#include "mindstream/model.h"
#include "state/overlay.h"
#include "stream/positions.h"
#include "stream/records.h"
#include "stream/stats.h"
#include "user/apply.h"

struct ms_publisher;

struct ms_publisher_options {
    const struct ms_config *config;
    const struct ms_model *model;
    struct ms_fold_context *fold_context;
    struct ms_overlay *overlay;
    struct ms_positions *positions;
    struct ms_sink sink;
    struct ms_stats *stats;
};

/* All that |options| point at outlives the publisher. One thread. */
enum ms_status ms_publisher_new(struct ms_publisher **publisher, const struct ms_publisher_options *options,
                                struct ms_error *error) MS_MUST_CHECK;
void ms_publisher_destroy(struct ms_publisher *publisher);

/* Slots that a reader sees of a user: to be asked before the user changes. */
static inline uint16_t ms_slots_shown(const struct ms_entry *entry)
{
    return entry->marks & MS_MARK_REFOLDED ? entry->slots_stored : entry->user->slots;
}

/* The user at |place| has changed by a record of |position|, and |slots_shown| were shown of it before.
 * |silent|: in a replay. */
enum ms_status ms_publisher_changed(struct ms_publisher *publisher, struct ms_position *position,
                                    uint32_t place, uint16_t slots_shown, bool silent,
                                    struct ms_error *error) MS_MUST_CHECK;

/* The user at |place| is about to be forgotten: null values under every key that it ever had, unless
 * |silent|. */
enum ms_status ms_publisher_forget(struct ms_publisher *publisher, struct ms_position *position,
                                   uint32_t place, bool silent, struct ms_error *error) MS_MUST_CHECK;

/* A record of |topic| could not be decoded: counted, logged, and sent to the dead-letter topic if there is
 * one. */
enum ms_status ms_publisher_dead_letter(struct ms_publisher *publisher, struct ms_position *position,
                                        const char *topic, const struct ms_input *input, const char *reason,
                                        struct ms_error *error) MS_MUST_CHECK;

/* The user at |place| may have been published under other settings of the decoder with events of the replay: it belongs
 * to the debt, whether the replay changes it or not. */
void ms_publisher_owe(struct ms_publisher *publisher, const struct ms_position *position, uint32_t place);

/* Publishes the user at |place|, who is owed a record, with null values for all slots that it ever had and has
 * no longer. */
enum ms_status ms_publisher_owed(struct ms_publisher *publisher, struct ms_position *position, uint32_t place,
                                 struct ms_error *error) MS_MUST_CHECK;

/* Records that were emitted so far, and the bytes of their keys and values. */
struct ms_emitted {
    uint64_t records, bytes;
};
struct ms_emitted ms_publisher_emitted(const struct ms_publisher *publisher);

/* Publishes the users that wait for the commit, but for those that are withheld at |now_s|; INFINITY withholds nobody. */
enum ms_status ms_publisher_commit(struct ms_publisher *publisher, double now_s,
                                   struct ms_error *error) MS_MUST_CHECK;

/* When the first user that is withheld is to be published, INFINITY: nobody is. */
double ms_publisher_due_s(const struct ms_publisher *publisher);

/* The user at |place| was withheld when its partition was assigned: the next commit publishes it, unless the last debt of the
 * partition has done so, or an event since. */
enum ms_status ms_publisher_withheld(struct ms_publisher *publisher, struct ms_partition *partition,
                                     uint32_t place, struct ms_error *error) MS_MUST_CHECK;

/* Writes the users of a partition that are withheld, as a note names them. */
void ms_publisher_note(const struct ms_publisher *publisher, int32_t partition, char text[MS_WITHHELD_BYTES]);

/* Drops what waits of a partition, before the overlay drops its users. */
void ms_publisher_drop(struct ms_publisher *publisher, int32_t partition);
void ms_publisher_drop_all(struct ms_publisher *publisher);

#endif
