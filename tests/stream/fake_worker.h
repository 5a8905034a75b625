/* A worker without Kafka: does with an engine what the worker in src/stream/kafka does, against the
 * world's broker, and meets every kind of trouble on the way. */
#ifndef TESTS_STREAM_FAKE_WORKER_H
#define TESTS_STREAM_FAKE_WORKER_H

#include "world.h"

struct fake_worker {
    struct world *world;
    uint32_t number; /* its owner number, 1 .. */
    uint64_t random;
    bool restless; /* takes and lets go all the time */
    struct fold_contexts fold_contexts;
    struct ms_engine *engine;
    struct ms_stats stats;
    struct published_list open; /* the transaction */
    bool holds[PARTS];
    size_t next[PARTS];    /* record to poll */
    bool flushing, stolen; /* a flush is on its way; somebody else had one of its partitions when it began */
    struct oracle oracle[PARTS];
};

void fake_open(struct fake_worker *worker, struct world *world, uint32_t number, uint64_t seed);
/* Crash: nothing is committed or flushed. */
void fake_drop(struct fake_worker *worker);
void fake_close(struct fake_worker *worker);

/* One step at random: process, commit, flush, abort, take, steal or release a partition. Any thread. */
void fake_step(struct fake_worker *worker);
/* Takes what nobody owns, and all that is written so far of what it holds; commits, flushes, checks the
 * state, releases. */
void fake_finish(struct fake_worker *worker);

#endif
