/* mindstream extract: histories in, interests out, a line for a line, in order.
 *
 * The main thread reads batches of lines into a ring of slots and writes their results in the same order;
 * workers take slots as they come. So the order of the output does not depend on the number of workers, and
 * no more than the ring is ever in memory. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/history_line.h"
#include "base/json.h"
#include "base/progress.h"
#include "interest/decay.h"

#define BATCH_LINES 256
#define BATCH_BYTES ((size_t)1 << 20)
#define MAX_THREADS 256

struct extract_arguments {
    const char *model_dir;
    int mode; /* enum mode */
    const char *decay, *half_life;
    int64_t threads; /* 0: as many as processors */
};

enum mode { FULL, INCREMENTAL }; /* in the order of --mode's values */

enum slot_state { SLOT_FREE, SLOT_FILLED, SLOT_DONE };

struct slot {
    enum slot_state state;
    struct ms_buffer text; /* lines, each with its newline */
    struct ms_buffer out;
    uint64_t first_line; /* number of its first line, from 1 */
    size_t lines;
    enum ms_status status;
    struct ms_error error;
};

struct pool {
    const struct ms_model *model;
    struct ms_history_options options;
    pthread_mutex_t mutex;
    pthread_cond_t filled, done;
    struct slot *slots;
    size_t slot_count;
    uint64_t submitted,
        taken;   /* slots handed in, slots that a worker has begun; slot number mod slot_count */
    bool closed; /* nothing more comes */
    pthread_t threads[MAX_THREADS];
    struct ms_history_line *readers[MAX_THREADS];
    int thread_count, started;
};

static void work_on(struct ms_history_line *reader, struct slot *slot)
{
    const char *at = slot->text.data;
    slot->out.size = 0;
    slot->status = MS_OK;
    for (size_t i = 0; i < slot->lines; i++) {
        const char *end = memchr(at, '\n', (size_t)(slot->text.data + slot->text.size - at));
        slot->status = ms_history_line_extract(reader, at, (size_t)(end - at), &slot->out, &slot->error);
        if (slot->status != MS_OK) {
            slot->status = ms_fail_in(&slot->error, slot->status, "line %llu",
                                      (unsigned long long)(slot->first_line + i));
            return;
        }
        at = end + 1;
    }
}

struct worker {
    struct pool *pool;
    struct ms_history_line *reader;
};

static void *worker_main(void *context)
{
    struct pool *pool = ((struct worker *)context)->pool;
    struct ms_history_line *reader = ((struct worker *)context)->reader;
    free(context);
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->taken == pool->submitted && !pool->closed)
            pthread_cond_wait(&pool->filled, &pool->mutex);
        if (pool->taken == pool->submitted)
            break;
        struct slot *slot = &pool->slots[pool->taken++ % pool->slot_count];
        pthread_mutex_unlock(&pool->mutex);
        work_on(reader, slot);
        pthread_mutex_lock(&pool->mutex);
        slot->state = SLOT_DONE;
        pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* Waits for a slot's results and writes them; then the slot is free. */
static enum ms_status write_slot(struct pool *pool, struct slot *slot, struct ms_error *error)
{
    pthread_mutex_lock(&pool->mutex);
    while (slot->state == SLOT_FILLED)
        pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    if (slot->state == SLOT_FREE)
        return MS_OK;
    slot->state = SLOT_FREE;
    if (slot->out.size && fwrite(slot->out.data, 1, slot->out.size, stdout) != slot->out.size)
        return ms_fail(error, MS_IO, "standard output: %s", strerror(errno));
    if (slot->status != MS_OK)
        *error = slot->error;
    return slot->status;
}

/* Reads lines of standard input until the batch is full; *end is set when the input has ended. */
static enum ms_status fill_slot(struct slot *slot, char **line, size_t *line_room, bool *end,
                                struct ms_error *error)
{
    slot->text.size = slot->lines = 0;
    while (slot->lines < BATCH_LINES && slot->text.size < BATCH_BYTES) {
        errno = 0;
        ssize_t size = getline(line, line_room, stdin);
        if (size < 0) {
            *end = true;
            if (ferror(stdin) || errno == ENOMEM)
                return ms_fail(error, MS_IO, "standard input: %s", strerror(errno));
            return MS_OK;
        }
        unsigned long long number = slot->first_line + slot->lines;
        if ((size_t)size > MS_JSON_MAX_BYTES)
            return ms_fail(error, MS_FORMAT, "line %llu: longer than %zu bytes", number, MS_JSON_MAX_BYTES);
        bool whole = (*line)[size - 1] == '\n';
        if (!ms_buffer_append(&slot->text, *line, (size_t)size) ||
            (!whole && !ms_buffer_append(&slot->text, "\n", 1)))
            return ms_fail(error, MS_MEMORY, "line %llu: no memory", number);
        slot->lines++;
    }
    return MS_OK;
}

static void submit(struct pool *pool, struct slot *slot)
{
    pthread_mutex_lock(&pool->mutex);
    slot->state = SLOT_FILLED;
    pool->submitted++;
    pthread_cond_signal(&pool->filled);
    pthread_mutex_unlock(&pool->mutex);
}

