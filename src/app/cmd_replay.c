/* mindstream replay: from a log's beginning to an end, into a state directory of its own. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/options.h"
#include "app/replay_files.h"
#include "app/replay_progress.h"
#include "app/service_setup.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/progress.h"
#include "stream/kafka/replay.h"
#include "stream/source.h"
#include "view/json.h"
#include "view/table.h"

#define GUESSED_RATE  400000.0 /* events/s of a worker, for --dry-run */
#define GUESSED_BYTES 100e6    /* of files, read in a second */

struct replay_arguments {
    struct ms_options_sources sources;
    const char *from, *to, *output_topic;
    int publish;
    int64_t rate, workers, checkpoint;
    bool dry_run, handoff, follow, restart, json;
    struct ms_replay_file_arguments files;
};

/* ---- settings ---- */

/* The settings of the service, with what the command line says of the replay. */
static struct ms_config config_of(const struct ms_options *options, const struct replay_arguments *arguments)
{
    struct ms_config config = *ms_options_config(options);
    if (arguments->workers)
        config.workers = arguments->workers;
    if (arguments->output_topic)
        config.output_topic = arguments->output_topic;
    return config;
}

/* What does not go with files; without files, what is of them alone. */
static enum ms_status check_files(const struct replay_arguments *arguments, struct ms_error *error)
{
    if (!arguments->files.count)
        return arguments->files.partitions
                   ? ms_fail(error, MS_USAGE, "--partitions is for --from-file: the log has its own")
                   : MS_OK;
    if (arguments->from || arguments->follow)
        return ms_fail(
            error, MS_USAGE,
            "--from-file folds files from begin to end, not the log: leave --from and --follow out");
    if (arguments->publish == MS_REPLAY_PUBLISH_EVERY)
        return ms_fail(
            error, MS_USAGE,
            "--publish every commits the offsets of a log, and files have none: give --publish final");
    if (arguments->handoff && !arguments->to)
        return ms_fail(
            error, MS_USAGE,
            "--handoff behind files needs --to: where in input.topic the service begins (earliest, "
            "latest, a time, last:DURATION, offset:N)");
    return MS_OK;
}

static enum ms_status check_arguments(const struct replay_arguments *arguments, struct ms_error *error)
{
    if (arguments->follow && arguments->to && strcmp(arguments->to, "latest") != 0)
        return ms_fail(error, MS_USAGE, "--follow goes on at the end of the log: leave --to out");
    if (arguments->dry_run && (arguments->handoff || arguments->follow || arguments->restart))
        return ms_fail(error, MS_USAGE,
                       "--dry-run changes nothing: leave --handoff, --follow and --restart out");
    return check_files(arguments, error);
}

static struct ms_replay_options options_of(const struct replay_arguments *arguments,
                                           const struct ms_setup *setup, const struct ms_config *config,
                                           struct ms_replay_publishing *publishing,
                                           const struct ms_replay_file_set *set, const atomic_int *stop)
{
    return (struct ms_replay_options){.config = config,
                                      .model = setup->model,
                                      .decay = setup->service.decay,
                                      .incremental = setup->service.incremental,
                                      .stop = stop,
                                      .from = arguments->from ? arguments->from : "earliest",
                                      .to = arguments->to ? arguments->to : "latest",
                                      .rate = (double)arguments->rate,
                                      .checkpoint_s = (double)arguments->checkpoint,
                                      .publish = (enum ms_replay_publish)arguments->publish,
                                      .on_published = ms_replay_progress_published,
                                      .on_published_context = publishing,
                                      .files = set->files.sources ? &set->files : NULL,
                                      .follow = arguments->follow,
                                      .restart = arguments->restart};
}

/* ---- --dry-run ---- */

/* Where a part ends; while files are read, which do not tell, where it is. */
static int64_t end_of(const struct ms_replay_at *at)
{
    return at->part.to == INT64_MAX ? at->next : at->part.to;
}

