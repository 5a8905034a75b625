/* One consumer, assigned all partitions of a topic. */
#include "stream/kafka/topic_reader.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/progress.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/consumer_queue.h"
#include "stream/kafka/log_ends.h"

struct part {
    int64_t from, to, next; /* |to| of one that follows: INT64_MAX */
    bool cut;               /* its log does not begin at 0 */
};

struct ms_topic_reader {
    struct ms_topic_reader_options options;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    struct ms_consumer_queue fetching;
    struct part *parts;
    int32_t part_count;
    int32_t open; /* parts that have not reached their end */
    rd_kafka_message_t *messages[MS_TOPIC_READER_BATCH];
    size_t held; /* messages that the caller looks at */
};

/* ---- opening ---- */

static int64_t within(int64_t offset, int64_t low, int64_t high)
{
    return offset < low ? low : offset > high ? high : offset;
}

static enum ms_status settle_part(struct ms_topic_reader *reader, int32_t partition, struct ms_error *error)
{
    const struct ms_topic_reader_options *options = &reader->options;
    struct part *part = &reader->parts[partition];
    int64_t low, high, from, to = INT64_MAX;
    enum ms_status status = ms_log_ends(reader->consumer, options->topic, partition, &low, &high, error);
    if (status == MS_OK)
        status = ms_log_offset(reader->consumer, &options->from, options->topic, partition, low, high, &from,
                               error);
    if (status == MS_OK && !options->follow)
        status = ms_log_offset(reader->consumer, &options->to, options->topic, partition, low, high, &to,
                               error);
    if (status != MS_OK)
        return status;
    from = within(from, low, high);
    if (!options->follow)
        to = within(to, low, high);
    if (to < from)
        return ms_fail(error, MS_USAGE,
                       "topic %s partition %" PRId32 ": --to (offset %" PRId64
                       ") lies before --from (offset %" PRId64 ")",
                       options->topic, partition, to, from);
    *part = (struct part){.from = from, .to = to, .next = from, .cut = low > 0};
    return MS_OK;
}

static enum ms_status settle_parts(struct ms_topic_reader *reader, struct ms_error *error)
{
    int count = 0;
    enum ms_status status = ms_log_partitions(reader->consumer, reader->options.config, reader->options.topic,
                                              "READ", &count, error);
    if (status == MS_OK && !(reader->parts = calloc((size_t)count, sizeof *reader->parts)))
        status = ms_fail(error, MS_MEMORY, "no memory for %d partitions", count);
    for (int32_t p = 0; status == MS_OK && p < count; p++)
        status = settle_part(reader, p, error);
    if (status == MS_OK)
        reader->part_count = count;
    return status;
}

static enum ms_status begin(struct ms_topic_reader *reader, struct ms_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(reader->part_count);
    for (int32_t p = 0; p < reader->part_count; p++) {
        if (reader->parts[p].next >= reader->parts[p].to)
            continue;
        rd_kafka_topic_partition_list_add(list, reader->options.topic, p)->offset = reader->parts[p].next;
        reader->open++;
    }
    rd_kafka_resp_err_t code = list->cnt ? rd_kafka_assign(reader->consumer, list) : 0;
    rd_kafka_topic_partition_list_destroy(list);
    return code ? ms_kafka_failed_code(code, error, "assign") : MS_OK;
}

enum ms_status ms_topic_reader_open(struct ms_topic_reader **out,
                                    const struct ms_topic_reader_options *options, struct ms_error *error)
{
    const struct ms_consumer_callbacks callbacks = {0};
    struct ms_topic_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return ms_fail(error, MS_MEMORY, "no memory for a reader");
    reader->options = *options;
    enum ms_status status = ms_consumer_new(&reader->consumer, options->config, options->client, NULL,
                                            &callbacks, error);
    if (status == MS_OK) {
        reader->queue = rd_kafka_queue_get_consumer(reader->consumer);
        status = ms_consumer_queue_open(&reader->fetching, reader->consumer, error);
    }
    if (status == MS_OK)
        status = settle_parts(reader, error);
    if (status == MS_OK)
        status = begin(reader, error);
    if (status != MS_OK) {
        ms_topic_reader_close(reader);
        return status;
    }
    *out = reader;
    return MS_OK;
}

static void release(struct ms_topic_reader *reader)
{
    for (size_t i = 0; i < reader->held; i++)
        rd_kafka_message_destroy(reader->messages[i]);
    reader->held = 0;
}

