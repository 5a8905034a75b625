/* libmicrohttpd's daemons, and the way of a request from its headers to its answer. */
#include "serve/server.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "serve/desk.h"
#include "serve/followers.h"
#include "serve/links.h"
#include "serve/listen.h"
#include "serve/rate.h"
#include "serve/token.h"
#include "stream/kafka/owner.h"

#define THREADS           2     /* of the address; the socket has one */
#define LOCAL_CONNECTIONS 64    /* of the socket */
#define CONNECTION_BYTES  16384 /* of memory: a request's headers have to fit in */
#define SILENT_S          75u   /* after which libmicrohttpd ends a connection */
#define NICENESS          5     /* of the threads that answer */
#define TICK_US           250000
/* The page takes its own files alone, but for pictures of items (items.meta). It cannot be framed. */
#define PAGE_POLICY                                                                                          \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                          \
    "img-src 'self' data: https: http:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#define PEM_MAX_BYTES (1 << 20)

struct ms_server {
    struct ms_desk desk;
    struct ms_listen listen;
    struct ms_buffer token, certificate, key; /* the last two end in a NUL, as libmicrohttpd wants them */
    struct ms_rate rate;
    struct ms_links links;
    struct ms_followers followers;
    struct MHD_Daemon *tcp, *local;
    pthread_t ticker;
    bool ticking;
    atomic_bool stop;
};

/* One request, from its first line to the end of its answer. */
struct exchange {
    struct ms_target target;
    enum ms_target_fault fault;
    size_t text_bytes;
    bool begun; /* its headers have come */
    struct ms_link *link;
    char text[]; /* the target as it came, with a NUL */
};

/* ---- answering ---- */

static bool needs_token(const struct ms_server *server, const struct ms_route *route, bool local)
{
    return server->token.size > 0 && !local && !(route && route->open);
}

/* Where no token is asked for, a name that is not this machine's is refused: a page of another site may have pointed its name at a
 * loopback address. */
static bool host_is_local(const char *host)
{
    size_t size = host ? strlen(host) : 0;
    const char *colon = host && host[0] != '[' ? memchr(host, ':', size) : NULL;
    if (colon)
        size = (size_t)(colon - host);
    if (size == 0 || host[0] == '[' || (size == 9 && strncasecmp(host, "localhost", 9) == 0))
        return true;
    return strspn(host, "0123456789.") >= size;
}

/* Whether the request may be asked by who asks it; else the reply says why. */
static bool admitted(struct ms_server *server, struct MHD_Connection *connection,
                     const struct ms_route *route, bool local, struct ms_reply *reply)
{
    const char *authorization = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                            MHD_HTTP_HEADER_AUTHORIZATION);
    if (needs_token(server, route, local) && !ms_token_shown(&server->token, authorization)) {
        ms_reply_fail(reply, 401, "this needs the header Authorization: Bearer TOKEN");
        return false;
    }
    if (!server->token.size && !local &&
        !host_is_local(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST))) {
        ms_reply_fail(reply, 403,
                      "the Host header is neither an address nor localhost; other names need "
                      "http.token.file");
        return false;
    }
    return true;
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_CONTENT_LENGTH);
    return (length && strspn(length, "0") != strlen(length)) ||
           MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

