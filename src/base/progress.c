/* Rate, share and time left, on stderr. */
#include "base/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

double ms_monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void ms_progress_start(struct ms_progress *progress, const char *what, uint64_t total)
{
    *progress = (struct ms_progress){
        .what = what, .total = total, .started_s = ms_monotonic_s(), .terminal = isatty(STDERR_FILENO) == 1};
    progress->printed_s = progress->started_s;
}

static void print(struct ms_progress *progress, uint64_t done, bool last)
{
    double elapsed_s = ms_monotonic_s() - progress->started_s;
    double rate = elapsed_s > 0 ? (double)done / elapsed_s : 0;
    const char *begin = progress->terminal ? "\r\033[K" : "";
    const char *end = progress->terminal && !last ? "" : "\n";
    if (last || progress->total == 0)
        fprintf(stderr, "%s%" PRIu64 " %s, %.0f/s, %.1f s%s", begin, done, progress->what, rate, elapsed_s,
                end);
    else
        fprintf(stderr, "%s%" PRIu64 " of %" PRIu64 " %s, %.0f %%, %.0f/s, %.0f s left%s", begin, done,
                progress->total, progress->what, 100.0 * (double)done / (double)progress->total, rate,
                rate > 0 ? (double)(progress->total - done) / rate : 0.0, end);
    fflush(stderr);
}

void ms_progress_update(struct ms_progress *progress, uint64_t done)
{
    double now_s = ms_monotonic_s();
    if (now_s - progress->printed_s < (progress->terminal ? 0.1 : 10.0))
        return;
    progress->printed_s = now_s;
    print(progress, done, false);
}

void ms_progress_end(struct ms_progress *progress, uint64_t done)
{
    print(progress, done, true);
}
