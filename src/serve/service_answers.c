/* Answers about the service: metrics, health, readiness, partitions, model, counts. */
#include <string.h>

#include "base/progress.h"
#include "mindstream/model.h"
#include "serve/desk.h"
#include "serve/metric.h"
#include "stream/source.h"
#include "view/json.h"

#define REASON_BYTES 2000

static void start(struct ms_reply *reply)
{
    ms_reply_fail(reply, 503, "the service starts: it opens the state and waits for the brokers");
}

/* Looks at the service. False where that failed: the reply is filled then. */
static bool look(struct ms_desk *desk, struct ms_observed *observed, struct ms_reply *reply)
{
    struct ms_error error;
    if (ms_observe(observed, desk->service, &desk->traffic, &error) == MS_OK)
        return true;
    ms_observed_free(observed);
    ms_reply_failed(reply, &error);
    return false;
}

/* Makes the metrics anew. The lock of the last ones is held: one is made at a time. */
static void make_metrics(struct ms_desk *desk, enum ms_exposition exposition, struct ms_reply *reply)
{
    struct ms_observed observed;
    struct ms_buffer *text = &desk->last_metrics.text[exposition];
    text->size = 0;
    if (!look(desk, &observed, reply))
        return;
    if (ms_metrics_write(&observed, exposition, text))
        desk->last_metrics.at_s[exposition] = ms_monotonic_s();
    ms_observed_free(&observed);
}

void ms_answer_metrics(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct ms_last_metrics *last = &desk->last_metrics;
    enum ms_exposition exposition = ms_exposition_accepted(request->accept);
    pthread_mutex_lock(&last->lock);
    if (ms_monotonic_s() - last->at_s[exposition] > MS_METRICS_FRESH_S || last->text[exposition].size == 0)
        make_metrics(desk, exposition, reply);
    const struct ms_buffer *text = &last->text[exposition];
    if (text->size && ms_buffer_append(&reply->body, text->data, text->size)) {
        reply->code = 200;
        reply->type = ms_exposition_type(exposition);
    } else if (reply->code != 503) {
        ms_reply_fail(reply, 503, "no memory for the metrics");
    }
    pthread_mutex_unlock(&last->lock);
}

/* ---- health and readiness ---- */

static json_t *worker_json(const struct ms_worker_report *worker)
{
    return json_pack("{s:i, s:s, s:b, s:f, s:f}", "worker", worker->number, "phase",
                     ms_worker_phase_name(worker->phase), "hangs", worker->hangs, "turned_s",
                     worker->phase == MS_WORKER_TURNING ? (double)worker->turned_ms / 1e3 : 0.0,
                     "brokers_silent_s", (double)worker->silent_ms / 1e3);
}

void ms_answer_health(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    (void)request;
    json_t *workers = json_array();
    bool healthy = true;
    for (int i = 0; desk->service && i < ms_service_workers(desk->service); i++) {
        struct ms_worker_report worker = ms_service_worker(desk->service, i);
        healthy &= !worker.hangs;
        json_array_append_new(workers, worker_json(&worker));
    }
    ms_reply_json(reply, json_pack("{s:b, s:o}", "healthy", healthy, "workers", workers));
    if (reply->code == 200 && !healthy)
        reply->code = 503;
}

void ms_answer_ready(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct ms_observed observed;
    char reason[REASON_BYTES] = "";
    (void)request;
    if (!look(desk, &observed, reply))
        return;
    bool ready = ms_observed_ready(&observed, reason, sizeof reason);
    ms_reply_json(
        reply, json_pack("{s:b, s:o?, s:i}", "ready", ready, "reason",
                         ready ? json_null() : ms_view_json_bytes((struct ms_bytes){reason, strlen(reason)}),
                         "partitions", (int)observed.partition_count));
    if (reply->code == 200 && !ready)
        reply->code = 503;
    ms_observed_free(&observed);
}

/* ---- partitions ---- */

/* An offset; null where it is not known. */
static json_t *offset_json(int64_t offset)
{
    return offset < 0 ? json_null() : json_integer(offset);
}

