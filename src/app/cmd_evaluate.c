/* mindstream evaluate: what would the vectors have recalled? A click log and a model in, a table out. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/decay.h"
#include "app/machine.h"
#include "base/json.h"
#include "train/clicks.h"
#include "train/evaluate.h"

#define MAX_THREADS   64
#define MAX_COLUMNS   64
#define NAME_MAX_SIZE 128 /* bytes of a column's name */
#define LIST_MAX      4096
#define MOST_EVENTS   1000000

static const char help[] =
    "Usage: mindstream evaluate --model DIR --events FILE [OPTION]...\n"
    "\n"
    "What would the vectors have recalled? Replays users' clicks by (time, place in the file). From the\n"
    "middle of each history on, every click is predicted from those before it: is its item among the 20,\n"
    "or 50, best of the whole catalogue, by the largest inner product with the user's vectors? Of n\n"
    "clicks, with half = n / 2 rounded down, clicks half + 1 .. n - 1 (from 0) are predicted. Exact, on\n"
    "all cores; the numbers do not depend on how many there are.\n"
    "\n"
    "Columns:\n"
    "  full           full routing over the window, at every click\n"
    "  incremental@D  the fold with decay D, one click at a time, as the service does it by default\n"
    "  stale          the vectors of clicks 0 .. half, never brought up to date\n"
    "  last           the last known item's projected embedding alone (no head; one for each interest\n"
    "                 where the map is per interest or per position)\n"
    "recall and ndcg (1 / log2(1 + rank)) are means over targets, with standard errors; us/event is the\n"
    "CPU time of bringing a user's vectors up to date with one click, scoring left out.\n"
    "\n"
    "Log:\n"
    "  --events FILE      JSON lines, or CSV with a header ('-': standard input)\n"
    "  --format F         json or csv (default: json where the file begins with '{')\n"
    "  --user NAME --item NAME --time NAME\n"
    "                     columns, or JSON fields (user_id, item_id, timestamp). Without a timestamp, or\n"
    "                     with --time '', clicks are in the order of the file. Times: s, ms or us by\n"
    "                     magnitude, or ISO 8601\n"
    "Users (default: all of the log):\n"
    "  --users FILE       those in the file, an id a line\n"
    "  --holdout F        those with XXH64(user id, 0) mod 10000 < F * 10000\n"
    "  --min-events N     of these, those with at least N clicks (10)\n"
    "  --max-events N     the first N clicks of each (200)\n"
    "What to compare:\n"
    "  --decays LIST      columns of decays, separated by blanks, several time scales by commas (0.9)\n"
    "  --half-lives LIST  the same by event time: '12h 7d 1h,7d'\n"
    "  --json             JSON instead of the table\n"
    "  --threads N        threads (default: as many as processors)\n"
    "  --help             print this\n"
    "\n"
    "Clicks on items that the model does not know take no slot; as targets they are skipped and counted.\n"
    "No click is left out as a duplicate. A user without a known item before a target has no vectors yet:\n"
    "a miss. Profile fields take their default rows. Needs a model whose dim is the width of its\n"
    "item_embedding. The chosen users' clicks must fit in memory, at 32 bytes each.\n"
    "\n"
    "Examples:\n"
    "  mindstream evaluate --model models/tmall --events clicks.jsonl --holdout 0.1 --decays '0.8 0.9'\n"
    "  mindstream evaluate --model models/shop --events log.csv --user customer --item sku --time ts\n"
    "  zcat clicks.csv.gz | mindstream evaluate --model models/shop --events - --json > recall.json\n"
    "\n"
    "Exit status: 0 done, 1 the log or the model could not be read, or has nothing to predict, 2 bad "
    "usage.\n";

struct arguments {
    const char *model;
    struct ms_click_log log;
    const char *decays, *half_lives;
    bool json, help;
    int threads;

    struct ms_column columns[MAX_COLUMNS];
    char names[MAX_COLUMNS][NAME_MAX_SIZE];
    int column_count;
};

/* ---- arguments ---- */

static enum ms_status parse_count(const char *option, const char *text, long least, long most,
                                  uint32_t *number, struct ms_error *error)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (!text[0] || strspn(text, "0123456789") != strlen(text) || errno || value < least || value > most)
        return ms_fail(error, MS_USAGE, "%s takes a whole number from %ld to %ld, not '%s'", option, least,
                       most, text);
    *number = (uint32_t)value;
    return MS_OK;
}

