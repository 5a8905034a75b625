/* What the handlers share: the service that they ask, and what the server counts. */
#ifndef MS_SERVE_DESK_H
#define MS_SERVE_DESK_H

#include <pthread.h>

#include "base/config.h"
#include "serve/route.h"
#include "serve/titles.h"
#include "serve/traffic.h"
#include "serve/viewers.h"
#include "stream/kafka/observe.h"

/* The newest metrics of each format: who asks more often than every MS_METRICS_FRESH_S gets the same again. */
#define MS_METRICS_FRESH_S 0.2

struct ms_last_metrics {
    pthread_mutex_t lock;
    struct ms_buffer text[2]; /* by enum ms_exposition */
    double at_s[2];
};

struct ms_desk {
    const struct ms_config *config;
    const struct ms_route *routes; /* the table, for a handler that tells of it */
    int route_count;
    pthread_rwlock_t lock;      /* held for reading while a request is answered */
    struct ms_service *service; /* NULL before it has started, and once it ends; under lock */
    struct ms_viewers viewers;
    struct ms_traffic traffic;
    struct ms_last_metrics last_metrics;
    struct ms_titles *titles; /* NULL without items.meta */
};

/* The handlers of ms_routes. Each fills the reply; desk->lock is held. Any thread. */
void ms_answer_page(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_page_style(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_page_script(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_metrics(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_health(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_ready(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_partitions(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_user(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_interests(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_live(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_recommend(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_hot(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_events(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_openapi(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_model(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);
void ms_answer_stats(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply);

#endif
