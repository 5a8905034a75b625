/* One record of each user, at the end of a replay, in transactions of bounded size. How many users of a partition are
 * published is committed with their records, as the replay's group's offset of that partition; beside it stands which
 * replay that was. So a replay that was killed goes on where its last transaction ended. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/record.h"
#include "state/user_walk.h"
#include "stream/kafka/clients.h"
#include "stream/kafka/replay_inside.h"
#include "stream/source.h"

struct publication {
    struct ms_replay *replay;
    struct ms_replay_sender sender;
    struct ms_encoder *encoder;
    struct ms_extractor *extractor;
    struct ms_fold_context context;
    int64_t *already; /* [partition] users that are published, -1: none */
    size_t partitions;
    int32_t partition;   /* of the users in the transaction */
    int64_t users;       /* of that partition so far, those of earlier transactions included */
    uint64_t sent, left; /* users of this run, and those that are not published yet */
};

static void tell(const struct publication *publication)
{
    const struct ms_replay_options *options = &publication->replay->options;
    if (options->on_published)
        options->on_published(options->on_published_context, publication->sent, publication->left);
}

/* Commits the open transaction, if there is one, with the number of users that are published. */
static enum ms_status commit(struct publication *publication, struct ms_error *error)
{
    if (!publication->sender.in_transaction)
        return MS_OK;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, publication->replay->config.input_topic, publication->partition)
        ->offset = publication->users;
    enum ms_status status = ms_replay_sender_commit(&publication->sender, list, error);
    rd_kafka_topic_partition_list_destroy(list);
    if (status == MS_OK) {
        atomic_store(&publication->replay->published, atomic_load(&publication->sender.published));
        tell(publication);
    }
    return status;
}

/* ---- users ---- */

static enum ms_status produce_interests(struct publication *publication, const struct ms_record *record,
                                        struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int slot = 0; status == MS_OK && slot < record->interests.count; slot++) {
        struct ms_bytes value = ms_encode_interest(publication->encoder, record, slot);
        struct ms_bytes key = ms_encode_interest_key(publication->encoder, record->user_id, slot);
        if (!value.data || !key.data)
            return ms_fail(error, MS_MEMORY, "no memory for a record");
        status = ms_replay_send(&publication->sender, key, value, record->version, error);
    }
    return status;
}

static enum ms_status publish_user(struct publication *publication, struct ms_user **user,
                                   struct ms_error *error)
{
    struct ms_fold_context *context = &publication->context;
    const char *model = ms_model_config(publication->replay->options.model)->id;
    if ((*user)->sums_left_out && !ms_refold(context, user))
        return ms_fail(error, MS_MEMORY, "no memory to fold a user again");
    ms_user_resolve(*user, context->model);
    const struct ms_record record = {.user_id = ms_user_id(*user),
                                     .version = (*user)->version,
                                     .event_time_ms = (*user)->last_time_ms,
                                     .model = {model, strlen(model)},
                                     .interests = ms_user_interests(context, *user)};
    if (publication->replay->config.output_layout != MS_LAYOUT_USER)
        return produce_interests(publication, &record, error);
    struct ms_bytes value = ms_encode_user(publication->encoder, &record);
    return value.data ? ms_replay_send(&publication->sender, record.user_id, value, record.version, error)
                      : ms_fail(error, MS_MEMORY, "no memory for a record");
}

/* Commits what came before, where this user is of another partition. */
static enum ms_status turn_to(struct publication *publication, const struct ms_user *user,
                              struct ms_error *error)
{
    if (user->partition == publication->partition)
        return MS_OK;
    enum ms_status status = commit(publication, error);
    publication->partition = user->partition;
    publication->users = 0;
    return status;
}

