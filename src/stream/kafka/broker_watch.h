/* Whether a consumer hears of its brokers, and when to say so.
 *
 * The client's threads write it: a request that is to be answered soon, or a connection that fails, begins a
 * silence, and any answer ends it. So it is known also while the worker's thread waits within a call. */
#ifndef MS_KAFKA_BROKER_WATCH_H
#define MS_KAFKA_BROKER_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#define MS_SILENCE_MS       5000  /* what passes without a word */
#define MS_SILENCE_AGAIN_MS 10000 /* between two words about it */

struct ms_broker_watch {
    atomic_bool looked;       /* the client has looked for leaders: a fetch was refused, or it was time to */
    _Atomic int64_t since_ms; /* nothing was heard since, by the monotonic clock; 0: all is well */
    pthread_mutex_t lock;
    char reason[256]; /* what the client said last; under lock */
};

void ms_broker_watch_init(struct ms_broker_watch *watch);
void ms_broker_watch_destroy(struct ms_broker_watch *watch);

/* The client that |conf| will make reports to |watch|, which outlives it. */
void ms_broker_watch_set(rd_kafka_conf_t *conf, struct ms_broker_watch *watch);
/* The client has lost a broker, or could not reach one. Any thread. */
void ms_broker_watch_failed(struct ms_broker_watch *watch, const char *reason);
/* For how long nothing was heard, in ms. */
int64_t ms_broker_watch_silent_ms(struct ms_broker_watch *watch);

/* What was said of a silence. */
struct ms_silence {
    bool told;
    int64_t next_ms; /* when to say it again */
    int64_t last_ms; /* how long it was when it was looked at last */
};

enum ms_silence_word { MS_SILENCE_NOTHING, MS_SILENCE_AWAY, MS_SILENCE_BACK };

/* What is to be said now that nothing was heard for |silent_ms|: that the brokers are away once, and again
 * every MS_SILENCE_AGAIN_MS, and that they are back. */
enum ms_silence_word ms_silence_look(struct ms_silence *silence, int64_t silent_ms);

#endif
