/* A state directory for tests, and many naive users to hold an overlay against. Whatever fails ends the test
 * program. */
#ifndef TESTS_STATE_FIXTURE_H
#define TESTS_STATE_FIXTURE_H

#include "state/ingest.h"
#include "state/overlay.h"
#include "user/lives.h"

/* A new directory under TMPDIR; state_dir_remove takes it away with all that is in it. */
char *state_dir_new(void);
void state_dir_remove(char *dir);

/* Opens with application "app" and topic "clicks". */
struct ms_store *state_open(const char *dir);

/* A crowd: users 0 .. count-1 of one partition, each with its naive double and its own source of events. */
struct crowd_user {
    char id[40];
    size_t id_bytes;
    struct life_source source;
    struct naive_user naive;
};

struct crowd {
    uint16_t partition;
    uint32_t count;
    uint64_t random;
    int64_t offset; /* of the next event */
    struct crowd_user *users;
};

/* Ids hold NUL bytes, and some are prefixes of others. */
void crowd_start(struct crowd *crowd, uint16_t partition, uint32_t count, uint64_t seed);
void crowd_free(struct crowd *crowd);
struct ms_bytes crowd_id(const struct crowd *crowd, uint32_t user);

/* The next event of the partition: which user, and what; true when it forgets the user. Skewed: few users are
 * busy. */
bool crowd_next(struct crowd *crowd, uint32_t *user, struct ms_event *event);

/* Takes |events| events through the overlay in batches of |batch| and, when |doubles|, through the naive
 * users.
 */
void crowd_fold(struct crowd *crowd, struct ms_overlay *overlay, struct ms_fold_context *fold_context,
                uint32_t events, uint32_t batch, bool doubles);

/* Flushes with L = the crowd's offset for each of the crowds; true when the partition was lost. */
bool crowd_flush(struct crowd *const *crowds, size_t count, struct ms_overlay *overlay);
/* Its two halves. */
void crowd_flush_begin(struct crowd *const *crowds, size_t count, struct ms_overlay *overlay);
bool crowd_flush_end(struct ms_overlay *overlay);

/* Every user of the crowd through the overlay (loaded, made whole) against its double. */
void crowd_compare(struct crowd *crowd, struct ms_overlay *overlay, struct ms_fold_context *fold_context);

struct row_counts {
    size_t partitions, users, chunks, orphans; /* orphans: chunks of a user that has no head row */
    uint64_t chunk_bytes;
};
struct row_counts count_rows(struct ms_store *store);

#endif
