/* Starting, watching and ending the workers. */
#include "stream/kafka/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "mindstream/record.h"
#include "stream/kafka/check.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/service_inside.h"
#include "stream/replay_plan.h"

#define MIN_BLOCK_CACHE ((size_t)16 << 20)
#define CLOSE_MS        10000 /* what closing its clients may take a worker that has committed and flushed */
#define RENEW_MS        120000 /* the same where another session follows: nobody waits, and brokers may be away */
#define MAX_BLOCK_CACHE ((size_t)1 << 30)

const char *ms_service_librdkafka_version(void)
{
    return rd_kafka_version_str();
}

/* How state.memory.bytes is shared out: to the database's block cache, and to the users of each worker. */
struct shares {
    size_t block_cache_bytes, worker_bytes;
};

static struct shares share_memory(const struct ms_config *config)
{
    size_t all = (size_t)config->state_memory_bytes, cache = all / 8;
    cache = cache < MIN_BLOCK_CACHE ? MIN_BLOCK_CACHE : cache > MAX_BLOCK_CACHE ? MAX_BLOCK_CACHE : cache;
    size_t users = all > 2 * cache ? all - cache : all / 2;
    return (struct shares){.block_cache_bytes = cache, .worker_bytes = users / (size_t)config->workers};
}

/* ---- start ---- */

/* A state that was replayed from files has no offsets of the topic before it is handed over. */
static enum ms_status check_handed(const char *dir, struct ms_error *error)
{
    struct ms_replay_plan plan = {.count = 0};
    bool found = false;
    enum ms_status status = ms_replay_plan_read(&plan, dir, &found, error);
    if (status == MS_OK && found && plan.files && plan.stage != MS_REPLAY_HANDED)
        status = ms_fail(
            error, MS_STATE,
            "%s: holds a replay of files that was not handed over, so nothing says where in the topic "
            "to begin: the same `mindstream replay` with --handoff --to does",
            dir);
    ms_replay_plan_free(&plan);
    return status;
}

static enum ms_status open_store(struct ms_service *service, size_t block_cache_bytes, struct ms_error *error)
{
    const struct ms_config *config = service->options.config;
    struct ms_store_options options = {.dir = config->state_dir,
                                       .application_id = config->application_id,
                                       .input_topic = config->input_topic,
                                       .instance_id = config->instance_id,
                                       .block_cache_bytes = block_cache_bytes};
    enum ms_status status = ms_store_open(&service->store, &options, error);
    return status == MS_OK ? check_handed(config->state_dir, error) : status;
}

/* Transactional ids of workers that a run before had and this one does not: a transaction that such a worker
 * left open would hold readers back, and its offsets are in doubt, until it is settled. */
static enum ms_status settle_unused(struct ms_service *service, struct ms_error *error)
{
    const struct ms_config *config = service->options.config;
    enum ms_status status = MS_OK;
    for (int i = service->count; status == MS_OK && i < ms_store_workers(service->store) &&
                                 config->processing_guarantee == MS_EXACTLY_ONCE;
         i++) {
        char id[512];
        rd_kafka_t *producer = NULL;
        snprintf(id, sizeof id, "%s-%s-%d", config->application_id, ms_store_instance_id(service->store), i);
        status = ms_producer_new(&producer, config, id, id, NULL, NULL, NULL, NULL, 0, error);
        if (status == MS_OK) {
            status = ms_producer_begin(producer, config, id, service->options.stop, NULL, error);
            ms_client_destroy(producer);
        }
    }
    if (status == MS_OK && ms_store_workers(service->store) != service->count)
        status = ms_store_set_workers(service->store, service->count, error);
    return status;
}