static enum ms_status stream(struct pool *pool, struct ms_progress *progress, uint64_t *lines,
                             struct ms_error *error)
{
    char *line = NULL;
    size_t line_room = 0;
    bool end = false;
    uint64_t number = 0; /* of the slot that is filled next */
    enum ms_status status = MS_OK, read_status = MS_OK;
    struct ms_error read_error;
    while (!end && read_status == MS_OK && status == MS_OK) {
        struct slot *slot = &pool->slots[number % pool->slot_count];
        status = write_slot(pool, slot, error);
        if (status != MS_OK)
            break;
        slot->first_line = *lines + 1;
        read_status = fill_slot(slot, &line, &line_room, &end, &read_error);
        *lines += slot->lines;
        if (progress->terminal)
            ms_progress_update(progress, *lines);
        if (slot->lines) {
            submit(pool, slot);
            number++;
        }
    }
    /* The lines before the one that could not be read are still owed. */
    for (size_t i = 0; i < pool->slot_count && status == MS_OK; i++)
        status = write_slot(pool, &pool->slots[(number + i) % pool->slot_count], error);
    if (status == MS_OK && read_status != MS_OK) {
        *error = read_error;
        status = read_status;
    }
    free(line);
    return status;
}

static enum ms_status pool_start(struct pool *pool, struct ms_error *error)
{
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->filled, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->slot_count = (size_t)pool->thread_count * 2 + 1;
    pool->slots = calloc(pool->slot_count, sizeof *pool->slots);
    if (!pool->slots)
        return ms_fail(error, MS_MEMORY, "no memory for %zu batches", pool->slot_count);
    for (int i = 0; i < pool->thread_count; i++) {
        enum ms_status status = ms_history_line_new(&pool->readers[i], pool->model, &pool->options, error);
        if (status != MS_OK)
            return status;
        struct worker *worker = malloc(sizeof *worker);
        if (!worker)
            return ms_fail(error, MS_MEMORY, "no memory for a worker");
        *worker = (struct worker){pool, pool->readers[i]};
        int code = pthread_create(&pool->threads[i], NULL, worker_main, worker);
        if (code) {
            free(worker);
            return ms_fail(error, MS_MEMORY, "cannot start a thread: %s", strerror(code));
        }
        pool->started++;
    }
    return MS_OK;
}

static void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->closed = true;
    pool->taken = pool->submitted; /* after a failure, what is left is not worth doing */
    pthread_cond_broadcast(&pool->filled);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i], NULL);
    for (int i = 0; i < pool->thread_count; i++)
        ms_history_line_destroy(pool->readers[i]);
    for (size_t i = 0; pool->slots && i < pool->slot_count; i++) {
        ms_buffer_free(&pool->slots[i].text);
        ms_buffer_free(&pool->slots[i].out);
    }
    free(pool->slots);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->filled);
    pthread_mutex_destroy(&pool->mutex);
}

static enum ms_status extract(const char *dir, const struct ms_history_options *options, int threads,
                              struct ms_error *error)
{
    struct ms_model *model = NULL;
    struct pool pool = {.options = *options, .thread_count = threads};
    struct ms_progress progress;
    uint64_t lines = 0;
    enum ms_status status = ms_model_load(&model, dir, error);
    if (status != MS_OK)
        return status;
    pool.model = model;
    ms_progress_start(&progress, "histories", 0);
    status = pool_start(&pool, error);
    if (status == MS_OK)
        status = stream(&pool, &progress, &lines, error);
    if (progress.terminal)
        ms_progress_end(&progress, lines);
    pool_stop(&pool);
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
     .standard_text = "0.9",
     .placeholder = "D[,D...]",
     .help =
         "with --mode incremental: what the sums keep at each event, above 0, at most 1; several for several time "
         "scales",
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
     .max = MAX_THREADS,
     .standard_text = "as many as processors",
     .placeholder = "N",
     .help = "worker threads",
     AT(threads)},
    {0},
};

static enum ms_status run(void *context, struct ms_error *error)
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
    enum ms_status status = ms_decay_parse(decay, half_life, &history.decay, error);
    if (status != MS_OK)
        return status;
    return extract(arguments->model_dir, &history, (int)(threads < MAX_THREADS ? threads : MAX_THREADS),
                   error);
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
        "  profile          optional: the user's profile, an object, for models with profile fields\n"
        "Each output line is a record as the service publishes it (JSON, layout user); version is the number of items and\n"
        "event_time the newest timestamp, or 0. A line that cannot be read ends the work with its number.\n",
    .rows = rows,
    .usage_end = "< histories.jsonl > interests.jsonl",
    .examples =
        "echo '{\"user_id\": \"u1\", \"items\": [\"i9\", \"i4\", \"i7\"]}' |\n"
        "  mindstream extract --model models/tmall\n"
        "mindstream extract --model models/tmall --mode incremental --decay 0.7,0.95 < histories.jsonl > out.jsonl\n",
    .exit_status = "0 done, 1 a line or the model could not be read, or the output not written, 2 bad usage",
    .arguments_bytes = sizeof(struct extract_arguments),
    .run = run,
};
