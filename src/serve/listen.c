/* Addresses and sockets. */
#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

/* ---- addresses ---- */

static bool parse_port(const char *text, in_port_t *port)
{
    size_t size = strlen(text);
    if (size == 0 || size > 5 || strspn(text, "0123456789") != size || atoi(text) > 65535)
        return false;
    *port = htons((uint16_t)atoi(text));
    return true;
}

static bool parse_host(struct ms_listen *listen, const char *host, in_port_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port};
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in.sin_addr) == 1) {
        memcpy(&listen->address, &in, sizeof in);
        listen->size = sizeof in;
        listen->loopback = (ntohl(in.sin_addr.s_addr) >> 24) == 127;
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
        memcpy(&listen->address, &in6, sizeof in6);
        listen->size = sizeof in6;
        listen->loopback = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
        return true;
    }
    return false;
}

enum ms_status ms_listen_parse(struct ms_listen *listen, const char *text, struct ms_error *error)
{
    char host[INET6_ADDRSTRLEN] = "";
    in_port_t port;
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    bool brackets = size > 2 && text[0] == '[' && text[size - 1] == ']';
    memset(listen, 0, sizeof *listen);
    if (brackets && size - 2 < sizeof host)
        memcpy(host, text + 1, size - 2);
    else if (size < sizeof host && !memchr(text, ':', size))
        memcpy(host, text, size);
    if (colon && parse_port(colon + 1, &port) && parse_host(listen, host, port))
        return MS_OK;
    return ms_fail(
        error, MS_CONFIG,
        "http.listen=%s is not an address with a port, like 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080",
        text);
}

/* ---- sockets ---- */

enum ms_status ms_listen_tcp(const struct ms_listen *where, const char *text, int *out,
                             struct ms_error *error)
{
    int yes = 1, fd = socket(where->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&where->address, where->size) != 0 ||
        listen(fd, BACKLOG) != 0) {
        enum ms_status status = ms_fail(error, MS_IO, "http.listen=%s: cannot listen there: %s", text,
                                        strerror(errno));
        if (fd >= 0)
            close(fd);
        return status;
    }
    *out = fd;
    return MS_OK;
}

/* The socket's name by way of an open directory: a socket's own name has 107 bytes at most. False where the directory does not
 * open. */
static bool local_address(const char *dir, int *fd, struct sockaddr_un *address)
{
    *fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", *fd, MS_SOCKET_NAME);
    return *fd >= 0;
}

enum ms_status ms_listen_local(const char *dir, int *out, struct ms_error *error)
{
    struct sockaddr_un address;
    int folder, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good = local_address(dir, &folder, &address) && fd >= 0;
    if (good) {
        unlinkat(folder, MS_SOCKET_NAME, 0); /* the directory is locked: nobody listens there */
        good = fchmod(fd, 0600) == 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
               fchmodat(folder, MS_SOCKET_NAME, 0600, 0) == 0 && listen(fd, BACKLOG) == 0;
    }
    enum ms_status status = good ? MS_OK
                                 : ms_fail(error, MS_IO, "%s/%s: cannot listen there: %s", dir,
                                           MS_SOCKET_NAME, strerror(errno));
    if (folder >= 0)
        close(folder);
    if (!good && fd >= 0)
        close(fd);
    if (good)
        *out = fd;
    return status;
}

int ms_connect_local(const char *dir)
{
    struct sockaddr_un address;
    int folder, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = local_address(dir, &folder, &address) && fd >= 0 &&
                connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    int kept = errno;
    if (folder >= 0)
        close(folder);
    if (!good && fd >= 0)
        close(fd);
    errno = kept;
    return good ? fd : -1;
}
