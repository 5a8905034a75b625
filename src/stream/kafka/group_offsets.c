/* One question, by a consumer that joins nothing. */
#include "stream/kafka/group_offsets.h"

#include "stream/kafka/access.h"
#include "stream/kafka/clients.h"
#include "stream/offsets.h"
#include "stream/source.h"

#define ASK_MS 60000

static void take(struct ms_group_offset *offset, const rd_kafka_topic_partition_t *at)
{
    struct ms_offset_note note = {.origin = -1};
    offset->committed = at->offset >= 0 ? at->offset : -1;
    offset->upto = at->offset >= 0 && ms_offset_note_read(at->metadata, at->metadata_size, &note)
                       ? note.mark.upto
                       : 0;
}

enum ms_status ms_group_offsets(const struct ms_config *config, const char *client,
                                struct ms_group_offset *offsets, size_t count, struct ms_error *error)
{
    const struct ms_consumer_callbacks callbacks = {0};
    rd_kafka_t *consumer = NULL;
    enum ms_status status = ms_consumer_new(&consumer, config, client, NULL, &callbacks, error);
    if (status != MS_OK)
        return status;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, ms_source_topic(offsets[i].source, config),
                                          offsets[i].partition);
    rd_kafka_resp_err_t code = count ? rd_kafka_committed(consumer, list, ASK_MS) : 0;
    for (size_t i = 0; !code && i < count; i++) {
        take(&offsets[i], &list->elems[i]);
        code = list->elems[i].err;
    }
    if (code) {
        status = ms_kafka_failed_code(code, error, "offsets");
        status = ms_fail_in(error, status, "group %s", config->application_id);
        status = ms_access_missing(error, status, code, config, "READ", config->input_topic);
    }
    rd_kafka_topic_partition_list_destroy(list);
    ms_client_destroy(consumer);
    return status;
}
