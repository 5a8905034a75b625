/* mindstream evaluate: what would the vectors have recalled? A click log and a model in, a table out. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/log_arguments.h"
#include "app/machine.h"
#include "base/json.h"
#include "train/clicks.h"
#include "train/columns.h"

#define MAX_THREADS 64
#define MOST_EVENTS 1000000

struct evaluate_arguments {
    const char *model_dir;
    struct ms_log_arguments log;
    const char *users;
    double holdout; /* 0: not given */
    int64_t min_events, max_events, threads;
    const char *decays, *half_lives;
    bool json;
};

/* The arguments, and what is made of them. */
struct evaluate_work {
    const struct evaluate_arguments *arguments;
    struct ms_click_log log;
    struct ms_column_list columns;
};

/* ---- output ---- */

static double us_per_event(const struct ms_column *column)
{
    return column->steps ? column->seconds * 1e6 / (double)column->steps : 0.0;
}

static void metrics_of(const struct ms_column *column, struct ms_metric metrics[4])
{
    metrics[0] = ms_recall(&column->ranks, 20);
    metrics[1] = ms_recall(&column->ranks, 50);
    metrics[2] = ms_ndcg(&column->ranks, 20);
    metrics[3] = ms_ndcg(&column->ranks, 50);
}

static const char *const metric_names[4] = {"recall@20", "recall@50", "ndcg@20", "ndcg@50"};

static void print_table(const struct evaluate_work *work, const struct ms_model *model,
                        const struct ms_histories *histories, const struct ms_evaluation *evaluation)
{
    int width = 12;
    for (int i = 0; i < work->columns.count; i++)
        width = (int)strlen(work->columns.names[i]) > width ? (int)strlen(work->columns.names[i]) : width;
    printf("model %s: %" PRIu32 " users, %" PRIu64 " targets, %" PRIu64
           " skipped (items that the model does not know)\n\n",
           ms_model_config(model)->id, histories->user_count, evaluation->targets, evaluation->skipped);
    printf("%-*s", width, "");
    for (int m = 0; m < 4; m++)
        printf("  %-16s", metric_names[m]);
    printf("  %8s  %10s\n", "n", "us/event");
    for (int i = 0; i < work->columns.count; i++) {
        struct ms_metric metrics[4];
        metrics_of(&work->columns.columns[i], metrics);
        printf("%-*s", width, work->columns.names[i]);
        for (int m = 0; m < 4; m++)
            printf("  %.4f +- %.4f", metrics[m].value, metrics[m].standard_error);
        printf("  %8" PRIu64 "  %10.3f\n", evaluation->targets, us_per_event(&work->columns.columns[i]));
    }
}

static void print_number(const char *key, double value, const char *end)
{
    char text[512];
    size_t bytes = ms_print_double(text, sizeof text, value);
    printf("\"%s\": %.*s%s", key, bytes ? (int)bytes : 1, bytes ? text : "0", end);
}

static void print_json(const struct evaluate_work *work, const struct ms_histories *histories,
                       const struct ms_evaluation *evaluation)
{
    printf("{\"users\": %" PRIu32 ", \"targets\": %" PRIu64 ", \"skipped\": %" PRIu64, histories->user_count,
           evaluation->targets, evaluation->skipped);
    for (int i = 0; i < work->columns.count; i++) {
        struct ms_metric metrics[4];
        metrics_of(&work->columns.columns[i], metrics);
        printf(",\n \"%s\": {", work->columns.names[i]);
        for (int m = 0; m < 4; m++)
            print_number(metric_names[m], metrics[m].value, ", ");
        printf("\"stderr\": {");
        for (int m = 0; m < 4; m++)
            print_number(metric_names[m], metrics[m].standard_error, m < 3 ? ", " : "}, ");
        print_number("us_per_event", us_per_event(&work->columns.columns[i]), "}");
    }
    printf("}\n");
}

static enum ms_status print_result(const struct evaluate_work *work, const struct ms_model *model,
                                   const struct ms_histories *histories,
                                   const struct ms_evaluation *evaluation, struct ms_error *error)
{
    if (work->arguments->json)
        print_json(work, histories, evaluation);
    else
        print_table(work, model, histories, evaluation);
    if (fflush(stdout) != 0 || ferror(stdout))
        return ms_fail(error, MS_IO, "standard output: %s", strerror(errno));
    return MS_OK;
}

/* ---- the evaluation ---- */

