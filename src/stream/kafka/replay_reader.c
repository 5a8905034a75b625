/* A worker of a replay: reads its partitions, one source after the other, and folds them. Profiles come before the clicks,
 * as a service that begins with both has them. With --publish every it commits now and then, always before a flush. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "stream/kafka/access.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/replay_inside.h"
#include "stream/kafka/thread_arena.h"
#include "stream/source.h"

#define BATCH    192
#define WAIT_MS  100
#define COMMIT_S 1.0 /* between two commits, unless records are many before */

static bool stopping(const struct ms_replay_reader *reader)
{
    return atomic_load(reader->replay->options.stop) || atomic_load(&reader->replay->failed);
}

static bool is_mine(const struct ms_replay_reader *reader, const struct ms_replay_part *part)
{
    return part->partition % reader->of == reader->number;
}

/* ---- positions ---- */

static void note_next(struct ms_replay_reader *reader)
{
    struct ms_replay *replay = reader->replay;
    const struct ms_positions *positions = ms_engine_positions(reader->engine);
    for (size_t i = 0; i < replay->plan.count; i++) {
        const struct ms_replay_part *part = &replay->plan.parts[i];
        const struct ms_position *position = is_mine(reader, part)
                                                 ? ms_positions_find(positions, part->partition, part->source)
                                                 : NULL;
        if (position)
            atomic_store_explicit(&replay->next[i], position->next, memory_order_relaxed);
    }
}

/* Opens the parts of |source|; those that have an end ahead are in |list|. */
static enum ms_status open_parts(struct ms_replay_reader *reader, int source,
                                 rd_kafka_topic_partition_list_t *list, struct ms_error *error)
{
    const struct ms_replay *replay = reader->replay;
    const char *topic = ms_source_topic(source, &replay->config);
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < replay->plan.count; i++) {
        const struct ms_replay_part *part = &replay->plan.parts[i];
        if (part->source != source || !is_mine(reader, part))
            continue;
        struct ms_position position;
        status = ms_replay_open_part(replay, reader->engine, part, &position, error);
        if (status != MS_OK)
            return status;
        reader->ends[part->partition] = ms_replay_end(replay, part);
        if (position.next < reader->ends[part->partition]) {
            rd_kafka_topic_partition_list_add(list, topic, part->partition)->offset = position.next;
            reader->open++;
        }
    }
    return status;
}

/* ---- committing ---- */

/* Commits what is published, with the offsets up to which it is. */
static enum ms_status commit(struct ms_replay_reader *reader, struct ms_error *error)
{
    const struct ms_positions *positions = ms_engine_positions(reader->engine);
    const struct ms_position *position;
    if (!reader->sender.producer || !ms_engine_pending(reader->engine))
        return MS_OK;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)positions->count);
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        if (ms_position_to_send(position) && position->source == MS_SOURCE_CLICKS)
            rd_kafka_topic_partition_list_add(list, reader->replay->config.input_topic, position->partition)
                ->offset = position->next;
    }
    enum ms_status status = ms_replay_sender_commit(&reader->sender, list, error);
    rd_kafka_topic_partition_list_destroy(list);
    if (status == MS_OK)
        ms_engine_committed(reader->engine);
    return status;
}

/* When the transaction is large or old, or nothing more has come. */
static enum ms_status commit_when_due(struct ms_replay_reader *reader, bool idle, struct ms_error *error)
{
    const struct ms_replay_sender *sender = &reader->sender;
    bool old = sender->in_transaction && ms_monotonic_s() - sender->began_s >= COMMIT_S;
    return idle || old || ms_replay_sender_full(sender) ? commit(reader, error) : MS_OK;
}

/* ---- flushing ---- */

static enum ms_status end_flush(struct ms_replay_reader *reader, struct ms_error *error)
{
    bool lost = false;
    enum ms_status status = ms_engine_flush_end(reader->engine, &lost, error);
    if (status == MS_OK && lost)
        status = ms_fail(error, MS_STATE, "%s: another process has taken it",
                         reader->replay->config.state_dir);
    return status;
}

