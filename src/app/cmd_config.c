/* mindstream config: the settings, as they are or as documentation, and the documents made of the commands' tables. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/command_text.h"
#include "app/commands.h"
#include "app/option_text.h"
#include "app/options.h"
#include "app/service_docs.h"
#include "app/service_setup.h"
#include "serve/metric.h"

enum form { TABLE, CHECK, JSON, SAMPLE, MAN, MAN_COMMANDS, MAN_SERVICE, COMPLETION, COMMANDS, METRICS };

struct config_arguments {
    struct ms_options_sources sources;
    int form; /* enum form */
};

#define FORM(option_name, value, text)                                                                       \
    {                                                                                                        \
        .name = option_name, .kind = MS_ARGUMENT_PICK, .pick = value, .help = text,                          \
        .offset = offsetof(struct config_arguments, form)                                                    \
    }

static const struct ms_argument rows[] = {
    MS_SETTINGS_ROWS(struct config_arguments, sources),
    FORM(
        "check", CHECK,
        "only check, as far as it goes without state and network: one line, and exit status 2 where 'mindstream run' would refuse settings or model"),
    FORM("json", JSON, "the settings as JSON"),
    FORM("sample", SAMPLE, "a sample .properties file"),
    FORM("man", MAN, "the man page of the .properties file"),
    FORM("man-commands", MAN_COMMANDS, "the man page of the commands"),
    FORM("man-service", MAN_SERVICE, "the man page of running the service"),
    FORM("completion", COMPLETION, "the completion script for bash"),
    FORM("metrics", METRICS, "the page of the metrics, docs/metrics.md"),
    FORM("commands", COMMANDS, "every command and its options as JSON"),
    {0},
};

static enum ms_status print_completion(const struct ms_command *root, struct ms_error *error)
{
    const char **keys = calloc(ms_option_count + 1, sizeof *keys);
    size_t count = 0;
    if (!keys)
        return ms_fail(error, MS_MEMORY, "no memory for the settings");
    for (size_t i = 0; i < ms_option_count; i++) {
        if (!ms_option_table[i].only)
            keys[count++] = ms_option_table[i].key;
    }
    ms_command_completion(stdout, root, keys);
    free(keys);
    return MS_OK;
}

/* All that 'mindstream run' does with its settings before it touches state or network. */
static enum ms_status check_settings(const struct ms_options *options, struct ms_error *error)
{
    struct ms_setup setup = {0};
    const atomic_int stop = 0;
    enum ms_status status = ms_options_require(options, "run", error);
    if (status == MS_OK)
        status = ms_setup(&setup, options, &stop, error);
    ms_setup_free(&setup);
    if (status != MS_OK && status != MS_MEMORY && ms_status_exit_code(status) != 2)
        return ms_fail_in(error, MS_CONFIG, "'mindstream run' would fail");
    return status;
}

static enum ms_status print_settings(const struct config_arguments *arguments, struct ms_error *error)
{
    struct ms_options *options = NULL;
    enum ms_status status = ms_options_load(&options, &arguments->sources, error);
    if (status == MS_OK && arguments->form == CHECK)
        status = check_settings(options, error);
    if (status == MS_OK && arguments->form == CHECK)
        puts("the settings are good");
    if (status == MS_OK && arguments->form == TABLE)
        ms_option_text_table(stdout, options);
    if (status == MS_OK && arguments->form == JSON)
        status = ms_option_text_json(stdout, options, error);
    ms_options_destroy(options);
    return status;
}

static enum ms_status print_metrics(struct ms_error *error)
{
    struct ms_buffer text = {0};
    bool done = ms_metrics_document(&text);
    if (done)
        fwrite(text.data, 1, text.size, stdout);
    ms_buffer_free(&text);
    return done ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for the metrics");
}

static enum ms_status run_config(const struct ms_command *root, void *context, struct ms_error *error)
{
    struct config_arguments *arguments = context;
    arguments->sources.environment = environ;
    switch ((enum form)arguments->form) {
    case SAMPLE:
        ms_option_text_sample(stdout);
        return MS_OK;
    case MAN:
        ms_option_text_man(stdout);
        return MS_OK;
    case MAN_COMMANDS:
        ms_command_man(stdout, root);
        return MS_OK;
    case MAN_SERVICE:
        ms_service_man(stdout);
        return MS_OK;
    case COMPLETION:
        return print_completion(root, error);
    case COMMANDS:
        return ms_command_json(stdout, root, error);
    case METRICS:
        return print_metrics(error);
    case TABLE:
    case CHECK:
    case JSON:
        break;
    }
    return print_settings(arguments, error);
}

const struct ms_command ms_command_config = {
    .name = "config",
    .summary = "print and check the settings",
    .description =
        "Prints every setting with its value, default, legal values and where the value comes from.\n",
    .rows = rows,
    .examples = "mindstream config --sample > mindstream.properties\n"
                "mindstream config -c mindstream.properties --check\n"
                "source <(mindstream config --completion)\n",
    .exit_status = "0 printed, 2 bad usage, or settings that are wrong or missing",
    .arguments_bytes = sizeof(struct config_arguments),
    .run_with_root = run_config,
};
