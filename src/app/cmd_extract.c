/* mindstream extract: histories in, interests out, a line for a line, in order.
 *
 * Lines are read in rounds, a batch for each thread. While the threads work on one round, the main thread writes the
 * records of the round before and reads the next one. So no more than two rounds are ever in memory, and the output does
 * not depend on the number of threads. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "base/json.h"
#include "base/pool.h"
#include "base/progress.h"
#include "interest/decay.h"
#include "train/history_line.h"
#include "train/input.h"

#define BATCH_LINES 256
#define BATCH_BYTES ((size_t)1 << 20)

struct extract_arguments {
    const char *model_dir;
    int mode; /* enum mode */
    const char *decay, *half_life;
    int64_t threads; /* 0: as many as processors */
};

enum mode { FULL, INCREMENTAL }; /* in the order of --mode's values */

/* Lines that one thread reads at a time, and their records. */
struct batch {
    struct ms_buffer text; /* lines, each with its newline */
    struct ms_buffer out;
    uint64_t first_line; /* number of its first line, from 1 */
    size_t lines;
    bool failed; /* |out| ends before a line that could not be read */
};

/* What is handed to the pool at once: a batch for each thread. */
struct round {
    struct batch *batches; /* [thread_count] */
    size_t count;          /* of them that are filled */
};

struct work {
    struct ms_pool *pool;
    struct ms_history_line **readers; /* [thread_count] */
    struct round rounds[2];
    struct round *running; /* the round that the threads work on, or NULL */
    int thread_count;

    struct ms_line_file input;
    uint64_t lines; /* read so far */
    bool end;       /* of the input */
};

/* ---- reading ---- */

/* Reads lines of standard input until the batch is full or the input ends. */
static enum ms_status fill_batch(struct work *work, struct batch *batch, struct ms_error *error)
{
    batch->text.size = batch->out.size = batch->lines = 0;
    batch->first_line = work->lines + 1;
    batch->failed = false;
    while (batch->lines < BATCH_LINES && batch->text.size < BATCH_BYTES) {
        struct ms_bytes line;
        enum ms_status status = ms_lines_next(&work->input.lines, &line, error);
        if (status != MS_OK)
            return status;
        if (!line.data) {
            work->end = true;
            return MS_OK;
        }
        if (!ms_buffer_append(&batch->text, line.data, line.size) || !ms_buffer_append(&batch->text, "\n", 1))
            return ms_fail(error, MS_MEMORY, "line %" PRIu64 ": no memory", work->lines + 1);
        batch->lines++;
        work->lines++;
    }
    return MS_OK;
}

/* Fills a batch for each thread. After an error the round holds the lines before it. */
static enum ms_status fill_round(struct work *work, struct round *round, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    round->count = 0;
    while (status == MS_OK && !work->end && round->count < (size_t)work->thread_count) {
        struct batch *batch = &round->batches[round->count];
        status = fill_batch(work, batch, error);
        round->count += batch->lines > 0;
    }
    return status;
}

/* ---- extracting and writing ---- */

static enum ms_status extract_batch(void *context, int thread, size_t index, struct ms_error *error)
{
    const struct work *work = context;
    struct batch *batch = &work->running->batches[index];
    const char *at = batch->text.data;
    for (size_t i = 0; i < batch->lines; i++) {
        const char *end = memchr(at, '\n', (size_t)(batch->text.data + batch->text.size - at));
        size_t bytes = (size_t)(end - at);
        enum ms_status status = MS_OK;
        if (ms_bytes_trim((struct ms_bytes){at, bytes}).size)
            status = ms_history_line_extract(work->readers[thread], at, bytes, &batch->out, error);
        if (status != MS_OK) {
            batch->failed = true;
            return ms_fail_in(error, status, "line %llu", (unsigned long long)(batch->first_line + i));
        }
        at = end + 1;
    }
    return MS_OK;
}

/* Writes a round's records: of a round that failed, those before the bad line. */
static enum ms_status write_round(const struct round *round, struct ms_error *error)
{
    for (size_t i = 0; i < round->count; i++) {
        const struct ms_buffer *out = &round->batches[i].out;
        if (out->size && fwrite(out->data, 1, out->size, stdout) != out->size)
            return ms_fail(error, MS_IO, "standard output: %s", strerror(errno));
        if (round->batches[i].failed)
            break;
    }
    return MS_OK;
}

