/* Reads a topic from a bound on, to an end that is fixed at the start or as records come. Committed records only, by
 * `assign`: it joins no group. For looking at topics; the service reads otherwise (worker.h). One thread. */
#ifndef MS_KAFKA_TOPIC_READER_H
#define MS_KAFKA_TOPIC_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "mindstream/status.h"
#include "stream/dead_letter.h"
#include "stream/records.h"
#include "stream/replay_plan.h"

struct ms_topic_reader;

struct ms_topic_reader_options {
    const struct ms_config *config; /* outlives the reader; its group is named, not joined */
    const char *topic;
    const char *client; /* its client.id */
    /* What lies before a log's start means the start, what lies beyond its end the end. */
    struct ms_bound from, to;
    bool follow; /* there is no end: |to| does not count */
};

/* Asks for the logs' ends and begins to read. MS_KAFKA where the topic or a broker cannot be reached, MS_USAGE where an end
 * lies before its beginning. Closing NULL is legal. */
enum ms_status ms_topic_reader_open(struct ms_topic_reader **reader,
                                    const struct ms_topic_reader_options *options,
                                    struct ms_error *error) MS_MUST_CHECK;
void ms_topic_reader_close(struct ms_topic_reader *reader);

/* Takes the next records, |most| (at most MS_TOPIC_READER_BATCH) or fewer; waits |wait_ms| for the first. They hold until
 * the next call. source is 0. MS_OFFSETS where retention has taken what comes next, MS_KAFKA. */
#define MS_TOPIC_READER_BATCH 1000
enum ms_status ms_topic_reader_next(struct ms_topic_reader *reader, struct ms_input *records, size_t most,
                                    int wait_ms, size_t *count, struct ms_error *error) MS_MUST_CHECK;

/* Whether everything up to the ends has been read. Never of one that follows. */
bool ms_topic_reader_done(const struct ms_topic_reader *reader);

/* Offsets to read in all, and those that are left. */
uint64_t ms_topic_reader_total(const struct ms_topic_reader *reader);
uint64_t ms_topic_reader_left(const struct ms_topic_reader *reader);

/* Whether a log has lost its oldest records, so that a key without a record may have had one. */
bool ms_topic_reader_cut(const struct ms_topic_reader *reader);

/* The headers of a record that it returned. */
struct ms_headers ms_topic_reader_headers(const struct ms_input *record);

#endif