static json_t *part_json(const struct ms_config *config, const struct ms_replay_at *at)
{
    return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}", "topic", ms_source_topic(at->part.source, config),
                     "partition", (int)at->part.partition, "from", (json_int_t)at->part.from, "to",
                     (json_int_t)end_of(at), "next", (json_int_t)at->next, "left",
                     (json_int_t)(at->next < end_of(at) ? end_of(at) - at->next : 0));
}

static json_t *parts_json(const struct ms_config *config, const struct ms_replay *replay)
{
    json_t *list = json_array();
    struct ms_replay_at at;
    for (size_t i = 0; ms_replay_where(replay, i, &at); i++)
        json_array_append_new(list, part_json(config, &at));
    return list;
}

static enum ms_status print_json(json_t *root, struct ms_error *error)
{
    struct ms_buffer text = {0};
    enum ms_status status = ms_view_json_text(root, &text, error);
    if (status == MS_OK)
        printf("%.*s\n", (int)text.size, text.data);
    ms_buffer_free(&text);
    return status;
}

static enum ms_status print_plan(const struct replay_arguments *arguments, const struct ms_config *config,
                                 const struct ms_replay *replay, struct ms_error *error)
{
    struct ms_table table = {0};
    struct ms_buffer text = {0};
    struct ms_replay_at at;
    static const char *const numbers[] = {"partition", "from", "to", "offsets"};
    uint64_t left = ms_replay_counted(replay).left;
    double workers = (double)ms_replay_workers(replay), rate = GUESSED_RATE * workers;
    if (arguments->rate && (double)arguments->rate < rate)
        rate = (double)arguments->rate;
    if (arguments->json)
        return print_json(json_pack("{s:o, s:I, s:f}", "partitions", parts_json(config, replay), "left",
                                    (json_int_t)left, "seconds_guessed", (double)left / rate),
                          error);
    ms_table_column(&table, "topic", false);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ms_table_column(&table, numbers[i], true);
    for (size_t i = 0; ms_replay_where(replay, i, &at); i++) {
        ms_table_cell(&table, "%s", ms_source_topic(at.part.source, config));
        ms_table_cell(&table, "%" PRId32, at.part.partition);
        ms_table_cell(&table, "%" PRId64, at.part.from);
        ms_table_cell(&table, "%" PRId64, at.part.to);
        ms_table_cell(&table, "%" PRId64, at.part.to - at.part.from);
    }
    enum ms_status status = ms_table_text(&table, 0, &text, error);
    if (status == MS_OK)
        printf("%.*s%" PRIu64 " offsets to read; about %.0f s at %.0f events/s%s\n", (int)text.size,
               text.data, left, (double)left / rate, rate,
               arguments->rate ? "" : " (a guess; the first lines of a real run tell)");
    ms_table_free(&table);
    ms_buffer_free(&text);
    return status;
}

static enum ms_status print_files(const struct replay_arguments *arguments, const struct ms_replay *replay,
                                  const struct ms_replay_file_set *set, struct ms_error *error)
{
    int partitions = (int)ms_replay_partition_count(replay);
    const char *partitioner = ms_partitioner_name(set->files.partitioner);
    double seconds = (double)set->bytes / GUESSED_BYTES;
    if (arguments->json) {
        json_t *root = json_pack("{s:i, s:s, s:I, s:f}", "partition_count", partitions, "partitioner",
                                 partitioner, "bytes", (json_int_t)set->bytes, "seconds_guessed", seconds);
        if (root && ms_replay_files_json(set, root))
            return print_json(root, error);
        json_decref(root);
        return ms_fail(error, MS_MEMORY, "no memory to print the plan of a replay");
    }
    for (size_t i = 0; i < set->files.count; i++)
        printf("%s  %" PRIu64 " bytes\n", set->list[i].path, set->list[i].size);
    printf("into %d partitions by %s; about %.0f s (a guess; compressed files take longer)\n", partitions,
           partitioner, seconds);
    return MS_OK;
}

/* ---- the summary ---- */

static json_t *reasons_json(const struct ms_replay *replay)
{
    json_t *reasons = json_object();
    struct ms_replay_reason reason;
    for (size_t i = 0; ms_replay_reason(replay, i, &reason); i++)
        json_object_set_new(reasons, reason.what, json_integer((json_int_t)reason.count));
    return reasons;
}

