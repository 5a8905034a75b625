/* Offsets of the group, ends of the logs, members, and the times of two records of each partition that lags. One client
 * for all of it, and one moment by which it has to be over. */
#include "stream/kafka/standing.h"

#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "stream/kafka/asker.h"
#include "stream/kafka/client_context.h"
#include "stream/kafka/clients.h"

#define TAIL_RECORDS                                                                                         \
    16 /* of a log that are read for the last one: what ends a transaction has an offset, too */

struct asking {
    rd_kafka_t *client;
    const struct ms_config *config;
    struct ms_standing *standings;
    size_t count;
    double until_s;
};

static int left_ms(const struct asking *asking)
{
    double left = (asking->until_s - ms_monotonic_s()) * 1e3;
    return left > 1 ? (int)left : 1;
}

static bool over(const struct asking *asking)
{
    return ms_monotonic_s() >= asking->until_s;
}

static rd_kafka_topic_partition_list_t *list_all(const struct asking *asking)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)asking->count);
    for (size_t i = 0; i < asking->count; i++)
        rd_kafka_topic_partition_list_add(list, asking->config->input_topic, asking->standings[i].partition);
    return list;
}

/* ---- offsets ---- */

static enum ms_status ask_committed(struct asking *asking, struct ms_error *error)
{
    rd_kafka_topic_partition_list_t *list = list_all(asking);
    rd_kafka_resp_err_t code = rd_kafka_committed(asking->client, list, left_ms(asking));
    for (size_t i = 0; !code && i < asking->count; i++) {
        code = list->elems[i].err;
        if (!code)
            asking->standings[i].committed = list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code ? ms_kafka_failed_code(code, error, "offsets of the group") : MS_OK;
}

/* One by one: leaders differ, and one that does not answer takes the time of all. */
static enum ms_status ask_ends(struct asking *asking, struct ms_error *error)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; !code && i < asking->count; i++) {
        struct ms_standing *standing = &asking->standings[i];
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        int64_t low = 0, high = 0;
        rd_kafka_topic_partition_list_add(list, asking->config->input_topic, standing->partition);
        code = over(asking) ? RD_KAFKA_RESP_ERR__TIMED_OUT
                            : ms_ask_ends(asking->client, list, &low, &high, left_ms(asking));
        if (!code) {
            standing->begin = low;
            standing->end = high;
        }
        rd_kafka_topic_partition_list_destroy(list);
    }
    return code ? ms_kafka_failed_code(code, error, "ends of the log") : MS_OK;
}

/* ---- members ---- */

static void take_member(struct asking *asking, const rd_kafka_MemberDescription_t *member)
{
    const rd_kafka_MemberAssignment_t *assignment = rd_kafka_MemberDescription_assignment(member);
    const rd_kafka_topic_partition_list_t *list = assignment
                                                      ? rd_kafka_MemberAssignment_partitions(assignment)
                                                      : NULL;
    for (size_t i = 0; list && i < asking->count; i++) {
        struct ms_standing_owner *owner = &asking->standings[i].owner;
        if (owner->member ||
            !rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)(uintptr_t)list,
                                                asking->config->input_topic, asking->standings[i].partition))
            continue;
        const char *instance = rd_kafka_MemberDescription_group_instance_id(member);
        owner->member = strdup(rd_kafka_MemberDescription_consumer_id(member));
        owner->client = strdup(rd_kafka_MemberDescription_client_id(member));
        owner->host = strdup(rd_kafka_MemberDescription_host(member));
        owner->instance = instance ? strdup(instance) : NULL;
    }
}

static enum ms_status take_group(struct asking *asking, const rd_kafka_ConsumerGroupDescription_t *group,
                                 struct ms_error *error)
{
    const rd_kafka_error_t *failure = rd_kafka_ConsumerGroupDescription_error(group);
    if (failure)
        return ms_fail(error, MS_KAFKA, "members of group %s: %s", asking->config->application_id,
                       rd_kafka_error_string(failure));
    for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(group); i++)
        take_member(asking, rd_kafka_ConsumerGroupDescription_member(group, i));
    for (size_t i = 0; i < asking->count; i++)
        asking->standings[i].owners_known = true;
    return MS_OK;
}

