/* A stack under a lock. */
#include "serve/viewers.h"

void ms_viewers_init(struct ms_viewers *viewers)
{
    *viewers = (struct ms_viewers){.count = 0};
    pthread_mutex_init(&viewers->lock, NULL);
}

void ms_viewers_free(struct ms_viewers *viewers)
{
    while (viewers->count > 0)
        ms_viewer_destroy(viewers->free[--viewers->count]);
    pthread_mutex_destroy(&viewers->lock);
}

enum ms_status ms_viewers_take(struct ms_viewers *viewers, const struct ms_service_options *options,
                               struct ms_viewer **viewer, struct ms_error *error)
{
    struct ms_viewer *taken = NULL;
    pthread_mutex_lock(&viewers->lock);
    if (viewers->count > 0)
        taken = viewers->free[--viewers->count];
    pthread_mutex_unlock(&viewers->lock);
    if (taken) {
        *viewer = taken;
        return MS_OK;
    }
    return ms_viewer_new(viewer, options->model, (enum ms_routing_mode)options->config->routing_mode,
                         &options->decay, (uint32_t)options->config->state_behaviors_max, error);
}

void ms_viewers_give(struct ms_viewers *viewers, struct ms_viewer *viewer)
{
    pthread_mutex_lock(&viewers->lock);
    if (viewer && viewers->count < MS_VIEWERS_MAX) {
        viewers->free[viewers->count++] = viewer;
        viewer = NULL;
    }
    pthread_mutex_unlock(&viewers->lock);
    ms_viewer_destroy(viewer);
}
