/* Which users have the most events: a sketch of fixed size (Space-Saving: Metwally, Agrawal and El Abbadi, ICDT 2005).
 *
 * It counts MS_HOT_USERS users. An event of another takes the place of one with the least count, and goes on from that count, which is
 * its error. So of N events a user's true count is between count - error and count, and who has more than N / MS_HOT_USERS of them is in it.
 * Counts are halved every MS_HOT_HALF_S seconds, so that it tells of now. Of a full batch one event in MS_HOT_SAMPLE is counted, as that many.
 *
 * One thread at a time. */
#ifndef MS_STREAM_HOT_H
#define MS_STREAM_HOT_H

#include <stdbool.h>

#include "base/index.h"
#include "mindstream/bytes.h"

#define MS_HOT_USERS    256
#define MS_HOT_HALF_S   60
#define MS_HOT_SAMPLE   4
#define MS_HOT_FULL     64  /* events of a batch from which on it is sampled */
#define MS_HOT_ID_BYTES 256 /* of an id; longer ones are not counted */

struct ms_hot_user {
    uint64_t hash;
    uint64_t count, error;
    uint16_t partition;
    uint16_t id_bytes;
    char id[MS_HOT_ID_BYTES];
};

struct ms_hot {
    struct ms_hot_user *users; /* [MS_HOT_USERS] */
    uint32_t used;
    uint32_t next;  /* where a user with the least count is looked for */
    uint64_t least; /* no count is below, once all are used */
    uint32_t turn;  /* which event of a full batch is counted first */
    struct ms_index index;
    double halved_s;
};

/* False without memory. */
bool ms_hot_init(struct ms_hot *hot);
void ms_hot_free(struct ms_hot *hot);

/* Counts |weight| events of a user. |hash| tells users of all partitions apart. */
void ms_hot_add(struct ms_hot *hot, uint16_t partition, struct ms_bytes id, uint64_t hash, uint64_t weight);
/* Halves the counts as often as it is due. */
void ms_hot_age(struct ms_hot *hot, double now_s);

/* Appends the |limit| users with the most events to |out|, the most first, halved as of |now_s|; returns how many. */
size_t ms_hot_top(const struct ms_hot *hot, double now_s, struct ms_hot_user *out, size_t limit);
/* For qsort: the most events first. */
int ms_hot_order(const void *a, const void *b);

#endif