static void print_passed(const struct ms_passed_counts *passed)
{
    for (unsigned reason = 0; reason < MS_PASSED_COUNT; reason++)
        if (passed->count[reason] && reason != MS_PASSED_BLANK)
            fprintf(stderr, "passed over: %" PRIu64 " %s (%s)%s%s\n", passed->count[reason],
                    ms_passed_text((enum ms_passed)reason), ms_passed_name((enum ms_passed)reason),
                    passed->count[reason] > 1 ? "; the first: " : ": ", passed->first[reason]);
}

/* Says what was read. No user with enough clicks is an error, and so are half-lives without times. */
static enum ms_status check_histories(const struct evaluate_work *work, const struct ms_histories *histories,
                                      struct ms_error *error)
{
    fprintf(stderr,
            "%" PRIu64 " clicks (%s, %s); of %" PRIu32 " chosen users %" PRIu32 " have at least %" PRIu32
            " clicks\n",
            histories->clicks_read, histories->csv ? "CSV" : "JSON lines",
            histories->timed ? "in order of time" : "in order of the file", histories->users_met,
            histories->user_count, work->log.min_events);
    print_passed(&histories->passed);
    if (histories->user_count == 0)
        return ms_fail(error, MS_NOT_FOUND, "none of the users has %" PRIu32 " clicks (--min-events)",
                       work->log.min_events);
    if (work->arguments->half_lives && !histories->timed)
        return ms_fail(error, MS_USAGE,
                       "--half-lives needs times, and the log has none; name them with --time");
    return MS_OK;
}

/* A model that weighs events needs to know their types. */
static enum ms_status read_histories(struct evaluate_work *work, struct ms_histories *histories,
                                     const struct ms_model *model, struct ms_error *error)
{
    if (ms_model_weighs_events(model) && !work->log.events.type)
        work->log.events.type = "event_type";
    return ms_histories_read(histories, &work->log, model, error);
}

static enum ms_status evaluate(struct evaluate_work *work, struct ms_error *error)
{
    struct ms_model *model = NULL;
    struct ms_histories histories = {0};
    struct ms_evaluation evaluation;
    enum ms_status status;
    if ((status = ms_model_load(&model, work->arguments->model_dir, error)) ||
        (status = ms_columns_keep_supported(&work->columns, model, stderr, error)) ||
        (status = read_histories(work, &histories, model, error)) ||
        (status = check_histories(work, &histories, error)) ||
        (status = ms_evaluate(model, &histories, work->columns.columns, work->columns.count,
                              (int)work->arguments->threads, &evaluation, error)))
        goto done;
    if (evaluation.targets == 0)
        status = ms_fail(
            error, MS_NOT_FOUND,
            "nothing to predict: the model knows no item in the second half of any history (%" PRIu64
            " skipped)",
            evaluation.skipped);
    else
        status = print_result(work, model, &histories, &evaluation, error);
done:
    ms_histories_free(&histories);
    ms_model_destroy(model);
    return status;
}

/* ---- the command ---- */

static enum ms_status check_decays(const char *option, const char *value, struct ms_error *error)
{
    return ms_columns_check(option, value, false, error);
}

static enum ms_status check_half_lives(const char *option, const char *value, struct ms_error *error)
{
    return ms_columns_check(option, value, true, error);
}

#define AT(field) .offset = offsetof(struct evaluate_arguments, field)

static const struct ms_argument rows[] = {
    {.name = "model",
     .kind = MS_ARGUMENT_DIRECTORY,
     .required = true,
     .placeholder = "DIR",
     .help = "the model directory; its dim must be the width of its item_embedding",
     AT(model_dir)},
    MS_LOG_ARGUMENT_ROWS(struct evaluate_arguments, log),
    {.name = "users",
     .kind = MS_ARGUMENT_FILE,
     .placeholder = "FILE",
     .group = "Users (default: all of the log)",
     .help = "those in the file, an id a line",
     AT(users)},
    {.name = "holdout",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 1,
     .min_excluded = true,
     .placeholder = "F",
     .help = "those with XXH64(user id, 0) mod 10000 < F * 10000",
     AT(holdout)},
    {.name = "min-events",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = MOST_EVENTS,
     .standard = "10",
     .placeholder = "N",
     .help = "of these, those with at least N clicks",
     AT(min_events)},
    {.name = "max-events",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = MOST_EVENTS,
     .standard = "200",
     .placeholder = "N",
     .help = "the first N clicks of each",
     AT(max_events)},
    {.name = "decays",
     .kind = MS_ARGUMENT_LIST,
     .check = check_decays,
     .standard_text = "0.9, unless --half-lives is given",
     .placeholder = "LIST",
     .group = "What to compare",
     .help = "columns of decays, separated by blanks, several time scales by commas",
     AT(decays)},
    {.name = "half-lives",
     .kind = MS_ARGUMENT_LIST,
     .check = check_half_lives,
     .placeholder = "LIST",
     .help = "the same by event time: '12h 7d 1h,7d'",
     AT(half_lives)},
    {.name = "json", .kind = MS_ARGUMENT_FLAG, .help = "JSON instead of the table", AT(json)},
    {.name = "threads",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = MAX_THREADS,
     .standard_text = "as many as processors",
     .placeholder = "N",
     .help = "threads",
     AT(threads)},
    {0},
};