static enum ms_status parse_holdout(const char *text, uint32_t *buckets, struct ms_error *error)
{
    char *end;
    double share = strtod(text, &end);
    if (!text[0] || strspn(text, "0123456789.eE-+") != strlen(text) || *end || !(share > 0.0 && share <= 1.0))
        return ms_fail(error, MS_USAGE, "--holdout takes a share above 0, at most 1, not '%s'", text);
    /* The share is a decimal: 0.07 are 700 buckets, though 0.07 * 10000 in binary is a little more. */
    *buckets = (uint32_t)ceil(share * MS_HOLDOUT_BUCKETS - 1e-7);
    return MS_OK;
}

static enum ms_status take_option(struct arguments *arguments, int option, struct ms_error *error)
{
    struct ms_click_log *log = &arguments->log;
    uint32_t threads;
    enum ms_status status;
    switch (option) {
    case 'm':
        arguments->model = optarg;
        return MS_OK;
    case 'e':
        log->path = optarg;
        return MS_OK;
    case 'f':
        log->format = strcmp(optarg, "json") == 0 ? MS_LOG_JSON : MS_LOG_CSV;
        if (log->format == MS_LOG_CSV && strcmp(optarg, "csv") != 0)
            return ms_fail(error, MS_USAGE, "--format takes json or csv, not '%s'", optarg);
        return MS_OK;
    case 'u':
        log->user = optarg;
        return MS_OK;
    case 'i':
        log->item = optarg;
        return MS_OK;
    case 't':
        log->time = optarg;
        return MS_OK;
    case 'U':
        log->users_path = optarg;
        return MS_OK;
    case 'H':
        return parse_holdout(optarg, &log->buckets, error);
    case 'n':
        return parse_count("--min-events", optarg, 1, MOST_EVENTS, &log->min_events, error);
    case 'x':
        return parse_count("--max-events", optarg, 1, MOST_EVENTS, &log->max_events, error);
    case 'd':
        arguments->decays = optarg;
        return MS_OK;
    case 'l':
        arguments->half_lives = optarg;
        return MS_OK;
    case 'p':
        status = parse_count("--threads", optarg, 1, MAX_THREADS, &threads, error);
        arguments->threads = status == MS_OK ? (int)threads : 0;
        return status;
    case 'j':
        arguments->json = true;
        return MS_OK;
    default:
        arguments->help = true;
        return MS_OK;
    }
}

static enum ms_status parse_options(struct arguments *arguments, int argc, char **argv,
                                    struct ms_error *error)
{
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"events", required_argument, NULL, 'e'},
                                            {"format", required_argument, NULL, 'f'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"item", required_argument, NULL, 'i'},
                                            {"time", required_argument, NULL, 't'},
                                            {"users", required_argument, NULL, 'U'},
                                            {"holdout", required_argument, NULL, 'H'},
                                            {"min-events", required_argument, NULL, 'n'},
                                            {"max-events", required_argument, NULL, 'x'},
                                            {"decays", required_argument, NULL, 'd'},
                                            {"half-lives", required_argument, NULL, 'l'},
                                            {"threads", required_argument, NULL, 'p'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    bool holdout = false;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == ':')
            return ms_fail(error, MS_USAGE, "a value is missing after %s", argv[optind - 1]);
        if (option == '?')
            return ms_fail(error, MS_USAGE, "unknown option %s", argv[optind - 1]);
        enum ms_status status = take_option(arguments, option, error);
        if (status != MS_OK || arguments->help)
            return status;
        holdout = holdout || option == 'H';
    }
    if (optind < argc)
        return ms_fail(error, MS_USAGE, "unexpected argument '%s'", argv[optind]);
    if (!arguments->model || !arguments->log.path)
        return ms_fail(error, MS_USAGE, "%s is missing", arguments->model ? "--events FILE" : "--model DIR");
    if (holdout && arguments->log.users_path)
        return ms_fail(error, MS_USAGE, "--users and --holdout exclude each other: give one");
    return MS_OK;
}

/* ---- columns ---- */

static enum ms_status add_column(struct arguments *arguments, enum ms_column_kind kind, const char *name,
                                 const char *decay, const char *half_life, struct ms_error *error)
{
    if (arguments->column_count == MAX_COLUMNS)
        return ms_fail(error, MS_USAGE, "more than %d columns", MAX_COLUMNS);
    struct ms_column *column = &arguments->columns[arguments->column_count];
    char *made = arguments->names[arguments->column_count];
    *column = (struct ms_column){.kind = kind};
    if (kind == MS_COLUMN_INCREMENTAL) {
        enum ms_status status = ms_decay_parse(decay, half_life, &column->decay, error);
        if (status != MS_OK)
            return ms_fail_in(error, status, decay[0] ? "--decays" : "--half-lives");
    }
    if (snprintf(made, NAME_MAX_SIZE, "%s%s%s", name, decay, half_life) >= NAME_MAX_SIZE)
        return ms_fail(error, MS_USAGE, "'%s%s' is too long for the name of a column", decay, half_life);
    for (int i = 0; i < arguments->column_count; i++)
        if (strcmp(arguments->names[i], made) == 0)
            return ms_fail(error, MS_USAGE, "'%s%s' is given twice", decay, half_life);
    arguments->column_count++;
    return MS_OK;
}

