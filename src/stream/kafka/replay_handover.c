/* Handing a replayed state over to the live service: the group's offsets are set to where the replay ended, with the notes
 * that a service writes beside them. The state directory is the service's from then on. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "stream/kafka/access.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

#define CALL_MS 30000
#define OWNER   1

/* ---- the group ---- */

static bool put_member(struct ms_buffer *text, const rd_kafka_MemberDescription_t *member)
{
    const char *instance = rd_kafka_MemberDescription_group_instance_id(member);
    return ms_buffer_printf(
        text, "%s%s on %s%s", text->size ? "; " : "",
        instance ? instance : rd_kafka_MemberDescription_client_id(member),
        rd_kafka_MemberDescription_host(member),
        instance ? " (static: it stays a member until session.timeout.ms after its end, 45 s by default)"
                 : "");
}

/* MS_KAFKA_REFUSED where the described group has members, with their names. */
static enum ms_status check_members(const rd_kafka_ConsumerGroupDescription_t *group,
                                    const struct ms_config *config, const char *name, struct ms_error *error)
{
    struct ms_buffer text = {0};
    size_t count = rd_kafka_ConsumerGroupDescription_member_count(group);
    const rd_kafka_error_t *failure = rd_kafka_ConsumerGroupDescription_error(group);
    if (failure) {
        ms_fail(error, MS_KAFKA, "group %s: %s", name, rd_kafka_error_string(failure));
        return ms_access_missing(error, MS_KAFKA, rd_kafka_error_code(failure), config, "DESCRIBE", "");
    }
    for (size_t i = 0; i < count && i < 8; i++)
        put_member(&text, rd_kafka_ConsumerGroupDescription_member(group, i));
    enum ms_status status = MS_OK;
    if (count)
        status = ms_fail(error, MS_KAFKA_REFUSED,
                         "group %s has %zu members, which have to be stopped first: %.*s", name, count,
                         (int)text.size, text.data ? text.data : "");
    ms_buffer_free(&text);
    return status;
}

/* |event|: the answer that says nothing of the group; NULL: none. */
static enum ms_status group_unknown(rd_kafka_event_t *event, const struct ms_config *config,
                                    struct ms_error *error)
{
    ms_fail(error, MS_KAFKA, "group %s: %s", config->application_id,
            event ? rd_kafka_event_error_string(event) : "the brokers do not answer");
    return event ? ms_access_missing(error, MS_KAFKA, rd_kafka_event_error(event), config, "DESCRIBE", "")
                 : MS_KAFKA;
}

static enum ms_status check_group(const struct ms_replay *replay, struct ms_error *error)
{
    const char *name = replay->options.config->application_id;
    rd_kafka_t *admin = NULL;
    enum ms_status status = ms_admin_new(&admin, replay->options.config, "mindstream-replay", error);
    if (status != MS_OK)
        return status;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin,
                                                                 RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_DescribeConsumerGroups(admin, &name, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CALL_MS);
    const rd_kafka_DescribeConsumerGroups_result_t *result =
        event ? rd_kafka_event_DescribeConsumerGroups_result(event) : NULL;
    size_t count = 0;
    const rd_kafka_ConsumerGroupDescription_t **groups = result
                                                             ? rd_kafka_DescribeConsumerGroups_result_groups(
                                                                   result, &count)
                                                             : NULL;
    if (!event || rd_kafka_event_error(event) || count != 1)
        status = group_unknown(event, replay->options.config, error);
    else
        status = check_members(groups[0], replay->options.config, name, error);
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    ms_client_destroy(admin);
    return status;
}

/* ---- the offsets ---- */

/* The ends of the plan, each with its note. |engine| has every part open, and writes the notes. */
static enum ms_status list_offsets(struct ms_replay *replay, struct ms_engine *engine,
                                   rd_kafka_topic_partition_list_t *list, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < replay->plan.count; i++) {
        const struct ms_replay_part *part = &replay->plan.parts[i];
        struct ms_position position;
        char note[MS_NOTE_BYTES];
        status = ms_replay_open_part(replay, engine, part, &position, error);
        if (status != MS_OK)
            return status;
        rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_add(
            list, ms_source_topic(part->source, &replay->config), part->partition);
        at->offset = part->to;
        at->metadata_size = ms_engine_note(engine, &position, note);
        at->metadata = strdup(note); /* the list frees it */
    }
    return status;
}

