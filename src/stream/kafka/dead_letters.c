/* Producing dead letters (stream/dead_letter.h) with the headers of the records that they were. */
#include <time.h>

#include "base/log.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/worker.h"
#include "stream/source.h"

/* The headers of a record as librdkafka has them; it reads them only now. */
static void get_header(const void *context, size_t index, struct ms_header *header)
{
    const void *value = NULL;
    header->name = "";
    header->value.size = 0;
    rd_kafka_header_get_all(context, index, &header->name, &value, &header->value.size);
    header->value.data = value;
}

static struct ms_headers headers_of(const struct ms_input *input)
{
    rd_kafka_headers_t *headers = NULL;
    if (!input->message || rd_kafka_message_headers(input->message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return (struct ms_headers){.get = get_header};
    return (struct ms_headers){headers, rd_kafka_header_cnt(headers), get_header};
}

static void add_header(void *context, const struct ms_header *header)
{
    rd_kafka_header_add(context, header->name, -1, header->value.data, (ssize_t)header->value.size);
}

enum ms_status ms_dead_letters_emit(struct ms_worker *worker, const struct ms_output *output,
                                    struct ms_error *error)
{
    struct ms_dead_letter letter;
    if (worker->limits.no_dead_letters)
        return MS_OK;
    const char *topic = ms_source_topic(output->input->source, worker->config);
    const struct ms_headers source = headers_of(output->input);
    ms_dead_letter_make(&letter, &worker->limits.dead_letters, output, topic, &source,
                        (int64_t)time(NULL) * 1000);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(source.count + letter.own_count);
    ms_dead_letter_headers(&letter, &source, add_header, headers);
    return ms_produce(worker, worker->dead_letters, letter.key, letter.value, letter.time_ms, headers, error);
}
