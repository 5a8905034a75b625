/* Gathering, and what readiness means. */
#include "serve/observed.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "stream/source.h"

#define NAMED 5 /* partitions that a reason names */

static uint64_t resident_bytes(void)
{
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t descriptors(void)
{
    uint64_t count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (list && readdir(list))
        count++;
    if (list)
        closedir(list);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the list's own */
}

/* When this process began, in seconds since 1970; 0 where /proc does not tell. */
static double started_s(double now_s)
{
    unsigned long long ticks = 0;
    double up_s = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    bool known = file && fscanf(file,
                                "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
                                "%*d %*d %*d %*d %llu",
                                &ticks) == 1;
    if (file)
        fclose(file);
    file = fopen("/proc/uptime", "re");
    known = known && file && fscanf(file, "%lf", &up_s) == 1;
    if (file)
        fclose(file);
    return known ? now_s - up_s + (double)ticks / (double)sysconf(_SC_CLK_TCK) : 0;
}

static void look_at_process(struct ms_process_figures *figures, double now_s)
{
    struct rusage usage = {0};
    struct rlimit limit = {0};
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &limit);
    *figures = (struct ms_process_figures){
        .resident_bytes = resident_bytes(),
        .descriptors = descriptors(),
        .descriptors_max = limit.rlim_cur,
        .cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
        .started_s = started_s(now_s)};
}

static enum ms_status look_at_clients(struct ms_observed *observed, struct ms_service *service,
                                      struct ms_error *error)
{
    size_t count = (size_t)observed->worker_count * MS_CLIENT_KINDS;
    observed->clients = calloc(count, sizeof *observed->clients);
    observed->client_known = calloc(count, sizeof *observed->client_known);
    if (!observed->clients || !observed->client_known)
        return ms_fail(error, MS_MEMORY, "no memory for a list of clients");
    for (size_t i = 0; i < count; i++) {
        char *text = ms_service_statistics(service, (int)i / MS_CLIENT_KINDS,
                                           (enum ms_client_kind)(i % MS_CLIENT_KINDS));
        observed->client_known[i] = text && ms_client_figures_read(&observed->clients[i], text);
        free(text);
    }
    return MS_OK;
}

enum ms_status ms_observe(struct ms_observed *observed, struct ms_service *service,
                          const struct ms_traffic *traffic, struct ms_error *error)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(observed, 0, sizeof *observed);
    observed->now_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    observed->traffic = traffic;
    look_at_process(&observed->process, observed->now_s);
    if (!service)
        return MS_OK;
    observed->options = ms_service_get_options(service);
    pthread_mutex_init(&observed->total.lock, NULL);
    ms_service_stats(service, &observed->total);
    pthread_mutex_destroy(&observed->total.lock);
    observed->worker_count = ms_service_workers(service);
    observed->workers = calloc((size_t)observed->worker_count, sizeof *observed->workers);
    if (!observed->workers)
        return ms_fail(error, MS_MEMORY, "no memory for a list of workers");
    for (int i = 0; i < observed->worker_count; i++)
        observed->workers[i] = ms_service_worker(service, i);
    ms_store_figures(ms_service_store(service), &observed->store);
    enum ms_status status = look_at_clients(observed, service, error);
    return status == MS_OK
               ? ms_service_partitions(service, &observed->partitions, &observed->partition_count, error)
               : status;
}

void ms_observed_free(struct ms_observed *observed)
{
    free(observed->workers);
    free(observed->partitions);
    free(observed->clients);
    free(observed->client_known);
}

/* ---- readiness ---- */

/* Why a partition does not take events yet; NULL where it does. */
static const char *not_ready(const struct ms_partition_report *row)
{
    if (row->state != MS_PARTITION_LIVE)
        return row->reason[0] ? row->reason : ms_partition_state_name(row->state);
    return row->owes ? "publishes again what another model had published" : NULL;
}

static bool partitions_ready(const struct ms_observed *observed, char *reason, size_t size)
{
    size_t waiting = 0, used = 0;
    for (size_t i = 0; i < observed->partition_count; i++) {
        const struct ms_partition_report *row = &observed->partitions[i];
        const char *why = not_ready(row);
        waiting += why != NULL;
        if (!why || waiting > NAMED)
            continue;
        int n = snprintf(reason + used, size - used, "%s%s partition %d: %s", used ? "; " : "",
                         ms_source_topic(row->source, observed->options->config), row->partition, why);
        used = (size_t)n < size - used ? used + (size_t)n : size - 1;
        if (row->state == MS_PARTITION_REPLAYING && row->replay_until > row->next) {
            n = snprintf(reason + used, size - used, " (%lld of its events left)",
                         (long long)(row->replay_until - row->next));
            used = (size_t)n < size - used ? used + (size_t)n : size - 1;
        }
    }
    if (waiting > NAMED)
        snprintf(reason + used, size - used, "; and %zu more", waiting - NAMED);
    return waiting == 0;
}

bool ms_observed_ready(const struct ms_observed *observed, char *reason, size_t size)
{
    if (!observed->options) {
        snprintf(reason, size, "the service starts: it opens the state and waits for the brokers");
        return false;
    }
    for (int i = 0; i < observed->worker_count; i++) {
        const struct ms_worker_report *worker = &observed->workers[i];
        if (worker->phase == MS_WORKER_ENDED)
            snprintf(reason, size, "worker %d has ended", i);
        else if (!worker->assigned)
            snprintf(reason, size, "worker %d waits for its partitions", i);
        else
            continue;
        return false;
    }
    return partitions_ready(observed, reason, size);
}