static enum ms_status run_evaluate(void *context, struct ms_error *error)
{
    struct evaluate_arguments *arguments = context;
    int cores = ms_machine_cores();
    struct ms_events_options events;
    if (arguments->holdout > 0 && arguments->users)
        return ms_fail(error, MS_USAGE, "--users and --holdout exclude each other: give one");
    enum ms_status status = ms_log_arguments_take(
        &arguments->log, arguments->users && strcmp(arguments->users, "-") == 0, &events, error);
    if (status != MS_OK)
        return status;
    struct evaluate_work *work = calloc(1, sizeof *work);
    if (!work)
        return ms_fail(error, MS_MEMORY, "no memory");
    if (arguments->threads == 0)
        arguments->threads = cores < MAX_THREADS ? cores : MAX_THREADS;
    work->arguments = arguments;
    work->log = (struct ms_click_log){.events = events,
                                      .users_path = arguments->users,
                                      .buckets = ms_holdout_buckets(arguments->holdout),
                                      .min_events = (uint32_t)arguments->min_events,
                                      .max_events = (uint32_t)arguments->max_events};
    status = ms_columns_make(&work->columns, work->arguments->decays, work->arguments->half_lives, error);
    if (status == MS_OK)
        status = evaluate(work, error);
    free(work);
    return status;
}

const struct ms_command ms_command_evaluate = {
    .name = "evaluate",
    .summary = "what the vectors would have recalled on a click log",
    .description =
        "What would the vectors have recalled? Replays users' clicks by (time, place in the file). From the\n"
        "middle of each history on, every click is predicted from those before it: is its item among the 20,\n"
        "or 50, best of the whole catalogue, by the largest inner product with the user's vectors? Of n\n"
        "clicks, with half = n / 2 rounded down, clicks half + 1 .. n - 1 (from 0) are predicted. Exact, on\n"
        "all cores; the numbers do not depend on how many there are.\n"
        "\n"
        "Columns:\n"
        "  full           full routing over the window, at every click\n"
        "  incremental@D  the fold with decay D, one click at a time, as the service does it by default;\n"
        "                 incremental@model: by the decays that the model was trained with, where it has them\n"
        "  stale          the vectors of clicks 0 .. half, never brought up to date\n"
        "  last           the last known item's projected embedding alone (no head; one for each interest\n"
        "                 where the map is per interest or per position)\n"
        "recall and ndcg (1 / log2(1 + rank)) are means over targets, with standard errors; us/event is the\n"
        "CPU time of bringing a user's vectors up to date with one click, scoring left out.\n",
    .rows = rows,
    .notes =
        "Clicks on items that the model does not know take no slot; as targets they are skipped and counted.\n"
        "No click is left out as a duplicate. A user without a known item before a target has no vectors yet:\n"
        "a miss. Profile fields take their default rows. The chosen users' clicks must fit in memory, at 32\n"
        "bytes each.\n"
        "\n"
        "Reading ends at the first bad record, because an evaluation of half a log would look like one of the whole;\n"
        "--skip goes on and counts. Logs of MovieLens (1::31::4::978300760) are read with --separator : --columns\n"
        "user_id,,item_id,,rating,,timestamp. Column names may carry RecBole's types (user_id:token).\n",
    .examples =
        "mindstream evaluate --model models/tmall --events clicks.jsonl --holdout 0.1 --decays '0.8 0.9'\n"
        "mindstream evaluate --model models/shop --events log.csv --user customer --item sku --time ts\n"
        "mindstream evaluate --model models/shop --events clicks.csv.gz --json > recall.json\n"
        "mindstream evaluate --model models/shop --events UserBehavior.csv \\\n"
        "  --columns user_id,item_id,category,event_type,timestamp --types pv\n"
        "mindstream evaluate --model models/shop --events ml-100k.inter --skip untimed\n",
    .exit_status = "0 done, 1 the log or the model could not be read, or has nothing to predict, 2 bad usage",
    .arguments_bytes = sizeof(struct evaluate_arguments),
    .run = run_evaluate,
};
