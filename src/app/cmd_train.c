/* mindstream train: a click log in, a model directory out. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/log_arguments.h"
#include "app/machine.h"
#include "event/time.h"
#include "train/fit/fit.h"

struct train_arguments {
    struct ms_log_arguments log;
    const char *out;
    bool force;
    const char *from, *split;
    const char *name, *version, *log_path;
    bool no_report;
    int64_t dim;
    const char *interests;
    const char *decay;
    int objective, logits, negatives_by, maps; /* indices of their values */
    double stddev;
    double holdout;
    int64_t epochs, patience, seed, threads;
    double minutes, checkpoint;
    bool resume;
    int64_t batch, negatives, window, context;
    double dropout, rate;
};

/* The numbers of a list of decays in |decays|, cycled over |count|; false where it is none. */
static bool parse_decays(const char *text, double *decays, size_t count)
{
    double numbers[MS_MAX_INTERESTS];
    size_t found = 0;
    for (const char *at = text;; at++) {
        char *end;
        double number = strtod(at, &end);
        if (end == at || found == MS_MAX_INTERESTS || !(number > 0 && number < 1) || (*end && *end != ','))
            return false;
        numbers[found++] = number;
        if (!*end)
            break;
        at = end;
    }
    for (size_t j = 0; j < count; j++)
        decays[j] = numbers[j % found];
    return true;
}

static enum ms_status check_decay(const char *option, const char *value, struct ms_error *error)
{
    if (strcmp(value, "item") == 0 || strcmp(value, "learned") == 0 || parse_decays(value, NULL, 0))
        return MS_OK;
    return ms_fail(error, MS_USAGE,
                   "%s: '%s' is neither item nor learned nor numbers between 0 and 1, separated by commas",
                   option, value);
}

/* A number of interests, 0 for auto; false where it is neither. */
static bool parse_interests(const char *text, size_t *interests)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    bool automatic = strcmp(text, "auto") == 0;
    *interests = automatic ? 0 : number;
    return automatic || (*text >= '0' && *text <= '9' && !*end && number >= 1 && number <= MS_MAX_INTERESTS);
}

static enum ms_status check_interests(const char *option, const char *value, struct ms_error *error)
{
    size_t interests;
    return parse_interests(value, &interests)
               ? MS_OK
               : ms_fail(error, MS_USAGE, "%s: '%s' is neither auto nor a whole number from 1 to %d", option,
                         value, MS_MAX_INTERESTS);
}

/* "time=T"; false where it is not that. */
static bool parse_split(const char *text, int64_t *time_ms)
{
    static const char prefix[] = "time=";
    size_t length = sizeof prefix - 1;
    return strncmp(text, prefix, length) == 0 &&
           !ms_time_from_text(text + length, strlen(text + length), time_ms);
}

static enum ms_status check_split(const char *option, const char *value, struct ms_error *error)
{
    int64_t time_ms;
    return parse_split(value, &time_ms)
               ? MS_OK
               : ms_fail(error, MS_USAGE, "%s: '%s' is not time= and a time, such as time=2026-11-01", option,
                         value);
}

#define AT(field) .offset = offsetof(struct train_arguments, field)

