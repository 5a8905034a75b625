/* Making clients, telling errors apart, waiting. */
#include "stream/kafka/clients.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "stream/kafka/access.h"
#include "stream/kafka/client_context.h"
#include "stream/kafka/redact.h"
#include "stream/kafka/thread_arena.h"
#include "stream/kafka/topic_config.h"
#include "stream/source.h"

#define STATISTICS_MS "5000" /* between two statistics of a client, as text */

struct setting {
    const char *key, *value;
};

void ms_kafka_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    char shown[1024] = "";
    /* A broker that is away is told of by who waits for it; its repetition is for debugging. */
    bool noise = strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 ||
                 strcmp(facility, "SSLCERTVRFY") == 0;
    enum ms_log_level as = noise || level > 5 ? MS_LOG_DEBUG : level > 3 ? MS_LOG_INFO : MS_LOG_WARN;
    /* With debug=conf the client lists all its settings with their values. */
    if (!ms_log_enabled(as) || strcmp(facility, "CONF") == 0)
        return;
    snprintf(shown, sizeof shown, "%s", rk ? text : "(not shown before the client is made)");
    ms_redact_client(shown, rk);
    ms_log(as, "librdkafka", "facility=%s text=\"%s\"", facility, shown);
}

static void client_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    ms_client_said(rk, facility, text);
    ms_kafka_log(rk, level, facility, text);
}

