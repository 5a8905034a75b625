/* Asks what has to be known before a partition can be read: the group's offsets, who leads the partitions, and
 * where their logs begin and end. On a thread of its own, because the client's (2.0.2) calls for it block. A
 * Of a log that was read before it also asks whether it is still the same: whether the last record that was read of
 * it is there. A broker that does not answer costs the partitions of the others one time-out, once. */
#ifndef MS_KAFKA_ASKER_H
#define MS_KAFKA_ASKER_H

#include <librdkafka/rdkafka.h>

#include "base/config.h"
#include "stream/kafka/input_logs.h"
#include "stream/offsets.h"

#define MS_ASK_MS 2000 /* the longest that one call to the client may take, and so the end of the thread */

/* A question about all sources of a partition, and its answer. */
struct ms_inquiry {
    int32_t partition;
    uint32_t assignment; /* for which it was asked (opening.h) */
    /* Of a partition that is read: whether the log still has the record of |known.mark|. All questions of a batch
     * are such, or none. */
    bool only_mark;
    /* Of each source that is used: |source|, |partition|, |row| and the row's |mark| are the question, the rest the
     * answer. */
    struct ms_known known[MS_SOURCES];
    enum ms_status status; /* MS_KAFKA_RETRY: it cannot be had now, because of |error| */
    struct ms_error error;
    /* The asker's. */
    struct ms_target {
        int32_t leader; /* -1: not known */
        bool known; /* the ends of the log are; with only_mark: what there is now in place of the record */
    } targets[MS_SOURCES];
    bool answered;
    struct ms_inquiry *next; /* that was answered */
};

struct ms_asker;

/* Starts the thread. What is handed in outlives it; |logs|: what the input topics were at the start. */
enum ms_status ms_asker_new(struct ms_asker **asker, rd_kafka_t *consumer, const struct ms_config *config,
                            const struct ms_input_logs *logs, struct ms_error *error) MS_MUST_CHECK;
/* Ends it, after the call that it is in: MS_ASK_MS at most. NULL is legal. */
void ms_asker_destroy(struct ms_asker *asker);

/* Whether it has not answered all that it was asked, or not all answers were taken. */
bool ms_asker_busy(struct ms_asker *asker);
/* Asks while it is not busy. It frees |questions|, which come from malloc. */
void ms_asker_ask(struct ms_asker *asker, struct ms_inquiry *questions, size_t count);
/* Moves an answer, if there is one, into *answer. */
bool ms_asker_take(struct ms_asker *asker, struct ms_inquiry *answer);
/* Nobody waits for the answers to what is being asked any more. NULL is legal. */
void ms_asker_drop(struct ms_asker *asker);

/* Where the logs of partitions begin and end, which have one leader: reads |low| and |high| of each, or 0 of
 * all and the error. Blocks for twice |timeout_ms| at most. Any thread. */
rd_kafka_resp_err_t ms_ask_ends(rd_kafka_t *consumer, const rd_kafka_topic_partition_list_t *partitions,
                                int64_t *low, int64_t *high, int timeout_ms);

#endif