/* Where each part has come to. */
static enum ms_status print_reached(const struct ms_config *config, const struct ms_replay *replay,
                                    struct ms_error *error)
{
    static const char *const numbers[] = {"partition", "from", "to", "next"};
    struct ms_table table = {0};
    struct ms_buffer text = {0};
    struct ms_replay_at at;
    ms_table_column(&table, "topic", false);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ms_table_column(&table, numbers[i], true);
    for (size_t i = 0; ms_replay_where(replay, i, &at); i++) {
        ms_table_cell(&table, "%s", ms_source_topic(at.part.source, config));
        ms_table_cell(&table, "%" PRId32, at.part.partition);
        ms_table_cell(&table, "%" PRId64, at.part.from);
        ms_table_cell(&table, "%" PRId64, end_of(&at));
        ms_table_cell(&table, "%" PRId64, at.next);
    }
    enum ms_status status = ms_table_text(&table, 2, &text, error);
    if (status == MS_OK)
        printf("%.*s", (int)text.size, text.data);
    ms_table_free(&table);
    ms_buffer_free(&text);
    return status;
}

static enum ms_status print_summary(const struct replay_arguments *arguments, const struct ms_config *config,
                                    const struct ms_replay *replay, const struct ms_replay_file_set *set,
                                    double seconds, struct ms_error *error)
{
    static const char *const stages[] = {"reading", "read", "published", "handed over"};
    struct ms_replay_counts counts = ms_replay_counted(replay);
    const char *stage = stages[ms_replay_plan_of(replay)->stage];
    struct ms_replay_reason reason;
    uint64_t users;
    enum ms_status status = ms_replay_users(replay, &users, error);
    if (status != MS_OK)
        return status;
    if (set->files.sources & 1u << MS_SOURCE_CLICKS) {
        counts.read = set->records;
        counts.folded = set->counts.folded;
    }
    counts.bad += ms_replay_files_bad(set);
    if (arguments->json) {
        json_t *root = json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:f, s:o}", "stage", stage,
                                 "records", (json_int_t)counts.read, "events", (json_int_t)counts.folded,
                                 "users", (json_int_t)users, "bad", (json_int_t)counts.bad, "bad_by_reason",
                                 reasons_json(replay), "published", (json_int_t)counts.published, "left",
                                 (json_int_t)counts.left, "seconds", seconds, "partitions",
                                 parts_json(config, replay));
        if (!root || (set->files.sources && !ms_replay_files_json(set, root))) {
            json_decref(root);
            return ms_fail(error, MS_MEMORY, "no memory to print the summary of a replay");
        }
        return print_json(root, error);
    }
    printf("%s: %" PRIu64 " records read in %.1f s (%.0f/s), %" PRIu64 " events folded, %" PRIu64
           " bad, %" PRIu64 " users, %" PRIu64 " records published, %" PRIu64 " offsets left\n",
           stage, counts.read, seconds, seconds > 0 ? (double)counts.read / seconds : 0.0, counts.folded,
           counts.bad, users, counts.published, counts.left);
    for (size_t i = 0; ms_replay_reason(replay, i, &reason); i++)
        printf("  bad: %s: %" PRIu64 "\n", reason.what, reason.count);
    ms_replay_files_print(set);
    return print_reached(config, replay, error);
}

/* ---- the run ---- */

/* Reads, publishes and hands over, as far as it is asked to and not done yet. */
static enum ms_status run_stages(const struct replay_arguments *arguments, struct ms_replay *replay,
                                 struct ms_replay_file_set *set, const atomic_int *stop,
                                 struct ms_error *error)
{
    bool whole = false;
    enum ms_status status = ms_replay_files_fold(set, replay, error);
    if (status != MS_OK)
        return status;
    status = ms_replay_start(replay, error);
    if (status == MS_OK && !arguments->files.count)
        ms_replay_progress_watch(replay, arguments->follow);
    struct ms_error ended = {0};
    enum ms_status finished = ms_replay_finish(replay, &whole, &ended);
    if (status == MS_OK && finished != MS_OK) {
        *error = ended;
        status = finished;
    }
    if (status == MS_OK && !whole)
        return ms_fail(error, MS_KAFKA_RETRY, "stopped before the end; the same command goes on from here");
    if (status == MS_OK && arguments->publish == MS_REPLAY_PUBLISH_FINAL) {
        if (!arguments->follow && atomic_load(stop))
            return ms_fail(error, MS_KAFKA_RETRY,
                           "stopped before it was published; the same command goes on from here");
        status = ms_replay_publish(replay, error);
    }
    if (status == MS_OK && arguments->handoff)
        status = ms_replay_hand_over(replay, error);
    return status;
}

