/* What run and demo do before the service starts: load the model, decide routing mode and decays, log the settings. */
#ifndef MS_APP_SERVICE_SETUP_H
#define MS_APP_SERVICE_SETUP_H

#include <signal.h>

#include "app/options.h"
#include "serve/server.h"
#include "stream/kafka/service.h"

struct ms_setup {
    struct ms_model *model;
    struct ms_service_options service;
};

/* Loads model.dir, with what profile.order says. The caller owns the model. */
enum ms_status ms_setup_model(struct ms_model **model, const struct ms_config *config,
                              struct ms_error *error) MS_MUST_CHECK;
/* Tells a model what profile.order says. Before it is shared. */
void ms_setup_profile_order(struct ms_model *model, const struct ms_config *config);

/* Checks the settings, loads the model and decides the routing mode. Touches neither state nor network: 'config --check' is this.
 * The caller frees it with ms_setup_free. */
enum ms_status ms_setup(struct ms_setup *setup, const struct ms_options *options, const atomic_int *stop,
                        struct ms_error *error) MS_MUST_CHECK;
void ms_setup_free(struct ms_setup *setup);

/* Logs the versions, the settings that differ from the defaults, the model and the mode. */
void ms_setup_tell(const struct ms_setup *setup, const struct ms_options *options);

/* After this, SIGTERM and SIGINT set the flag that is returned; a second signal ends the process at once. */
const atomic_int *ms_setup_signals(void);

/* After the first, SIGHUP is counted; the second says how many came. */
void ms_setup_count_hangups(void);
int ms_setup_hangups(void);

/* What else the watching thread does, at each of its turns (MS_WATCH_MS). */
#define MS_WATCH_MS 50
typedef void ms_watch_fn(void *context, struct ms_service *service);

/* Logs and waits until the service is done, then stops |server| (NULL: there is none); a progress line every |log_s| seconds,
 * |turn| (if not NULL) at each turn. What it failed with has been logged. */
enum ms_status ms_setup_watch(struct ms_service *service, struct ms_server *server, double log_s,
                              ms_watch_fn *turn, void *context) MS_MUST_CHECK;

#endif
