/* Click logs in, the histories of the chosen users out.
 *
 * Only the clicks of the chosen users are kept, 16 bytes each (32 at the end of reading). So a log may be larger than
 * memory as long as their clicks fit. */
#ifndef MS_TRAIN_CLICKS_H
#define MS_TRAIN_CLICKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/model.h"
#include "train/events.h"

#define MS_HOLDOUT_BUCKETS 10000 /* XXH64(user id, 0) mod this is the user's bucket */

/* The buckets of a share of the users in (0, 1]: 0.07 are 700. 0 stands for all. Pure. */
uint32_t ms_holdout_buckets(double share);

struct ms_click_log {
    struct ms_events_options events; /* the log and how it is read */
    const char *users_path;          /* a user id a line: these users; NULL: the buckets decide */
    uint32_t buckets;                /* users whose bucket is below this; MS_HOLDOUT_BUCKETS for all */
    uint32_t min_events; /* users with fewer clicks are left out; counted before max_events cuts */
    uint32_t max_events; /* the first clicks of each user by (time, order in the file) */
};

struct ms_click {
    int64_t time_ms; /* 0 where the log is in the order of the file */
    uint32_t order;  /* index among the user's clicks in the file */
    uint32_t item;   /* index, MS_NO_ITEM when the model does not know it */
};

struct ms_history {
    size_t first; /* of ms_histories.clicks */
    uint32_t count;
};

struct ms_histories {
    struct ms_history *users;
    uint32_t user_count;
    struct ms_click *clicks; /* by user, then (time, order in the file) */
    float *weights;          /* what they count, by user, then |order|; NULL: 1, the model weighs no events */
    bool timed;
    bool csv;
    uint64_t clicks_read; /* in the whole log, without what was passed over */
    struct ms_passed_counts passed;
    uint32_t users_met; /* chosen users that have a click, however few */
};

/* Reads a log; |model| resolves the items and is not kept. On success the caller owns *histories and frees it
 * with ms_histories_free (legal on a zeroed one). Fails as ms_events_next does. Writes its progress to stderr. */
enum ms_status ms_histories_read(struct ms_histories *histories, const struct ms_click_log *log,
                                 const struct ms_model *model, struct ms_error *error) MS_MUST_CHECK;
void ms_histories_free(struct ms_histories *histories);

#endif