static enum ms_status run_replay(const struct replay_arguments *arguments, const struct ms_options *options,
                                 struct ms_error *error)
{
    struct ms_setup setup = {0};
    struct ms_replay *replay = NULL;
    struct ms_replay_publishing publishing = {0};
    struct ms_replay_file_set *set = calloc(1, sizeof *set);
    const atomic_int *stop = ms_setup_signals();
    const struct ms_config config = config_of(options, arguments);
    double started_s = ms_monotonic_s();
    enum ms_status status = set ? ms_replay_file_set_make(set, &arguments->files, &config, error)
                                : ms_fail(error, MS_MEMORY, "no memory for a replay");
    if (status == MS_OK)
        status = ms_setup(&setup, options, stop, error);
    if (ms_log_enabled(MS_LOG_INFO) && !ms_log_enabled(MS_LOG_DEBUG)) /* the progress tells what matters */
        ms_log_set_level(MS_LOG_WARN);
    if (status == MS_OK) {
        set->rate = (double)arguments->rate;
        set->stop = stop;
        const struct ms_replay_options replay_options = options_of(arguments, &setup, &config, &publishing,
                                                                   set, stop);
        status = ms_replay_open(&replay, &replay_options, arguments->dry_run, error);
    }
    if (status == MS_OK && arguments->dry_run)
        status = arguments->files.count ? print_files(arguments, replay, set, error)
                                        : print_plan(arguments, &config, replay, error);
    else if (status == MS_OK) {
        status = run_stages(arguments, replay, set, stop, error);
        enum ms_status printed = print_summary(arguments, &config, replay, set, ms_monotonic_s() - started_s,
                                               status == MS_OK ? error : NULL);
        if (status == MS_OK)
            status = printed;
    }
    ms_replay_close(replay);
    ms_setup_free(&setup);
    free(set);
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    struct replay_arguments *arguments = context;
    struct ms_options *options = NULL;
    arguments->sources.environment = environ;
    enum ms_status status = check_arguments(arguments, error);
    if (status == MS_OK)
        status = ms_options_load(&options, &arguments->sources, error);
    if (status == MS_OK)
        status = ms_options_require(options, "run", error);
    if (status == MS_OK) {
        status = run_replay(arguments, options, error);
    }
    ms_options_destroy(options);
    return status;
}

#define AT(field) .offset = offsetof(struct replay_arguments, field)

