/* Workers behind bounded queues of batches. */
#include "stream/feed.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "stream/engine.h"
#include "stream/source.h"

#define BATCH_EVENTS 256
#define BATCH_TEXT   ((size_t)64 << 10) /* at first; it grows with an event that needs more */
#define BATCHES      6                  /* of a worker */
#define FIRST_OWNER  1

/* Events on their way to a worker, with their texts. */
struct batch {
    struct ms_input inputs[BATCH_EVENTS];
    struct ms_event events[BATCH_EVENTS];
    size_t count;
    char *text;
    size_t used, room;
};

struct worker {
    struct ms_feed *feed;
    pthread_t thread;
    bool started;
    struct ms_engine *engine;
    struct ms_stats stats;
    double flushed_s;
    struct batch batches[BATCHES];
    struct batch *filling; /* of the thread that adds */
    pthread_mutex_t lock;  /* guards what follows */
    pthread_cond_t changed;
    size_t taken,
        given; /* batches that the worker has done, and that it was given; batch n is batches[n mod BATCHES] */
    bool ended; /* no more come */
    bool failed;
    enum ms_status status;
    struct ms_error error;
};

struct ms_feed {
    struct ms_feed_options options;
    struct worker *workers;
    int worker_count;
    int64_t *next; /* [partitions] number of the event that comes next */
    int64_t *done; /* [partitions] events before it are in the state already */
    _Atomic uint64_t passed_over;
};

/* ---- the worker ---- */

static enum ms_status end_flush(struct worker *worker, struct ms_error *error)
{
    bool lost = false;
    enum ms_status status = ms_engine_flush_end(worker->engine, &lost, error);
    if (status == MS_OK && lost)
        status = ms_fail(error, MS_STATE, "%s: another worker has taken it",
                         worker->feed->options.config->state_dir);
    return status;
}

/* A file of all users that have changed, when they fill their memory or a checkpoint is due. */
static enum ms_status flush_when_due(struct worker *worker, bool now, struct ms_error *error)
{
    double now_s = ms_monotonic_s();
    if (!now && !ms_engine_flush_due(worker->engine) &&
        now_s - worker->flushed_s < worker->feed->options.checkpoint_s)
        return MS_OK;
    enum ms_status status = end_flush(worker, error);
    if (status == MS_OK)
        status = ms_engine_flush_begin(worker->engine, error);
    if (status == MS_OK && now)
        status = end_flush(worker, error);
    worker->flushed_s = now_s;
    return status;
}

/* The next batch; NULL when no more come. */
static struct batch *take(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->taken == worker->given && !worker->ended)
        pthread_cond_wait(&worker->changed, &worker->lock);
    struct batch *batch = worker->taken < worker->given ? &worker->batches[worker->taken % BATCHES] : NULL;
    pthread_mutex_unlock(&worker->lock);
    return batch;
}

