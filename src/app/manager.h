/* What the service manager (systemd) is told while the service runs: that it is ready, that it is alive, how it stands. */
#ifndef MS_APP_MANAGER_H
#define MS_APP_MANAGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "stream/kafka/service.h"

/* A zeroed one, but for |stop|, begins. */
struct ms_manager {
    const atomic_int *stop; /* set when the service was asked to end */
    bool ready, stopping;
    double fed_s, told_s; /* when it was last told that the service is alive, and how it stands */
    uint64_t events;      /* as of then */
};

/* Before the service starts: what it waits for. */
void ms_manager_starting(const char *what);

/* To be called at each turn of the watching thread. READY=1 once every worker has its partitions, and all of them are open;
 * WATCHDOG=1 four times in its interval, as long as every worker's thread goes on; STATUS= every few seconds. */
void ms_manager_turn(struct ms_manager *manager, struct ms_service *service);

/* Around a reload. */
void ms_manager_reloading(const struct ms_manager *manager);
void ms_manager_reloaded(const struct ms_manager *manager);

#endif