/* What can be refused by the request's first line and headers. */
static bool refused(struct ms_server *server, struct MHD_Connection *connection, const char *method,
                    int route, const struct exchange *exchange, bool local, struct ms_reply *reply)
{
    bool reads = strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    uint64_t client =
        local ? 0
              : ms_rate_client(
                    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
    if (!ms_rate_allow(&server->rate, client, ms_monotonic_s())) {
        atomic_fetch_add(&server->desk.traffic.limited, 1);
        ms_reply_fail(reply, 429, "more than %lld requests a second of one client (http.rate.max)",
                      (long long)server->desk.config->http_rate_max);
    } else if (exchange->fault != MS_TARGET_GOOD) {
        ms_reply_fail(reply, exchange->fault == MS_TARGET_TOO_LONG ? 414 : 400, "%s",
                      ms_target_fault_text(exchange->fault));
    } else if (!admitted(server, connection, route < 0 ? NULL : &ms_routes[route], local, reply)) {
        return true;
    } else if (route < 0) {
        ms_reply_fail(reply, 404, "there is no such path; /openapi.json lists those that there are");
    } else if (!reads) {
        ms_reply_fail(reply, 405, "only GET and HEAD are answered");
    } else if (has_body(connection)) {
        ms_reply_fail(reply, 413, "a request must not have a body");
    } else {
        return false;
    }
    return true;
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, struct ms_reply *reply)
{
    char number[16];
    char nothing[1] = "";
    struct MHD_Response *response = MHD_create_response_from_buffer(
        reply->body.size, reply->body.data ? reply->body.data : nothing,
        reply->body.data ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_MUST_COPY);
    if (!response) {
        ms_buffer_free(&reply->body);
        ms_buffer_free(&reply->location);
        return MHD_NO;
    }
    reply->body = (struct ms_buffer){0}; /* the response frees it */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (strcmp(reply->type, MS_TYPE_HTML) == 0)
        MHD_add_response_header(response, "Content-Security-Policy", PAGE_POLICY);
    if (reply->location.size)
        MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, reply->location.data);
    ms_buffer_free(&reply->location);
    if (reply->code == 401)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    if (reply->code == 405)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (reply->retry_after_s) {
        snprintf(number, sizeof number, "%d", reply->retry_after_s);
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, number);
    }
    enum MHD_Result queued = MHD_queue_response(connection, reply->code, response);
    MHD_destroy_response(response);
    return queued;
}

/* Sends the stream of the user's changes. False: it cannot be had, the reply says why. */
static bool send_stream(struct ms_server *server, struct MHD_Connection *connection,
                        const struct exchange *exchange, const struct ms_request *request,
                        struct ms_reply *reply, enum MHD_Result *queued)
{
    struct MHD_Response *response = ms_followers_add(&server->followers, &server->desk, connection,
                                                     request->id, (int32_t)request->numbers[0]);
    if (!response) {
        ms_reply_fail(reply, 503, "%d connections follow users already, no more may", MS_FOLLOWERS_MAX);
        return false;
    }
    ms_links_last(&server->links, exchange->link);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    *queued = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return true;
}

/* True: the answer is a stream, and on its way. */
static bool answer(struct ms_server *server, struct MHD_Connection *connection, int route,
                   const struct exchange *exchange, bool local, struct ms_reply *reply,
                   enum MHD_Result *queued)
{
    const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    struct ms_request request = {
        .accept = accept ? accept : "", .target = {exchange->text, exchange->text_bytes}, .local = local};
    if (!ms_route_read(&ms_routes[route], &exchange->target, &request, reply))
        return false;
    pthread_rwlock_rdlock(&server->desk.lock);
    ms_routes[route].answer(&server->desk, &request, reply);
    pthread_rwlock_unlock(&server->desk.lock);
    return reply->follows && send_stream(server, connection, exchange, &request, reply, queued);
}

static enum MHD_Result serve(struct ms_server *server, struct MHD_Connection *connection, const char *method,
                             struct exchange *exchange, bool local)
{
    struct ms_reply reply = {.code = 500, .type = MS_TYPE_JSON};
    double began_s = ms_monotonic_s();
    int route = exchange->fault == MS_TARGET_GOOD ? ms_route_find(&exchange->target) : -1;
    bool first = !exchange->begun, streams = false;
    enum MHD_Result queued = MHD_NO;
    exchange->begun = true;
    if (first) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection,
                                                                       MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        exchange->link = info ? info->socket_context : NULL;
        ms_links_begin(&server->links, exchange->link, began_s);
        if (!refused(server, connection, method, route, exchange, local, &reply))
            return MHD_YES;
    } else {
        streams = answer(server, connection, route, exchange, local, &reply, &queued);
    }
    struct ms_traffic *traffic = &server->desk.traffic;
    atomic_fetch_add(&traffic->requests[route < 0 ? MS_TRAFFIC_ROUTES - 1 : route][reply.code / 100], 1);
    atomic_fetch_add(&traffic->seconds_ns, (uint64_t)((ms_monotonic_s() - began_s) * 1e9));
    return streams ? queued : send_reply(connection, &reply);
}

/* ---- what libmicrohttpd calls ---- */

/* The stream goes before: a thread of libmicrohttpd makes itself nice at its first request. Linux has a priority for each thread. */
static void yield_to_stream(void)
{
    static _Thread_local bool nice;
    if (!nice)
        nice = setpriority(PRIO_PROCESS, 0, NICENESS) == 0;
}