static enum ms_status start_workers(struct ms_service *service, size_t worker_bytes, struct ms_error *error)
{
    for (int i = 0; i < service->count; i++) {
        struct ms_worker *worker = &service->workers[i];
        worker->own = *service->options.config;
        worker->config = &worker->own;
        worker->changes = &service->changes;
        worker->number = i;
        worker->stop = &service->stop;
        worker->renewals = &service->renewals;
        worker->instance_id = ms_store_instance_id(service->store);
        worker->logs = &service->logs;
        worker->limits = service->limits;
        worker->engine_options = (struct ms_engine_options){.config = &worker->own,
                                                            .model = service->options.model,
                                                            .store = service->store,
                                                            .decay = &service->options.decay,
                                                            .incremental = service->options.incremental,
                                                            .memory_bytes = worker_bytes,
                                                            .owner = (uint32_t)i + 1};
        pthread_mutex_init(&worker->stats.lock, NULL);
        ms_broker_watch_init(&worker->brokers);
        ms_report_init(&worker->report);
        ms_gate_init(&worker->gate);
        worker->engine_options.gate = &worker->gate;
        if (pthread_create(&worker->thread, NULL, ms_worker_main, worker) != 0)
            return ms_fail(error, MS_MEMORY, "cannot start worker %d", i);
        worker->started = true;
    }
    return MS_OK;
}

static size_t largest_record(const struct ms_service_options *options)
{
    const struct ms_model_config *model = ms_model_config(options->model);
    return ms_record_max_bytes((enum ms_record_format)options->config->output_format,
                               (size_t)options->config->input_id_max_bytes, strlen(model->id),
                               model->interests, model->dim) +
           (size_t)options->config->input_id_max_bytes;
}

enum ms_status ms_service_check(const struct ms_service_options *options, struct ms_error *error)
{
    return ms_kafka_check_record(options->config, largest_record(options), error);
}

enum ms_status ms_service_start(struct ms_service **out, const struct ms_service_options *options,
                                struct ms_error *error)
{
    struct ms_service *service = calloc(1, sizeof *service);
    if (!service)
        return ms_fail(error, MS_MEMORY, "no memory for the service");
    service->options = *options;
    pthread_mutex_init(&service->owners.lock, NULL);
    service->count = (int)options->config->workers;
    service->workers = calloc((size_t)service->count, sizeof *service->workers);
    service->logged_s = ms_monotonic_s();
    const struct shares shares = share_memory(options->config);
    pthread_mutex_init(&service->changes.lock, NULL);
    ms_certificates_note(&service->certificates, options->config);
    enum ms_status status = service->workers ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for the service");
    if (status == MS_OK)
        status = open_store(service, shares.block_cache_bytes, error);
    if (status == MS_OK)
        status = ms_kafka_wait(options->config, largest_record(options), &service->logs, &service->limits,
                               options->stop, error);
    if (status == MS_OK)
        status = settle_unused(service, error);
    if (status == MS_OK)
        status = start_workers(service, shares.worker_bytes, error);
    if (status != MS_OK) {
        atomic_store(&service->stop, 1);
        (void)ms_service_end(service, NULL);
        return status;
    }
    *out = service;
    return MS_OK;
}

/* ---- watching ---- */

void ms_service_renew_clients(struct ms_service *service)
{
    atomic_fetch_add(&service->renewals, 1);
}

/* Says when the brokers are away: once, again every 10 s, and when they are back. The worker that has heard
 * nothing for the longest speaks for all. */
static void tell_brokers(struct ms_service *service)
{
    struct ms_worker *worst = &service->workers[0];
    int64_t silent_ms = 0;
    for (int i = 0; i < service->count; i++) {
        struct ms_worker *worker = &service->workers[i];
        int64_t ms = atomic_load(&worker->done) ? 0 : ms_broker_watch_silent_ms(&worker->brokers);
        if (ms > silent_ms) {
            silent_ms = ms;
            worst = worker;
        }
    }
    int64_t was_ms = service->silence.last_ms;
    switch (ms_silence_look(&service->silence, silent_ms)) {
    case MS_SILENCE_AWAY:
        pthread_mutex_lock(&worst->brokers.lock);
        ms_log(MS_LOG_WARN, "brokers_away", "for_s=%.0f worker=%d bootstrap.servers=%s reason=\"%s\"",
               (double)silent_ms / 1e3, worst->number, service->options.config->bootstrap_servers,
               worst->brokers.reason);
        pthread_mutex_unlock(&worst->brokers.lock);
        break;
    case MS_SILENCE_BACK:
        ms_log(MS_LOG_INFO, "brokers_back", "after_s=%.0f", (double)was_ms / 1e3);
        break;
    case MS_SILENCE_NOTHING:
        break;
    }
}

