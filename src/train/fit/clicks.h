/* A whole click log in memory, as the trainer takes it: 4 bytes an event once it is read (16 while it is). */
#ifndef MS_TRAIN_FIT_CLICKS_H
#define MS_TRAIN_FIT_CLICKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "mindstream/bytes.h"
#include "train/events.h"

struct ms_fit_clicks {
    uint32_t user_count, item_count;
    size_t event_count;
    uint32_t *events;     /* items, by user, then by (time, order in the file) */
    size_t *first;        /* [user_count + 1]: where a user's events begin */
    bool *held_out;       /* [user_count]: by the hash of the id, as evaluate has it (train/clicks.h) */
    struct ms_bytes *ids; /* [item_count], in the order in which the log has them */
    uint32_t *counts;     /* [item_count]: clicks of the users who are not held out */
    struct ms_arena strings;
    uint64_t digest; /* of users, items and times in the order of the file */
    bool timed, csv;
    struct ms_passed_counts passed;
};

/* Reads a log. Users whose bucket is below |buckets| are held out. Progress goes to stderr. On success the caller owns *clicks
 * and frees it with ms_fit_clicks_free (legal on a zeroed one). Fails as ms_events_next does. */
enum ms_status ms_fit_clicks_read(struct ms_fit_clicks *clicks, const struct ms_events_options *options,
                                  uint32_t buckets, struct ms_error *error) MS_MUST_CHECK;
void ms_fit_clicks_free(struct ms_fit_clicks *clicks);

#endif