static const struct ms_argument rows[] = {
    MS_SETTINGS_ROWS(struct replay_arguments, sources),
    {.name = "state-dir",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "DIR",
     .help = "where the state is built, instead of state.dir of the settings: new, empty, or of this replay",
     AT(sources.state_dir)},
    {.name = "model",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "DIR",
     .help = "the model directory, instead of model.dir of the settings",
     AT(sources.model_dir)},
    {.name = "output-topic",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .placeholder = "TOPIC",
     .standard_text = "output.topic",
     .help = "where --publish publishes",
     AT(output_topic)},
    {.name = "from",
     .kind = MS_ARGUMENT_STRING,
     .standard_text = "earliest",
     .placeholder = "BEGIN",
     .help = "earliest, latest, offset:N, an ISO 8601 time, or last:DURATION (PT6H, 7d) back from now",
     AT(from)},
    {.name = "to",
     .kind = MS_ARGUMENT_STRING,
     .standard_text = "latest",
     .placeholder = "END",
     .help = "as --from; what it means is fixed at the start. After --from-file: where the service begins",
     AT(to)},
    {.name = "publish",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "none|final|every",
     .standard = "none",
     .placeholder = "WHAT",
     .help = "nothing; at the end one record of each user, by partition and id; or a record for every event",
     AT(publish)},
    {.name = "rate",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 1000000000,
     .placeholder = "N",
     .help = "read no more than N events a second",
     AT(rate)},
    {.name = "workers",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 256,
     .placeholder = "N",
     .standard_text = "the setting workers",
     .help = "threads that read and fold; no more than there are partitions are used",
     AT(workers)},
    {.name = "checkpoint",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 86400,
     .standard = "30",
     .placeholder = "SECONDS",
     .help = "write the state at least so often: what a kill costs in reading",
     AT(checkpoint)},
    {.name = "dry-run", .kind = MS_ARGUMENT_FLAG, .help = "print what would be read, and end", AT(dry_run)},
    {.name = "follow",
     .kind = MS_ARGUMENT_FLAG,
     .help = "at the end go on with what comes, until SIGTERM or SIGINT; then publish and hand over as asked",
     AT(follow)},
    {.name = "handoff",
     .kind = MS_ARGUMENT_FLAG,
     .help = "at the end set the group's offsets, so that `mindstream run` goes on with this state",
     AT(handoff)},
    {.name = "restart",
     .kind = MS_ARGUMENT_FLAG,
     .help = "drop what an earlier replay has built in the state directory, and begin again",
     AT(restart)},
    {.name = "accept-holes",
     .kind = MS_ARGUMENT_FLAG,
     .help = "where the topic is compacted, fold what is left of it",
     AT(sources.accept_holes)},
    {.name = "json", .kind = MS_ARGUMENT_FLAG, .help = "print plan or summary as one JSON object", AT(json)},
    MS_REPLAY_FILE_ROWS(struct replay_arguments, files),
    {0},
};

const struct ms_command ms_command_replay = {
    .name = "replay",
    .summary = "build the state from the log, without the service, and hand it over",
    .description =
        "Reads the input topics from a beginning to an end that are fixed at the start, as fast as the machine can, without\n"
        "joining the group, and builds the state that a service would have there. A replay that was stopped or killed goes on\n"
        "with the same command. With --handoff the service takes over at the very offsets where the replay ended.\n",
    .rows = rows,
    .notes =
        "Profiles (profile.topic) are read whole, before the clicks. Bad events are counted; they go to no dead-letter topic.\n"
        "JSON: stage (reading, read, published, handed over), records, events, users, bad, bad_by_reason {reason: count},\n"
        "published, left, seconds, partitions [{topic, partition, from, to, next, left}]; with --dry-run partitions, left,\n"
        "seconds_guessed. With files also files [{file, bytes}], profiles, already (events that were in the state), duplicates,\n"
        "late, unknown_items, filtered, blank; with --dry-run partition_count, partitioner, bytes.\n"
        "\n"
        "With --from-file users go to the partitions where producers put their keys. Events are folded in the order of the\n"
        "files. Bad lines are named and counted. The same command reads the files again and passes over what is in the state.\n"
        "--handoff then needs --to: where in input.topic the service begins.\n",
    .examples =
        "mindstream replay -c clicks.properties --dry-run\n"
        "mindstream replay -c clicks.properties --handoff && mindstream run -c clicks.properties\n"
        "mindstream replay -c clicks.properties --from-file 2024.csv.gz --from-file 2025.csv.gz --handoff --to earliest\n"
        "zcat log.gz | mindstream replay -c clicks.properties --from-file - --partitioner crc32 --publish final\n"
        "mindstream replay -c green.properties --follow --publish final --handoff\n"
        "mindstream replay -c clicks.properties --state-dir /srv/audit --publish every --output-topic interests-audit\n"
        "mindstream replay -c clicks.properties --state-dir /srv/trial --from last:P7D --model /srv/models/new\n",
    .exit_status =
        "0 done, 1 failed or stopped early, 2 bad usage or settings, 3 offsets, state or rights to be mended",
    .arguments_bytes = sizeof(struct replay_arguments),
    .run = run,
};