static json_t *lag_json(const struct ms_partition_report *row)
{
    if (row->next < 0 || row->log_end < 0)
        return json_null();
    return json_integer(row->log_end > row->next ? row->log_end - row->next : 0);
}

static json_t *partition_json(const struct ms_partition_report *row, const struct ms_config *config)
{
    json_t *reason = row->reason[0] ? ms_view_json_bytes((struct ms_bytes){row->reason, strlen(row->reason)})
                                    : json_null();
    return json_pack(
        "{s:s, s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "topic",
        ms_source_topic(row->source, config), "partition", row->partition, "worker", row->worker, "state",
        ms_partition_state_name(row->state), "reason", reason, "committed", offset_json(row->committed),
        "applied", offset_json(row->applied), "next", offset_json(row->next), "replay_until",
        offset_json(row->replay_until > 0 ? row->replay_until : -1), "log_start", offset_json(row->log_start),
        "log_end", offset_json(row->log_end), "lag", lag_json(row), "last_record_time",
        ms_view_json_time(row->last_time_ms > 0 ? row->last_time_ms : INT64_MIN), "owes", row->owes);
}

void ms_answer_partitions(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct ms_partition_report *rows;
    struct ms_error error;
    size_t count;
    (void)request;
    if (!desk->service) {
        start(reply);
        return;
    }
    if (ms_service_partitions(desk->service, &rows, &count, &error) != MS_OK) {
        ms_reply_failed(reply, &error);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, partition_json(&rows[i], desk->config));
    free(rows);
    ms_reply_json(
        reply, json_pack("{s:s, s:o}", "application_id", desk->config->application_id, "partitions", list));
}

/* ---- model ---- */

void ms_answer_model(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    (void)request;
    if (!desk->service) {
        start(reply);
        return;
    }
    const struct ms_service_options *options = ms_service_get_options(desk->service);
    const struct ms_model_config *config = ms_model_config(options->model);
    ms_reply_json(reply, json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:s}", "model", config->id,
                                   "extractor", config->extractor_name, "routing_mode",
                                   options->incremental ? "incremental" : "full", "items",
                                   (int)ms_model_item_count(options->model), "dim", config->dim, "interests",
                                   config->interests, "max_behaviors", config->max_behaviors, "bytes",
                                   (json_int_t)ms_model_bytes(options->model), "directory",
                                   desk->config->model_dir));
}

/* ---- counts ---- */

static json_t *counts_json(const struct ms_stats *total)
{
    json_t *counts = json_object();
#define MS_PUT(name, help)                                                                                   \
    json_object_set_new(counts, #name, json_integer((json_int_t)ms_counted(&total->name)));
    MS_COUNTERS(MS_PUT)
#undef MS_PUT
    return counts;
}

static json_t *bad_json(const struct ms_stats *total)
{
    json_t *counts = json_object();
#define MS_PUT(name, text, help)                                                                             \
    json_object_set_new(counts, #name, json_integer((json_int_t)ms_counted(&total->bad[MS_BAD_##name])));
    MS_BAD_KINDS(MS_PUT)
#undef MS_PUT
    return counts;
}

void ms_answer_stats(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct ms_observed observed;
    (void)request;
    if (!desk->service) {
        start(reply);
        return;
    }
    if (!look(desk, &observed, reply))
        return;
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:f, s:f, s:I, s:o, s:o, s:o}", "application_id", desk->config->application_id,
        "instance_id", ms_store_instance_id(ms_service_store(desk->service)), "version", MINDSTREAM_VERSION,
        "started_s", observed.process.started_s, "cpu_s", observed.process.cpu_s, "resident_bytes",
        (json_int_t)observed.process.resident_bytes, "counts", counts_json(&observed.total), "dead_letters",
        bad_json(&observed.total), "publish_ms",
        json_pack("{s:f, s:f}", "p50", (double)ms_histogram_quantile(&observed.total.publish_us, 0.5) / 1e3,
                  "p99", (double)ms_histogram_quantile(&observed.total.publish_us, 0.99) / 1e3));
    ms_reply_json(reply, root);
    ms_observed_free(&observed);
}
