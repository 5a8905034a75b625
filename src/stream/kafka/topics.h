/* Looking at topics and making them. */
#ifndef MS_KAFKA_TOPICS_H
#define MS_KAFKA_TOPICS_H

#include "mindstream/status.h"
#include "stream/topic_plan.h"

/* An admin client of the settings' brokers. One thread. */
struct ms_topics;

/* |config| must outlive it. MS_CONFIG when librdkafka refuses a setting. Closing NULL is legal. */
enum ms_status ms_topics_open(struct ms_topics **topics, const struct ms_config *config,
                              struct ms_error *error) MS_MUST_CHECK;
void ms_topics_close(struct ms_topics *topics);

/* Tells of each of |wants| whether it exists and how it is; makes none. MS_KAFKA when no broker answers
 * within ten seconds, or does not tell. */
enum ms_status ms_topics_look(struct ms_topics *topics, const struct ms_topic_want *wants, size_t count,
                              struct ms_topic_found *found, struct ms_error *error) MS_MUST_CHECK;

/* Makes a topic and waits until the brokers know all its partitions. MS_KAFKA with the broker's reason
 * when it refuses. */
enum ms_status ms_topics_create(struct ms_topics *topics, const struct ms_topic_want *want,
                                struct ms_error *error) MS_MUST_CHECK;

#endif
