/* The plan of topics. */
#include "stream/topic_plan.h"

#include <stdio.h>
#include <string.h>

size_t ms_topic_plan(struct ms_topic_want wants[MS_TOPICS_MAX], const struct ms_config *config,
                     int partitions, int replication)
{
    const struct ms_topic_want all[MS_TOPICS_MAX] = {
        {.key = "input.topic", .name = config->input_topic, .cleanup = "delete"},
        {.key = "profile.topic", .name = config->profile_topic, .cleanup = "compact"},
        {.key = "output.topic", .name = config->output_topic, .cleanup = "compact"},
        {.key = "dead.letter.topic", .name = config->dead_letter_topic, .cleanup = "delete"},
    };
    size_t count = 0;
    for (size_t i = 0; i < MS_TOPICS_MAX; i++) {
        if (!all[i].name[0])
            continue;
        wants[count] = all[i];
        wants[count].partitions = partitions;
        wants[count++].replication = replication;
    }
    return count;
}

static bool is_source(const struct ms_topic_want *want)
{
    return strcmp(want->key, "input.topic") == 0 || strcmp(want->key, "profile.topic") == 0;
}

void ms_topic_plan_settle(struct ms_topic_want *wants, const struct ms_topic_found *found, size_t count)
{
    int partitions = 0;
    for (size_t i = 0; i < count; i++) {
        if (!partitions && is_source(&wants[i]) && found[i].exists)
            partitions = found[i].partitions;
    }
    for (size_t i = 0; i < count; i++) {
        if (wants[i].partitions)
            continue;
        wants[i].partitions = partitions ? partitions : MS_TOPIC_PARTITIONS;
        wants[i].any_partitions = !is_source(&wants[i]);
    }
}

/* Appends "what=found, expected wanted". */
static void add_difference(char *text, size_t size, const char *what, const char *found, const char *wanted)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s=%s, expected %s", used ? "; " : "", what, found, wanted);
}

static void add_number(char *text, size_t size, const char *what, int found, int wanted)
{
    char found_text[16], wanted_text[16];
    snprintf(found_text, sizeof found_text, "%d", found);
    snprintf(wanted_text, sizeof wanted_text, "%d", wanted);
    add_difference(text, size, what, found_text, wanted_text);
}

bool ms_topic_fits(const struct ms_topic_want *want, const struct ms_topic_found *found, char *text,
                   size_t size)
{
    text[0] = '\0';
    if (!want->any_partitions && found->partitions != want->partitions)
        add_number(text, size, "partitions", found->partitions, want->partitions);
    if (want->replication && found->replication != want->replication)
        add_number(text, size, "replication", found->replication, want->replication);
    if (strcmp(found->cleanup, want->cleanup) != 0)
        add_difference(text, size, "cleanup.policy", found->cleanup, want->cleanup);
    return !text[0];
}
