/* mindstream generate: a synthetic click log on standard output, and the model that fits it. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "base/progress.h"
#include "synth/generator.h"
#include "synth/model.h"

#define CHUNK_BYTES     ((size_t)1 << 20)
#define LATEST_MS       253402300799999 /* the end of the year 9999 */
#define PROGRESS_EVENTS 65536

struct generate_arguments {
    int64_t users, items, events, seed;
    const char *model_out;
    bool force;
    int64_t dim, interests, max_behaviors;
    double item_skew, user_skew;
    int64_t drift, start_ms, interval_ms;
    int format;
};

static enum ms_status check_end(const struct generate_arguments *arguments, struct ms_error *error)
{
    if (arguments->events <= (LATEST_MS - arguments->start_ms) / arguments->interval_ms)
        return MS_OK;
    return ms_fail(error, MS_USAGE,
                   "%" PRId64 " events at --interval-ms %" PRId64 " would end after the year 9999",
                   arguments->events, arguments->interval_ms);
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

#define AT(field) .offset = offsetof(struct generate_arguments, field)

static const struct ms_argument rows[] = {
    {.name = "users",
     .kind = MS_ARGUMENT_INTEGER,
     .required = true,
     .min = 1,
     .max = MS_GENERATOR_MAX_IDS,
     .placeholder = "N",
     .help = "users, u0 to u(N-1)",
     AT(users)},
    {.name = "items",
     .kind = MS_ARGUMENT_INTEGER,
     .required = true,
     .min = 1,
     .max = MS_GENERATOR_MAX_IDS,
     .placeholder = "N",
     .help = "items, i0 to i(N-1)",
     AT(items)},
    {.name = "events",
     .kind = MS_ARGUMENT_INTEGER,
     .required = true,
     .max = (int64_t)1 << 46,
     .placeholder = "N",
     .help = "lines",
     AT(events)},
    {.name = "seed",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT64_MAX,
     .standard = "1",
     .placeholder = "S",
     .help = "another seed is another log of the same kind",
     AT(seed)},
    {.name = "model-out",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "DIR",
     .help = "also write the model directory that fits; name 'generated', version the seed",
     AT(model_out)},
    {.name = "force",
     .kind = MS_ARGUMENT_FLAG,
     .help = "let --model-out replace a model that mindstream did not write",
     AT(force)},
    {.name = "dim",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 4096,
     .standard = "64",
     .placeholder = "N",
     .help = "floats of the model's vectors",
     AT(dim)},
    {.name = "interests",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 64,
     .standard = "4",
     .placeholder = "N",
     .help = "most interests of the model and of a user",
     AT(interests)},
    {.name = "max-behaviors",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 100000,
     .standard = "50",
     .placeholder = "N",
     .help = "the model's window",
     AT(max_behaviors)},
    {.name = "item-skew",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 10,
     .standard = "1.0",
     .placeholder = "X",
     .help = "exponent of the items' law, 0 for all alike",
     AT(item_skew)},
    {.name = "user-skew",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 10,
     .standard = "0.5",
     .placeholder = "X",
     .help = "exponent of the users' law",
     AT(user_skew)},
    {.name = "drift",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 1000000000,
     .standard = "40",
     .placeholder = "N",
     .help = "clicks of an average user for which it keeps one of its interests",
     AT(drift)},
    {.name = "start",
     .kind = MS_ARGUMENT_INTEGER,
     .max = LATEST_MS,
     .standard = "1700000000000",
     .placeholder = "MS",
     .help = "time of the first event",
     AT(start_ms)},
    {.name = "interval-ms",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 86400000,
     .standard = "1",
     .placeholder = "N",
     .help = "time from event to event",
     AT(interval_ms)},
    {.name = "format",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "json",
     .standard = "json",
     .placeholder = "F",
     .help = "how an event is written",
     AT(format)},
    {0},
};

static enum ms_status run_generate(void *context, struct ms_error *error)
{
    const struct generate_arguments *arguments = context;
    const struct ms_generator_settings settings = {.seed = (uint64_t)arguments->seed,
                                                   .users = (uint32_t)arguments->users,
                                                   .items = (uint32_t)arguments->items,
                                                   .item_skew = arguments->item_skew,
                                                   .user_skew = arguments->user_skew,
                                                   .drift_events = (uint32_t)arguments->drift,
                                                   .start_ms = arguments->start_ms,
                                                   .interval_ms = arguments->interval_ms,
                                                   .dim = (int)arguments->dim,
                                                   .interests = (int)arguments->interests,
                                                   .max_behaviors = (int)arguments->max_behaviors};
    struct ms_generator *generator = NULL;
    enum ms_status status = ms_generator_new(&generator, &settings, error);
    if (status == MS_OK)
        status = check_end(arguments, error);
    if (status == MS_OK && arguments->model_out)
        status = ms_generator_write_model(generator, arguments->model_out, arguments->force, error);
    if (status == MS_OK && arguments->events > 0)
        status = write_events(generator, (uint64_t)arguments->events, error);
    ms_generator_destroy(generator);
    return status;
}

const struct ms_command ms_command_generate = {
    .name = "generate",
    .summary = "write a synthetic click log and the model that fits it",
    .description =
        "Writes click events, one JSON object a line, in the order of their times. Items are clicked by Zipf's law; each\n"
        "user follows a few groups of items, which change slowly. The same arguments give the same bytes on every\n"
        "machine.\n",
    .rows = rows,
    .usage_end = "> events.jsonl",
    .examples =
        "mindstream generate --users 1000 --items 5000 --events 100000 --model-out model > events.jsonl\n"
        "mindstream generate --users 100000 --items 50000 --events 1000000 --seed 7 |\n"
        "  sed -E 's/^.\"user_id\":\"([^\"]*)\"/\\1|&/' | kcat -P -b localhost:9092 -t clicks -K '|'\n",
    .exit_status = "0 done, 1 not written, 2 bad usage",
    .arguments_bytes = sizeof(struct generate_arguments),
    .run = run_generate,
};
