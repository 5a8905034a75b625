/* Looking at workers from outside. */
#include "stream/kafka/observe.h"

#include <stdlib.h>

#include "base/progress.h"
#include "stream/kafka/service_inside.h"

const char *ms_worker_phase_name(enum ms_worker_phase phase)
{
    static const char *const names[] = {"starting", "turning", "waiting", "closing", "ended"};
    return names[phase];
}

int ms_service_workers(const struct ms_service *service)
{
    return service->count;
}

struct ms_worker_report ms_service_worker(struct ms_service *service, int number)
{
    struct ms_worker *worker = &service->workers[number];
    int64_t now_ms = (int64_t)(ms_monotonic_s() * 1000);
    bool done = atomic_load(&worker->done);
    struct ms_worker_report report = {.number = number,
                                      .phase = done ? MS_WORKER_ENDED
                                                    : (enum ms_worker_phase)atomic_load(&worker->phase),
                                      .turned_ms = now_ms - atomic_load(&worker->turned_ms),
                                      .silent_ms = done ? 0 : ms_broker_watch_silent_ms(&worker->brokers)};
    pthread_mutex_lock(&worker->report.lock);
    report.assigned = worker->report.assigned;
    pthread_mutex_unlock(&worker->report.lock);
    report.hangs = ms_worker_hangs(worker) ||
                   (report.phase == MS_WORKER_TURNING && report.turned_ms > MS_TURN_MS);
    return report;
}

bool ms_service_turns(struct ms_service *service)
{
    for (int i = 0; i < service->count; i++) {
        if (ms_service_worker(service, i).hangs)
            return false;
    }
    return true;
}

static int by_partition(const void *a, const void *b)
{
    const struct ms_partition_report *x = a, *y = b;
    return x->source != y->source ? x->source - y->source
                                  : (x->partition > y->partition) - (x->partition < y->partition);
}

enum ms_status ms_service_partitions(struct ms_service *service, struct ms_partition_report **out,
                                     size_t *out_count, struct ms_error *error)
{
    struct ms_partition_report *rows = NULL;
    size_t count = 0;
    for (int i = 0; i < service->count; i++) {
        if (!ms_report_copy(&service->workers[i].report, &rows, &count)) {
            free(rows);
            return ms_fail(error, MS_MEMORY, "no memory for a list of partitions");
        }
    }
    if (count)
        qsort(rows, count, sizeof *rows, by_partition);
    *out = rows;
    *out_count = count;
    return MS_OK;
}

char *ms_service_statistics(struct ms_service *service, int worker, enum ms_client_kind kind)
{
    return ms_report_copy_statistics(&service->workers[worker].report, kind);
}

struct ms_store *ms_service_store(struct ms_service *service)
{
    return service->store;
}

const struct ms_service_options *ms_service_get_options(const struct ms_service *service)
{
    return &service->options;
}
