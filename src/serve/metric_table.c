/* The rows. */
#include <stdio.h>

#include "mindstream/model.h"
#include "serve/metric.h"
#include "stream/source.h"

typedef const struct ms_metric metric;
typedef const struct ms_observed observed;

#define STAT(field)     .at = offsetof(struct ms_stats, field)
#define IN(type, field) .at = offsetof(type, field)
#define TEXT_BYTES      24

/* ---- reading ---- */

static const void *field(const void *base, metric *m)
{
    return (const char *)base + m->at;
}

static void read_stat(metric *m, observed *o, struct ms_samples *samples)
{
    if (o->options)
        ms_sample(samples, m, (double)ms_counted(field(&o->total, m)), NULL);
}

static void read_distribution(metric *m, observed *o, struct ms_samples *samples)
{
    if (o->options)
        ms_sample_histogram(samples, m, field(&o->total, m));
}

static void read_bad(metric *m, observed *o, struct ms_samples *samples)
{
    static const char *const names[] = {
#define MS_NAME(name, text, help) #name,
        MS_BAD_KINDS(MS_NAME)
#undef MS_NAME
    };
    for (int kind = 0; o->options && kind < MS_BAD_KIND_COUNT; kind++)
        ms_sample(samples, m, (double)ms_counted(&o->total.bad[kind]), &names[kind]);
}

static void read_build(metric *m, observed *o, struct ms_samples *samples)
{
    (void)o;
    const char *const values[] = {MINDSTREAM_VERSION, ms_service_librdkafka_version(),
                                  ms_store_rocksdb_version()};
    ms_sample(samples, m, 1, values);
}

static void read_model(metric *m, observed *o, struct ms_samples *samples)
{
    if (!o->options)
        return;
    const struct ms_model_config *config = ms_model_config(o->options->model);
    const char *const values[] = {config->id, config->extractor_name,
                                  o->options->incremental ? "incremental" : "full"};
    ms_sample(samples, m, 1, values);
}

static void read_process(metric *m, observed *o, struct ms_samples *samples)
{
    ms_sample(samples, m, (double)*(const uint64_t *)field(&o->process, m), NULL);
}

static void read_process_s(metric *m, observed *o, struct ms_samples *samples)
{
    ms_sample(samples, m, *(const double *)field(&o->process, m), NULL);
}

static void read_memory_limit(metric *m, observed *o, struct ms_samples *samples)
{
    if (o->options)
        ms_sample(samples, m, (double)o->options->config->state_memory_bytes, NULL);
}

static void read_ready(metric *m, observed *o, struct ms_samples *samples)
{
    char reason[8];
    ms_sample(samples, m, ms_observed_ready(o, reason, sizeof reason), NULL);
}

/* ---- the database and the clients ---- */

static void read_store(metric *m, observed *o, struct ms_samples *samples)
{
    if (o->options)
        ms_sample(samples, m, (double)*(const uint64_t *)field(&o->store, m), NULL);
}

static void read_levels(metric *m, observed *o, struct ms_samples *samples)
{
    for (int level = 0; o->options && level < MS_FIGURES_LEVELS; level++) {
        char number[TEXT_BYTES];
        const char *const values[] = {number};
        snprintf(number, sizeof number, "%d", level);
        ms_sample(samples, m, (double)o->store.files[level], values);
    }
}

/* Of one kind of client where the row has one label (worker), of both where it has two. */
static void each_client(metric *m, observed *o, struct ms_samples *samples, unsigned kinds)
{
    static const char *const names[] = {"consumer", "producer"};
    for (int i = 0; o->client_known && i < o->worker_count * MS_CLIENT_KINDS; i++) {
        char number[TEXT_BYTES];
        const char *const values[] = {number, names[i % MS_CLIENT_KINDS]};
        snprintf(number, sizeof number, "%d", i / MS_CLIENT_KINDS);
        if (o->client_known[i] && kinds & 1u << i % MS_CLIENT_KINDS)
            ms_sample(samples, m, *(const double *)field(&o->clients[i], m), values);
    }
}

