/* How far a replay is, on stderr: a bar for each partition and one for all on a terminal, a line every ten seconds elsewhere. */
#ifndef MS_APP_REPLAY_PROGRESS_H
#define MS_APP_REPLAY_PROGRESS_H

#include "stream/kafka/replay.h"

/* Watches a started replay until it is done. With |follow| it says when the end is reached that the logs had at the start.
 * One thread. */
void ms_replay_progress_watch(const struct ms_replay *replay, bool follow);

/* The same while ms_replay_publish runs, which calls it: |users| are published so far in this run, |left| are not yet.
 * |context| is a struct ms_replay_publishing, zeroed at first. */
struct ms_replay_publishing {
    double began_s, told_s;
};
void ms_replay_progress_published(void *context, uint64_t users, uint64_t left);

#endif