static void *on_target(void *context, const char *text, struct MHD_Connection *connection)
{
    yield_to_stream();
    size_t size = strlen(text), kept = size > MS_TARGET_MAX_BYTES ? 0 : size;
    struct exchange *exchange = malloc(sizeof *exchange + kept + 1);
    (void)context;
    (void)connection;
    if (!exchange)
        return NULL;
    exchange->begun = false;
    exchange->link = NULL;
    memcpy(exchange->text, text, kept);
    exchange->text[kept] = '\0';
    exchange->text_bytes = kept;
    exchange->fault = ms_target_parse(&exchange->target, (struct ms_bytes){text, size});
    return exchange;
}

/* The target is decoded by target.c alone. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static enum MHD_Result on_tcp(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data, size_t *data_size,
                              void **own)
{
    (void)url;
    (void)version;
    (void)data;
    *data_size = 0;
    return *own ? serve(context, connection, method, *own, false) : MHD_NO;
}

static enum MHD_Result on_local(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data, size_t *data_size,
                                void **own)
{
    (void)url;
    (void)version;
    (void)data;
    *data_size = 0;
    return *own ? serve(context, connection, method, *own, true) : MHD_NO;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **own,
                         enum MHD_RequestTerminationCode code)
{
    struct ms_server *server = context;
    struct exchange *exchange = *own;
    (void)connection;
    (void)code;
    if (exchange)
        ms_links_end(&server->links, exchange->link, ms_monotonic_s());
    free(exchange);
    *own = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **own,
                          enum MHD_ConnectionNotificationCode code)
{
    struct ms_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection,
                                                                       MHD_CONNECTION_INFO_CONNECTION_FD);
        *own = info ? ms_links_add(&server->links, info->connect_fd, ms_monotonic_s()) : NULL;
        atomic_fetch_add(&server->desk.traffic.connections, 1);
    } else {
        ms_links_remove(&server->links, *own);
        *own = NULL;
        atomic_fetch_sub(&server->desk.traffic.connections, 1);
    }
}

static void on_log(void *context, const char *format, va_list arguments)
{
    char text[256];
    (void)context;
    int size = vsnprintf(text, sizeof text, format, arguments);
    while (size > 0 && (size >= (int)sizeof text || text[size - 1] == '\n'))
        text[size >= (int)sizeof text ? (size = (int)sizeof text - 1) : --size] = '\0';
    ms_log(MS_LOG_DEBUG, "http", "text=\"%s\"", text);
}

/* ---- starting ---- */

/* Reads a PEM file whole, with a NUL behind it. */
static enum ms_status read_pem(const char *option, const char *path, bool secret, struct ms_buffer *out,
                               struct ms_error *error)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &found) != 0) {
        enum ms_status status = ms_fail(error, MS_CONFIG, "%s=%s: %s", option, path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return status;
    }
    enum ms_status status = MS_OK;
    if (!S_ISREG(found.st_mode) || found.st_size > PEM_MAX_BYTES)
        status = ms_fail(error, MS_CONFIG, "%s=%s: is no file of up to 1 MiB", option, path);
    else if (secret && found.st_mode & 077)
        status = ms_fail(error, MS_CONFIG,
                         "%s=%s: others than its owner may use it (mode %04o): chmod 600 it", option, path,
                         (unsigned)(found.st_mode & 07777));
    if (status == MS_OK && !ms_buffer_reserve(out, (size_t)found.st_size + 1))
        status = ms_fail(error, MS_MEMORY, "no memory for %s", path);
    for (ssize_t got = 1; status == MS_OK && got > 0 && out->size < (size_t)found.st_size;) {
        got = read(fd, out->data + out->size, (size_t)found.st_size - out->size);
        out->size += got > 0 ? (size_t)got : 0;
        if (got < 0)
            status = ms_fail(error, MS_CONFIG, "%s=%s: %s", option, path, strerror(errno));
    }
    close(fd);
    if (status == MS_OK)
        out->data[out->size] = '\0';
    return status;
}

