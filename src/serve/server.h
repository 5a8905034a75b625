/* The HTTP server: metrics, health and questions, at http.listen where that is given, and always on a socket in the state
 * directory. */
#ifndef MS_SERVE_SERVER_H
#define MS_SERVE_SERVER_H

#include "base/config.h"
#include "stream/kafka/service.h"

struct ms_server;

/* Whether the http.* settings fit together and their files can be used. MS_CONFIG. Opens no socket. */
enum ms_status ms_server_check(const struct ms_config *config, struct ms_error *error) MS_MUST_CHECK;

/* Starts threads of its own. Listens at http.listen, and says until ms_server_attach that the service starts. |config| outlives it.
 * MS_CONFIG, and MS_IO where the address is taken. */
enum ms_status ms_server_start(struct ms_server **server, const struct ms_config *config,
                               struct ms_error *error) MS_MUST_CHECK;

/* Answers about |service| from now on, and opens the socket in the state directory. A socket that cannot be opened is warned of. */
void ms_server_attach(struct ms_server *server, struct ms_service *service);

/* The port that it listens at, also where http.listen has port 0; 0 where it listens at none. */
unsigned ms_server_port(const struct ms_server *server);

/* Ends all connections and threads. To be called before ms_service_end; NULL is legal. */
void ms_server_stop(struct ms_server *server);

#endif
