/* Viewers that are made with the service's model and settings, and lent to one request at a time. */
#ifndef MS_SERVE_VIEWERS_H
#define MS_SERVE_VIEWERS_H

#include <pthread.h>

#include "stream/kafka/service.h"
#include "view/viewer.h"

#define MS_VIEWERS_MAX 8 /* that are kept */

struct ms_viewers {
    pthread_mutex_t lock;
    struct ms_viewer *free[MS_VIEWERS_MAX];
    int count;
};

void ms_viewers_init(struct ms_viewers *viewers);
void ms_viewers_free(struct ms_viewers *viewers);

/* Lends a viewer, a new one where all are lent. To be given back. */
enum ms_status ms_viewers_take(struct ms_viewers *viewers, const struct ms_service_options *options,
                               struct ms_viewer **viewer, struct ms_error *error) MS_MUST_CHECK;
void ms_viewers_give(struct ms_viewers *viewers, struct ms_viewer *viewer);

#endif
