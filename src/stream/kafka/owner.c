/* Guessing the partition, and asking for the note beside its offset. */
#include "stream/kafka/owner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/live.h"
#include "stream/kafka/observe.h"
#include "stream/kafka/service_inside.h"
#include "stream/source.h"

#define WITNESSES 20  /* users that tell the partitioner */
#define FRESH_S   5.0 /* for which an answer is believed */
#define ASK_MS    2000

/* ---- the partition ---- */

static int32_t partition_count(const struct ms_partition_report *rows, size_t count)
{
    int32_t partitions = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].source == MS_SOURCE_CLICKS && rows[i].partitions > partitions)
            partitions = rows[i].partitions;
    }
    return partitions;
}

/* The same for 0 (murmur2) and 1 (CRC-32). librdkafka does not look at the topic. */
static int32_t place(int how, const char *id, size_t size, int32_t partitions)
{
    return how == 0 ? rd_kafka_msg_partitioner_murmur2(NULL, id, size, partitions, NULL, NULL)
                    : rd_kafka_msg_partitioner_consistent(NULL, id, size, partitions, NULL, NULL);
}

/* Which of both gives the partition of each user; -1: none. */
static int partitioner(const struct ms_hot_user *users, size_t count, int32_t partitions)
{
    for (int how = 0; count > 0 && how < 2; how++) {
        size_t right = 0;
        while (right < count && place(how, users[right].id, users[right].id_bytes, partitions) ==
                                    (int32_t)users[right].partition)
            right++;
        if (right == count)
            return how;
    }
    return -1;
}

int32_t ms_service_partition_of(struct ms_service *service, struct ms_bytes id)
{
    struct ms_partition_report *rows = NULL;
    struct ms_hot_user *users = NULL;
    struct ms_error error;
    size_t row_count = 0, user_count = 0;
    int32_t partition = -1;
    if (ms_service_partitions(service, &rows, &row_count, &error) == MS_OK &&
        ms_service_hot(service, WITNESSES, &users, &user_count, &error) == MS_OK) {
        int32_t partitions = partition_count(rows, row_count);
        int how = partitions > 0 ? partitioner(users, user_count, partitions) : -1;
        if (how >= 0)
            partition = place(how, id.data, id.size, partitions);
    }
    free(rows);
    free(users);
    return partition;
}

bool ms_service_holds(struct ms_service *service, int32_t partition)
{
    struct ms_partition_report *rows = NULL;
    struct ms_error error;
    size_t count = 0;
    bool holds = ms_service_partitions(service, &rows, &count, &error) !=
                 MS_OK; /* nobody is sent away then */
    for (size_t i = 0; i < count; i++)
        holds |= rows[i].partition == partition;
    free(rows);
    return holds;
}

/* ---- its owner ---- */

/* Takes what is behind MS_OWNER_NOTE in a note. */
static void take_url(const char *note, size_t size, char url[MS_OWNER_URL_BYTES])
{
    const char *at = memmem(note, size, MS_OWNER_NOTE, sizeof MS_OWNER_NOTE - 1);
    if (!at)
        return;
    at += sizeof MS_OWNER_NOTE - 1;
    size_t left = (size_t)(note + size - at), length = 0;
    while (length < left && at[length] > ' ' && at[length] < 0x7f)
        length++;
    if (length < MS_OWNER_URL_BYTES)
        snprintf(url, MS_OWNER_URL_BYTES, "%.*s", (int)length, at);
}

/* Asks for the note. The owners' lock is held: one question at a time. */
static void ask(struct ms_service *service, int32_t partition, char url[MS_OWNER_URL_BYTES])
{
    const struct ms_config *config = service->options.config;
    const struct ms_consumer_callbacks callbacks = {.single_records = true};
    struct ms_error error;
    if (!service->owners.client && ms_consumer_new(&service->owners.client, config, "mindstream-owners", NULL,
                                                   &callbacks, &error) != MS_OK)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, config->input_topic, partition);
    if (rd_kafka_committed(service->owners.client, list, ASK_MS) == 0 && list->elems[0].metadata)
        take_url(list->elems[0].metadata, list->elems[0].metadata_size, url);
    rd_kafka_topic_partition_list_destroy(list);
}

void ms_service_owner(struct ms_service *service, int32_t partition, char url[MS_OWNER_URL_BYTES])
{
    struct ms_owners *owners = &service->owners;
    url[0] = '\0';
    if (partition < 0 || partition >= MS_MAX_PARTITIONS)
        return;
    pthread_mutex_lock(&owners->lock);
    struct ms_owner *known = &owners->known[partition % MS_OWNERS];
    double now_s = ms_monotonic_s();
    if (known->partition != partition + 1 || now_s - known->at_s > FRESH_S) {
        known->url[0] = '\0';
        ask(service, partition, known->url);
        known->partition = partition + 1;
        known->at_s = ms_monotonic_s();
    }
    snprintf(url, MS_OWNER_URL_BYTES, "%s", known->url);
    pthread_mutex_unlock(&owners->lock);
}