static void give_back(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->taken++;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

static void fail(struct worker *worker, enum ms_status status, const struct ms_error *error)
{
    pthread_mutex_lock(&worker->lock);
    worker->failed = true;
    worker->status = status;
    worker->error = *error;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

static void *run(void *context)
{
    struct worker *worker = context;
    struct ms_error error = {0};
    struct batch *batch;
    enum ms_status status = MS_OK;
    worker->flushed_s = ms_monotonic_s();
    while (status == MS_OK && (batch = take(worker))) {
        status = ms_engine_process(worker->engine, batch->inputs, batch->count, &error);
        give_back(worker);
        if (status == MS_OK)
            status = flush_when_due(worker, false, &error);
    }
    if (status == MS_OK)
        status = flush_when_due(worker, true, &error);
    if (status != MS_OK)
        fail(worker, status, &error);
    return NULL;
}

/* ---- making and ending ---- */

static enum ms_status drop_record(void *context, const struct ms_output *output, struct ms_error *error)
{
    (void)context;
    (void)output;
    (void)error;
    return MS_OK;
}

static void count_bad(void *context, const struct ms_input *input, const char *reason)
{
    struct worker *worker = context;
    (void)input;
    (void)reason;
    ms_count(&worker->stats.dead_letters, 1);
}

/* Opens a partition where its row ends. Its end is not known. */
static enum ms_status open_partition(struct worker *worker, int32_t partition, struct ms_error *error)
{
    struct ms_feed *feed = worker->feed;
    struct ms_partition_row row;
    enum ms_status status = ms_engine_claim(worker->engine, partition, &row, error);
    if (status != MS_OK)
        return status;
    int64_t applied = row.sources[feed->options.source].applied;
    int64_t done = applied < 0 || feed->options.again ? 0 : applied;
    const struct ms_position position = {.source = feed->options.source,
                                         .partition = partition,
                                         .committed = INT64_MAX,
                                         .next = done,
                                         .replay_until = INT64_MAX,
                                         .origin = 0,
                                         .flushed = applied,
                                         .partitions = feed->options.partitions};
    ms_engine_open(worker->engine, &position);
    feed->done[partition] = done;
    return MS_OK;
}

static enum ms_status start(struct worker *worker, int number, struct ms_error *error)
{
    struct ms_feed *feed = worker->feed;
    const struct ms_feed_options *options = &feed->options;
    const struct ms_engine_options engine = {.config = options->config,
                                             .model = options->model,
                                             .store = options->store,
                                             .decay = options->decay,
                                             .incremental = options->incremental,
                                             .memory_bytes = options->memory_bytes /
                                                             (size_t)feed->worker_count,
                                             .owner = FIRST_OWNER + (uint32_t)number,
                                             .files = 1u << options->source,
                                             .sink = {.emit = drop_record},
                                             .stats = &worker->stats,
                                             .on_bad = count_bad,
                                             .on_bad_context = worker};
    enum ms_status status = ms_engine_new(&worker->engine, &engine, error);
    for (int32_t p = number; status == MS_OK && p < options->partitions; p += feed->worker_count)
        status = open_partition(worker, p, error);
    for (size_t i = 0; status == MS_OK && i < BATCHES; i++) {
        worker->batches[i].room = BATCH_TEXT;
        worker->batches[i].text = malloc(BATCH_TEXT);
        if (!worker->batches[i].text)
            status = ms_fail(error, MS_MEMORY, "no memory for a worker");
    }
    if (status == MS_OK && pthread_create(&worker->thread, NULL, run, worker) != 0)
        status = ms_fail(error, MS_MEMORY, "no thread for a worker");
    worker->started = status == MS_OK;
    return status;
}

enum ms_status ms_feed_new(struct ms_feed **out, const struct ms_feed_options *options,
                           struct ms_error *error)
{
    struct ms_feed *feed = calloc(1, sizeof *feed);
    int count = options->workers < options->partitions ? options->workers : options->partitions;
    if (!feed)
        return ms_fail(error, MS_MEMORY, "no memory for the workers of a replay");
    feed->options = *options;
    feed->next = calloc((size_t)options->partitions, sizeof *feed->next);
    feed->done = calloc((size_t)options->partitions, sizeof *feed->done);
    feed->workers = calloc((size_t)count, sizeof *feed->workers);
    enum ms_status status = feed->next && feed->done && feed->workers
                                ? MS_OK
                                : ms_fail(error, MS_MEMORY, "no memory for the workers of a replay");
    feed->worker_count = feed->workers ? count : 0;
    for (int i = 0; i < feed->worker_count; i++) {
        feed->workers[i].feed = feed;
        pthread_mutex_init(&feed->workers[i].lock, NULL);
        pthread_cond_init(&feed->workers[i].changed, NULL);
        pthread_mutex_init(&feed->workers[i].stats.lock, NULL);
    }
    for (int i = 0; status == MS_OK && i < feed->worker_count; i++)
        status = start(&feed->workers[i], i, error);
    if (status != MS_OK) {
        ms_feed_free(feed);
        return status;
    }
    *out = feed;
    return MS_OK;
}

/* Tells a worker that no more come, and waits for it. */
static void stop(struct worker *worker)
{
    if (!worker->started)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->ended = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    worker->started = false;
}

void ms_feed_free(struct ms_feed *feed)
{
    if (!feed)
        return;
    for (int i = 0; i < feed->worker_count; i++) {
        struct worker *worker = &feed->workers[i];
        stop(worker);
        ms_engine_destroy(worker->engine);
        for (size_t b = 0; b < BATCHES; b++)
            free(worker->batches[b].text);
        pthread_mutex_destroy(&worker->stats.lock);
        pthread_cond_destroy(&worker->changed);
        pthread_mutex_destroy(&worker->lock);
    }
    free(feed->workers);
    free(feed->next);
    free(feed->done);
    free(feed);
}

/* ---- adding ---- */

/* The batch that is being filled; waits for one that the worker has done. */
static enum ms_status fill(struct worker *worker, struct ms_error *error)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->given - worker->taken == BATCHES && !worker->failed)
        pthread_cond_wait(&worker->changed, &worker->lock);
    bool failed = worker->failed;
    if (failed && error)
        *error = worker->error;
    enum ms_status status = failed ? worker->status : MS_OK;
    pthread_mutex_unlock(&worker->lock);
    if (failed)
        return status;
    worker->filling = &worker->batches[worker->given % BATCHES];
    worker->filling->count = worker->filling->used = 0;
    return MS_OK;
}

