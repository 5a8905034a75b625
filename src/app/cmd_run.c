/* mindstream run: the service. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/options.h"
#include "app/service_setup.h"
#include "base/log.h"

extern char **environ;

static const char help[] =
    "usage: mindstream run -c FILE [--set KEY=VALUE ...] [--fail-fast] [--accept-gap]\n"
    "\n"
    "Reads click events from input.topic, keeps every user's behaviors and interests in state.dir, and "
    "publishes\n"
    "interest vectors to output.topic. Runs until SIGTERM or SIGINT, then commits, flushes and ends; a "
    "second signal\n"
    "ends at once (nothing is lost by that: the next start replays what the state has not seen).\n"
    "\n" MS_OPTIONS_HELP
    "  --fail-fast        end with an error when a broker is down or a topic is missing, instead of waiting\n"
    "  --accept-gap       where the log no longer has the events that come next, go on without them\n"
    "\n"
    "Exit code: 0 asked to stop, 1 failed, 2 bad usage or settings. `mindstream config` lists the settings.\n"
    "\n"
    "examples:\n"
    "  mindstream run -c /etc/mindstream/mindstream.properties\n"
    "  mindstream run -c clicks.properties --set workers=4 --set publish.mode=every\n"
    "  MINDSTREAM_BOOTSTRAP_SERVERS=broker:9092 mindstream run -c clicks.properties\n";

static enum ms_status parse(int argc, char **argv, struct ms_options_sources *sources, bool *asked_help,
                            struct ms_error *error)
{
    for (int i = 1; i < argc;) {
        bool taken;
        enum ms_status status = ms_options_argument(sources, argc, argv, &i, &taken, error);
        if (status != MS_OK)
            return status;
        if (taken)
            continue;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            *asked_help = true;
        else if (strcmp(argv[i], "--accept-gap") == 0)
            sources->accept_gap = true;
        else
            return ms_fail(error, MS_USAGE, "run: unknown argument \"%s\" (see mindstream run --help)",
                           argv[i]);
        i++;
    }
    return MS_OK;
}

static int run(const struct ms_options *options, struct ms_error *error)
{
    struct ms_setup setup = {0};
    struct ms_service *service = NULL;
    const atomic_int *stop = ms_setup_signals();
    enum ms_status status = ms_setup(&setup, options, stop, error);
    if (status == MS_OK) {
        ms_setup_tell(&setup, options);
        status = ms_service_start(&service, &setup.service, error);
    }
    int code = 0;
    if (status == MS_OK) {
        code = ms_setup_watch(service, 10);
    } else if (status == MS_KAFKA_RETRY && atomic_load(stop)) {
        ms_log(MS_LOG_INFO, "end", "status=done");
    } else {
        fprintf(stderr, "mindstream: %s\n", error->text);
        code = ms_status_exit_code(status);
    }
    ms_setup_free(&setup);
    return code;
}

int ms_cmd_run(int argc, char **argv)
{
    struct ms_options_sources sources = {.environment = environ};
    struct ms_options *options = NULL;
    struct ms_error error;
    bool asked_help = false;
    enum ms_status status = parse(argc, argv, &sources, &asked_help, &error);
    if (status == MS_OK && asked_help) {
        fputs(help, stdout);
        return 0;
    }
    if (status == MS_OK)
        status = ms_options_load(&options, &sources, &error);
    if (status == MS_OK)
        status = ms_options_require(options, "run", &error);
    if (status != MS_OK) {
        fprintf(stderr, "mindstream: %s\n", error.text);
        return ms_status_exit_code(status);
    }
    int code = run(options, &error);
    ms_options_destroy(options);
    return code;
}
