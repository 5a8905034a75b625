/* Which events a batch trains on: windows of users in a random order, negatives, and where each item occurs in it. All of it is
 * a function of the seed and of the batch's number. */
#ifndef MS_TRAIN_FIT_BATCH_H
#define MS_TRAIN_FIT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"
#include "train/fit/clicks.h"
#include "train/fit/draw.h"
#include "train/fit/step.h"

struct ms_fit_plan_options {
    uint64_t seed;
    size_t targets;   /* of a batch, about: whole windows are taken until it is reached */
    size_t window;    /* most targets of a window */
    size_t context;   /* events before a window's targets that are folded, too, where the user has them */
    size_t negatives; /* of a batch */
};

/* A window of the log: the targets are the user's events [first, first + count) of clicks.events, first the user's second event or
 * a later one. */
struct ms_fit_stretch {
    size_t first;
    uint32_t count, context;
};

/* The order of one pass over the log. */
struct ms_fit_plan {
    const struct ms_fit_clicks *clicks;
    struct ms_fit_plan_options options;
    struct ms_alias alias;
    float *log_share; /* [items]: for ms_fit_step */
    struct ms_fit_stretch *stretches;
    size_t stretch_count, stretch_room;
    size_t epoch_targets; /* of a pass */
    uint64_t epoch;
    size_t next; /* the stretch that the next batch begins with */
    /* The batch at hand. */
    struct ms_fit_batch batch;
    struct ms_fit_window *windows;
    uint32_t *items, *negatives;
    /* Its items, each once, and where row i's occurrences are: [row_first[i], row_first[i + 1]) of |occurrences|. One below
     * event_count is an event, event_count + j negative j. */
    uint32_t *rows, *row_first, *occurrences;
    size_t row_count;
    uint32_t *row_of;            /* [items of the log]: UINT32_MAX where it is not in the batch */
    struct ms_fit_limits limits; /* of all batches */
};

/* A plan; |clicks| outlive it. MS_NOT_FOUND where there is nothing to train on: no user of at least two events. MS_MEMORY. Freeing a
 * zeroed one is legal. */
enum ms_status ms_fit_plan_new(struct ms_fit_plan *plan, const struct ms_fit_clicks *clicks,
                               const struct ms_fit_plan_options *options,
                               struct ms_error *error) MS_MUST_CHECK;
void ms_fit_plan_free(struct ms_fit_plan *plan);

/* Begins pass |epoch|. MS_MEMORY. */
enum ms_status ms_fit_plan_epoch(struct ms_fit_plan *plan, uint64_t epoch,
                                 struct ms_error *error) MS_MUST_CHECK;
/* Makes the next batch of the pass; false at its end. */
bool ms_fit_plan_next(struct ms_fit_plan *plan);

/* Where the windows of a batch are cut into shards: shard |i| of |shards| has the windows up to the result, from that of i - 1 on. */
size_t ms_fit_shard_end(const struct ms_fit_batch *batch, size_t i, size_t shards);

#endif
