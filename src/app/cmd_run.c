/* mindstream run: the service. */
#include <stdio.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/manager.h"
#include "app/options.h"
#include "app/reload.h"
#include "app/service_setup.h"
#include "base/log.h"

struct run_arguments {
    struct ms_options_sources sources;
};

static const struct ms_argument rows[] = {
    MS_SETTINGS_ROWS(struct run_arguments, sources),
    {.name = "fail-fast",
     .kind = MS_ARGUMENT_FLAG,
     .help = "end with an error when a broker is down or a topic is missing, instead of waiting",
     .offset = offsetof(struct run_arguments, sources.fail_fast)},
    {.name = "accept-gap",
     .kind = MS_ARGUMENT_FLAG,
     .help = "where the log no longer has the events that come next, go on without them",
     .offset = offsetof(struct run_arguments, sources.accept_gap)},
    {.name = "accept-holes",
     .kind = MS_ARGUMENT_FLAG,
     .help = "where a state is lost and its log is compacted, fold what is left of it",
     .offset = offsetof(struct run_arguments, sources.accept_holes)},
    {.name = "accept-repartition",
     .kind = MS_ARGUMENT_FLAG,
     .help =
         "where a topic has other partitions than it had, go on: users that lie elsewhere now begin again",
     .offset = offsetof(struct run_arguments, sources.accept_repartition)},
    {0},
};

/* What the watching thread does beside watching. */
struct run {
    struct ms_manager manager;
    struct ms_reload reload;
    int hangups; /* SIGHUPs that were answered */
};

static void turn(void *context, struct ms_service *service)
{
    struct run *run = context;
    int hangups = ms_setup_hangups();
    if (hangups != run->hangups) {
        run->hangups = hangups;
        ms_manager_reloading(&run->manager);
        const struct ms_config *config = ms_reload_read(&run->reload);
        if (config)
            ms_service_reload(service, config);
        ms_manager_reloaded(&run->manager);
    }
    ms_manager_turn(&run->manager, service);
}

static enum ms_status run_service(const struct ms_options *options, const struct ms_options_sources *sources,
                                  struct ms_error *error)
{
    struct ms_setup setup = {0};
    struct ms_service *service = NULL;
    struct ms_server *server = NULL;
    const atomic_int *stop = ms_setup_signals();
    struct run run = {.manager = {.stop = stop}, .reload = {.sources = sources, .started = options}};
    ms_setup_count_hangups();
    ms_manager_starting("loading the model");
    enum ms_status status = ms_setup(&setup, options, stop, error);
    if (status == MS_OK) {
        ms_setup_tell(&setup, options);
        status = ms_server_start(&server, ms_options_config(options), error);
        ms_manager_starting("opening the state, waiting for brokers and topics");
    }
    if (status == MS_OK)
        status = ms_service_start(&service, &setup.service, error);
    if (status == MS_OK) {
        ms_server_attach(server, service);
        status = ms_setup_watch(service, server, 10, turn, &run);
        error->text[0] = '\0'; /* it has been logged */
    } else {
        ms_server_stop(server);
        if (status == MS_KAFKA_RETRY && atomic_load(stop)) {
            ms_log(MS_LOG_INFO, "end", "status=done");
            status = MS_OK;
        }
    }
    ms_reload_free(&run.reload);
    ms_setup_free(&setup);
    return status;
}

static enum ms_status run_until_stopped(void *context, struct ms_error *error)
{
    struct run_arguments *arguments = context;
    struct ms_options *options = NULL;
    arguments->sources.environment = environ;
    enum ms_status status = ms_options_load(&options, &arguments->sources, error);
    if (status == MS_OK)
        status = ms_options_require(options, "run", error);
    if (status == MS_OK)
        status = run_service(options, &arguments->sources, error);
    ms_options_destroy(options);
    return status;
}

const struct ms_command ms_command_run = {
    .name = "run",
    .summary = "read clicks from Kafka, keep users' interests up to date, publish them",
    .description =
        "Reads click events from input.topic, keeps every user's behaviors and interests in state.dir, and publishes\n"
        "interest vectors to output.topic. Runs until SIGTERM or SIGINT, then commits, flushes and ends; a second signal\n"
        "ends at once (nothing is lost by that: the next start replays what the state has not seen).\n"
        "'mindstream config' lists the settings.\n",
    .rows = rows,
    .examples = "mindstream run -c /etc/mindstream/mindstream.properties\n"
                "mindstream run -c clicks.properties --set workers=4 --set publish.mode=every\n"
                "MINDSTREAM_BOOTSTRAP_SERVERS=broker:9092 mindstream run -c clicks.properties\n",
    .exit_status =
        "0 asked to stop, 1 failed, 2 bad usage or settings, 3 offsets, state or rights that a person must mend",
    .arguments_bytes = sizeof(struct run_arguments),
    .run = run_until_stopped,
};
