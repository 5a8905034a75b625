/* Which topics the settings need, how each should be, and whether one that exists fits. Knows no Kafka. */
#ifndef MS_STREAM_TOPIC_PLAN_H
#define MS_STREAM_TOPIC_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "stream/positions.h"

#define MS_TOPICS_MAX          (MS_SOURCES + 2) /* inputs, output, dead letters */
#define MS_TOPIC_PARTITIONS    4                /* of topics that are made where nothing says how many */
#define MS_TOPIC_CLEANUP_BYTES 32

/* A topic as it should be. */
struct ms_topic_want {
    const char *key; /* the setting that names it: "input.topic" */
    const char *name;
    const char *cleanup; /* cleanup.policy */
    int partitions;      /* to make it with */
    int replication;     /* to make it with; 0: the broker's default */
    bool input;          /* a source's */
    bool any_partitions; /* one that exists fits with any number of partitions */
};

/* A topic as it is. */
struct ms_topic_found {
    bool exists;
    int partitions, replication;
    char cleanup[MS_TOPIC_CLEANUP_BYTES];
};

/* Fills |wants| with the topics that |config| names, those of the sources first, and returns how many there
 * are. Clicks and dead letters are logs (delete); output and compacted sources hold the latest value of a key
 * (compact). |partitions| and |replication| are asked for by the user; 0: not. Names belong to |config|. */
size_t ms_topic_plan(struct ms_topic_want wants[MS_TOPICS_MAX], const struct ms_config *config,
                     int partitions, int replication);

/* Decides the numbers of partitions that the user did not ask for: as many as the first input topic that
 * exists has, or MS_TOPIC_PARTITIONS. Input topics must have the same number, because a user is in one
 * partition of each; of the others any number fits. |found| has an entry for each of |wants|. */
void ms_topic_plan_settle(struct ms_topic_want *wants, const struct ms_topic_found *found, size_t count);

/* Whether the topic that exists fits; if not, |text| says what differs and what is expected. */
bool ms_topic_fits(const struct ms_topic_want *want, const struct ms_topic_found *found, char *text,
                   size_t size);

#endif