static void hand_over(struct worker *worker)
{
    if (!worker->filling)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->given++;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    worker->filling = NULL;
}

static struct ms_bytes copy(struct batch *batch, struct ms_bytes bytes)
{
    char *to = batch->text + batch->used;
    if (!bytes.data)
        return bytes;
    memcpy(to, bytes.data, bytes.size);
    batch->used += bytes.size;
    return (struct ms_bytes){to, bytes.size};
}

/* Room for |bytes| of text in the batch at hand; an event of a batch that is not empty goes to the next one instead. */
static enum ms_status make_room(struct worker *worker, size_t bytes, struct ms_error *error)
{
    struct batch *batch = worker->filling;
    if (batch && (batch->count == BATCH_EVENTS || (batch->count && batch->used + bytes > batch->room)))
        hand_over(worker);
    enum ms_status status = worker->filling ? MS_OK : fill(worker, error);
    if (status != MS_OK)
        return status;
    batch = worker->filling;
    if (batch->used + bytes <= batch->room)
        return MS_OK;
    char *text = realloc(batch->text, bytes);
    if (!text)
        return ms_fail(error, MS_MEMORY, "no memory for an event of %zu bytes", bytes);
    batch->text = text;
    batch->room = bytes;
    return MS_OK;
}

enum ms_status ms_feed_add(struct ms_feed *feed, int32_t partition, const struct ms_event *event,
                           struct ms_bytes value, struct ms_error *error)
{
    assert(partition >= 0 && partition < feed->options.partitions);
    struct worker *worker = &feed->workers[partition % feed->worker_count];
    int64_t number = feed->next[partition]++;
    if (number < feed->done[partition]) {
        ms_count(&feed->passed_over, 1);
        return MS_OK;
    }
    enum ms_status status = make_room(
        worker, event->user.size + event->item.size + event->type.size + value.size, error);
    if (status != MS_OK)
        return status;
    struct batch *batch = worker->filling;
    struct ms_event *kept = &batch->events[batch->count];
    *kept = (struct ms_event){.user = copy(batch, event->user),
                              .item = copy(batch, event->item),
                              .type = copy(batch, event->type),
                              .time_ms = event->time_ms};
    batch->inputs[batch->count++] = (struct ms_input){.source = feed->options.source,
                                                      .partition = partition,
                                                      .offset = number,
                                                      .time_ms = -1,
                                                      .value = copy(batch, value),
                                                      .event = kept};
    return MS_OK;
}

enum ms_status ms_feed_end(struct ms_feed *feed, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int i = 0; i < feed->worker_count; i++)
        hand_over(&feed->workers[i]);
    for (int i = 0; i < feed->worker_count; i++) {
        struct worker *worker = &feed->workers[i];
        stop(worker);
        if (status == MS_OK && worker->failed) {
            status = worker->status;
            if (error)
                *error = worker->error;
        }
    }
    return status;
}

/* ---- what it has done ---- */

int64_t ms_feed_next(const struct ms_feed *feed, int32_t partition)
{
    return feed->next[partition];
}

struct ms_feed_counts ms_feed_counted(const struct ms_feed *feed)
{
    struct ms_feed_counts counts = {.passed_over = ms_counted(&feed->passed_over)};
    for (int i = 0; i < feed->worker_count; i++) {
        const struct ms_stats *stats = &feed->workers[i].stats;
        counts.folded += ms_counted(&stats->replayed);
        counts.duplicates += ms_counted(&stats->duplicates);
        counts.late += ms_counted(&stats->late);
        counts.unknown_items += ms_counted(&stats->unknown_items);
        counts.profiles += ms_counted(&stats->profiles);
        counts.bad += ms_counted(&stats->dead_letters);
    }
    return counts;
}
