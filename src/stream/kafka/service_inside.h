/* The service's own fields: private to service.c and observe.c. */
#ifndef MS_KAFKA_SERVICE_INSIDE_H
#define MS_KAFKA_SERVICE_INSIDE_H

#include "stream/kafka/owner.h"
#include "stream/kafka/certificates.h"
#include "stream/kafka/service.h"
#include "stream/kafka/worker.h"

#define MS_OWNERS 64 /* partitions whose owners are remembered */

/* An answer about a partition's owner. */
struct ms_owner {
    int32_t partition; /* and one, 0: none */
    double at_s;
    char url[MS_OWNER_URL_BYTES];
};

/* What is known of the owners of other partitions. */
struct ms_owners {
    pthread_mutex_t lock;
    rd_kafka_t *client; /* that asks; made for the first question */
    struct ms_owner known[MS_OWNERS];
};
struct ms_service {
    struct ms_owners owners;
    struct ms_service_options options;
    struct ms_store *store;
    struct ms_limits limits; /* of the topics, as asked at the start */
    struct ms_worker *workers;
    struct ms_input_logs logs;
    int count;
    atomic_int stop;     /* what the workers watch: the caller's stop, or a failure */
    atomic_int renewals; /* how often new clients were asked for */
    struct ms_certificates certificates;
    double logged_s;
    struct ms_stats before;
    struct ms_changes changes;
    struct ms_silence silence; /* of the brokers: what was said of it */
};

/* Whether a worker has ended, or would begin anew, but for a client that does not return from its close. */
bool ms_worker_hangs(struct ms_worker *worker);

#endif
