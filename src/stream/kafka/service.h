/* The service: the store, the workers, and the line every ten seconds. */
#ifndef MS_KAFKA_SERVICE_H
#define MS_KAFKA_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/config.h"
#include "mindstream/extract.h"
#include "state/store.h"
#include "stream/stats.h"

struct ms_service;

struct ms_service_options {
    const struct ms_config *config; /* outlives the service */
    const struct ms_model *model;   /* likewise */
    struct ms_decay decay;
    bool incremental;
    const atomic_int *stop; /* set by a signal handler or another thread: commit, flush, end */
};

/* Whether what model and settings make together passes the producer; MS_CONFIG when not. Touches neither state nor network.
 * ms_kafka_check looks at the settings alone. */
enum ms_status ms_service_check(const struct ms_service_options *options,
                                struct ms_error *error) MS_MUST_CHECK;

/* Opens the state, waits for Kafka, settles what an earlier run left in doubt, and starts the workers.
 * MS_KAFKA_RETRY when |stop| was set meanwhile. */
enum ms_status ms_service_start(struct ms_service **service, const struct ms_service_options *options,
                                struct ms_error *error) MS_MUST_CHECK;

/* Whether all workers have ended: after |stop|, or because one failed (which makes the others end). To be
 * asked every moment: it also says when brokers are away. */
bool ms_service_done(struct ms_service *service);

/* Has each worker commit, flush, and make its Kafka clients anew, which read certificates and keys again. Their members keep their places
 * in the group where it is static. ms_service_done calls it when the files have changed. Any thread; does not block. */
void ms_service_renew_clients(struct ms_service *service);

/* Whether a worker has committed and flushed, but its client does not return from its close: 2.0.2 does not, once
 * a topic was deleted. The process then has to leave by _exit after ms_service_end: nothing is lost. */
bool ms_service_hangs(struct ms_service *service);

/* Whether the thread of every worker has gone on since this last said so. Those that have ended, and those that close a client
 * (ms_service_hangs looks at them), are passed over. One caller. */
bool ms_service_turned(struct ms_service *service);

/* Where the partitions stand that this process is assigned. */
struct ms_standing {
    bool assigned; /* every worker has an assignment */
    unsigned partitions, unopened, replaying;
};
struct ms_standing ms_service_standing(struct ms_service *service);

/* Gives the workers the settings of |config| that may change while the service runs (ms_config_reload); each takes them over at
 * its next commit. Nothing of |config| is kept. One caller. */
void ms_service_reload(struct ms_service *service, const struct ms_config *config);

/* Adds up the workers' counts and gauges (|total| zeroed by the caller, with an unused lock). */
void ms_service_stats(struct ms_service *service, struct ms_stats *total);

/* Logs a line of what happened since the last: events/s, lag, users touched, commit time, dead letters. */
void ms_service_log(struct ms_service *service);

/* Waits for the workers, closes the state. MS_OK when all ended because they were asked to, else the first
 * failure. Where ms_service_hangs, state and threads are left as they are. */
enum ms_status ms_service_end(struct ms_service *service, struct ms_error *error);

const char *ms_service_librdkafka_version(void);

#endif
