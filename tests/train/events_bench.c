/* Events read a second of the logs that are given. Not a test: run it by hand in a release build.
 * usage: events_bench COLUMNS FILE...   (COLUMNS: names separated by commas, "" where the files have headers or are JSON) */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/progress.h"
#include "train/events.h"

int main(int argc, char **argv)
{
    struct ms_events *events;
    struct ms_log_event event;
    struct ms_error error;
    struct rusage used;
    uint64_t count = 0, bytes = 0;
    if (argc < 3)
        return 2;
    struct ms_events_options options = {.paths = (const char *const *)argv + 2,
                                        .path_count = (size_t)argc - 2,
                                        .columns = *argv[1] ? argv[1] : NULL,
                                        .passed = MS_PASSED_STRICT};
    double start = ms_monotonic_s();
    enum ms_status status = ms_events_open(&events, &options, &error);
    while (status == MS_OK && (status = ms_events_next(events, &event, &error)) == MS_OK &&
           event.event.user.data) {
        count++;
        bytes += event.event.user.size + event.event.item.size;
    }
    if (status != MS_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    double seconds = ms_monotonic_s() - start;
    ms_events_close(events);
    getrusage(RUSAGE_SELF, &used);
    printf("%llu events, %.2f M/s, %llu bytes of ids, %ld KiB\n", (unsigned long long)count,
           (double)count / seconds / 1e6, (unsigned long long)bytes, used.ru_maxrss);
    return 0;
}