/* MS_KAFKA_REFUSED where the group has been somewhere else. */
static enum ms_status check_offsets(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *wanted,
                                    const struct ms_config *config, struct ms_error *error)
{
    const char *group = config->application_id;
    rd_kafka_topic_partition_list_t *found = rd_kafka_topic_partition_list_copy(wanted);
    rd_kafka_resp_err_t code = rd_kafka_committed(client, found, CALL_MS);
    enum ms_status status = code ? ms_kafka_failed_code(code, error, "offsets of the group") : MS_OK;
    if (code)
        status = ms_access_missing(error, status, code, config, "READ", config->input_topic);
    for (int i = 0; status == MS_OK && i < found->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &found->elems[i];
        if (at->offset >= 0 && at->offset != wanted->elems[i].offset)
            status = ms_fail(
                error, MS_KAFKA_REFUSED,
                "group %s has offset %" PRId64 " of topic %s partition %" PRId32
                ", the replay ended at %" PRId64
                ": hand over to a new application.id, or delete the group first (kafka-consumer-groups.sh --delete "
                "--group %s)",
                group, at->offset, at->topic, at->partition, wanted->elems[i].offset, group);
    }
    rd_kafka_topic_partition_list_destroy(found);
    return status;
}

static enum ms_status commit_offsets(struct ms_replay *replay, const rd_kafka_topic_partition_list_t *list,
                                     struct ms_error *error)
{
    const struct ms_config *config = replay->options.config;
    rd_kafka_t *client = NULL;
    enum ms_status status = ms_replay_consumer(&client, config, "mindstream-replay", error);
    if (status == MS_OK)
        status = check_offsets(client, list, config, error);
    if (status == MS_OK) {
        rd_kafka_topic_partition_list_t *copy = rd_kafka_topic_partition_list_copy(list);
        rd_kafka_resp_err_t code = rd_kafka_commit(client, copy, 0);
        for (int i = 0; !code && i < copy->cnt; i++)
            code = copy->elems[i].err;
        if (code) {
            ms_fail(error, MS_KAFKA_REFUSED, "setting the offsets of group %s: %s", config->application_id,
                    rd_kafka_err2str(code));
            status = ms_access_missing(error, MS_KAFKA_REFUSED, code, config, "READ", config->input_topic);
        }
        rd_kafka_topic_partition_list_destroy(copy);
    }
    if (client)
        ms_client_destroy(client);
    return status;
}

enum ms_status ms_replay_hand_over(struct ms_replay *replay, struct ms_error *error)
{
    struct ms_stats stats = {0};
    struct ms_engine *engine = NULL;
    if (replay->plan.stage != MS_REPLAY_READ && replay->plan.stage != MS_REPLAY_PUBLISHED)
        return ms_fail(error, MS_USAGE, "%s: the replay has not reached its end yet",
                       replay->config.state_dir);
    pthread_mutex_init(&stats.lock, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)replay->plan.count);
    enum ms_status status = check_group(replay, error);
    if (status == MS_OK && ms_replay_of_files(replay))
        status = ms_replay_files_seam(replay, error);
    if (status == MS_OK)
        status = ms_replay_engine(replay, &engine, &stats, (size_t)1 << 20, OWNER, NULL, error);
    if (status == MS_OK)
        status = list_offsets(replay, engine, list, error);
    if (status == MS_OK)
        status = commit_offsets(replay, list, error);
    rd_kafka_topic_partition_list_destroy(list);
    ms_engine_destroy(engine);
    pthread_mutex_destroy(&stats.lock);
    if (status != MS_OK)
        return status;
    replay->plan.stage = MS_REPLAY_HANDED;
    return ms_replay_plan_write(&replay->plan, replay->config.state_dir, error);
}