/* A file of all users that have changed, when they fill their memory or a checkpoint is due. */
static enum ms_status flush_when_due(struct ms_replay_reader *reader, bool now, struct ms_error *error)
{
    double seconds = ms_monotonic_s() - reader->flushed_s;
    if (!now && !ms_engine_flush_due(reader->engine) && seconds < reader->replay->options.checkpoint_s)
        return MS_OK;
    enum ms_status status = commit(reader, error);
    if (status == MS_OK)
        status = end_flush(reader, error);
    if (status == MS_OK)
        status = ms_engine_flush_begin(reader->engine, error);
    if (status == MS_OK && now)
        status = end_flush(reader, error);
    reader->flushed_s = ms_monotonic_s();
    return status;
}

/* ---- records ---- */

static struct ms_input input_of(int source, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    return (struct ms_input){.source = source,
                             .partition = message->partition,
                             .offset = message->offset,
                             .time_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms,
                             .key = {message->key, message->key_len},
                             .value = {message->payload, message->len}};
}

/* Everything of the partition below |offset| has been seen: at its end the partition is read no more. */
static void reached(struct ms_replay_reader *reader, int source, int32_t partition, int64_t offset)
{
    struct ms_position *position = ms_positions_find(ms_engine_positions(reader->engine), partition, source);
    int64_t end = reader->ends[partition];
    if (!position || position->paused || offset < end)
        return;
    position->paused = true;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, ms_source_topic(source, &reader->replay->config), partition);
    rd_kafka_pause_partitions(reader->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    reader->open--;
    ms_engine_reached(reader->engine, source, partition, end);
}

/* A message that is no record. */
static enum ms_status event(struct ms_replay_reader *reader, int source, const rd_kafka_message_t *message,
                            struct ms_error *error)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reached(reader, source, message->partition, message->offset);
        return MS_OK;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return ms_fail(
            error, MS_OFFSETS,
            "partition %d of topic %s no longer has the offset that comes next; begin again with --restart",
            (int)message->partition, ms_source_topic(source, &reader->replay->config));
    if (ms_kafka_may_pass(message->err))
        return MS_OK;
    enum ms_status status = ms_kafka_failed_code(message->err, error, "reading");
    status = ms_access_missing(error, status, message->err, &reader->replay->config, "READ",
                               ms_source_topic(source, &reader->replay->config));
    return status == MS_KAFKA_RETRY || status == MS_KAFKA_ABORT ? MS_OK : status;
}

/* Whether the record belongs to what is read. What lies at the end and beyond is somebody else's. */
static bool wanted(struct ms_replay_reader *reader, int source, const rd_kafka_message_t *message)
{
    const struct ms_position *position = ms_positions_find(ms_engine_positions(reader->engine),
                                                           message->partition, source);
    return position && message->offset < reader->ends[message->partition];
}

static enum ms_status fold(struct ms_replay_reader *reader, int source, rd_kafka_message_t *const *messages,
                           size_t count, struct ms_error *error)
{
    struct ms_input inputs[BATCH];
    size_t n = 0;
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < count; i++) {
        if (messages[i]->err || !wanted(reader, source, messages[i]))
            continue;
        inputs[n] = input_of(source, messages[i]);
        n += !reader->filter || ms_replay_wants(reader->filter, &inputs[n]);
    }
    if (n)
        status = ms_engine_process(reader->engine, inputs, n, error);
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        if (messages[i]->err)
            status = event(reader, source, messages[i], error);
        else
            reached(reader, source, messages[i]->partition, messages[i]->offset + 1);
    }
    return status;
}

/* How many records are taken at once: a tenth of a second's, where there is a rate. */
static size_t batch_size(const struct ms_replay_reader *reader)
{
    double tenth = reader->replay->options.rate / reader->of / 10;
    return tenth <= 0 || tenth > BATCH ? BATCH : tenth < 1 ? 1 : (size_t)tenth;
}

/* Sleeps where more was read than the rate allows. */
static void keep_to_rate(const struct ms_replay_reader *reader, double since_s)
{
    double rate = reader->replay->options.rate / reader->of;
    if (rate <= 0)
        return;
    double ahead_s = (double)ms_counted(&reader->stats.events) / rate - (ms_monotonic_s() - since_s);
    if (ahead_s > 0.001)
        usleep((useconds_t)((ahead_s < 1 ? ahead_s : 1) * 1e6));
}

