/* The rows. */
#include "serve/desk.h"

#define TYPES_METRICS "text/plain application/openmetrics-text"

const struct ms_route ms_routes[] = {
    {.name = "metrics",
     .path = "/metrics",
     .summary = "All metrics, as Prometheus text or, by Accept, as OpenMetrics.",
     .types = TYPES_METRICS,
     .statuses = "",
     .answer = ms_answer_metrics},
    {.name = "healthz",
     .path = "/healthz",
     .summary = "Whether the workers' loops turn. 503 where one hangs: a restart helps. Needs no token.",
     .types = MS_TYPE_JSON,
     .schema = "Health",
     .statuses = "503",
     .open = true,
     .answer = ms_answer_health},
    {.name = "readyz",
     .path = "/readyz",
     .summary =
         "Whether all partitions of this instance are read and published. 503 while one is opened or replayed, "
         "with which and why. Needs no token.",
     .types = MS_TYPE_JSON,
     .schema = "Ready",
     .statuses = "503",
     .open = true,
     .answer = ms_answer_ready},
    {.name = "partitions",
     .path = "/v1/partitions",
     .summary = "The partitions that this instance holds: state, offsets, lag.",
     .types = MS_TYPE_JSON,
     .schema = "Partitions",
     .statuses = "503",
     .answer = ms_answer_partitions},
    {.name = "model",
     .path = "/v1/model",
     .summary = "The model that is served, and how it is routed.",
     .types = MS_TYPE_JSON,
     .schema = "Model",
     .statuses = "503",
     .answer = ms_answer_model},
    {.name = "stats",
     .path = "/v1/stats",
     .summary = "What the workers have counted since the start.",
     .types = MS_TYPE_JSON,
     .schema = "Stats",
     .statuses = "503",
     .answer = ms_answer_stats},
};

const int ms_route_count = sizeof ms_routes / sizeof ms_routes[0];