static enum ms_status read_files(struct ms_server *server, const struct ms_config *config,
                                 struct ms_error *error)
{
    enum ms_status status = MS_OK;
    if (config->http_token_file[0])
        status = ms_token_read(config->http_token_file, &server->token, error);
    if (status == MS_OK && config->http_tls_certificate_file[0])
        status = read_pem("http.tls.certificate.file", config->http_tls_certificate_file, false,
                          &server->certificate, error);
    if (status == MS_OK && config->items_meta[0])
        status = ms_titles_load(&server->desk.titles, config->items_meta, error);
    if (status == MS_OK && config->http_tls_key_file[0])
        status = read_pem("http.tls.key.file", config->http_tls_key_file, true, &server->key, error);
    return status;
}

/* Whether an instance may be announced so: "", or a scheme with a host and no path. */
static bool is_url(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    const char *host = url + scheme;
    size_t size = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]");
    return !url[0] || (scheme && size > 0 && !host[size] && strlen(url) < MS_OWNER_URL_BYTES);
}

static enum ms_status check_together(const struct ms_config *config, struct ms_listen *listen,
                                     struct ms_error *error)
{
    bool certificate = config->http_tls_certificate_file[0] != '\0',
         key = config->http_tls_key_file[0] != '\0';
    if (certificate != key)
        return ms_fail(error, MS_CONFIG, "%s is given without %s",
                       certificate ? "http.tls.certificate.file" : "http.tls.key.file",
                       certificate ? "http.tls.key.file" : "http.tls.certificate.file");
    if (!is_url(config->http_advertise))
        return ms_fail(error, MS_CONFIG,
                       "http.advertise=%s is not like https://host:8080, of %d bytes at most",
                       config->http_advertise, MS_OWNER_URL_BYTES - 1);
    if (!config->http_listen[0])
        return MS_OK;
    enum ms_status status = ms_listen_parse(listen, config->http_listen, error);
    if (status == MS_OK && !listen->loopback && (!config->http_token_file[0] || !certificate))
        return ms_fail(error, MS_CONFIG,
                       "http.listen=%s can be reached from elsewhere, so it needs http.token.file, "
                       "http.tls.certificate.file and http.tls.key.file; 127.0.0.1:PORT needs none",
                       config->http_listen);
    return status;
}

static void free_server(struct ms_server *server)
{
    ms_titles_free(server->desk.titles);
    ms_buffer_free(&server->token);
    ms_buffer_free(&server->certificate);
    ms_buffer_free(&server->key);
    ms_links_free(&server->links);
    ms_followers_free(&server->followers);
    ms_viewers_free(&server->desk.viewers);
    ms_rate_free(&server->rate);
    pthread_rwlock_destroy(&server->desk.lock);
    pthread_mutex_destroy(&server->desk.last_metrics.lock);
    for (int i = 0; i < 2; i++)
        ms_buffer_free(&server->desk.last_metrics.text[i]);
    free(server);
}

static enum ms_status new_server(struct ms_server **out, const struct ms_config *config,
                                 struct ms_error *error)
{
    struct ms_server *server = calloc(1, sizeof *server);
    if (!server)
        return ms_fail(error, MS_MEMORY, "no memory for the HTTP server");
    server->desk.config = config;
    server->desk.routes = ms_routes;
    server->desk.route_count = ms_route_count;
    pthread_rwlock_init(&server->desk.lock, NULL);
    pthread_mutex_init(&server->desk.last_metrics.lock, NULL);
    for (int i = 0; i < ms_route_count && i < MS_TRAFFIC_ROUTES - 1; i++)
        server->desk.traffic.routes[i] = ms_routes[i].name;
    server->desk.traffic.routes[MS_TRAFFIC_ROUTES - 1] = "none";
    ms_viewers_init(&server->desk.viewers);
    ms_links_init(&server->links);
    ms_followers_init(&server->followers);
    ms_rate_init(&server->rate, config->http_rate_max);
    enum ms_status status = check_together(config, &server->listen, error);
    if (status == MS_OK)
        status = read_files(server, config, error);
    if (status == MS_OK)
        *out = server;
    else
        free_server(server);
    return status;
}

enum ms_status ms_server_check(const struct ms_config *config, struct ms_error *error)
{
    struct ms_server *server;
    enum ms_status status = new_server(&server, config, error);
    if (status == MS_OK)
        free_server(server);
    return status;
}

