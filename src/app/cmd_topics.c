/* mindstream topics: the topics that the settings name, made as they suit. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/options.h"
#include "state/key.h"
#include "stream/kafka/topics.h"

struct topics_arguments {
    struct ms_options_sources sources;
    int64_t partitions, replication; /* 0: not given */
    bool dry_run;
};

/* The topics as they should be and as they are. */
struct topics {
    struct ms_options *options;
    struct ms_topics *client;
    struct ms_topic_want wants[MS_TOPICS_MAX];
    struct ms_topic_found found[MS_TOPICS_MAX];
    size_t count;
};

/* Reads the settings and looks at the brokers. */
static enum ms_status open_topics(struct topics *topics, struct topics_arguments *arguments,
                                  struct ms_error *error)
{
    arguments->sources.environment = environ;
    enum ms_status status = ms_options_load(&topics->options, &arguments->sources, error);
    if (status == MS_OK)
        status = ms_options_require(topics->options, "topics", error);
    if (status != MS_OK)
        return status;
    const struct ms_config *config = ms_options_config(topics->options);
    topics->count = ms_topic_plan(topics->wants, config, (int)arguments->partitions,
                                  (int)arguments->replication);
    status = ms_topics_open(&topics->client, config, error);
    if (status == MS_OK)
        status = ms_topics_look(topics->client, topics->wants, topics->count, topics->found, error);
    if (status == MS_OK)
        ms_topic_plan_settle(topics->wants, topics->found, topics->count);
    return status;
}

static void close_topics(struct topics *topics)
{
    ms_topics_close(topics->client);
    ms_options_destroy(topics->options);
}

static void print_topic(const struct ms_topic_want *want, const char *what)
{
    printf("%-18s %s: %s\n", want->key, want->name, what);
}

static void print_found(const struct ms_topic_want *want, const struct ms_topic_found *found,
                        const char *what)
{
    char text[256];
    snprintf(text, sizeof text, "%s (partitions=%d replication=%d cleanup.policy=%s)", what,
             found->partitions, found->replication, found->cleanup);
    print_topic(want, text);
}

static void print_made(const struct ms_topic_want *want, const char *what)
{
    char text[256], replication[16] = "default";
    if (want->replication)
        snprintf(replication, sizeof replication, "%d", want->replication);
    snprintf(text, sizeof text, "%s (partitions=%d replication=%s cleanup.policy=%s)", what, want->partitions,
             replication, want->cleanup);
    print_topic(want, text);
}

/* MS_KAFKA that names every topic that exists and does not fit, and what is expected. */
static enum ms_status check_existing(const struct topics *topics, struct ms_error *error)
{
    char all[sizeof error->text] = "";
    for (size_t i = 0; i < topics->count; i++) {
        char text[256];
        const struct ms_topic_want *want = &topics->wants[i];
        size_t used = strlen(all);
        if (topics->found[i].exists && !ms_topic_fits(want, &topics->found[i], text, sizeof text))
            snprintf(all + used, sizeof all - used, "%s%s %s has %s", used ? "; " : "", want->key, want->name,
                     text);
    }
    return all[0] ? ms_fail(error, MS_KAFKA, "%s. Nothing was made", all) : MS_OK;
}

static enum ms_status create_missing(struct topics *topics, bool dry_run, struct ms_error *error)
{
    enum ms_status status = check_existing(topics, error);
    for (size_t i = 0; status == MS_OK && i < topics->count; i++) {
        const struct ms_topic_want *want = &topics->wants[i];
        if (topics->found[i].exists) {
            print_found(want, &topics->found[i], "exists and fits");
            continue;
        }
        if (!dry_run)
            status = ms_topics_create(topics->client, want, error);
        if (status == MS_OK)
            print_made(want, dry_run ? "would be made" : "made");
    }
    return status;
}

static enum ms_status run_create(void *context, struct ms_error *error)
{
    struct topics_arguments *arguments = context;
    struct topics topics = {0};
    enum ms_status status = open_topics(&topics, arguments, error);
    if (status == MS_OK)
        status = create_missing(&topics, arguments->dry_run, error);
    close_topics(&topics);
    return status;
}

static enum ms_status run_describe(void *context, struct ms_error *error)
{
    struct topics topics = {0};
    enum ms_status status = open_topics(&topics, context, error);
    for (size_t i = 0; status == MS_OK && i < topics.count; i++) {
        char text[256];
        bool fits = ms_topic_fits(&topics.wants[i], &topics.found[i], text, sizeof text);
        if (!topics.found[i].exists)
            print_topic(&topics.wants[i], "does not exist");
        else
            print_found(&topics.wants[i], &topics.found[i], fits ? "fits" : "differs");
    }
    if (status == MS_OK)
        status = check_existing(&topics, error);
    close_topics(&topics);
    return status;
}

static const struct ms_argument rows_of_create[] = {
    MS_SETTINGS_ROWS(struct topics_arguments, sources),
    {.name = "partitions",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = MS_MAX_PARTITIONS,
     .standard_text = "as many as the input topic has, or 4",
     .placeholder = "N",
     .help = "partitions of each topic",
     .offset = offsetof(struct topics_arguments, partitions)},
    {.name = "replication",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = INT16_MAX,
     .standard_text = "that of the brokers",
     .placeholder = "N",
     .help = "brokers that keep each partition",
     .offset = offsetof(struct topics_arguments, replication)},
    {.name = "dry-run",
     .kind = MS_ARGUMENT_FLAG,
     .help = "say what would be made, and make nothing",
     .offset = offsetof(struct topics_arguments, dry_run)},
    {0},
};

static const struct ms_argument rows_of_describe[] = {MS_SETTINGS_ROWS(struct topics_arguments, sources),
                                                      {0}};

static const struct ms_command create_command = {
    .name = "create",
    .summary = "make the topics that do not exist yet",
    .description =
        "Makes the topics that the settings name and that do not exist yet: input.topic and dead.letter.topic with\n"
        "cleanup.policy=delete, output.topic and profile.topic with cleanup.policy=compact. The profile topic has as many\n"
        "partitions as the input topic, because a user lies in one partition of each. A topic that exists and fits is left\n"
        "as it is. When one exists and differs, nothing is made and the status is 1.\n",
    .rows = rows_of_create,
    .examples = "mindstream topics create -c clicks.properties --dry-run\n"
                "mindstream topics create -c clicks.properties --partitions 12 --replication 3\n",
    .exit_status = "0 all topics exist now and fit, 1 one differs or was not made, 2 bad usage or settings",
    .arguments_bytes = sizeof(struct topics_arguments),
    .run = run_create,
};

static const struct ms_command describe_command = {
    .name = "describe",
    .summary = "how the topics are, and whether they fit",
    .description =
        "Tells of each topic that the settings name whether it exists, how it is, and whether it fits.\n",
    .rows = rows_of_describe,
    .examples = "mindstream topics describe -c clicks.properties\n",
    .exit_status = "0 no topic differs, 1 one differs or the brokers do not tell, 2 bad usage or settings",
    .arguments_bytes = sizeof(struct topics_arguments),
    .run = run_describe,
};

static const struct ms_command *const commands[] = {&create_command, &describe_command, NULL};

const struct ms_command ms_command_topics = {
    .name = "topics",
    .summary = "make the topics that the settings name",
    .description = "Makes or describes the topics that the settings name.\n",
    .commands = commands,
    .examples = "mindstream topics create -c clicks.properties --partitions 12 --replication 3\n",
};
