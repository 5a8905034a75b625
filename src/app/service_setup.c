/* Start-up and the watching thread. */
#include "app/service_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cblas.h>

#include "base/log.h"
#include "base/progress.h"
#include "interest/decay.h"
#include "interest/mode.h"
#include "stream/kafka/check.h"

static atomic_int stop_asked, hangups; /* global, because a signal handler has no other argument */

static void on_signal(int number)
{
    if (atomic_fetch_add(&stop_asked, 1) > 0)
        _exit(128 + number);
}

static void on_hangup(int number)
{
    (void)number;
    atomic_fetch_add(&hangups, 1);
}

void ms_setup_count_hangups(void)
{
    struct sigaction action = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGHUP, &action, NULL);
}

int ms_setup_hangups(void)
{
    return atomic_load(&hangups);
}

const atomic_int *ms_setup_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return &stop_asked;
}

void ms_setup_profile_order(struct ms_model *model, const struct ms_config *config)
{
    if (config->profile_order != MS_PROFILE_AS_MODEL)
        ms_model_set_profile_order(model, config->profile_order == MS_PROFILE_BEFORE
                                              ? MS_PROFILE_BEFORE_INTEREST
                                              : MS_PROFILE_AFTER_INTEREST);
}

enum ms_status ms_setup_model(struct ms_model **model, const struct ms_config *config, struct ms_error *error)
{
    enum ms_status status = ms_model_load(model, config->model_dir, error);
    if (status == MS_OK)
        ms_setup_profile_order(*model, config);
    return status;
}

enum ms_status ms_setup(struct ms_setup *setup, const struct ms_options *options, const atomic_int *stop,
                        struct ms_error *error)
{
    const struct ms_config *config = ms_options_config(options);
    struct ms_setup made = {.service = {.config = config, .stop = stop}};
    char reason[512];
    enum ms_log_level level;
    if (ms_log_parse_level(config->log_level, &level))
        ms_log_set_level(level);
    enum ms_status status = ms_kafka_check(config, error);
    if (status == MS_OK)
        status = ms_server_check(config, error);
    if (status == MS_OK)
        status = ms_setup_model(&made.model, config, error);
    made.service.model = made.model;
    if (status == MS_OK)
        status = ms_decay_parse(config->routing_decay, config->routing_half_life, made.model,
                                &made.service.decay, error);
    if (status == MS_OK)
        status = ms_service_check(&made.service, error);
    if (status == MS_OK)
        status = ms_routing_mode_resolve(made.model, (enum ms_routing_mode)config->routing_mode,
                                         &made.service.incremental, reason, sizeof reason, error);
    if (status != MS_OK) {
        ms_model_destroy(made.model);
        return status;
    }
    if (reason[0])
        ms_log(MS_LOG_INFO, "routing", "mode=full reason=\"%s\"", reason);
    *setup = made;
    return MS_OK;
}

void ms_setup_free(struct ms_setup *setup)
{
    ms_model_destroy(setup->model);
    setup->model = NULL;
}

static void tell_option(void *context, const char *key, const char *value, const char *where)
{
    (void)context;
    ms_log(MS_LOG_INFO, "setting", "%s=\"%s\" from=%s", key, value, where);
}

void ms_setup_tell(const struct ms_setup *setup, const struct ms_options *options)
{
    const struct ms_model_config *model = ms_model_config(setup->model);
    const struct ms_config *config = ms_options_config(options);
    ms_log(MS_LOG_INFO, "start", "mindstream=%s librdkafka=%s rocksdb=%s openblas=\"%s\"", MINDSTREAM_VERSION,
           ms_service_librdkafka_version(), ms_store_rocksdb_version(), openblas_get_config());
    ms_options_differences(options, tell_option, NULL);
    ms_log(MS_LOG_INFO, "model",
           "id=%s extractor=%s items=%u dim=%d interests=%d max_behaviors=%d memory_mb=%.1f", model->id,
           model->extractor_name, ms_model_item_count(setup->model), model->dim, model->interests,
           model->max_behaviors, (double)ms_model_bytes(setup->model) / 1e6);
    ms_log(
        MS_LOG_INFO, "run",
        "routing.mode=%s decays=%s workers=%lld state.memory.bytes=%lld processing.guarantee=%s publish.mode=%s",
        setup->service.incremental ? "incremental" : "full",
        !setup->service.incremental       ? "none"
        : setup->service.decay.count == 0 ? "model"
                                          : "settings",
        (long long)config->workers, (long long)config->state_memory_bytes,
        config->processing_guarantee == MS_EXACTLY_ONCE ? "exactly_once" : "at_least_once",
        config->publish_mode == MS_PUBLISH_EVERY ? "every" : "latest");
}

enum ms_status ms_setup_watch(struct ms_service *service, struct ms_server *server, double log_s,
                              ms_watch_fn *turn, void *context)
{
    struct ms_error error;
    double logged_s = ms_monotonic_s();
    while (!ms_service_done(service)) {
        usleep(MS_WATCH_MS * 1000);
        if (turn)
            turn(context, service);
        if (ms_monotonic_s() - logged_s >= log_s) {
            logged_s = ms_monotonic_s();
            ms_service_log(service);
        }
    }
    ms_service_log(service);
    bool hangs = ms_service_hangs(service);
    if (hangs)
        ms_log(MS_LOG_WARN, "client_hangs",
               "text=\"a Kafka client does not close; the process ends without it\"");
    ms_server_stop(server);
    enum ms_status status = ms_service_end(service, &error);
    if (status == MS_OK)
        ms_log(MS_LOG_INFO, "end", "status=done");
    else
        ms_log(MS_LOG_ERROR, "end", "status=%s error=\"%s\"", ms_status_name(status), error.text);
    if (hangs)
        _exit(ms_status_exit_code(status));
    return status;
}
