/* When the service manager is told what. */
#include "app/manager.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/notify.h"
#include "base/progress.h"

#define FEEDS    4 /* in the time within which the manager wants one */
#define STATUS_S 2 /* between two lines of status */

void ms_manager_starting(const char *what)
{
    ms_notify("STATUS=%s", what);
}

/* A worker that hangs is not fed for: the manager then ends the process and starts it again. */
static void feed(struct ms_manager *manager, struct ms_service *service, double now_s)
{
    double every_s = (double)ms_notify_watchdog_ms() / 1000 / FEEDS;
    if (every_s <= 0 || now_s - manager->fed_s < every_s || !ms_service_turned(service))
        return;
    ms_notify("WATCHDOG=1");
    manager->fed_s = now_s;
}

static uint64_t count_events(struct ms_service *service, uint64_t *lag)
{
    struct ms_stats *total = calloc(1, sizeof *total); /* its histogram is large for a stack */
    if (!total)
        return 0;
    ms_service_stats(service, total);
    uint64_t events = ms_counted(&total->events);
    *lag = ms_counted(&total->lag);
    free(total);
    return events;
}

static void tell(struct ms_manager *manager, struct ms_service *service, const struct ms_standing *standing,
                 double now_s)
{
    uint64_t lag = 0, events = count_events(service, &lag);
    double seconds = now_s - manager->told_s;
    if (manager->stopping)
        ms_notify("STATUS=ending: the last commit and flush");
    else if (!standing->assigned)
        ms_notify("STATUS=waiting for partitions from the group");
    else if (standing->unopened)
        ms_notify("STATUS=opening %u of %u partitions", standing->unopened, standing->partitions);
    else if (standing->replaying)
        ms_notify("STATUS=replaying %u of %u partitions", standing->replaying, standing->partitions);
    else
        ms_notify("STATUS=%u partitions, lag %" PRIu64 ", %.0f events/s", standing->partitions, lag,
                  manager->told_s > 0 && events > manager->events
                      ? (double)(events - manager->events) / seconds
                      : 0.0);
    manager->events = events;
    manager->told_s = now_s;
}

void ms_manager_turn(struct ms_manager *manager, struct ms_service *service)
{
    double now_s = ms_monotonic_s();
    const struct ms_standing standing = ms_service_standing(service);
    bool changed = false;
    if (!manager->ready && standing.assigned && !standing.unopened) {
        manager->ready = changed = true;
        ms_notify("READY=1");
    }
    if (!manager->stopping && atomic_load(manager->stop)) {
        manager->stopping = changed = true;
        ms_notify("STOPPING=1");
    }
    feed(manager, service, now_s);
    if (changed || now_s - manager->told_s >= STATUS_S)
        tell(manager, service, &standing, now_s);
}

void ms_manager_reloading(const struct ms_manager *manager)
{
    if (manager->ready)
        ms_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(ms_monotonic_s() * 1e6));
}

void ms_manager_reloaded(const struct ms_manager *manager)
{
    if (manager->ready)
        ms_notify("READY=1");
}