bool ms_worker_hangs(struct ms_worker *worker)
{
    int64_t now_ms = (int64_t)(ms_monotonic_s() * 1000);
    int64_t closing_ms = atomic_load(&worker->closing_ms), renewing_ms = atomic_load(&worker->renewing_ms);
    if (atomic_load(&worker->done))
        return false;
    return (closing_ms && now_ms - closing_ms > CLOSE_MS) ||
           (renewing_ms && now_ms - renewing_ms > (atomic_load(worker->stop) ? CLOSE_MS : RENEW_MS));
}

bool ms_service_hangs(struct ms_service *service)
{
    for (int i = 0; i < service->count; i++) {
        if (ms_worker_hangs(&service->workers[i]))
            return true;
    }
    return false;
}

bool ms_service_done(struct ms_service *service)
{
    bool all = true;
    if (atomic_load(service->options.stop))
        atomic_store(&service->stop, 1);
    for (int i = 0; i < service->count; i++) {
        if (atomic_load(&service->workers[i].done) || ms_worker_hangs(&service->workers[i]))
            atomic_store(&service->stop, 1); /* one ended: so do all */
        else
            all = false;
    }
    tell_brokers(service);
    if (ms_certificates_renewed(&service->certificates, ms_monotonic_s())) {
        ms_log(MS_LOG_INFO, "certificates", "renewed: each worker makes its clients anew behind a commit");
        ms_service_renew_clients(service);
    }
    return all;
}

bool ms_service_turned(struct ms_service *service)
{
    bool all = true;
    for (int i = 0; i < service->count; i++) {
        struct ms_worker *worker = &service->workers[i];
        bool excused = atomic_load(&worker->done) || atomic_load(&worker->closing_ms) ||
                       atomic_load(&worker->renewing_ms);
        all = all && (excused || ms_counted(&worker->turns) != worker->turns_seen);
    }
    for (int i = 0; all && i < service->count; i++)
        service->workers[i].turns_seen = ms_counted(&service->workers[i].turns);
    return all;
}

struct ms_standing ms_service_standing(struct ms_service *service)
{
    struct ms_standing standing = {.assigned = true};
    for (int i = 0; i < service->count; i++) {
        struct ms_worker *worker = &service->workers[i];
        standing.assigned = standing.assigned && atomic_load(&worker->assigned);
        standing.partitions += atomic_load(&worker->partitions);
        standing.unopened += atomic_load(&worker->unopened);
        standing.replaying += atomic_load(&worker->replaying);
    }
    return standing;
}

void ms_service_reload(struct ms_service *service, const struct ms_config *config)
{
    struct ms_changes *changes = &service->changes;
    struct ms_config now = *service->options.config; /* what only a restart changes stays */
    ms_config_reload(&now, config);
    const struct shares shares = share_memory(&now);
    ms_store_set_cache(service->store, shares.block_cache_bytes);
    pthread_mutex_lock(&changes->lock);
    changes->config = now;
    changes->memory_bytes = shares.worker_bytes;
    atomic_fetch_add(&changes->number, 1);
    pthread_mutex_unlock(&changes->lock);
}

void ms_service_stats(struct ms_service *service, struct ms_stats *total)
{
    for (int i = 0; i < service->count; i++) {
        struct ms_stats *stats = &service->workers[i].stats;
#define MS_ADD(name, help) ms_count(&total->name, ms_counted(&stats->name));
        MS_COUNTERS(MS_ADD)
#undef MS_ADD
        pthread_mutex_lock(&stats->lock);
        ms_histogram_merge(&total->publish_us, &stats->publish_us);
        pthread_mutex_unlock(&stats->lock);
        for (int kind = 0; kind < MS_BAD_KIND_COUNT; kind++)
            ms_count(&total->bad[kind], ms_counted(&stats->bad[kind]));
#define MS_MERGE(name, bounds, help) ms_buckets_merge(&total->name, &stats->name);
        MS_DISTRIBUTIONS(MS_MERGE)
#undef MS_MERGE
    }
}