/* A daemon on the listening socket |fd|, which is its own then. NULL where it does not start. */
static struct MHD_Daemon *start_daemon(struct ms_server *server, int fd, bool local)
{
    bool tls = !local && server->certificate.size > 0;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME |
                     (tls ? MHD_USE_TLS : 0u);
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, NULL},
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, SILENT_S, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, local ? LOCAL_CONNECTIONS : server->desk.config->http_connections_max,
         NULL},
        {local ? MHD_OPTION_END : MHD_OPTION_THREAD_POOL_SIZE, THREADS, NULL},
        {tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, server->certificate.data},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, server->key.data},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_Daemon *daemon = MHD_start_daemon(flags, 0, NULL, NULL, local ? on_local : on_tcp, server,
                                                 MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (!daemon)
        close(fd);
    return daemon;
}

static void *tick(void *context)
{
    struct ms_server *server = context;
    while (!atomic_load(&server->stop)) {
        usleep(TICK_US);
        atomic_fetch_add(&server->desk.traffic.cut, ms_links_cut(&server->links, ms_monotonic_s()));
        ms_followers_wake(&server->followers);
    }
    return NULL;
}

unsigned ms_server_port(const struct ms_server *server)
{
    const union MHD_DaemonInfo *info = server->tcp
                                           ? MHD_get_daemon_info(server->tcp, MHD_DAEMON_INFO_BIND_PORT)
                                           : NULL;
    return info ? info->port : 0;
}

static void tell_address(const struct ms_server *server)
{
    ms_log(MS_LOG_INFO, "http", "listen=%s port=%u tls=%d token=%d", server->desk.config->http_listen,
           ms_server_port(server), server->certificate.size > 0, server->token.size > 0);
}

static enum ms_status start_tcp(struct ms_server *server, struct ms_error *error)
{
    int fd;
    const char *text = server->desk.config->http_listen;
    enum ms_status status = ms_listen_tcp(&server->listen, text, &fd, error);
    if (status != MS_OK)
        return status;
    server->tcp = start_daemon(server, fd, false);
    if (!server->tcp && server->certificate.size)
        return ms_fail(
            error, MS_CONFIG,
            "http.tls.certificate.file and http.tls.key.file: no certificate in PEM with its key (%s)",
            server->desk.config->http_tls_certificate_file);
    if (!server->tcp)
        return ms_fail(error, MS_IO, "http.listen=%s: the server does not start", text);
    tell_address(server);
    return MS_OK;
}

enum ms_status ms_server_start(struct ms_server **out, const struct ms_config *config, struct ms_error *error)
{
    struct ms_server *server;
    enum ms_status status = new_server(&server, config, error);
    if (status != MS_OK)
        return status;
    if (config->http_listen[0])
        status = start_tcp(server, error);
    if (status == MS_OK) {
        server->ticking = pthread_create(&server->ticker, NULL, tick, server) == 0;
        if (!server->ticking)
            status = ms_fail(error, MS_MEMORY, "cannot start a thread of the HTTP server");
    }
    if (status == MS_OK)
        *out = server;
    else
        ms_server_stop(server);
    return status;
}

void ms_server_attach(struct ms_server *server, struct ms_service *service)
{
    struct ms_error error;
    int fd;
    pthread_rwlock_wrlock(&server->desk.lock);
    server->desk.service = service;
    pthread_rwlock_unlock(&server->desk.lock);
    if (ms_listen_local(server->desk.config->state_dir, &fd, &error) != MS_OK) {
        ms_log(MS_LOG_WARN, "http", "text=\"%s; inspect sees the last flush\"", error.text);
        return;
    }
    server->local = start_daemon(server, fd, true);
    if (!server->local)
        ms_log(MS_LOG_WARN, "http", "text=\"the server on %s/%s does not start\"",
               server->desk.config->state_dir, MS_SOCKET_NAME);
}

void ms_server_stop(struct ms_server *server)
{
    if (!server)
        return;
    atomic_store(&server->stop, true);
    if (server->ticking)
        pthread_join(server->ticker, NULL);
    ms_followers_end(&server->followers);
    if (server->tcp)
        MHD_stop_daemon(server->tcp);
    if (server->local) {
        MHD_stop_daemon(server->local);
        int folder = open(server->desk.config->state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder >= 0) {
            unlinkat(folder, MS_SOCKET_NAME, 0);
            close(folder);
        }
    }
    free_server(server);
}
