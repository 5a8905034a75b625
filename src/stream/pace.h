/* When to commit, when to flush, and how long to wait for records: decided from times and a few facts,
 * without a clock and without Kafka. */
#ifndef MS_STREAM_PACE_H
#define MS_STREAM_PACE_H

#include <stdbool.h>

#include "base/config.h"

#define MS_IDLE_MS         2   /* an empty queue for this long is idle */
#define MS_WAIT_MS         100 /* longest wait for records */
#define MS_FLUSHING_MS     10  /* the same while a flush is running */
#define MS_LAGGING_FLUSHES 5   /* when lagging, the flush interval is this many times longer */

struct ms_pace {
    double commit_interval_s, flush_interval_s; /* as configured */
    double pending_since_s;                     /* first uncommitted record, 0: none */
    double flushed_s;                           /* end of the last flush, or begin of the session */
};

/* A session begins. */
void ms_pace_begin(struct ms_pace *pace, const struct ms_config *config, double now_s);

/* The intervals that are configured have changed. */
void ms_pace_set(struct ms_pace *pace, const struct ms_config *config);

/* There is something to commit; and there is no more. */
void ms_pace_pending(struct ms_pace *pace, double now_s);
void ms_pace_committed(struct ms_pace *pace);
void ms_pace_flushed(struct ms_pace *pace, double now_s);

/* Whether what is pending is to be committed now: nothing else is to do (|idle|), dirty users fill the memory
 * (|full|), or commit.interval.ms has passed. */
bool ms_pace_commit_due(const struct ms_pace *pace, bool idle, bool full, double now_s);

/* Whether to flush now, between two transactions. |lagging|: more records wait than are taken at once. A
 * flush then takes CPU from catching up, and most users that it writes change again soon. */
bool ms_pace_flush_due(const struct ms_pace *pace, bool full, bool flushing, bool lagging, double now_s);

/* How long the next poll may wait, in ms: a moment when a commit waits for idleness, else until the flush is
 * due. */
int ms_pace_wait_ms(const struct ms_pace *pace, bool pending, bool dirty, bool flushing, bool lagging,
                    double now_s);

#endif