static enum ms_status read_all(struct ms_replay_reader *reader, int source, struct ms_error *error)
{
    rd_kafka_message_t *messages[BATCH];
    enum ms_status status = MS_OK;
    size_t batch = batch_size(reader);
    double since_s = ms_monotonic_s();
    while (status == MS_OK && reader->open && !stopping(reader)) {
        ssize_t count = rd_kafka_consume_batch_queue(reader->queue, WAIT_MS, messages, batch);
        if (count > 0)
            status = fold(reader, source, messages, (size_t)count, error);
        size_t bytes = 0;
        for (ssize_t i = 0; i < count; i++) {
            bytes += messages[i]->key_len + messages[i]->len;
            rd_kafka_message_destroy(messages[i]);
        }
        ms_consumer_queue_watch(&reader->fetching, count > 0 ? (size_t)count : 0, bytes, ms_monotonic_s());
        if (status == MS_OK)
            status = commit_when_due(reader, count <= 0, error);
        if (status == MS_OK)
            status = flush_when_due(reader, false, error);
        note_next(reader);
        keep_to_rate(reader, since_s);
    }
    return status;
}

/* ---- the thread ---- */

static enum ms_status read_source(struct ms_replay_reader *reader, int source, struct ms_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    enum ms_status status = open_parts(reader, source, list, error);
    if (status == MS_OK && list->cnt > 0) {
        rd_kafka_resp_err_t code = rd_kafka_assign(reader->consumer, list);
        status = code ? ms_kafka_failed_code(code, error, "assign") : read_all(reader, source, error);
        rd_kafka_assign(reader->consumer, NULL);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}

static enum ms_status read_sources(struct ms_replay_reader *reader, struct ms_error *error)
{
    enum ms_status status = ms_replay_consumer(&reader->consumer, &reader->replay->config,
                                               "mindstream-replay", error);
    if (status != MS_OK)
        return status;
    reader->queue = rd_kafka_queue_get_consumer(reader->consumer);
    status = ms_consumer_queue_open(&reader->fetching, reader->consumer, error);
    if (status == MS_OK && reader->replay->options.wants)
        status = ms_replay_filter_new(&reader->filter, &reader->replay->config, reader->replay->options.wants,
                                      reader->replay->options.wants_context, error);
    for (int source = MS_SOURCES - 1; status == MS_OK && source >= 0 && !stopping(reader); source--) {
        if (ms_source_topic(source, &reader->replay->config)[0])
            status = read_source(reader, source, error);
    }
    return status;
}

/* What was folded before a failure of reading is good, unless a record of it may not have been published. */
static bool may_keep(const struct ms_replay_reader *reader)
{
    return ms_status_action(reader->status) != MS_ACTION_ABORT && !reader->sender.producer;
}

static enum ms_status keep_all(struct ms_replay_reader *reader, struct ms_error *error)
{
    enum ms_status status = flush_when_due(reader, true, error);
    note_next(reader);
    return status;
}

void *ms_replay_reader_main(void *context)
{
    struct ms_replay_reader *reader = context;
    ms_thread_arena_own();
    reader->flushed_s = ms_monotonic_s();
    reader->status = read_sources(reader, &reader->error);
    struct ms_error *error = reader->status == MS_OK ? &reader->error : NULL;
    if (reader->status == MS_OK || may_keep(reader)) {
        enum ms_status kept = keep_all(reader, error);
        if (reader->status == MS_OK)
            reader->status = kept;
    }
    if (reader->status != MS_OK)
        atomic_store(&reader->replay->failed, true);
    ms_replay_filter_destroy(reader->filter);
    ms_consumer_queue_close(&reader->fetching);
    if (reader->queue)
        rd_kafka_queue_destroy(reader->queue);
    if (reader->consumer)
        ms_client_destroy(reader->consumer);
    reader->consumer = NULL;
    reader->queue = NULL;
    atomic_store(&reader->done, true);
    return NULL;
}