static void read_client(metric *m, observed *o, struct ms_samples *samples)
{
    each_client(m, o, samples, 1u << MS_CLIENT_CONSUMER | 1u << MS_CLIENT_PRODUCER);
}

static void read_consumer(metric *m, observed *o, struct ms_samples *samples)
{
    each_client(m, o, samples, 1u << MS_CLIENT_CONSUMER);
}

static void read_transaction(metric *m, observed *o, struct ms_samples *samples)
{
    for (int i = 0; o->client_known && i < o->worker_count; i++) {
        int at = i * MS_CLIENT_KINDS + MS_CLIENT_PRODUCER;
        char number[TEXT_BYTES];
        const char *const values[] = {number, o->clients[at].transaction};
        snprintf(number, sizeof number, "%d", i);
        if (o->client_known[at] && o->clients[at].transaction[0])
            ms_sample(samples, m, 1, values);
    }
}

/* ---- by worker ---- */

typedef double worker_value(const struct ms_worker_report *worker);

static void each_worker(metric *m, observed *o, struct ms_samples *samples, worker_value *value)
{
    for (int i = 0; i < o->worker_count; i++) {
        char number[TEXT_BYTES];
        const char *const values[] = {number};
        snprintf(number, sizeof number, "%d", i);
        ms_sample(samples, m, value(&o->workers[i]), values);
    }
}

static double turned_s(const struct ms_worker_report *worker)
{
    return worker->phase == MS_WORKER_TURNING ? (double)worker->turned_ms / 1e3 : 0;
}

static void read_turned(metric *m, observed *o, struct ms_samples *samples)
{
    each_worker(m, o, samples, turned_s);
}

static double silent_s(const struct ms_worker_report *worker)
{
    return (double)worker->silent_ms / 1e3;
}

static void read_silent(metric *m, observed *o, struct ms_samples *samples)
{
    each_worker(m, o, samples, silent_s);
}

/* ---- by partition ---- */

/* The value of a row; false where it has none. */
typedef bool partition_value(const struct ms_partition_report *row, double now_s, double *value);

static void each_partition(metric *m, observed *o, struct ms_samples *samples, partition_value *value)
{
    for (size_t i = 0; i < o->partition_count; i++) {
        const struct ms_partition_report *row = &o->partitions[i];
        char number[TEXT_BYTES];
        const char *const values[] = {ms_source_topic(row->source, o->options->config), number};
        double found;
        snprintf(number, sizeof number, "%d", row->partition);
        if (value(row, o->now_s, &found))
            ms_sample(samples, m, found, values);
    }
}

static bool lag_records(const struct ms_partition_report *row, double now_s, double *value)
{
    (void)now_s;
    *value = row->log_end > row->next ? (double)(row->log_end - row->next) : 0;
    return row->next >= 0 && row->log_end >= 0;
}

static void read_lag(metric *m, observed *o, struct ms_samples *samples)
{
    each_partition(m, o, samples, lag_records);
}

static bool lag_seconds(const struct ms_partition_report *row, double now_s, double *value)
{
    double records;
    if (!lag_records(row, now_s, &records) || (records > 0 && row->last_time_ms <= 0))
        return false;
    double behind_s = now_s - (double)row->last_time_ms / 1e3;
    *value = records > 0 && behind_s > 0 ? behind_s : 0;
    return true;
}

static void read_lag_seconds(metric *m, observed *o, struct ms_samples *samples)
{
    each_partition(m, o, samples, lag_seconds);
}

static bool last_record(const struct ms_partition_report *row, double now_s, double *value)
{
    (void)now_s;
    *value = (double)row->last_time_ms / 1e3;
    return row->last_time_ms > 0;
}

static void read_last_record(metric *m, observed *o, struct ms_samples *samples)
{
    each_partition(m, o, samples, last_record);
}

