/* What others may see of a running service, from any thread: whether its workers turn, and where its partitions stand. What
 * they count is ms_service_stats (service.h). */
#ifndef MS_KAFKA_OBSERVE_H
#define MS_KAFKA_OBSERVE_H

#include "stream/kafka/report.h"
#include "stream/kafka/service.h"

/* What a worker's thread does. */
enum ms_worker_phase {
    MS_WORKER_STARTING, /* makes its clients, waits for brokers */
    MS_WORKER_TURNING,  /* its loop turns */
    MS_WORKER_WAITING,  /* waits for brokers within its loop: a commit */
    MS_WORKER_CLOSING,  /* a session ends */
    MS_WORKER_ENDED
};

#define MS_TURN_MS 60000 /* a loop that has not turned for so long hangs */

struct ms_worker_report {
    int number;
    enum ms_worker_phase phase;
    int64_t turned_ms; /* ago */
    bool hangs;        /* the loop does not turn, or a client does not close */
    bool assigned;     /* an assignment has come */
    int64_t silent_ms; /* for which nothing was heard of the brokers, 0: all is well */
};

/* "starting", "turning", ... */
const char *ms_worker_phase_name(enum ms_worker_phase phase);

int ms_service_workers(const struct ms_service *service);
struct ms_worker_report ms_service_worker(struct ms_service *service, int number);

/* Whether no worker hangs. A broker that is away makes no worker hang. For a watchdog. */
bool ms_service_turns(struct ms_service *service);

/* The rows of all workers, by (source, partition); free with free(). MS_MEMORY. */
enum ms_status ms_service_partitions(struct ms_service *service, struct ms_partition_report **rows,
                                     size_t *count, struct ms_error *error) MS_MUST_CHECK;

/* The newest statistics of a worker's client, JSON as librdkafka describes it (STATISTICS.md), to free(); NULL: none yet. */
char *ms_service_statistics(struct ms_service *service, int worker, enum ms_client_kind kind);

struct ms_store *ms_service_store(struct ms_service *service);
const struct ms_service_options *ms_service_get_options(const struct ms_service *service);

#endif
