/* What the HTTP server counts of itself. Any thread. */
#ifndef MS_SERVE_TRAFFIC_H
#define MS_SERVE_TRAFFIC_H

#include <stdatomic.h>
#include <stdint.h>

#define MS_TRAFFIC_ROUTES 32 /* rows of the table of routes at most, and one */

struct ms_traffic {
    const char
        *routes[MS_TRAFFIC_ROUTES]; /* their names; the last is of requests without a route. Written once */
    _Atomic uint64_t requests[MS_TRAFFIC_ROUTES][6]; /* by route and hundreds of the status */
    _Atomic uint64_t seconds_ns;                     /* spent in answering */
    _Atomic uint64_t limited, cut;                   /* refused by rate, connections cut for being slow */
    _Atomic int64_t connections;
};

#endif
