/* What a worker counts. One writer (the worker's thread), any number of readers. */
#ifndef MS_STREAM_STATS_H
#define MS_STREAM_STATS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/buckets.h"
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
    X(withheld, "publications put off by user.max.publish.rate")                                             \
    X(commits, "transactions committed")                                                                     \
    X(commit_us, "time spent committing")                                                                    \
    X(flushes, "flushes of the state")                                                                       \
    X(flush_us, "time spent flushing")                                                                       \
    X(flushed_users, "users written by flushes")                                                             \
    X(restarts, "times the worker began anew after a failed transaction")                                    \
    X(users, "users in memory")                                                                              \
    X(user_bytes, "memory of the users")                                                                     \
    X(lag, "records between the committed offsets and the ends of the partitions")                           \
    X(interests, "interest vectors published")                                                               \
    X(user_reads, "users looked up in the database")                                                         \
    X(users_found, "users found there")                                                                      \
    X(chunk_reads, "pieces of histories looked up in the database")                                          \
    X(late, "events older than the newest of their user")                                                    \
    X(partitions, "partitions held")

/* Why records were not decoded. X(name, what the reason begins with, help); the last takes what no other does. The texts are
 * those of event/decode.c, event/key.c and stream/profiles.c. */
#define MS_BAD_KINDS(X)                                                                                      \
    X(key, "user: the record key ", "a key that does not name a user")                                       \
    X(user, "user: ", "no user, or one that is no id")                                                       \
    X(item, "item: ", "no item, or one that is no id")                                                       \
    X(type, "type: ", "a type that is too long or no text")                                                  \
    X(time, "time: ", "a time that is none")                                                                 \
    X(json, "the value is ", "a value that is no JSON object")                                               \
    X(profile, "the profile ", "a profile that is too long or no JSON object")                               \
    X(other, "", "anything else")

enum ms_bad_kind {
#define MS_BAD_KIND(name, text, help) MS_BAD_##name,
    MS_BAD_KINDS(MS_BAD_KIND)
#undef MS_BAD_KIND
        MS_BAD_KIND_COUNT
};

/* X(name, bounds, help) */
#define MS_DISTRIBUTIONS(X)                                                                                  \
    X(event_to_fold, ms_bounds_latency, "from a record's timestamp to its fold")                             \
    X(event_to_commit, ms_bounds_latency, "from a record's timestamp to the start of its commit")            \
    X(event_to_visible, ms_bounds_latency, "from a record's timestamp to the end of its commit")             \
    X(commit_seconds, ms_bounds_duration, "a commit")                                                        \
    X(flush_seconds, ms_bounds_duration, "a flush")                                                          \
    X(replay_seconds, ms_bounds_latency, "a partition from its assignment to the end of its replay")         \
    X(weight_entropy, ms_bounds_share, "entropy of a user's interest weights over its maximum")              \
    X(interest_distance, ms_bounds_distance, "one less the cosine of two interests of a user")

struct ms_stats {
#define MS_COUNTER_FIELD(name, help) _Atomic uint64_t name;
    MS_COUNTERS(MS_COUNTER_FIELD)
#undef MS_COUNTER_FIELD
    _Atomic uint64_t bad[MS_BAD_KIND_COUNT]; /* dead letters by reason */
#define MS_DISTRIBUTION_FIELD(name, bounds, help) struct ms_buckets name;
    MS_DISTRIBUTIONS(MS_DISTRIBUTION_FIELD)
#undef MS_DISTRIBUTION_FIELD
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
