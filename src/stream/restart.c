/* The rules of restart.h. */
#include "stream/restart.h"

#define PAUSE_MS   200 /* more with each session in a row */
#define PAUSES_MAX 10

bool ms_restart_follows(struct ms_restarts *restarts, enum ms_status *status, struct ms_error *error,
                        bool committed, bool stopping)
{
    enum ms_action action = ms_status_action(*status);
    if (*status == MS_OK || (action != MS_ACTION_ABORT && action != MS_ACTION_RETRY))
        return false;
    if (stopping && action == MS_ACTION_RETRY) {
        *status = MS_OK; /* asked to stop while it waited: there was nothing to lose */
        return false;
    }
    if (stopping) { /* no other session follows: what was read last is not published yet */
        *status = ms_fail_in(error, MS_KAFKA,
                             "stopped, but the last commit failed; the next start goes on from there");
        return false;
    }
    restarts->in_a_row = committed ? 0 : restarts->in_a_row + 1;
    if (restarts->in_a_row >= MS_RESTARTS_MAX) {
        *status = ms_fail_in(error, MS_KAFKA, "gave up after %d tries in a row", restarts->in_a_row);
        return false;
    }
    return true;
}

int ms_restart_pause_ms(const struct ms_restarts *restarts)
{
    return PAUSE_MS * (restarts->in_a_row < PAUSES_MAX ? restarts->in_a_row + 1 : PAUSES_MAX);
}
