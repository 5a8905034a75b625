/* What follows when a session has ended: another one, or the end of the service. */
#ifndef MS_STREAM_RESTART_H
#define MS_STREAM_RESTART_H

#include <stdbool.h>

#include "mindstream/status.h"

#define MS_RESTARTS_MAX 20 /* sessions in a row without a commit that end the service */

struct ms_restarts {
    int in_a_row; /* sessions that ended without a commit since the last one with a commit */
};

/* Whether another session follows one that ended with *status (and *error) and had |committed| or not.
 * Otherwise *status says how the worker ends: MS_OK where it was |stopping| and only waited, and
 * MS_KAFKA where its last commit failed. */
bool ms_restart_follows(struct ms_restarts *restarts, enum ms_status *status, struct ms_error *error,
                        bool committed, bool stopping);

/* How long to wait before it, in ms. */
int ms_restart_pause_ms(const struct ms_restarts *restarts);

#endif
