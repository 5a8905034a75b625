/* mindstream generate: a synthetic click log on standard output, and the model that fits it. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/generator.h"
#include "base/progress.h"

#define CHUNK_BYTES     ((size_t)1 << 20)
#define LATEST_MS       253402300799999 /* the end of the year 9999 */
#define PROGRESS_EVENTS 65536

static const char help[] =
    "Usage: mindstream generate --users N --items N --events N [OPTION]... > events.jsonl\n\n"
    "Writes click events, one JSON object a line, in the order of their times. Items are clicked by Zipf's "
    "law; each\n"
    "user follows a few groups of items, which change slowly. The same arguments give the same bytes on "
    "every machine.\n\n"
    "  --users N          users, u0 to u(N-1)\n"
    "  --items N          items, i0 to i(N-1)\n"
    "  --events N         lines\n"
    "  --seed S           another log of the same kind (1)\n"
    "  --model-out DIR    also write the model directory that fits; name 'generated', version the seed\n"
    "  --dim N            floats of the model's vectors (64)\n"
    "  --interests N      most interests of the model and of a user (4)\n"
    "  --max-behaviors N  the model's window (50)\n"
    "  --item-skew X      exponent of the items' law, 0 for all alike (1.0)\n"
    "  --user-skew X      exponent of the users' law (0.5)\n"
    "  --drift N          clicks of an average user for which he keeps one of his interests (40)\n"
    "  --start MS         time of the first event (1700000000000)\n"
    "  --interval-ms N    time from event to event (1)\n"
    "  --format json      the only one\n"
    "  -h, --help         this text\n\n"
    "Examples:\n"
    "  mindstream generate --users 1000 --items 5000 --events 100000 --model-out model > events.jsonl\n"
    "  mindstream generate --users 100000 --items 50000 --events 1000000 --seed 7 |\n"
    "    sed -E 's/^.\"user_id\":\"([^\"]*)\"/\\1|&/' | kcat -P -b localhost:9092 -t clicks -K '|'\n";

struct arguments {
    struct ms_generator_settings settings;
    uint64_t events;
    bool events_given, help;
    const char *model_out;
};

static enum ms_status parse_number(const char *name, const char *text, uint64_t max, uint64_t *number,
                                   struct ms_error *error)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!text[0] || strspn(text, "0123456789") != strlen(text))
        return ms_fail(error, MS_USAGE, "%s %s: a whole number is needed", name, text);
    if (errno || value > max)
        return ms_fail(error, MS_USAGE, "%s %s: at most %" PRIu64, name, text, max);
    *number = value;
    return MS_OK;
}

static enum ms_status parse_skew(const char *name, const char *text, double *skew, struct ms_error *error)
{
    char *end;
    double value = strtod(text, &end);
    if (!text[0] || strspn(text, "0123456789.") != strlen(text) || *end || value > 10)
        return ms_fail(error, MS_USAGE, "%s %s: a number from 0 to 10 is needed", name, text);
    *skew = value;
    return MS_OK;
}

/* Takes one option and its value. */
static enum ms_status take(struct arguments *arguments, const char *name, const char *value,
                           struct ms_error *error)
{
    struct ms_generator_settings *settings = &arguments->settings;
    uint64_t users = settings->users, items = settings->items, drift = settings->drift_events;
    uint64_t dim = (uint64_t)settings->dim, interests = (uint64_t)settings->interests;
    uint64_t behaviors = (uint64_t)settings->max_behaviors;
    uint64_t start_ms = (uint64_t)settings->start_ms, interval_ms = (uint64_t)settings->interval_ms;
    const struct {
        const char *name;
        uint64_t *number, max;
    } numbers[] = {
        {"--users", &users, MS_GENERATOR_MAX_IDS},
        {"--items", &items, MS_GENERATOR_MAX_IDS},
        {"--events", &arguments->events, (uint64_t)1 << 46},
        {"--seed", &settings->seed, INT64_MAX},
        {"--dim", &dim, 4096},
        {"--interests", &interests, 64},
        {"--max-behaviors", &behaviors, 100000},
        {"--drift", &drift, 1000000000},
        {"--start", &start_ms, LATEST_MS},
        {"--interval-ms", &interval_ms, 86400000},
    };
    if (strcmp(name, "--item-skew") == 0)
        return parse_skew(name, value, &settings->item_skew, error);
    if (strcmp(name, "--user-skew") == 0)
        return parse_skew(name, value, &settings->user_skew, error);
    if (strcmp(name, "--model-out") == 0) {
        arguments->model_out = value;
        return MS_OK;
    }
    if (strcmp(name, "--format") == 0)
        return strcmp(value, "json") == 0
                   ? MS_OK
                   : ms_fail(error, MS_USAGE, "--format %s: only json is known", value);
    enum ms_status status = MS_USAGE;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0)
            status = parse_number(name, value, numbers[i].max, numbers[i].number, error);
    }
    arguments->events_given |= strcmp(name, "--events") == 0;
    settings->users = (uint32_t)users;
    settings->items = (uint32_t)items;
    settings->drift_events = (uint32_t)drift;
    settings->dim = (int)dim;
    settings->interests = (int)interests;
    settings->max_behaviors = (int)behaviors;
    settings->start_ms = (int64_t)start_ms;
    settings->interval_ms = (int64_t)interval_ms;
    return status;
}