void ms_topic_reader_close(struct ms_topic_reader *reader)
{
    if (!reader)
        return;
    release(reader);
    ms_consumer_queue_close(&reader->fetching);
    if (reader->queue)
        rd_kafka_queue_destroy(reader->queue);
    if (reader->consumer)
        ms_client_destroy(reader->consumer);
    free(reader->parts);
    free(reader);
}

/* ---- reading ---- */

/* Everything of the partition below |offset| has been seen. */
static void reached(struct ms_topic_reader *reader, int32_t partition, int64_t offset)
{
    struct part *part = &reader->parts[partition];
    bool was_open = part->next < part->to;
    if (offset > part->next)
        part->next = offset;
    reader->open -= was_open && part->next >= part->to;
}

static enum ms_status event(struct ms_topic_reader *reader, const rd_kafka_message_t *message,
                            struct ms_error *error)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reached(reader, message->partition, message->offset);
        return MS_OK;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return ms_fail(error, MS_OFFSETS, "partition %d of topic %s no longer has the offset that comes next",
                       (int)message->partition, reader->options.topic);
    if (ms_kafka_may_pass(message->err))
        return MS_OK;
    enum ms_status status = ms_kafka_failed_code(message->err, error, "reading");
    return status == MS_KAFKA_RETRY || status == MS_KAFKA_ABORT ? MS_OK : status;
}

static struct ms_input record_of(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    return (struct ms_input){.partition = message->partition,
                             .offset = message->offset,
                             .time_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms,
                             .key = {message->key, message->key_len},
                             .value = {message->payload, message->len},
                             .message = message};
}

enum ms_status ms_topic_reader_next(struct ms_topic_reader *reader, struct ms_input *records, size_t most,
                                    int wait_ms, size_t *count, struct ms_error *error)
{
    size_t n = 0, bytes = 0;
    enum ms_status status = MS_OK;
    release(reader);
    if (most > MS_TOPIC_READER_BATCH)
        most = MS_TOPIC_READER_BATCH;
    ssize_t got = reader->open ? rd_kafka_consume_batch_queue(reader->queue, wait_ms, reader->messages, most)
                               : 0;
    reader->held = got > 0 ? (size_t)got : 0;
    for (size_t i = 0; status == MS_OK && i < reader->held; i++) {
        const rd_kafka_message_t *message = reader->messages[i];
        bytes += message->key_len + message->len;
        if (message->err) {
            status = event(reader, message, error);
            continue;
        }
        if (message->offset < reader->parts[message->partition].to)
            records[n++] = record_of(message);
        reached(reader, message->partition, message->offset + 1);
    }
    ms_consumer_queue_watch(&reader->fetching, reader->held, bytes, ms_monotonic_s());
    if (status == MS_OK)
        *count = n;
    return status;
}

bool ms_topic_reader_done(const struct ms_topic_reader *reader)
{
    return reader->open == 0 && !reader->options.follow;
}

uint64_t ms_topic_reader_total(const struct ms_topic_reader *reader)
{
    uint64_t total = 0;
    for (int32_t p = 0; !reader->options.follow && p < reader->part_count; p++)
        total += (uint64_t)(reader->parts[p].to - reader->parts[p].from);
    return total;
}

uint64_t ms_topic_reader_left(const struct ms_topic_reader *reader)
{
    uint64_t left = 0;
    for (int32_t p = 0; !reader->options.follow && p < reader->part_count; p++) {
        const struct part *part = &reader->parts[p];
        left += part->next < part->to ? (uint64_t)(part->to - part->next) : 0;
    }
    return left;
}

bool ms_topic_reader_cut(const struct ms_topic_reader *reader)
{
    for (int32_t p = 0; p < reader->part_count; p++) {
        if (reader->parts[p].cut)
            return true;
    }
    return false;
}

/* ---- headers ---- */

static void get_header(const void *context, size_t index, struct ms_header *header)
{
    const void *value = NULL;
    header->name = "";
    header->value.size = 0;
    rd_kafka_header_get_all(context, index, &header->name, &value, &header->value.size);
    header->value.data = value;
}

struct ms_headers ms_topic_reader_headers(const struct ms_input *record)
{
    rd_kafka_headers_t *headers = NULL;
    if (!record->message || rd_kafka_message_headers(record->message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return (struct ms_headers){.get = get_header};
    return (struct ms_headers){headers, rd_kafka_header_cnt(headers), get_header};
}
