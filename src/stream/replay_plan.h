/* What a replay reads, fixed at its start, and how far it has come: the file DIR/replay beside the state it builds.
 *
 *   format=2
 *   id=HEX                  drawn at random: names this replay
 *   from=earliest           as it was asked for
 *   to=last:PT1H
 *   fold=HEX                fold id under which it folds
 *   decode=HEX              what the decoder is told (source.h)
 *   stage=reading           reading, read, published or handed
 *   publish=end             end: nothing before the log is read; every: a record for each event
 *   output=TOPIC            where it publishes; empty until it does
 *   files=BITS HEX DONE     sources (1 << index) whose events come from files; how these are read; which of them are
 *   file=SIZE HEX PATH      a file, with a digest of it; in order
 *   seam=1                  the parts of a replay of files are those of the topic where the service begins
 *   part=SOURCE PARTITION FROM TO
 *
 * A replay of files has the numbers of events where that of a log has offsets; FROM is 0, and TO is not known (the greatest
 * number) until all is read. How far each part is folded stands in the rows of the state (L), not here. */
#ifndef MS_STREAM_REPLAY_PLAN_H
#define MS_STREAM_REPLAY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"

enum ms_bound_kind {
    MS_BOUND_EARLIEST, /* the log's start */
    MS_BOUND_LATEST,   /* its end as of the start of the replay */
    MS_BOUND_OFFSET,
    MS_BOUND_TIME, /* the first record of this time or later */
    MS_BOUND_LAST, /* the same, so long before now */
};

struct ms_bound {
    enum ms_bound_kind kind;
    int64_t value; /* an offset; milliseconds since 1970; milliseconds back from now */
};

/* Reads "earliest", "latest", "offset:N", a time as event/time.h takes it, or "last:PT6H" (an ISO 8601 duration of days,
 * hours, minutes and seconds, or 6h). MS_USAGE names |option| and what is legal. Pure. */
enum ms_status ms_bound_parse(struct ms_bound *bound, const char *option, const char *text,
                              struct ms_error *error) MS_MUST_CHECK;

/* One source of one partition: the offsets from .. to-1. */
struct ms_replay_part {
    int source;
    int32_t partition;
    int64_t from, to;
};

enum ms_replay_stage { MS_REPLAY_READING, MS_REPLAY_READ, MS_REPLAY_PUBLISHED, MS_REPLAY_HANDED };

#define MS_BOUND_BYTES 64
#define MS_TOPIC_BYTES 256 /* Kafka's limit is 249 */

/* A file of a replay: its bytes, and a digest that tells it from others. */
struct ms_replay_file {
    char *path;
    uint64_t size, digest; /* 0 of what cannot be read twice: standard input, a pipe */
};

struct ms_replay_plan {
    uint64_t id;
    bool every;
    char output[MS_TOPIC_BYTES];
    char from[MS_BOUND_BYTES], to[MS_BOUND_BYTES];
    uint64_t fold_id, decode_id;
    enum ms_replay_stage stage;
    unsigned files;      /* sources (1 << index) whose events come from files, not from the log */
    unsigned files_done; /* those whose files are read */
    uint64_t reading;    /* a digest of all that says how files are read */
    bool seam;
    struct ms_replay_file *file; /* in the order in which they are read */
    size_t file_count, file_capacity;
    struct ms_replay_part *parts; /* by source, then partition */
    size_t count, capacity;
};

/* Adds a part. False when memory ended. A zeroed plan has none; ms_replay_plan_free frees them. */
bool ms_replay_plan_add(struct ms_replay_plan *plan, const struct ms_replay_part *part);
/* Adds a file, whose path is copied. False when memory ended. */
bool ms_replay_plan_add_file(struct ms_replay_plan *plan, const struct ms_replay_file *file);
void ms_replay_plan_free(struct ms_replay_plan *plan);

/* Reads DIR/replay; *found is false where there is none. MS_STATE when it is damaged. */
enum ms_status ms_replay_plan_read(struct ms_replay_plan *plan, const char *dir, bool *found,
                                   struct ms_error *error) MS_MUST_CHECK;
/* Writes it, whole or not at all. */
enum ms_status ms_replay_plan_write(const struct ms_replay_plan *plan, const char *dir,
                                    struct ms_error *error) MS_MUST_CHECK;

#endif
