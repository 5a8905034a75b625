/* Exact ranks: how many items of the whole catalogue score higher than a target.
 *
 * The score of an item is the largest inner product of its embedding with a user's vectors. SGEMM scores blocks of
 * vectors against blocks of items. Items whose score is within SGEMM's possible error of the target's are scored again in
 * double. So ranks are those of double arithmetic on these float32 values. They do not depend on blocks, threads or the
 * BLAS. */
#ifndef MS_TRAIN_SCORER_H
#define MS_TRAIN_SCORER_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/status.h"

#define MS_RANKS 50 /* ranks beyond this count as one */

/* How often a target had rank 1 .. MS_RANKS ([0] .. [MS_RANKS - 1]), or a greater one ([MS_RANKS]). */
struct ms_ranks {
    uint64_t counts[MS_RANKS + 1];
};

/* The items: |embeddings| is [count][dim], row-major, kept by the caller. Shared by all threads. */
struct ms_catalogue {
    const float *embeddings;
    uint32_t count;
    int dim;
    double *block_lengths; /* longest embedding of each block of items */
    pthread_mutex_t
        sgemm; /* one SGEMM at a time: the serial OpenBLAS may hand one work buffer to two threads */
};

/* Measures the items. MS_MEMORY. Freed with ms_catalogue_free, legal on a zeroed one. */
enum ms_status ms_catalogue_init(struct ms_catalogue *catalogue, const float *embeddings, uint32_t count,
                                 int dim, struct ms_error *error) MS_MUST_CHECK;
void ms_catalogue_free(struct ms_catalogue *catalogue);

/* A batch of queries (vectors and their targets) and the scratch memory to rank them. A scorer and the ranks it adds to
 * belong to one thread. */
struct ms_scorer;

/* MS_MEMORY. |catalogue| and |ranks| outlive the scorer. */
enum ms_status ms_scorer_new(struct ms_scorer **scorer, struct ms_catalogue *catalogue,
                             struct ms_ranks *ranks, struct ms_error *error) MS_MUST_CHECK;
void ms_scorer_destroy(struct ms_scorer *scorer);

/* Adds a query: the ranks of |targets| (item indices) under |count| vectors of dim floats, at most MS_MAX_INTERESTS,
 * which are copied. Without vectors, or where a target's score is not finite, nothing was predicted, and the rank is
 * beyond MS_RANKS. The ranks are counted in ranks[column] now or with a later call. */
void ms_scorer_add(struct ms_scorer *scorer, int column, const float *vectors, int count,
                   const uint32_t *targets, size_t target_count);
/* Counts the ranks of all queries added so far. */
void ms_scorer_flush(struct ms_scorer *scorer);
/* CPU seconds that ranking has taken on this thread so far. */
double ms_scorer_seconds(const struct ms_scorer *scorer);
/* CPU seconds of the calling thread. */
double ms_thread_seconds(void);

#endif
