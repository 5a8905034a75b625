/* The open connections, and cutting those whose client takes too long. libmicrohttpd ends a connection that is silent; one that
 * sends a byte now and then is ended here. Any thread. */
#ifndef MS_SERVE_LINKS_H
#define MS_SERVE_LINKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define MS_LINK_HEADER_S 10 /* until a connection's first request has come */
#define MS_LINK_IDLE_S   75 /* until the next one has */
#define MS_LINK_ANSWER_S 30 /* from a request to the end of its answer */

struct ms_link {
    struct ms_link *next, *before;
    int fd;
    double since_s; /* when it was opened, its request came, or its answer ended */
    bool answering; /* a request has come whose answer has not ended */
    bool used;      /* a request was answered */
    bool lasts;     /* its answer may take any time: a stream of events */
    bool cut;
};

struct ms_links {
    pthread_mutex_t lock;
    struct ms_link *first;
    size_t count;
};

void ms_links_init(struct ms_links *links);
void ms_links_free(struct ms_links *links);
/* A new connection; NULL without memory: it is not watched then. */
struct ms_link *ms_links_add(struct ms_links *links, int fd, double now_s);
/* Before its descriptor is closed. NULL is legal. */
void ms_links_remove(struct ms_links *links, struct ms_link *link);
/* Its request has come, or its answer has ended. NULL is legal. */
void ms_links_begin(struct ms_links *links, struct ms_link *link, double now_s);
void ms_links_end(struct ms_links *links, struct ms_link *link, double now_s);
/* Its answer may take any time. NULL is legal. */
void ms_links_last(struct ms_links *links, struct ms_link *link);
/* Shuts the connections down that take too long, and returns how many. To be called now and then. */
size_t ms_links_cut(struct ms_links *links, double now_s);

#endif
