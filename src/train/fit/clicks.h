/* A whole click log in memory, as the trainer takes it: 4 bytes an event once it is read (16 while it is). */
#ifndef MS_TRAIN_FIT_CLICKS_H
#define MS_TRAIN_FIT_CLICKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "mindstream/bytes.h"
#include "mindstream/model.h"
#include "train/events.h"

struct ms_fit_clicks {
    uint32_t user_count, item_count;
    size_t event_count;
    uint32_t *events; /* items, by user, then by (time, order in the file) */
    size_t *first;    /* [user_count + 1]: where a user's events begin */
    uint32_t
        *trained; /* [user_count]: how many events are trained on, the first; 0 for a user who is held out */
    struct ms_bytes *ids; /* [item_count], in the order in which the log has them */
    uint32_t *counts;     /* [item_count]: clicks that are trained on */
    bool split_by_time;
    struct ms_arena strings;
    uint64_t digest; /* of users, items and times in the order of the file */
    bool timed, csv;
    struct ms_passed_counts passed;
};

/* What is not trained on: users whose bucket is below |buckets| (train/clicks.h), or the clicks from a time on. */
struct ms_fit_split {
    uint32_t buckets;
    bool by_time;
    int64_t time_ms;
};

/* Reads a log. The items of |first|, a model or NULL, come before those that the log adds. Progress goes to stderr. On success the
 * caller owns *clicks and frees it with ms_fit_clicks_free (legal on a zeroed one). Fails as ms_events_next does; MS_USAGE for a
 * split by time of a log without times. */
enum ms_status ms_fit_clicks_read(struct ms_fit_clicks *clicks, const struct ms_events_options *options,
                                  const struct ms_fit_split *split, const struct ms_model *first,
                                  struct ms_error *error) MS_MUST_CHECK;

/* What of a user is predicted: events [from, end) of its events, each from those of [begin, ..) before it. At most |most| events. */
struct ms_fit_targets {
    size_t begin, from, end;
};
/* False where nothing is: a user who is trained on, or a held-out one with fewer events than |least|. By the rule of evaluate
 * (train/README.md) for users held out by hash; all clicks after the time for a split by time. Pure. */
bool ms_fit_clicks_targets(const struct ms_fit_clicks *clicks, uint32_t user, size_t least, size_t most,
                           struct ms_fit_targets *targets);
void ms_fit_clicks_free(struct ms_fit_clicks *clicks);

#endif