static const struct ms_argument rows[] = {
    MS_LOG_ARGUMENT_ROWS(struct train_arguments, log),
    {.name = "out",
     .kind = MS_ARGUMENT_DIRECTORY,
     .required = true,
     .placeholder = "DIR",
     .group = "Model",
     .help = "the model directory, written as a whole at the end; one that mindstream wrote is replaced",
     AT(out)},
    {.name = "force",
     .kind = MS_ARGUMENT_FLAG,
     .help = "let --out replace a model that mindstream did not write, or that was changed since",
     AT(force)},
    {.name = "from",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "MODEL",
     .help =
         "go on with a model that train made: shape, decays' and logits' kinds are its own, its items keep their "
         "rows, new ones come after them",
     AT(from)},
    {.name = "name",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .standard_text = "the last part of DIR",
     .placeholder = "NAME",
     .help = "the model's name",
     AT(name)},
    {.name = "version",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .standard_text = "a digest of log and options",
     .placeholder = "TEXT",
     .help = "the model's version",
     AT(version)},
    {.name = "dim",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 1024,
     .standard_text = "64",
     .placeholder = "N",
     .help = "floats of a vector",
     AT(dim)},
    {.name = "interests",
     .kind = MS_ARGUMENT_LIST,
     .check = check_interests,
     .standard_text = "4",
     .placeholder = "N",
     .help =
         "vectors of a user, 1 to 64; auto: trains with 1, 2, 4 and 8, and the highest held-out recall@50 decides",
     AT(interests)},
    {.name = "decay",
     .kind = MS_ARGUMENT_LIST,
     .check = check_decay,
     .standard = "item",
     .placeholder = "D",
     .help =
         "what the fold keeps: item (learned, depends on the item), learned (one for each interest), or given "
         "numbers between 0 and 1, separated by commas; interest j takes number j mod count",
     AT(decay)},
    {.name = "logits",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "learned|drawn",
     .standard = "learned",
     .placeholder = "L",
     .help = "the item's initial routing logits: learned, or drawn by item id and seed",
     AT(logits)},
    {.name = "stddev",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 100,
     .standard = "0.1",
     .placeholder = "X",
     .help = "standard deviation of drawn logits",
     AT(stddev)},
    {.name = "maps",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "shared|per-interest",
     .standard = "shared",
     .placeholder = "M",
     .help = "the bilinear map: one, or one for each interest",
     AT(maps)},
    {.name = "objective",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "fold|window",
     .standard = "fold",
     .placeholder = "O",
     .group = "Training",
     .help =
         "fold: through the fold, all events are targets of one pass; window: MIND as published, full routing over the "
         "--window events before each target, for routing.mode=full",
     AT(objective)},
    {.name = "holdout",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 0.9,
     .min_excluded = true,
     .standard = "0.1",
     .placeholder = "F",
     .help =
         "users who are not trained on: XXH64(user id, 0) mod 10000 < F * 10000, as evaluate has it; by their next "
         "clicks the best pass is chosen",
     AT(holdout)},
    {.name = "split",
     .kind = MS_ARGUMENT_LIST,
     .check = check_split,
     .placeholder = "time=T",
     .help =
         "instead of --holdout: train on the clicks before T, choose the best pass by those from T on; ISO 8601 or a "
         "number as in the log",
     AT(split)},
    {.name = "epochs",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 100000,
     .standard = "100",
     .placeholder = "N",
     .help = "passes over the log, at most",
     AT(epochs)},
    {.name = "patience",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 100000,
     .standard = "5",
     .placeholder = "N",
     .help = "end after N passes in a row without a better recall@50",
     AT(patience)},
    {.name = "minutes",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 1e6,
     .placeholder = "X",
     .help =
         "end after X minutes of training (with each number of interests); results depend on the machine's speed then",
     AT(minutes)},
    {.name = "checkpoint",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 1e6,
     .standard = "10",
     .placeholder = "X",
     .help = "every X minutes, write what is needed to go on to DIR.checkpoint-INTERESTS; 0: never",
     AT(checkpoint)},
    {.name = "resume",
     .kind = MS_ARGUMENT_FLAG,
     .help =
         "go on from the checkpoint of the same log and options, if there is one; the model has the same bytes then",
     AT(resume)},
    {.name = "batch",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 65536,
     .standard = "768",
     .placeholder = "N",
     .help = "targets of a step, about",
     AT(batch)},
    {.name = "negatives",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 65536,
     .standard = "2000",
     .placeholder = "N",
     .help = "items that all targets of a step are told from, drawn by (clicks + 1)^0.75",
     AT(negatives)},
    {.name = "negatives-by",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "max|chosen",
     .standard = "max",
     .placeholder = "B",
     .help = "what scores a negative: its best interest, as it is served, or the one that the target chose",
     AT(negatives_by)},
    {.name = "window",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 10000,
     .standard = "50",
     .placeholder = "N",
     .help = "a user's targets in one piece; longer histories are cut, at another place in each pass",
     AT(window)},
    {.name = "context",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 1000,
     .standard = "1",
     .placeholder = "N",
     .help = "events before a piece that are folded, too",
     AT(context)},
    {.name = "dropout",
     .kind = MS_ARGUMENT_REAL,
     .real_max = 0.9,
     .standard = "0.2",
     .placeholder = "F",
     .help = "share of a folded item's numbers that are left out",
     AT(dropout)},
    {.name = "learning-rate",
     .kind = MS_ARGUMENT_REAL,
     .min_excluded = true,
     .real_max = 1e9,
     .standard = "0.003",
     .placeholder = "X",
     .help = "of Adam; lowered where the loss is no number",
     AT(rate)},
    {.name = "seed",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT64_MAX,
     .standard = "0",
     .placeholder = "S",
     .help = "same seed, log and options: the same bytes, whatever --threads is",
     AT(seed)},
    {.name = "threads",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = MS_FIT_MAX_THREADS,
     .standard_text = "as many as processors",
     .placeholder = "N",
     .group = "Running",
     .help = "threads; more than 8 are of little use",
     AT(threads)},
    {.name = "log",
     .kind = MS_ARGUMENT_FILE,
     .placeholder = "FILE",
     .help = "write a JSON line for each pass",
     AT(log_path)},
    {.name = "no-report",
     .kind = MS_ARGUMENT_FLAG,
     .help =
         "do not write DIR.report.html, which shows how it went and what the model makes of held-out users",
     AT(no_report)},
    {0},
};