/* A column for each word of |list|. */
static enum ms_status add_list(struct arguments *arguments, const char *list, bool by_time,
                               struct ms_error *error)
{
    char copy[LIST_MAX], *save = NULL;
    if (strlen(list) >= sizeof copy)
        return ms_fail(error, MS_USAGE, "a list of decays longer than %zu bytes", sizeof copy - 1);
    strcpy(copy, list);
    for (char *word = strtok_r(copy, " \t\n", &save); word; word = strtok_r(NULL, " \t\n", &save)) {
        enum ms_status status = add_column(arguments, MS_COLUMN_INCREMENTAL, "incremental@",
                                           by_time ? "" : word, by_time ? word : "", error);
        if (status != MS_OK)
            return status;
    }
    return MS_OK;
}

static enum ms_status add_columns(struct arguments *arguments, struct ms_error *error)
{
    bool given = arguments->decays || arguments->half_lives;
    enum ms_status status = add_column(arguments, MS_COLUMN_FULL, "full", "", "", error);
    if (status == MS_OK && (arguments->decays || !given))
        status = add_list(arguments, given ? arguments->decays : "0.9", false, error);
    if (status == MS_OK && arguments->half_lives)
        status = add_list(arguments, arguments->half_lives, true, error);
    if (status == MS_OK)
        status = add_column(arguments, MS_COLUMN_STALE, "stale", "", "", error);
    return status ? status : add_column(arguments, MS_COLUMN_LAST, "last", "", "", error);
}

/* Takes out the columns that the model cannot have, with a line that says why; one that was asked for by name
 * is an error. */
static enum ms_status drop_columns(struct arguments *arguments, const struct ms_model *model,
                                   struct ms_error *error)
{
    int kept = 0;
    for (int i = 0; i < arguments->column_count; i++) {
        enum ms_column_kind kind = arguments->columns[i].kind;
        bool asked = kind == MS_COLUMN_INCREMENTAL && (arguments->decays || arguments->half_lives);
        struct ms_error why;
        enum ms_status status = ms_column_supported(model, kind, &why);
        if (status != MS_OK && (asked || kind == MS_COLUMN_FULL)) {
            *error = why;
            return status;
        }
        if (status != MS_OK) {
            fprintf(stderr, "no column %s: %s\n", arguments->names[i], why.text);
            continue;
        }
        arguments->columns[kept] = arguments->columns[i];
        memmove(arguments->names[kept++], arguments->names[i], NAME_MAX_SIZE);
    }
    arguments->column_count = kept;
    return MS_OK;
}

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

static void print_table(const struct arguments *arguments, const struct ms_model *model,
                        const struct ms_histories *histories, const struct ms_evaluation *evaluation)
{
    int width = 12;
    for (int i = 0; i < arguments->column_count; i++)
        width = (int)strlen(arguments->names[i]) > width ? (int)strlen(arguments->names[i]) : width;
    printf("model %s: %" PRIu32 " users, %" PRIu64 " targets, %" PRIu64
           " skipped (items that the model does not know)\n\n",
           ms_model_config(model)->id, histories->user_count, evaluation->targets, evaluation->skipped);
    printf("%-*s", width, "");
    for (int m = 0; m < 4; m++)
        printf("  %-16s", metric_names[m]);
    printf("  %8s  %10s\n", "n", "us/event");
    for (int i = 0; i < arguments->column_count; i++) {
        struct ms_metric metrics[4];
        metrics_of(&arguments->columns[i], metrics);
        printf("%-*s", width, arguments->names[i]);
        for (int m = 0; m < 4; m++)
            printf("  %.4f +- %.4f", metrics[m].value, metrics[m].standard_error);
        printf("  %8" PRIu64 "  %10.3f\n", evaluation->targets, us_per_event(&arguments->columns[i]));
    }
}

static void print_number(const char *key, double value, const char *end)
{
    char text[512];
    size_t bytes = ms_print_double(text, sizeof text, value);
    printf("\"%s\": %.*s%s", key, bytes ? (int)bytes : 1, bytes ? text : "0", end);
}