static enum ms_status take_user(struct publication *publication, struct ms_user **user,
                                struct ms_error *error)
{
    enum ms_status status = turn_to(publication, *user, error);
    if (status != MS_OK || (*user)->version == 0) /* a profile alone is no user yet */
        return status;
    publication->users++;
    publication->left -= publication->left > 0;
    if ((*user)->partition >= publication->partitions ||
        publication->users <= publication->already[(*user)->partition])
        return MS_OK;
    publication->sent++;
    status = publish_user(publication, user, error);
    return status == MS_OK && ms_replay_sender_full(&publication->sender) ? commit(publication, error)
                                                                          : status;
}

static enum ms_status publish_all(struct publication *publication, struct ms_error *error)
{
    struct ms_user_walk *walk = NULL;
    struct ms_user *user = NULL;
    enum ms_status status = ms_user_walk_begin(&walk, publication->replay->store, error);
    while (status == MS_OK && (status = ms_user_walk_next(walk, &user, NULL, error)) == MS_OK && user) {
        if (atomic_load(publication->replay->stop_publishing))
            status = ms_fail(error, MS_KAFKA_RETRY, "asked to stop; the same command goes on");
        else
            status = take_user(publication, &user, error);
        free(user);
    }
    ms_user_walk_end(walk);
    return status == MS_OK ? commit(publication, error) : status;
}

/* ---- the whole ---- */

static enum ms_status open_folding(struct publication *publication, struct ms_error *error)
{
    const struct ms_replay_options *options = &publication->replay->options;
    const struct ms_config *config = &publication->replay->config;
    enum ms_status status = ms_encoder_new(&publication->encoder,
                                           (enum ms_record_format)config->output_format, error);
    if (status == MS_OK)
        status = ms_extractor_new(&publication->extractor, options->model, error);
    if (status == MS_OK)
        status = ms_fold_context_init(&publication->context, options->model, publication->extractor,
                                      options->incremental, &options->decay,
                                      (uint32_t)config->state_behaviors_max, error);
    return status;
}

static void close_all(struct publication *publication)
{
    ms_replay_sender_close(&publication->sender);
    ms_fold_context_free(&publication->context);
    ms_extractor_destroy(publication->extractor);
    ms_encoder_destroy(publication->encoder);
    free(publication->already);
}

/* What is published already counts for one topic. */
static enum ms_status note_output(struct ms_replay *replay, struct ms_error *error)
{
    const char *topic = replay->config.output_topic;
    struct ms_replay_plan *plan = &replay->plan;
    if (plan->output[0])
        return MS_OK;
    snprintf(plan->output, sizeof plan->output, "%s", topic);
    return ms_replay_plan_write(plan, replay->config.state_dir, error);
}

enum ms_status ms_replay_publish(struct ms_replay *replay, struct ms_error *error)
{
    struct publication publication = {
        .replay = replay,
        .partition = -1,
        .partitions = (size_t)ms_replay_partitions(&replay->plan, MS_SOURCE_CLICKS)};
    if (replay->plan.stage != MS_REPLAY_READ)
        return MS_OK;
    publication.already = calloc(publication.partitions + 1, sizeof *publication.already);
    enum ms_status status = publication.already ? note_output(replay, error)
                                                : ms_fail(error, MS_MEMORY, "no memory for a replay");
    if (status == MS_OK)
        status = open_folding(&publication, error);
    if (status == MS_OK) /* settles what was in doubt, before it is asked what is committed */
        status = ms_replay_sender_open(&publication.sender, replay, 0, error);
    if (status == MS_OK)
        status = ms_replay_committed(replay, publication.partitions, publication.already, error);
    if (status == MS_OK)
        status = ms_replay_users(replay, &publication.left, error);
    if (status == MS_OK)
        tell(&publication);
    if (status == MS_OK)
        status = publish_all(&publication, error);
    close_all(&publication);
    if (status != MS_OK)
        return status;
    replay->plan.stage = MS_REPLAY_PUBLISHED;
    return ms_replay_plan_write(&replay->plan, replay->config.state_dir, error);
}
