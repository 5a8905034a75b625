/* SIGHUP: the settings are read again, from the sources of the start. */
#ifndef MS_APP_RELOAD_H
#define MS_APP_RELOAD_H

#include "app/options.h"

struct ms_reload {
    const struct ms_options_sources *sources;
    const struct ms_options
        *started;           /* the settings of the start: what needs a restart is compared with them */
    struct ms_options *now; /* those that were read last; NULL: those of the start */
};

/* Reads the settings again. Of each that has changed it logs the old and the new value, or that it needs a restart. Returns the
 * config to run on with, which lives until the next call; NULL where the settings are bad: one error line says why, and all stays
 * as it was. Takes over log.level itself. */
const struct ms_config *ms_reload_read(struct ms_reload *reload);
void ms_reload_free(struct ms_reload *reload);

#endif