static enum ms_status ask_members(struct asking *asking, struct ms_error *error)
{
    const char *name = asking->config->application_id;
    size_t count = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(asking->client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(asking->client,
                                                                 RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_DescribeConsumerGroups(asking->client, &name, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, left_ms(asking));
    const rd_kafka_DescribeConsumerGroups_result_t *result =
        event ? rd_kafka_event_DescribeConsumerGroups_result(event) : NULL;
    const rd_kafka_ConsumerGroupDescription_t **groups = result
                                                             ? rd_kafka_DescribeConsumerGroups_result_groups(
                                                                   result, &count)
                                                             : NULL;
    enum ms_status status;
    if (!event || rd_kafka_event_error(event) || count != 1)
        status = ms_fail(error, MS_KAFKA, "members of group %s: %s", name,
                         event ? rd_kafka_event_error_string(event) : "the brokers do not answer");
    else
        status = take_group(asking, groups[0], error);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}

/* ---- times ---- */

/* The last record below |upto| of a partition. */
struct tail {
    struct ms_standing *standing;
    int64_t upto, time_ms;
    bool done;
};

static struct tail *tail_of(struct tail *tails, size_t count, const rd_kafka_message_t *message)
{
    for (size_t i = 0; i < count; i++) {
        if (tails[i].standing->partition == message->partition)
            return &tails[i];
    }
    return NULL;
}

/* Returns whether the tail is done by this message. */
static bool take_record(struct tail *tail, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    if (!tail || tail->done)
        return false;
    int64_t time_ms = message->err ? -1 : rd_kafka_message_timestamp(message, &type);
    if (!message->err && message->offset < tail->upto && time_ms >= 0)
        tail->time_ms = time_ms;
    tail->done = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
                 message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                 (!message->err && message->offset + 1 >= tail->upto);
    return tail->done;
}

static enum ms_status read_tails(struct asking *asking, struct tail *tails, size_t count,
                                 struct ms_error *error)
{
    size_t done = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        int64_t from = tails[i].upto - TAIL_RECORDS;
        rd_kafka_topic_partition_list_add(list, asking->config->input_topic, tails[i].standing->partition)
            ->offset = from > tails[i].standing->begin ? from : tails[i].standing->begin;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(asking->client, list);
    while (!code && done < count && !over(asking)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(asking->client, 100);
        if (!message)
            continue;
        done += take_record(tail_of(tails, count, message), message);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_assign(asking->client, NULL);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code && done < count)
        code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    return code ? ms_kafka_failed_code(code, error, "times of records") : MS_OK;
}

/* Of the partitions that lag: the time up to which is folded, then the time of the end. */
static enum ms_status ask_times(struct asking *asking, struct ms_error *error)
{
    struct tail *tails = calloc(asking->count + 1, sizeof *tails);
    size_t count = 0;
    if (!tails)
        return ms_fail(error, MS_MEMORY, "no memory for %zu partitions", asking->count);
    for (size_t i = 0; i < asking->count; i++) {
        struct ms_standing *standing = &asking->standings[i];
        if (standing->applied > standing->begin && standing->applied < standing->end)
            tails[count++] = (struct tail){
                .standing = standing, .upto = standing->applied, .time_ms = INT64_MIN};
    }
    enum ms_status status = count ? read_tails(asking, tails, count, error) : MS_OK;
    for (size_t i = 0; status == MS_OK && i < count; i++) {
        tails[i].standing->read_ms = tails[i].time_ms;
        tails[i] = (struct tail){
            .standing = tails[i].standing, .upto = tails[i].standing->end, .time_ms = INT64_MIN};
    }
    if (status == MS_OK && count)
        status = read_tails(asking, tails, count, error);
    for (size_t i = 0; status == MS_OK && i < count; i++)
        tails[i].standing->end_ms = tails[i].time_ms;
    free(tails);
    return status;
}

/* ---- all of it ---- */

static void no_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    (void)rk, (void)code, (void)partitions, (void)opaque;
}

/* What goes wrong is told once, by the call that it fails. */
static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text;
}

enum ms_status ms_standing_ask(const struct ms_config *config, struct ms_standing *standings, size_t count,
                               int most_ms, struct ms_error *error)
{
    const struct ms_consumer_callbacks callbacks = {
        .rebalance = no_rebalance, .log = no_log, .single_records = true};
    struct asking asking = {.config = config,
                            .standings = standings,
                            .count = count,
                            .until_s = ms_monotonic_s() + most_ms / 1e3};
    for (size_t i = 0; i < count; i++) {
        struct ms_standing *standing = &standings[i];
        standing->committed = standing->begin = standing->end = MS_STANDING_UNKNOWN;
        standing->read_ms = standing->end_ms = INT64_MIN;
        standing->owners_known = false;
        standing->owner = (struct ms_standing_owner){0};
    }
    if (count == 0)
        return MS_OK;
    enum ms_status status = ms_consumer_new(&asking.client, config, "mindstream-inspect", NULL, &callbacks,
                                            error);
    if (status == MS_OK)
        status = ask_committed(&asking, error);
    if (status == MS_OK)
        status = ask_ends(&asking, error);
    if (status == MS_OK)
        status = ask_members(&asking, error);
    if (status == MS_OK)
        status = ask_times(&asking, error);
    if (asking.client)
        ms_client_destroy(asking.client);
    return status;
}

void ms_standing_free(struct ms_standing *standings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct ms_standing_owner *owner = &standings[i].owner;
        free(owner->member);
        free(owner->client);
        free(owner->host);
        free(owner->instance);
        *owner = (struct ms_standing_owner){0};
    }
}