static enum ms_status set(rd_kafka_conf_t *conf, const char *key, const char *value, struct ms_error *error)
{
    char text[512];
    if (rd_kafka_conf_set(conf, key, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        return ms_fail(error, MS_CONFIG, "librdkafka refuses %s=%s: %s", key, value, text);
    return MS_OK;
}

/* A setting that passes through. librdkafka's text quotes the value; of it only the ends of a range are shown. */
static enum ms_status set_passed(rd_kafka_conf_t *conf, const struct ms_passthrough *pass,
                                 struct ms_error *error)
{
    static const char range[] = "outside allowed range ";
    char text[512] = "";
    const char *name = pass->name ? pass->name : pass->key;
    const char *where = pass->where ? pass->where : "settings";
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, pass->key, pass->value, text, sizeof text);
    if (result == RD_KAFKA_CONF_OK)
        return MS_OK;
    if (result == RD_KAFKA_CONF_UNKNOWN)
        return ms_fail(error, MS_CONFIG, "%s: %s: librdkafka %s has no such key", where, name,
                       rd_kafka_version_str());
    const char *ends = strstr(text, range);
    ends = ends ? ends + strlen(range) : "";
    int size = (int)strspn(ends, "0123456789.-");
    return ms_fail(error, MS_CONFIG,
                   "%s: %s: librdkafka does not take its value%s%.*s (values are not shown)", where, name,
                   size ? "; legal is " : "", size, ends);
}

/* The service's own defaults, then what is passed through, then what is not up for choice. */
static enum ms_status configure(rd_kafka_conf_t *conf, const struct ms_config *config, bool consumer,
                                const struct setting *defaults, const struct setting *fixed,
                                struct ms_error *error)
{
    enum ms_status status = set(conf, "socket.nagle.disable", "true", error);
    /* A newer client (2.16) begins again from bootstrap.servers when its brokers are away. It may lose its way to
     * the transaction coordinator then, and a call that asks it never returns. Older ones have no such key. */
    if (status == MS_OK)
        (void)rd_kafka_conf_set(conf, "metadata.recovery.strategy", "none", NULL, 0);
    for (; status == MS_OK && defaults->key; defaults++)
        status = set(conf, defaults->key, defaults->value, error);
    for (size_t i = 0; status == MS_OK && i < config->passthrough_count; i++) {
        const struct ms_passthrough *pass = &config->passthrough[i];
        if (consumer ? pass->consumer : pass->producer)
            status = set_passed(conf, pass, error);
    }
    if (status == MS_OK)
        status = set(conf, "bootstrap.servers", config->bootstrap_servers, error);
    if (status ==
        MS_OK) /* looking at a topic must not make it, with whatever partitions the broker gives it */
        status = set(conf, "allow.auto.create.topics", "false", error);
    for (; status == MS_OK && fixed->key; fixed++)
        if (fixed->value)
            status = set(conf, fixed->key, fixed->value, error);
    rd_kafka_conf_set_log_cb(conf, client_log);
    return status;
}

/* A client whose callbacks get |owner| by ms_client_owner. Takes |conf|, which has interceptors where it is |intercepted|. */
static enum ms_status make(rd_kafka_t **out, rd_kafka_type_t type, rd_kafka_conf_t *conf, void *owner,
                           bool intercepted, const struct ms_config *config, struct ms_error *error)
{
    char text[512];
    struct ms_client_context *context;
    enum ms_status status = ms_client_context_set(&context, conf, owner, config, error);
    if (status != MS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    intercepted |= ms_thread_arena_share(conf);
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk) {
        ms_client_context_free(context);
        /* Before 2.13 a client that cannot be made frees the interceptors that are still the configuration's. */
        if (!intercepted || rd_kafka_version() >= 0x020d0000)
            rd_kafka_conf_destroy(conf);
        ms_redact_settings(text, config);
        return ms_fail(error, MS_CONFIG, "cannot make a Kafka client: %s", text);
    }
    if (config->login)
        rd_kafka_error_destroy(rd_kafka_sasl_background_callbacks_enable(rk));
    *out = rk;
    return MS_OK;
}

enum ms_status ms_consumer_new(rd_kafka_t **consumer, const struct ms_config *config, const char *client_id,
                               const char *instance, const struct ms_consumer_callbacks *callbacks,
                               struct ms_error *error)
{
    /* Half of the queue is what comes in while the other half is taken (fetch.h): a tenth of a second's
     * events of a worker that does nothing but catch up. */
    const struct setting defaults[] = {
        {"client.id", client_id},
        {"partition.assignment.strategy", "range"},
        {"queued.min.messages", "40000"},
        {"fetch.wait.max.ms", "100"},
        {"statistics.interval.ms", callbacks->statistics ? STATISTICS_MS : "0"},
        /* partitions that are added move users: to be noticed soon */
        {"topic.metadata.refresh.interval.ms", "30000"},
        /* How long a newer client (2.16) takes a deleted topic for one that its brokers do not know yet; a topic made
         * anew meanwhile would be read on at the old offset. Who is told so asks the brokers again. */
        {"topic.metadata.propagation.max.ms", "0"},
        {NULL, NULL}};
    /* An offset out of range is an error, never a silent jump; read_committed makes the broker hold back
     * offsets of transactions that are still in doubt. */
    const struct setting fixed[] = {{"group.id", config->application_id},
                                    {"group.instance.id", instance},
                                    {"enable.auto.commit", "false"},
                                    {"enable.auto.offset.store", "false"},
                                    {"auto.offset.reset", "error"},
                                    {"isolation.level", "read_committed"},
                                    {"enable.partition.eof", "true"},
                                    {"queued.min.messages", callbacks->single_records ? "1" : NULL},
                                    {"fetch.message.max.bytes", callbacks->single_records ? "65536" : NULL},
                                    {NULL, NULL}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum ms_status status = configure(conf, config, true, defaults, fixed, error);
    if (status != MS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_rebalance_cb(conf, callbacks->rebalance);
    if (callbacks->log)
        rd_kafka_conf_set_log_cb(conf, callbacks->log);
    if (callbacks->statistics)
        rd_kafka_conf_set_stats_cb(conf, callbacks->statistics);
    if (callbacks->watch)
        ms_broker_watch_set(conf, callbacks->watch);
    status = make(consumer, RD_KAFKA_CONSUMER, conf, callbacks->opaque, callbacks->watch != NULL, config,
                  error);
    if (status == MS_OK)
        rd_kafka_poll_set_consumer(*consumer);
    return status;
}

enum ms_status ms_producer_new(rd_kafka_t **producer, const struct ms_config *config, const char *client_id,
                               const char *transactional_id,
                               void (*delivery)(rd_kafka_t *, const rd_kafka_message_t *, void *),
                               void *opaque, struct ms_in_flight *in_flight, ms_client_statistics *statistics,
                               size_t batch_bytes, struct ms_error *error)
{
    const struct setting defaults[] = {{"client.id", client_id},
                                       {"partitioner", "murmur2_random"}, /* as the Java client places keys */
                                       {"queue.buffering.max.messages", "500000"},
                                       {"statistics.interval.ms", statistics ? STATISTICS_MS : "0"},
                                       {NULL, NULL}};
    const struct setting fixed[] = {{"transactional.id", transactional_id},
                                    {"enable.idempotence", "true"},
                                    {"delivery.report.only.error", "true"}, /* a good record costs nothing */
                                    {NULL, NULL}};
    char batch[24];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum ms_status status = MS_OK;
    if (transactional_id) {
        status = set(conf, "transaction.timeout.ms", "30000", error);
        /* Nobody sees a record before its commit, which sends at once what still lingers, and a batch that is
         * full goes out before: waiting costs no time. Waits that end by the clock do cost: an idempotent
         * producer has one batch of a partition on its way, and while the next one's time has come, the
         * client (2.0.2) polls without a pause. */
        if (status == MS_OK)
            status = set(conf, "linger.ms", "1000", error);
    }
    if (status == MS_OK)
        status = configure(conf, config, false, defaults, fixed, error);
    if (status == MS_OK && batch_bytes) {
        snprintf(batch, sizeof batch, "%zu", batch_bytes);
        status = set(conf, "batch.size", batch, error);
    }
    if (status != MS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    if (delivery)
        rd_kafka_conf_set_dr_msg_cb(conf, delivery);
    if (in_flight)
        ms_in_flight_count(conf, in_flight);
    if (statistics)
        rd_kafka_conf_set_stats_cb(conf, statistics);
    return make(producer, RD_KAFKA_PRODUCER, conf, opaque, in_flight != NULL, config, error);
}

enum ms_status ms_admin_new(rd_kafka_t **admin, const struct ms_config *config, const char *client_id,
                            struct ms_error *error)
{
    const struct setting defaults[] = {{"client.id", client_id}, {NULL, NULL}};
    const struct setting fixed[] = {{NULL, NULL}};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum ms_status status = configure(conf, config, false, defaults, fixed, error);
    if (status != MS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    return make(admin, RD_KAFKA_PRODUCER, conf, NULL, false, config, error);
}

/* ---- errors ---- */

bool ms_kafka_may_pass(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__RETRY:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
        return true;
    default:
        return false;
    }
}

/* What only a person can mend; all else of a transaction is mended by beginning anew. */
static bool hopeless(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
        return true;
    default:
        return false;
    }
}

/* What follows from an error of a call outside of a transaction. */
static enum ms_status status_of(rd_kafka_resp_err_t code)
{
    return ms_kafka_may_pass(code) ? MS_KAFKA_RETRY : hopeless(code) ? MS_KAFKA_REFUSED : MS_KAFKA;
}

enum ms_status ms_kafka_failed_code(rd_kafka_resp_err_t code, struct ms_error *error, const char *what)
{
    return ms_fail(error, status_of(code), "%s: %s (%s)", what, rd_kafka_err2str(code),
                   rd_kafka_err2name(code));
}

enum ms_status ms_kafka_failed(rd_kafka_error_t *failure, struct ms_error *error, const char *what)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
    enum ms_status status = hopeless(code) ? MS_KAFKA_REFUSED : MS_KAFKA_ABORT;
    ms_fail(error, status, "%s: %s (%s%s)", what, rd_kafka_error_string(failure),
            rd_kafka_error_name(failure), rd_kafka_error_is_fatal(failure) ? ", fatal" : "");
    rd_kafka_error_destroy(failure);
    return status;
}

enum ms_status ms_kafka_failed_access(rd_kafka_error_t *failure, struct ms_error *error, const char *what,
                                      const struct ms_config *config, const char *operation,
                                      const char *topic)
{
    rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
    enum ms_status status = ms_kafka_failed(failure, error, what);
    return ms_access_missing(error, status, code, config, operation, topic);
}

int ms_kafka_seek_timeout(int version, int ms)
{
    return version < 0x02010000 ? ms * 1000 : ms;
}

/* ---- waiting ---- */

enum ms_status ms_producer_begin(rd_kafka_t *producer, const struct ms_config *config,
                                 const char *transactional_id, const atomic_int *stop,
                                 _Atomic uint64_t *turns, struct ms_error *error)
{
    double told_s = ms_monotonic_s();
    while (!atomic_load(stop)) {
        if (turns)
            atomic_fetch_add_explicit(turns, 1, memory_order_relaxed);
        rd_kafka_error_t *failure = rd_kafka_init_transactions(producer, 2000);
        if (!failure)
            return MS_OK;
        if (rd_kafka_error_is_fatal(failure) ||
            !(rd_kafka_error_is_retriable(failure) || ms_kafka_may_pass(rd_kafka_error_code(failure))))
            return ms_kafka_failed_access(failure, error, transactional_id, config, "IDEMPOTENT_WRITE", "");
        if (ms_monotonic_s() - told_s > 10) {
            told_s = ms_monotonic_s();
            ms_log(MS_LOG_INFO, "waiting", "for=transaction_coordinator transactional.id=%s error=\"%s\"",
                   transactional_id, rd_kafka_error_string(failure));
        }
        rd_kafka_error_destroy(failure);
        usleep(100000);
    }
    return ms_fail(error, MS_KAFKA_RETRY, "stopped while waiting for the transaction coordinator");
}

/* MS_OK and its number of partitions when the topic exists, MS_KAFKA_RETRY with what is missing when it does
 * not or no broker answers. */
static enum ms_status topic_exists(rd_kafka_t *rk, const struct ms_config *config, const char *topic,
                                   const char *operation, int *partitions, struct ms_error *error)
{
    char reason[512];
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    if (!handle)
        return ms_fail(error, MS_CONFIG, "topic \"%s\": %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, handle, &metadata, 2000);
    rd_kafka_topic_destroy(handle);
    if (code) {
        ms_client_reason(rk, code, reason, sizeof reason);
        return ms_fail(error, status_of(code), "no broker answers: %s", reason);
    }
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (!code && metadata->topics[0].partition_cnt == 0)
        code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    if (!code)
        *partitions = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    if (!code)
        return MS_OK;
    enum ms_status status = ms_fail(error, status_of(code), "topic \"%s\": %s", topic,
                                    rd_kafka_err2str(code));
    return ms_access_missing(error, status, code, config, operation, topic);
}

static enum ms_status wait_topic(rd_kafka_t *rk, const struct ms_config *config, const char *topic,
                                 const char *operation, int *partitions, const atomic_int *stop,
                                 struct ms_error *error)
{
    double told_s = 0;
    for (;;) {
        struct ms_error why;
        enum ms_status status = topic_exists(rk, config, topic, operation, partitions, &why);
        if (status == MS_OK)
            return MS_OK;
        if (status != MS_KAFKA_RETRY || config->fail_fast)
            return ms_fail(error, status == MS_KAFKA_RETRY ? MS_KAFKA : status, "bootstrap.servers=%s: %s",
                           config->bootstrap_servers, why.text);
        if (atomic_load(stop))
            return ms_fail(error, MS_KAFKA_RETRY, "stopped while waiting for Kafka");
        if (ms_monotonic_s() - told_s > 10) {
            told_s = ms_monotonic_s();
            ms_log(MS_LOG_WARN, "waiting", "for=kafka bootstrap.servers=%s reason=\"%s\"",
                   config->bootstrap_servers, why.text);
        }
        usleep(300000);
    }
}

enum ms_status ms_kafka_check_producer(rd_kafka_t *rk, size_t largest_record_bytes, struct ms_error *error)
{
    char text[32] = "";
    size_t size = sizeof text;
    size_t need = largest_record_bytes + MS_BATCH_OVERHEAD_BYTES;
    if (rd_kafka_conf_get(rd_kafka_conf(rk), "message.max.bytes", text, &size) == RD_KAFKA_CONF_OK &&
        strtoul(text, NULL, 10) < need)
        return ms_fail(error, MS_CONFIG,
                       "the largest possible record takes %zu bytes but producer.message.max.bytes is less: "
                       "raise it, or lower input.id.max.bytes",
                       need);
    return MS_OK;
}

/* Waits for the topics of all sources, which must have as many partitions as the first. */
static enum ms_status wait_sources(rd_kafka_t *rk, const struct ms_config *config, const atomic_int *stop,
                                   struct ms_error *error)
{
    int partitions[MS_SOURCES] = {0};
    for (int source = 0; source < MS_SOURCES; source++) {
        const char *topic = ms_source_topic(source, config);
        if (!topic[0])
            continue;
        enum ms_status status = wait_topic(rk, config, topic, "READ", &partitions[source], stop, error);
        if (status == MS_OK && partitions[source] != partitions[0])
            status = ms_fail(error, MS_CONFIG,
                             "topic %s has %d partitions and %s %s has %d: a user's %s and %s must lie in "
                             "partitions of the same number",
                             ms_source_topic(0, config), partitions[0], ms_sources[source]->option, topic,
                             partitions[source], ms_sources[0]->name, ms_sources[source]->name);
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

enum ms_status ms_kafka_wait(const struct ms_config *config, size_t largest_record_bytes,
                             struct ms_input_logs *logs, struct ms_limits *limits, const atomic_int *stop,
                             struct ms_error *error)
{
    rd_kafka_t *rk = NULL;
    enum ms_status status = ms_producer_new(&rk, config, "mindstream-start", NULL, NULL, NULL, NULL, NULL, 0,
                                            error);
    if (status != MS_OK)
        return status;
    status = wait_sources(rk, config, stop, error);
    bool tells = status == MS_OK && ms_input_logs_ask(logs, rk, config);
    const char *outputs[] = {config->output_topic, config->dead_letter_topic};
    for (size_t i = 0; status == MS_OK && i < sizeof outputs / sizeof *outputs; i++) {
        int partitions;
        if (outputs[i][0])
            status = wait_topic(rk, config, outputs[i], "WRITE", &partitions, stop, error);
    }
    if (status == MS_OK)
        status = ms_kafka_check_producer(rk, largest_record_bytes, error);
    if (status == MS_OK)
        status = ms_limits_ask(limits, rk, config, largest_record_bytes, tells, error);
    ms_client_destroy(rk);
    return status;
}