/* Waits for the round that is worked on, has the threads begin with |next|, and writes the records of the former. */
static enum ms_status advance(struct work *work, struct round *next, struct ms_error *error)
{
    const struct round *done = work->running;
    struct ms_error written;
    enum ms_status status = done ? ms_pool_finish(work->pool, error) : MS_OK;
    work->running = NULL;
    if (status == MS_OK && next->count > 0) {
        work->running = next;
        ms_pool_start(work->pool, next->count, extract_batch, work);
    }
    if (!done || write_round(done, &written) == MS_OK)
        return status;
    *error = written;
    return written.status;
}

static enum ms_status stream_lines(struct work *work, struct ms_progress *progress, struct ms_error *error)
{
    enum ms_status status = MS_OK, read_status = MS_OK;
    struct ms_error read_error;
    for (int n = 0; status == MS_OK && read_status == MS_OK && !work->end; n++) {
        struct round *round = &work->rounds[n % 2];
        read_status = fill_round(work, round, &read_error);
        status = advance(work, round, error);
        if (progress->terminal)
            ms_progress_update(progress, work->lines);
    }
    /* The lines before the one that could not be read still give their records. */
    if (status == MS_OK)
        status = advance(work, &(struct round){0}, error);
    if (status == MS_OK && read_status != MS_OK) {
        *error = read_error;
        status = read_status;
    }
    return status;
}

/* ---- all of it ---- */

static enum ms_status work_init(struct work *work, const struct ms_model *model,
                                const struct ms_history_options *options, int threads, struct ms_error *error)
{
    *work = (struct work){.thread_count = threads};
    work->readers = calloc((size_t)threads, sizeof *work->readers);
    for (int i = 0; i < 2; i++)
        work->rounds[i].batches = calloc((size_t)threads, sizeof *work->rounds[i].batches);
    if (!work->readers || !work->rounds[0].batches || !work->rounds[1].batches)
        return ms_fail(error, MS_MEMORY, "no memory for %d batches", 2 * threads);
    for (int i = 0; i < threads; i++) {
        enum ms_status status = ms_history_line_new(&work->readers[i], model, options, error);
        if (status != MS_OK)
            return status;
    }
    enum ms_status status = ms_line_file_open(&work->input, "-", MS_JSON_MAX_BYTES, error);
    return status == MS_OK ? ms_pool_new(&work->pool, threads, error) : status;
}

static void work_free(struct work *work)
{
    ms_pool_destroy(work->pool);
    for (int i = 0; work->readers && i < work->thread_count; i++)
        ms_history_line_destroy(work->readers[i]);
    for (int r = 0; r < 2; r++) {
        struct batch *batches = work->rounds[r].batches;
        for (int i = 0; batches && i < work->thread_count; i++) {
            ms_buffer_free(&batches[i].text);
            ms_buffer_free(&batches[i].out);
        }
        free(batches);
    }
    free(work->readers);
    ms_line_file_close(&work->input);
}

static enum ms_status extract(const char *dir, struct ms_history_options *options, const char *decay,
                              const char *half_life, int threads, struct ms_error *error)
{
    struct ms_model *model = NULL;
    struct work work = {0};
    struct ms_progress progress;
    enum ms_status status = ms_model_load(&model, dir, error);
    if (status == MS_OK)
        status = ms_decay_parse(decay, half_life, model, &options->decay, error);
    if (status != MS_OK) {
        ms_model_destroy(model);
        return status;
    }
    ms_progress_start(&progress, "histories", 0);
    status = work_init(&work, model, options, threads, error);
    if (status == MS_OK)
        status = stream_lines(&work, &progress, error);
    if (progress.terminal)
        ms_progress_end(&progress, work.lines);
    work_free(&work);
    ms_model_destroy(model);
    return status;
}

/* ---- the command ---- */

static enum ms_status check_decays(const char *option, const char *value, struct ms_error *error)
{
    struct ms_decay decay;
    return ms_decay_list(option, value, false, &decay, error) == MS_OK ? MS_OK : MS_USAGE;
}

