/* The plan of topics. */
#include "stream/topic_plan.h"

#include <stdio.h>
#include <string.h>

#include "stream/source.h"

/* Adds a topic where its name is set. */
static size_t add(struct ms_topic_want *wants, size_t count, const struct ms_topic_want *want)
{
    if (!want->name[0])
        return count;
    wants[count] = *want;
    return count + 1;
}

size_t ms_topic_plan(struct ms_topic_want wants[MS_TOPICS_MAX], const struct ms_config *config,
                     int partitions, int replication)
{
    size_t count = 0;
    for (int source = 0; source < MS_SOURCES; source++) {
        const struct ms_topic_want input = {.key = ms_sources[source]->option,
                                            .name = ms_source_topic(source, config),
                                            .cleanup = ms_sources[source]->compacted ? "compact" : "delete",
                                            .input = true};
        count = add(wants, count, &input);
    }
    const struct ms_topic_want outputs[] = {
        {.key = "output.topic", .name = config->output_topic, .cleanup = "compact"},
        {.key = "dead.letter.topic", .name = config->dead_letter_topic, .cleanup = "delete"}};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        count = add(wants, count, &outputs[i]);
    for (size_t i = 0; i < count; i++) {
        wants[i].partitions = partitions;
        wants[i].replication = replication;
    }
    return count;
}

void ms_topic_plan_settle(struct ms_topic_want *wants, const struct ms_topic_found *found, size_t count)
{
    int partitions = 0;
    for (size_t i = 0; i < count; i++) {
        if (!partitions && wants[i].input && found[i].exists)
            partitions = found[i].partitions;
    }
    for (size_t i = 0; i < count; i++) {
        if (wants[i].partitions)
            continue;
        wants[i].partitions = partitions ? partitions : MS_TOPIC_PARTITIONS;
        wants[i].any_partitions = !wants[i].input;
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