static uint64_t since(const _Atomic uint64_t *now, const _Atomic uint64_t *before)
{
    return ms_counted(now) - ms_counted(before);
}

void ms_service_log(struct ms_service *service)
{
    struct ms_stats *total = calloc(1, sizeof *total);
    double now_s = ms_monotonic_s(), seconds = now_s - service->logged_s;
    if (!total || seconds <= 0) {
        free(total);
        return;
    }
    ms_service_stats(service, total);
    const struct ms_stats *before = &service->before;
    uint64_t commits = since(&total->commits, &before->commits),
             flushes = since(&total->flushes, &before->flushes);
    ms_log(MS_LOG_INFO, "progress",
           "events_per_s=%.0f events=%" PRIu64 " lag=%" PRIu64 " records=%" PRIu64 " replayed=%" PRIu64
           " users_touched=%" PRIu64 " users_in_memory=%" PRIu64 " memory_mb=%.1f commits=%" PRIu64
           " commit_ms=%.2f flushes=%" PRIu64 " flush_ms=%.1f publish_ms_p50=%.1f "
           "publish_ms_p99=%.1f dead_letters=%" PRIu64 " duplicates=%" PRIu64 " filtered=%" PRIu64
           " unknown_items=%" PRIu64 " key_differs=%" PRIu64 " no_key=%" PRIu64 " forgot_nobody=%" PRIu64
           " overflows=%" PRIu64 " replay_holes=%" PRIu64 " restarts=%" PRIu64,
           (double)since(&total->events, &before->events) / seconds, ms_counted(&total->events),
           ms_counted(&total->lag), ms_counted(&total->records), ms_counted(&total->replayed),
           since(&total->flushed_users, &before->flushed_users), ms_counted(&total->users),
           (double)ms_counted(&total->user_bytes) / 1e6, commits,
           commits ? (double)since(&total->commit_us, &before->commit_us) / 1e3 / (double)commits : 0.0,
           flushes,
           flushes ? (double)since(&total->flush_us, &before->flush_us) / 1e3 / (double)flushes : 0.0,
           (double)ms_histogram_quantile(&total->publish_us, 0.5) / 1e3,
           (double)ms_histogram_quantile(&total->publish_us, 0.99) / 1e3, ms_counted(&total->dead_letters),
           ms_counted(&total->duplicates), ms_counted(&total->filtered), ms_counted(&total->unknown_items),
           ms_counted(&total->key_differs), ms_counted(&total->no_key), ms_counted(&total->forgot_nobody),
           ms_counted(&total->overflows), ms_counted(&total->replay_holes), ms_counted(&total->restarts));
    service->logged_s = now_s;
#define MS_KEEP(name, help) ms_gauge(&service->before.name, ms_counted(&total->name));
    MS_COUNTERS(MS_KEEP)
#undef MS_KEEP
    free(total);
}

/* ---- end ---- */

static void free_owners(struct ms_owners *owners)
{
    if (owners->client) {
        rd_kafka_consumer_close(owners->client);
        ms_client_destroy(owners->client);
    }
    pthread_mutex_destroy(&owners->lock);
}

enum ms_status ms_service_end(struct ms_service *service, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    bool left = false;
    for (int i = 0; service->workers && i < service->count; i++) {
        struct ms_worker *worker = &service->workers[i];
        if (!worker->started)
            continue;
        while (!atomic_load(&worker->done) && !ms_worker_hangs(worker))
            usleep(20000);
        bool hanging = ms_worker_hangs(worker);
        left |= hanging;
        if (!hanging)
            pthread_join(worker->thread, NULL);
        if (status == MS_OK && worker->status != MS_OK) {
            status = worker->status;
            if (error)
                *error = worker->error;
        }
        if (hanging)
            continue;
        pthread_mutex_destroy(&worker->stats.lock);
        ms_broker_watch_destroy(&worker->brokers);
        ms_report_destroy(&worker->report);
        ms_gate_destroy(&worker->gate);
    }
    if (left) /* its thread and the client's still look at all this */
        return status;
    free_owners(&service->owners);
    ms_store_close(service->store);
    pthread_mutex_destroy(&service->changes.lock);
    free(service->workers);
    free(service);
    return status;
}
