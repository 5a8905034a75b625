/* Progress of long work: a line that rewrites itself on a terminal, a plain line every ten seconds elsewhere.
 */
#ifndef MS_BASE_PROGRESS_H
#define MS_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct ms_progress {
    const char *what; /* "events" */
    uint64_t total;   /* 0: not known */
    double started_s, printed_s;
    bool terminal;
};

void ms_progress_start(struct ms_progress *progress, const char *what, uint64_t total);
/* Tells how much is done; prints to stderr at most ten times a second. Cheap enough for every thousand steps.
 */
void ms_progress_update(struct ms_progress *progress, uint64_t done);
/* Ends the line with the total and the rate. */
void ms_progress_end(struct ms_progress *progress, uint64_t done);

/* Seconds of a clock that never jumps. */
double ms_monotonic_s(void);

#endif
