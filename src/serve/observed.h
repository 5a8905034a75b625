/* All that metrics and answers about the service are made from, gathered once for each. */
#ifndef MS_SERVE_OBSERVED_H
#define MS_SERVE_OBSERVED_H

#include "serve/client_figures.h"
#include "serve/traffic.h"
#include "state/figures.h"
#include "stream/kafka/observe.h"

/* Of this process, from /proc. */
struct ms_process_figures {
    uint64_t resident_bytes, descriptors, descriptors_max;
    double cpu_s, started_s; /* since 1970 */
};

struct ms_observed {
    double now_s; /* since 1970 */
    struct ms_process_figures process;
    const struct ms_traffic *traffic; /* of the HTTP server */
    /* NULL, and nothing below, while the service starts. */
    const struct ms_service_options *options;
    struct ms_stats total;
    struct ms_worker_report *workers;
    int worker_count;
    struct ms_partition_report *partitions;
    size_t partition_count;
    struct ms_client_figures *clients; /* [worker_count][MS_CLIENT_KINDS] */
    bool *client_known;                /* the same: it has told of itself */
    struct ms_store_figures store;
};

/* Looks at everything. |service| NULL: it has not started yet. The caller frees it with ms_observed_free, also after a failure. MS_MEMORY. */
enum ms_status ms_observe(struct ms_observed *observed, struct ms_service *service,
                          const struct ms_traffic *traffic, struct ms_error *error) MS_MUST_CHECK;
void ms_observed_free(struct ms_observed *observed);

/* Whether the service takes events of all its partitions. Where not, *reason (|size| bytes) says what is missing. */
bool ms_observed_ready(const struct ms_observed *observed, char *reason, size_t size);

#endif