static void print_json(const struct arguments *arguments, const struct ms_histories *histories,
                       const struct ms_evaluation *evaluation)
{
    printf("{\"users\": %" PRIu32 ", \"targets\": %" PRIu64 ", \"skipped\": %" PRIu64, histories->user_count,
           evaluation->targets, evaluation->skipped);
    for (int i = 0; i < arguments->column_count; i++) {
        struct ms_metric metrics[4];
        metrics_of(&arguments->columns[i], metrics);
        printf(",\n \"%s\": {", arguments->names[i]);
        for (int m = 0; m < 4; m++)
            print_number(metric_names[m], metrics[m].value, ", ");
        printf("\"stderr\": {");
        for (int m = 0; m < 4; m++)
            print_number(metric_names[m], metrics[m].standard_error, m < 3 ? ", " : "}, ");
        print_number("us_per_event", us_per_event(&arguments->columns[i]), "}");
    }
    printf("}\n");
}

static enum ms_status print(const struct arguments *arguments, const struct ms_model *model,
                            const struct ms_histories *histories, const struct ms_evaluation *evaluation,
                            struct ms_error *error)
{
    if (arguments->json)
        print_json(arguments, histories, evaluation);
    else
        print_table(arguments, model, histories, evaluation);
    if (fflush(stdout) != 0 || ferror(stdout))
        return ms_fail(error, MS_IO, "standard output: %s", strerror(errno));
    return MS_OK;
}

/* ---- the whole ---- */

/* Says what was read; that nothing can be made of it is an error. */
static enum ms_status check_histories(const struct arguments *arguments, const struct ms_histories *histories,
                                      struct ms_error *error)
{
    fprintf(stderr,
            "%" PRIu64 " clicks (%s, %s); of %" PRIu32 " chosen users %" PRIu32 " have at least %" PRIu32
            " clicks\n",
            histories->clicks_read, histories->csv ? "CSV" : "JSON lines",
            histories->timed ? "in order of time" : "in order of the file", histories->users_met,
            histories->user_count, arguments->log.min_events);
    if (histories->user_count == 0)
        return ms_fail(error, MS_NOT_FOUND, "none of the users has %" PRIu32 " clicks (--min-events)",
                       arguments->log.min_events);
    if (arguments->half_lives && !histories->timed)
        return ms_fail(error, MS_USAGE,
                       "--half-lives needs times, and the log has none; name them with --time");
    return MS_OK;
}

static enum ms_status evaluate(struct arguments *arguments, struct ms_error *error)
{
    struct ms_model *model = NULL;
    struct ms_histories histories = {0};
    struct ms_evaluation evaluation;
    enum ms_status status;
    if ((status = ms_model_load(&model, arguments->model, error)) ||
        (status = drop_columns(arguments, model, error)) ||
        (status = ms_histories_read(&histories, &arguments->log, model, error)) ||
        (status = check_histories(arguments, &histories, error)) ||
        (status = ms_evaluate(model, &histories, arguments->columns, arguments->column_count,
                              arguments->threads, &evaluation, error)))
        goto done;
    if (evaluation.targets == 0)
        status = ms_fail(
            error, MS_NOT_FOUND,
            "nothing to predict: the model knows no item in the second half of any history (%" PRIu64
            " skipped)",
            evaluation.skipped);
    else
        status = print(arguments, model, &histories, &evaluation, error);
done:
    ms_histories_free(&histories);
    ms_model_destroy(model);
    return status;
}

int ms_cmd_evaluate(int argc, char **argv)
{
    int cores = ms_machine_cores();
    struct ms_error error = {MS_OK, ""};
    struct arguments *arguments = calloc(1, sizeof *arguments);
    if (!arguments) {
        fputs("mindstream evaluate: no memory\n", stderr);
        return 1;
    }
    arguments->log = (struct ms_click_log){
        .buckets = MS_HOLDOUT_BUCKETS, .min_events = 10, .max_events = 200};
    arguments->threads = cores < MAX_THREADS ? cores : MAX_THREADS;
    enum ms_status status = parse_options(arguments, argc, argv, &error);
    bool usage = status != MS_OK;
    if (status == MS_OK && !arguments->help)
        status = add_columns(arguments, &error);
    if (status == MS_OK && arguments->help)
        fputs(help, stdout);
    else if (status == MS_OK)
        status = evaluate(arguments, &error);
    free(arguments);
    if (status != MS_OK)
        fprintf(stderr, "mindstream evaluate: %s%s\n", error.text,
                usage ? "; 'mindstream evaluate --help' shows the usage" : "");
    return ms_status_exit_code(status);
}
