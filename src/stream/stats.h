/* What a worker counts. One writer (the worker's thread), any number of readers. */
#ifndef MS_STREAM_STATS_H
#define MS_STREAM_STATS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/histogram.h"

/* X(name, help) */
#define MS_COUNTERS(X)                                                                                       \
    X(events, "records read from the input topic")                                                           \
    X(accepted, "events folded")                                                                             \
    X(replayed, "events folded in silence")                                                                  \
    X(replay_holes,                                                                                          \
      "offsets of replays that gave no record: marks of transactions, or events compacted away")             \
    X(duplicates, "exact duplicates of kept behaviors")                                                      \
    X(filtered, "events of types that are not accepted")                                                     \
    X(unknown_items, "events whose item the model does not know")                                            \
    X(profiles, "profiles that changed")                                                                     \
    X(forgotten, "users forgotten")                                                                          \
    X(dead_letters, "records that could not be decoded")                                                     \
    X(key_differs, "records whose key is not their user")                                                    \
    X(no_key, "records without a key")                                                                       \
    X(forgot_nobody, "tombstones of users that are not there")                                               \
    X(overflows, "records without interests, because vectors overflowed float32")                            \
    X(records, "records published")                                                                          \
    X(commits, "transactions committed")                                                                     \
    X(commit_us, "time spent committing")                                                                    \
    X(flushes, "flushes of the state")                                                                       \
    X(flush_us, "time spent flushing")                                                                       \
    X(flushed_users, "users written by flushes")                                                             \
    X(restarts, "times the worker began anew after a failed transaction")                                    \
    X(users, "users in memory")                                                                              \
    X(user_bytes, "memory of the users")                                                                     \
    X(lag, "records between the committed offsets and the ends of the partitions")

struct ms_stats {
#define MS_COUNTER_FIELD(name, help) _Atomic uint64_t name;
    MS_COUNTERS(MS_COUNTER_FIELD)
#undef MS_COUNTER_FIELD
    pthread_mutex_t lock;
    struct ms_histogram publish_us; /* from reading an event to the commit that publishes it; under lock */
};

static inline void ms_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void ms_gauge(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static inline uint64_t ms_counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)counter, memory_order_relaxed);
}

#endif
