/* A list under a lock. */
#include "serve/links.h"

#include <stdlib.h>
#include <sys/socket.h>

void ms_links_init(struct ms_links *links)
{
    *links = (struct ms_links){.first = NULL};
    pthread_mutex_init(&links->lock, NULL);
}

void ms_links_free(struct ms_links *links)
{
    while (links->first)
        ms_links_remove(links, links->first);
    pthread_mutex_destroy(&links->lock);
}

struct ms_link *ms_links_add(struct ms_links *links, int fd, double now_s)
{
    struct ms_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->fd = fd;
    link->since_s = now_s;
    pthread_mutex_lock(&links->lock);
    link->next = links->first;
    if (links->first)
        links->first->before = link;
    links->first = link;
    links->count++;
    pthread_mutex_unlock(&links->lock);
    return link;
}

void ms_links_remove(struct ms_links *links, struct ms_link *link)
{
    if (!link)
        return;
    pthread_mutex_lock(&links->lock);
    if (link->before)
        link->before->next = link->next;
    else
        links->first = link->next;
    if (link->next)
        link->next->before = link->before;
    links->count--;
    pthread_mutex_unlock(&links->lock);
    free(link);
}

void ms_links_begin(struct ms_links *links, struct ms_link *link, double now_s)
{
    if (!link)
        return;
    pthread_mutex_lock(&links->lock);
    link->answering = true;
    link->since_s = now_s;
    pthread_mutex_unlock(&links->lock);
}

void ms_links_end(struct ms_links *links, struct ms_link *link, double now_s)
{
    if (!link)
        return;
    pthread_mutex_lock(&links->lock);
    link->answering = link->lasts = false;
    link->used = true;
    link->since_s = now_s;
    pthread_mutex_unlock(&links->lock);
}

void ms_links_last(struct ms_links *links, struct ms_link *link)
{
    if (!link)
        return;
    pthread_mutex_lock(&links->lock);
    link->lasts = true;
    pthread_mutex_unlock(&links->lock);
}

static double patience_s(const struct ms_link *link)
{
    return link->answering ? MS_LINK_ANSWER_S : link->used ? MS_LINK_IDLE_S : MS_LINK_HEADER_S;
}

size_t ms_links_cut(struct ms_links *links, double now_s)
{
    size_t cut = 0;
    pthread_mutex_lock(&links->lock);
    for (struct ms_link *link = links->first; link; link = link->next) {
        if (link->cut || link->lasts || now_s - link->since_s <= patience_s(link))
            continue;
        link->cut = true;
        shutdown(link->fd, SHUT_RDWR); /* its thread sees the end and closes it */
        cut++;
    }
    pthread_mutex_unlock(&links->lock);
    return cut;
}