static enum ms_status check_half_lives(const char *option, const char *value, struct ms_error *error)
{
    struct ms_decay decay;
    return ms_decay_list(option, value, true, &decay, error) == MS_OK ? MS_OK : MS_USAGE;
}

#define AT(field) .offset = offsetof(struct extract_arguments, field)

static const struct ms_argument rows[] = {
    {.name = "model",
     .kind = MS_ARGUMENT_DIRECTORY,
     .required = true,
     .placeholder = "DIR",
     .help = "the model directory",
     AT(model_dir)},
    {.name = "mode",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "full|incremental",
     .standard = "full",
     .placeholder = "MODE",
     .help =
         "full: routing over the last max_behaviors items; incremental: item by item, as the service does it with "
         "routing.mode=incremental",
     AT(mode)},
    {.name = "decay",
     .kind = MS_ARGUMENT_LIST,
     .check = check_decays,
     .standard_text = "the model's, or 0.9",
     .placeholder = "D[,D...]|model",
     .help =
         "with --mode incremental: what the sums keep at each event, above 0, at most 1; several for several time "
         "scales; model: the model's own decays",
     AT(decay)},
    {.name = "half-life",
     .kind = MS_ARGUMENT_LIST,
     .check = check_half_lives,
     .placeholder = "T[,T...]",
     .help = "instead of --decay: half-lives in event time, such as 12h or 7d",
     AT(half_life)},
    {.name = "threads",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = MS_POOL_MAX_THREADS,
     .standard_text = "as many as processors",
     .placeholder = "N",
     .help = "worker threads",
     AT(threads)},
    {0},
};

static enum ms_status run_extract(void *context, struct ms_error *error)
{
    const struct extract_arguments *arguments = context;
    const char *decay = arguments->decay ? arguments->decay : "";
    const char *half_life = arguments->half_life ? arguments->half_life : "";
    struct ms_history_options history = {.incremental = arguments->mode == INCREMENTAL};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t threads = arguments->threads ? arguments->threads : processors < 1 ? 1 : processors;
    if (!history.incremental && (*decay || *half_life))
        return ms_fail(error, MS_USAGE, "--decay and --half-life belong to --mode incremental");
    if (*decay && *half_life)
        return ms_fail(error, MS_USAGE, "--decay and --half-life exclude each other: give one");
    return extract(arguments->model_dir, &history, decay, half_life,
                   (int)(threads < MS_POOL_MAX_THREADS ? threads : MS_POOL_MAX_THREADS), error);
}

const struct ms_command ms_command_extract = {
    .name = "extract",
    .summary = "histories in, interests out, without Kafka or a database",
    .description =
        "Turns histories into interest vectors with a model directory, without Kafka or a database: for batch use and for\n"
        "comparing with other implementations. Each input line is a JSON object:\n"
        "  user_id          a string or an integer\n"
        "  items            item ids (strings or integers), the oldest first; those that the model does not know\n"
        "                   take no slot\n"
        "  initial_logits   optional: a row of K numbers for each item, instead of the model's initial routing\n"
        "                   logits\n"
        "  timestamps       optional: a time for each item, in milliseconds; needed with --half-life\n"
        "  types            optional: an event type for each item, for models that weigh them (event_weights)\n"
        "  profile          optional: the user's profile, an object, for models with profile fields\n"
        "Each output line is a record as the service publishes it (JSON, layout user); version is the number of items and\n"
        "event_time the newest timestamp, or 0. A line that cannot be read ends the work with its number; blank\n"
        "lines are passed over. The input may be compressed by gzip or zstd.\n",
    .rows = rows,
    .usage_end = "< histories.jsonl > interests.jsonl",
    .examples =
        "echo '{\"user_id\": \"u1\", \"items\": [\"i9\", \"i4\", \"i7\"]}' |\n"
        "  mindstream extract --model models/tmall\n"
        "mindstream extract --model models/tmall --mode incremental --decay 0.7,0.95 < histories.jsonl > out.jsonl\n",
    .exit_status = "0 done, 1 a line or the model could not be read, or the output not written, 2 bad usage",
    .arguments_bytes = sizeof(struct extract_arguments),
    .run = run_extract,
};