static bool committed_offset(const struct ms_partition_report *row, double now_s, double *value)
{
    (void)now_s;
    *value = (double)row->committed;
    return row->committed >= 0;
}

static void read_committed(metric *m, observed *o, struct ms_samples *samples)
{
    each_partition(m, o, samples, committed_offset);
}

static bool applied_offset(const struct ms_partition_report *row, double now_s, double *value)
{
    (void)now_s;
    *value = (double)row->applied;
    return row->applied >= 0;
}

static void read_applied(metric *m, observed *o, struct ms_samples *samples)
{
    each_partition(m, o, samples, applied_offset);
}

static bool replay_records(const struct ms_partition_report *row, double now_s, double *value)
{
    (void)now_s;
    *value = row->replay_until > row->next ? (double)(row->replay_until - row->next) : 0;
    return row->next >= 0;
}

static void read_replay(metric *m, observed *o, struct ms_samples *samples)
{
    each_partition(m, o, samples, replay_records);
}

static void read_states(metric *m, observed *o, struct ms_samples *samples)
{
    for (int state = MS_PARTITION_OPENING; o->options && state < MS_PARTITION_STATE_COUNT; state++) {
        size_t count = 0;
        for (size_t i = 0; i < o->partition_count; i++)
            count += o->partitions[i].source == MS_SOURCE_CLICKS && (int)o->partitions[i].state == state;
        const char *const values[] = {ms_partition_state_name((enum ms_partition_state)state)};
        ms_sample(samples, m, (double)count, values);
    }
}

/* ---- of the HTTP server ---- */

static void read_requests(metric *m, observed *o, struct ms_samples *samples)
{
    for (int route = 0; o->traffic && route < MS_TRAFFIC_ROUTES; route++) {
        for (int hundreds = 1; hundreds < 6; hundreds++) {
            uint64_t count = atomic_load_explicit(&o->traffic->requests[route][hundreds],
                                                  memory_order_relaxed);
            char status[8];
            const char *const values[] = {o->traffic->routes[route], status};
            snprintf(status, sizeof status, "%dxx", hundreds);
            if (count)
                ms_sample(samples, m, (double)count, values);
        }
    }
}

static void read_traffic(metric *m, observed *o, struct ms_samples *samples)
{
    if (o->traffic)
        ms_sample(samples, m,
                  (double)atomic_load_explicit((const _Atomic uint64_t *)field(o->traffic, m),
                                               memory_order_relaxed),
                  NULL);
}

static void read_answering(metric *m, observed *o, struct ms_samples *samples)
{
    if (o->traffic)
        ms_sample(samples, m,
                  (double)atomic_load_explicit(&o->traffic->seconds_ns, memory_order_relaxed) / 1e9, NULL);
}

static void read_connections(metric *m, observed *o, struct ms_samples *samples)
{
    if (o->traffic)
        ms_sample(samples, m, (double)atomic_load_explicit(&o->traffic->connections, memory_order_relaxed),
                  NULL);
}

/* ---- the table ---- */

/* clang-format off */
#define COUNTER(name_, unit_, help_, ...)   {.name = "mindstream_" name_, .type = MS_METRIC_COUNTER, .unit = unit_, .help = help_, __VA_ARGS__}
#define GAUGE(name_, unit_, help_, ...)     {.name = "mindstream_" name_, .type = MS_METRIC_GAUGE, .unit = unit_, .help = help_, __VA_ARGS__}
#define HISTOGRAM(name_, unit_, bounds_, help_, ...) {.name = "mindstream_" name_, .type = MS_METRIC_HISTOGRAM, .unit = unit_, .help = help_, .labels = "", .bounds = &bounds_, __VA_ARGS__}
#define BY(labels_, read_)                  .labels = labels_, .read = read_
#define STATS(field_)                       .read = read_stat, STAT(field_)
#define DISTRIBUTION(field_)                .read = read_distribution, STAT(field_)

