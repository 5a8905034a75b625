/* Where the server listens: an address and a port, and a socket in the state directory. */
#ifndef MS_SERVE_LISTEN_H
#define MS_SERVE_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "mindstream/status.h"

#define MS_SOCKET_NAME "http.sock" /* in the state directory */

struct ms_listen {
    struct sockaddr_storage address;
    socklen_t size;
    bool loopback;
};

/* Reads "127.0.0.1:8080", "[::1]:8080" or "localhost:8080"; port 0 is any that is free. MS_CONFIG where it is none. Asks nobody. */
enum ms_status ms_listen_parse(struct ms_listen *listen, const char *text,
                               struct ms_error *error) MS_MUST_CHECK;

/* Opens a listening socket, which the caller closes. MS_IO with the address and the system's reason. */
enum ms_status ms_listen_tcp(const struct ms_listen *listen, const char *text, int *fd,
                             struct ms_error *error) MS_MUST_CHECK;
/* The same at DIR/http.sock, mode 0600, in place of one that is left of an earlier run. DIR may be longer than a socket's name may be. */
enum ms_status ms_listen_local(const char *dir, int *fd, struct ms_error *error) MS_MUST_CHECK;
/* Connects to it. -1, with errno, where nobody listens. */
int ms_connect_local(const char *dir);

#endif