static struct ms_fit_options options_of(const struct train_arguments *a)
{
    return (struct ms_fit_options){.out = a->out,
                                   .from = a->from,
                                   .force = a->force,
                                   .name = a->name,
                                   .version = a->version,
                                   .log_path = a->log_path,
                                   .holdout = a->holdout,
                                   .seed = (uint64_t)a->seed,
                                   .threads = (int)a->threads,
                                   .dim = (size_t)a->dim,
                                   .full_routing = a->objective == 1,
                                   .by_max = a->negatives_by == 0,
                                   .map_per_interest = a->maps == 1,
                                   .logits_drawn = a->logits == 1,
                                   .stddev = a->stddev,
                                   .epochs = (size_t)a->epochs,
                                   .patience = (size_t)a->patience,
                                   .minutes = a->minutes,
                                   .checkpoint = a->checkpoint,
                                   .page = !a->no_report,
                                   .resume = a->resume,
                                   .batch = (size_t)a->batch,
                                   .negatives = (size_t)a->negatives,
                                   .window = (size_t)a->window,
                                   .context = (size_t)a->context,
                                   .dropout = a->dropout,
                                   .rate = a->rate};
}

static enum ms_status run_train(void *context, struct ms_error *error)
{
    struct train_arguments *arguments = context;
    int cores = ms_machine_cores();
    if (arguments->threads == 0)
        arguments->threads = cores < MS_FIT_MAX_THREADS ? cores : MS_FIT_MAX_THREADS;
    struct ms_fit_options options = options_of(arguments);
    options.decay = strcmp(arguments->decay, "item") == 0      ? MS_FIT_DECAY_ITEM
                    : strcmp(arguments->decay, "learned") == 0 ? MS_FIT_DECAY_LEARNED
                                                               : MS_FIT_DECAY_GIVEN;
    if (!arguments->from && !options.dim)
        options.dim = 64;
    options.interests = arguments->from ? 0 : 4;
    if (arguments->interests)
        (void)parse_interests(arguments->interests, &options.interests);
    if (arguments->from && arguments->interests && options.interests == 0)
        return ms_fail(error, MS_USAGE, "--from and --interests auto exclude each other: give one");
    options.split_by_time = arguments->split && parse_split(arguments->split, &options.split_ms);
    options.logit_seed = options.seed;
    (void)parse_decays(arguments->decay, options.decays, MS_MAX_INTERESTS); /* checked with the arguments */
    enum ms_status status = ms_log_arguments_take(&arguments->log, 0, &options.events, error);
    return status == MS_OK ? ms_fit(&options, error) : status;
}

const struct ms_command ms_command_train = {
    .name = "train",
    .summary = "train a model on a click log",
    .description =
        "Trains a model of the kind mind through the fold that serves it: every click of the log is a target, predicted\n"
        "from the vectors that the service would have had before it. What is learned: item embeddings, the map, the item's\n"
        "initial logits, and decays that depend on the item. The result is a model directory for run, replay, extract\n"
        "(--mode incremental) and evaluate.\n"
        "\n"
        "After each pass over the log, held-out users' clicks are predicted by the rule of evaluate. The pass with the\n"
        "highest recall@50 is written; its numbers stand under \"training\" in config.json.\n",
    .rows = rows,
    .notes =
        "The log must fit in memory, at 16 bytes an event while it is read and 4 after that; an item takes 16 bytes for\n"
        "each of its numbers. Vectors are scored by their inner product with item_embedding. docs/training.md has the\n"
        "formulas, and what each option was worth.\n",
    .examples =
        "mindstream train --events clicks.jsonl --out models/shop\n"
        "mindstream train --events log.csv --user customer --item sku --time ts --out models/shop --log train.jsonl\n"
        "mindstream train --events clicks.csv.gz --out models/shop --dim 32 --minutes 10 --threads 2\n",
    .exit_status = "0 the model is written, 1 it is not, 2 bad usage",
    .arguments_bytes = sizeof(struct train_arguments),
    .run = run_train,
};