const struct ms_metric ms_metric_table[] = {
    {.name = "mindstream_build_info", .type = MS_METRIC_INFO, .unit = "", .help = "Versions of this program and of what it runs on; always 1.", BY("version librdkafka rocksdb", read_build)},
    {.name = "mindstream_model_info", .type = MS_METRIC_INFO, .unit = "", .help = "The model that is served and how it is routed; always 1.", BY("model extractor mode", read_model)},
    GAUGE("ready", "", "1 when all partitions are read and published, as /readyz says.", .read = read_ready),

    COUNTER("events_read_total", "", "Records read from the input topics.", STATS(events)),
    COUNTER("events_folded_total", "", "Events folded into users and to be published.", STATS(accepted)),
    COUNTER("events_replayed_total", "", "Events folded again in silence, because their output is there already.", STATS(replayed)),
    COUNTER("events_duplicate_total", "", "Exact duplicates of kept behaviors, dropped.", STATS(duplicates)),
    COUNTER("events_late_total", "", "Events older than the newest of their user, inserted where they belong.", STATS(late)),
    COUNTER("events_filtered_total", "", "Events of types that are not among input.types.", STATS(filtered)),
    COUNTER("events_unknown_item_total", "", "Events whose item the model does not know; kept, but without a slot.", STATS(unknown_items)),
    COUNTER("events_dead_letter_total", "", "Records that could not be decoded, by what is wrong with them.", BY("reason", read_bad)),
    COUNTER("events_key_differs_total", "", "Records whose key is not their user: the state of users may be split over partitions.", STATS(key_differs)),
    COUNTER("events_no_key_total", "", "Records without a key.", STATS(no_key)),
    COUNTER("replay_holes_total", "", "Offsets of replays that gave no record where the log is compacted.", STATS(replay_holes)),
    COUNTER("profiles_changed_total", "", "Profiles that changed.", STATS(profiles)),
    COUNTER("users_forgotten_total", "", "Users forgotten by a null value.", STATS(forgotten)),
    COUNTER("users_forgot_nobody_total", "", "Null values for users that are not there.", STATS(forgot_nobody)),

    COUNTER("records_published_total", "", "Records published, null values included.", STATS(records)),
    COUNTER("records_withheld_total", "", "Publications put off, because user.max.publish.rate allows the user no record yet.", STATS(withheld)),
    COUNTER("interests_refreshed_total", "", "Interest vectors made for publishing.", STATS(interests)),
    COUNTER("interests_overflow_total", "", "Records without interests, because their vectors left float32.", STATS(overflows)),
    HISTOGRAM("interest_weight_entropy", "", ms_bounds_share, "Entropy of a user's interest weights, as a share of its maximum; of one published user in 64.", DISTRIBUTION(weight_entropy)),
    HISTOGRAM("interest_cosine_distance", "", ms_bounds_distance, "One less the cosine of each pair of a user's interests, 0 where they are the same; of one published user in 64.", DISTRIBUTION(interest_distance)),

    HISTOGRAM("event_to_fold_seconds", "seconds", ms_bounds_latency, "From a record's timestamp to when it was folded.", DISTRIBUTION(event_to_fold)),
    HISTOGRAM("event_to_commit_seconds", "seconds", ms_bounds_latency, "From a record's timestamp to when its commit began.", DISTRIBUTION(event_to_commit)),
    HISTOGRAM("event_to_visible_seconds", "seconds", ms_bounds_latency, "From a record's timestamp to when its commit had succeeded: readers of committed records see its output.", DISTRIBUTION(event_to_visible)),
    HISTOGRAM("commit_seconds", "seconds", ms_bounds_duration, "How long commits take.", DISTRIBUTION(commit_seconds)),
    HISTOGRAM("flush_seconds", "seconds", ms_bounds_duration, "How long flushes of the state take, beside the stream.", DISTRIBUTION(flush_seconds)),
    HISTOGRAM("replay_seconds", "seconds", ms_bounds_latency, "From a partition's assignment to the end of its replay.", DISTRIBUTION(replay_seconds)),
    COUNTER("session_restarts_total", "", "Times a worker began anew after a transaction had failed.", STATS(restarts)),

    COUNTER("state_user_reads_total", "", "Users looked up in the database, because they were not in memory.", STATS(user_reads)),
    COUNTER("state_user_reads_found_total", "", "Of these, those that were there.", STATS(users_found)),
    COUNTER("state_chunk_reads_total", "", "Pieces of histories looked up in the database.", STATS(chunk_reads)),
    COUNTER("state_user_writes_total", "", "Users written by flushes.", STATS(flushed_users)),
    GAUGE("state_users", "", "Users in memory.", STATS(users)),
    GAUGE("state_user_bytes", "bytes", "Memory of the users.", STATS(user_bytes)),
    GAUGE("state_memory_limit_bytes", "bytes", "state.memory.bytes: what users and the database's caches may take together.", .read = read_memory_limit),

    GAUGE("state_db_files", "", "Files of the database, by level.", BY("level", read_levels)),
    GAUGE("state_db_file_bytes", "bytes", "Size of these files.", .read = read_store, IN(struct ms_store_figures, file_bytes)),
    GAUGE("state_db_pending_compaction_bytes", "bytes", "What compactions have to rewrite, as RocksDB estimates it.", .read = read_store, IN(struct ms_store_figures, pending_compaction_bytes)),
    GAUGE("state_db_compactions_running", "", "Compactions that run now.", .read = read_store, IN(struct ms_store_figures, compactions_running)),
    GAUGE("state_db_writes_stopped", "", "1 while writes wait for compactions.", .read = read_store, IN(struct ms_store_figures, writes_stopped)),
    COUNTER("state_db_compaction_read_bytes_total", "bytes", "Read by compactions.", .read = read_store, IN(struct ms_store_figures, compaction_read_bytes)),
    COUNTER("state_db_compaction_written_bytes_total", "bytes", "Written by compactions.", .read = read_store, IN(struct ms_store_figures, compaction_written_bytes)),
    GAUGE("state_db_cache_bytes", "bytes", "Of the block cache, which holds filters and indexes.", .read = read_store, IN(struct ms_store_figures, cache_bytes)),
    GAUGE("state_db_cache_limit_bytes", "bytes", "What the block cache may take.", .read = read_store, IN(struct ms_store_figures, cache_limit_bytes)),
    COUNTER("state_db_cache_hits_total", "", "Blocks found in the block cache.", .read = read_store, IN(struct ms_store_figures, cache_hits)),
    COUNTER("state_db_cache_misses_total", "", "Blocks not found there.", .read = read_store, IN(struct ms_store_figures, cache_misses)),
    COUNTER("state_db_filter_spared_total", "", "Look-ups in a file that its filter has answered.", .read = read_store, IN(struct ms_store_figures, filter_spared)),

    GAUGE("kafka_client_queue_records", "", "Records of a producer that are not sent, of a consumer that are fetched and not taken.", BY("worker client", read_client), IN(struct ms_client_figures, queue_records)),
    GAUGE("kafka_client_queue_bytes", "bytes", "The size of these records.", BY("worker client", read_client), IN(struct ms_client_figures, queue_bytes)),
    GAUGE("kafka_client_requests_waiting", "", "Requests of a client that are not sent or not answered yet.", BY("worker client", read_client), IN(struct ms_client_figures, requests_waiting)),
    GAUGE("kafka_client_round_trip_seconds", "seconds", "Mean time until a broker has answered, of the slowest one, over 5 s.", BY("worker client", read_client), IN(struct ms_client_figures, round_trip_s)),
    GAUGE("kafka_client_round_trip_p99_seconds", "seconds", "The same, of 99 in 100 requests.", BY("worker client", read_client), IN(struct ms_client_figures, round_trip_p99_s)),
    GAUGE("kafka_client_throttle_seconds", "seconds", "The longest that a broker has asked a client to pause, over 5 s.", BY("worker client", read_client), IN(struct ms_client_figures, throttle_s)),
    GAUGE("kafka_client_brokers_up", "", "Brokers that a client is connected to.", BY("worker client", read_client), IN(struct ms_client_figures, brokers_up)),
    COUNTER("kafka_client_sent_bytes_total", "bytes", "Sent by a client; begins anew with a session.", BY("worker client", read_client), IN(struct ms_client_figures, sent_bytes)),
    COUNTER("kafka_client_received_bytes_total", "bytes", "Received by a client; begins anew with a session.", BY("worker client", read_client), IN(struct ms_client_figures, received_bytes)),
    COUNTER("kafka_client_rebalances_total", "", "Rebalances of the group; begins anew with a session.", BY("worker", read_consumer), IN(struct ms_client_figures, rebalances)),
    GAUGE("kafka_client_transaction_state", "", "1 for the state of a worker's transaction.", BY("worker state", read_transaction)),

    GAUGE("partitions", "", "Partitions of the input topic that this instance holds, by state.", BY("state", read_states)),
    GAUGE("partition_lag_records", "", "Records between what is folded and the end of the log.", BY("topic partition", read_lag)),
    GAUGE("partition_lag_seconds", "seconds", "How old the last folded record is while others wait behind it, 0 where none do.", BY("topic partition", read_lag_seconds)),
    GAUGE("partition_last_record_processed_timestamp_seconds", "seconds", "Timestamp of the last record that was folded, since 1970.", BY("topic partition", read_last_record)),
    GAUGE("partition_committed_offset", "", "The group's offset: everything below it is published.", BY("topic partition", read_committed)),
    GAUGE("partition_applied_offset", "", "The state's offset: everything below it is in the state on disk, or on its way there.", BY("topic partition", read_applied)),
    GAUGE("partition_replay_records", "", "Records that are left to be folded in silence.", BY("topic partition", read_replay)),

    GAUGE("worker_turned_seconds", "seconds", "For how long a worker's loop has not turned; 0 while it waits for brokers.", BY("worker", read_turned)),
    GAUGE("worker_brokers_silent_seconds", "seconds", "For how long a worker has heard nothing of its brokers.", BY("worker", read_silent)),

    COUNTER("http_requests_total", "", "Requests answered, by route and hundreds of the status.", BY("route status", read_requests)),
    COUNTER("http_request_seconds_total", "seconds", "Time spent in answering requests.", .read = read_answering),
    COUNTER("http_requests_limited_total", "", "Requests refused, because a client sent too many.", .read = read_traffic, IN(struct ms_traffic, limited)),
    COUNTER("http_connections_cut_total", "", "Connections cut, because a client took too long.", .read = read_traffic, IN(struct ms_traffic, cut)),
    GAUGE("http_connections", "", "Open connections.", .read = read_connections),

    GAUGE("process_resident_memory_bytes", "bytes", "Resident memory of the process.", .read = read_process, IN(struct ms_process_figures, resident_bytes)),
    GAUGE("process_open_fds", "", "Open file descriptors.", .read = read_process, IN(struct ms_process_figures, descriptors)),
    GAUGE("process_max_fds", "", "File descriptors that the process may open.", .read = read_process, IN(struct ms_process_figures, descriptors_max)),
    COUNTER("process_cpu_seconds_total", "seconds", "CPU time of the process.", .read = read_process_s, IN(struct ms_process_figures, cpu_s)),
    GAUGE("process_start_time_seconds", "seconds", "When the process began, since 1970.", .read = read_process_s, IN(struct ms_process_figures, started_s)),
};
/* clang-format on */

const size_t ms_metric_count = sizeof ms_metric_table / sizeof ms_metric_table[0];
