/* The rows. */
#include "serve/desk.h"
#include "state/key.h"
#include "stream/kafka/live.h"
#include "view/recommend.h"

#define PARTITION                                                                                            \
    {                                                                                                        \
        .name = "partition", .min = 0, .max = MS_MAX_PARTITIONS - 1, .standard = -1,                         \
        .help = "The user of this partition, where several have one of that id."                             \
    }
#define TYPES_METRICS "text/plain application/openmetrics-text"

const struct ms_route ms_routes[] = {
    {.name = "page",
     .path = "/",
     .summary =
         "The page: a user's behaviors and interests, live, and the service beside them. Needs no token, what it asks does.",
     .types = "text/html",
     .statuses = "",
     .open = true,
     .answer = ms_answer_page},
    {.name = "page_style",
     .path = "/page.css",
     .summary = "The page's style.",
     .types = "text/css",
     .statuses = "",
     .open = true,
     .answer = ms_answer_page_style},
    {.name = "page_script",
     .path = "/page.js",
     .summary = "The page's script.",
     .types = "text/javascript",
     .statuses = "",
     .open = true,
     .answer = ms_answer_page_script},
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
    {.name = "user",
     .path = "/v1/users/{id}",
     .summary =
         "One user as `inspect user --json` shows it: counters, interests with their nearest items, behaviors with their "
         "couplings; with Accept: text/plain as `inspect user` prints it. As of the last commit.",
     .queries =
         {PARTITION,
          {.name = "vectors", .min = 0, .max = 1, .standard = 0, .help = "1: with the items' embeddings."},
          {.name = "recommend",
           .min = 0,
           .max = MS_RECOMMEND_MAX,
           .standard = 0,
           .help = "With so many recommended items."},
          {.name = "limit",
           .min = 0,
           .max = INT32_MAX,
           .standard = 30,
           .help = "Of the text: the newest behaviors, 0 for all."}},
     .types = MS_TYPE_JSON " text/plain",
     .schema = "User",
     .statuses = "307 400 404 409 503",
     .answer = ms_answer_user},
    {.name = "interests",
     .path = "/v1/users/{id}/interests",
     .summary =
         "The user's interest vectors alone, as the output topic has them in layout user: JSON, or by Accept the "
         "protobuf message of mindstream.proto.",
     .queries = {PARTITION},
     .types = MS_TYPE_JSON " " MS_TYPE_PROTOBUF,
     .schema = "Interests",
     .statuses = "307 400 404 503",
     .answer = ms_answer_interests},
    {.name = "recommend",
     .path = "/v1/users/{id}/recommend",
     .summary =
         "The items of largest inner product with one of the user's interests. 409 where the model's items have another width "
         "than its interests.",
     .queries = {{.name = "n", .min = 1, .max = MS_RECOMMEND_MAX, .standard = 20, .help = "How many."},
                 PARTITION},
     .types = MS_TYPE_JSON,
     .schema = "Recommended",
     .statuses = "307 400 404 409 503",
     .answer = ms_answer_recommend},
    {.name = "live",
     .path = "/v1/users/{id}/live",
     .summary =
         "Server-sent events: one with the version, at once and whenever it has changed, until the client goes. 503 where too "
         "many follow already.",
     .queries = {PARTITION},
     .types = "text/event-stream",
     .statuses = "307 400 404 503",
     .answer = ms_answer_live},
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
    {.name = "hot",
     .path = "/v1/hot",
     .summary =
         "The users with the most events now: a sketch that takes a fixed amount of memory, halved every minute. The true count is "
         "between count - error and count; under load one event in four is counted, as four.",
     .queries = {{.name = "limit", .min = 1, .max = MS_HOT_USERS, .standard = 20, .help = "How many."}},
     .types = MS_TYPE_JSON,
     .schema = "Hot",
     .statuses = "503",
     .answer = ms_answer_hot},
    {.name = "events",
     .path = "/v1/events",
     .summary =
         "The last events that were decoded and folded, the oldest first, committed or not. Under load a few of each batch.",
     .queries = {{.name = "limit", .min = 1, .max = MS_RECENT_EVENTS, .standard = 100, .help = "How many."}},
     .types = MS_TYPE_JSON,
     .schema = "Events",
     .statuses = "503",
     .answer = ms_answer_events},
    {.name = "openapi",
     .path = "/openapi.json",
     .summary = "This description.",
     .types = MS_TYPE_JSON,
     .statuses = "",
     .answer = ms_answer_openapi},
};

const int ms_route_count = sizeof ms_routes / sizeof ms_routes[0];