static bool is_option(const char *name)
{
    static const char *const names[] = {
        "--users",  "--items",     "--events",    "--seed",  "--model-out",     "--dim",   "--interests",
        "--format", "--item-skew", "--user-skew", "--drift", "--max-behaviors", "--start", "--interval-ms"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static enum ms_status parse(struct arguments *arguments, int argc, char **argv, struct ms_error *error)
{
    for (int at = 1; at < argc; at++) {
        char name[64];
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            arguments->help = true;
            return MS_OK;
        }
        size_t size = strcspn(argv[at], "=");
        snprintf(name, sizeof name, "%.*s", (int)(size < 63 ? size : 63), argv[at]);
        if (!is_option(name))
            return ms_fail(error, MS_USAGE, "unknown argument '%s'; see 'mindstream generate --help'",
                           argv[at]);
        const char *value = argv[at][size] ? argv[at] + size + 1 : at + 1 < argc ? argv[++at] : NULL;
        if (!value)
            return ms_fail(error, MS_USAGE, "%s needs a value", name);
        if (take(arguments, name, value, error) != MS_OK)
            return MS_USAGE;
    }
    const struct ms_generator_settings *settings = &arguments->settings;
    if (!settings->users || !settings->items || !arguments->events_given)
        return ms_fail(error, MS_USAGE,
                       "--users, --items and --events are needed, users and items at least 1");
    return MS_OK;
}

/* For settings that ms_generator_new has found good. */
static enum ms_status check_end(const struct arguments *arguments, struct ms_error *error)
{
    int64_t interval_ms = arguments->settings.interval_ms;
    if (arguments->events <= (uint64_t)(LATEST_MS - arguments->settings.start_ms) / (uint64_t)interval_ms)
        return MS_OK;
    return ms_fail(error, MS_USAGE,
                   "%" PRIu64 " events at --interval-ms %" PRId64 " would end after the year 9999",
                   arguments->events, interval_ms);
}

static enum ms_status write_all(const char *data, size_t size, struct ms_error *error)
{
    while (size) {
        ssize_t wrote = write(STDOUT_FILENO, data, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return ms_fail(error, MS_IO, "standard output: %s", strerror(errno));
        data += wrote;
        size -= (size_t)wrote;
    }
    return MS_OK;
}

static enum ms_status write_events(struct ms_generator *generator, uint64_t events, struct ms_error *error)
{
    char *buffer = malloc(CHUNK_BYTES + MS_GENERATOR_JSON_MAX_BYTES + 1);
    if (!buffer)
        return ms_fail(error, MS_MEMORY, "out of memory for the output buffer");
    enum ms_status status = MS_OK;
    size_t used = 0;
    struct ms_progress progress;
    ms_progress_start(&progress, "events", events);
    for (uint64_t i = 0; status == MS_OK && i < events; i++) {
        struct ms_generated event;
        ms_generator_next(generator, &event);
        used += ms_generator_json(buffer + used, &event);
        buffer[used++] = '\n';
        if (used >= CHUNK_BYTES) {
            status = write_all(buffer, used, error);
            used = 0;
        }
        if (i % PROGRESS_EVENTS == 0)
            ms_progress_update(&progress, i);
    }
    if (status == MS_OK)
        status = write_all(buffer, used, error);
    if (status == MS_OK)
        ms_progress_end(&progress, events);
    free(buffer);
    return status;
}

int ms_cmd_generate(int argc, char **argv)
{
    struct arguments arguments = {.settings = ms_generator_defaults()};
    struct ms_error error = {0};
    struct ms_generator *generator = NULL;
    enum ms_status status = parse(&arguments, argc, argv, &error);
    if (status == MS_OK && arguments.help) {
        fputs(help, stdout);
        return 0;
    }
    if (status == MS_OK)
        status = ms_generator_new(&generator, &arguments.settings, &error);
    if (status == MS_OK)
        status = check_end(&arguments, &error);
    if (status == MS_OK && arguments.model_out)
        status = ms_generator_write_model(generator, arguments.model_out, &error);
    if (status == MS_OK && arguments.events > 0)
        status = write_events(generator, arguments.events, &error);
    ms_generator_destroy(generator);
    if (status != MS_OK)
        fprintf(stderr, "mindstream generate: %s\n", error.text);
    return ms_status_exit_code(status);
}
