/* Streams of a user's versions. */
#include "serve/followers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "serve/desk.h"
#include "stream/kafka/live.h"

#define LOOK_S 0.2 /* between two looks at the user */

struct ms_follower {
    struct ms_follower *next, *before;
    struct ms_followers *all;
    struct ms_desk *desk;
    struct MHD_Connection *connection;
    bool suspended; /* under the lock of |all| */
    double looked_s, wrote_s;
    uint64_t version; /* told last */
    int32_t partition;
    size_t id_bytes;
    char id[];
};

void ms_followers_init(struct ms_followers *followers)
{
    *followers = (struct ms_followers){0};
    pthread_mutex_init(&followers->lock, NULL);
}

void ms_followers_free(struct ms_followers *followers)
{
    pthread_mutex_destroy(&followers->lock);
}

/* The user's version now; 0 where there is no such user any more. False where that cannot be told at the moment. */
static bool look(const struct ms_follower *f, uint64_t *version)
{
    struct ms_live_user live = {0};
    struct ms_error error;
    enum ms_status status = MS_KAFKA_RETRY;
    pthread_rwlock_rdlock(&f->desk->lock);
    if (f->desk->service)
        status = ms_service_find_user(f->desk->service, (struct ms_bytes){f->id, f->id_bytes}, f->partition,
                                      &live, &error);
    pthread_rwlock_unlock(&f->desk->lock);
    *version = status == MS_OK ? live.user->version : 0;
    if (status == MS_OK)
        free(live.user);
    return status == MS_OK || status == MS_NOT_FOUND;
}

/* Puts the connection aside until the next waking. */
static ssize_t wait_for_news(struct ms_follower *f)
{
    pthread_mutex_lock(&f->all->lock);
    bool ended = f->all->ended;
    if (!ended) {
        f->suspended = true;
        MHD_suspend_connection(f->connection);
    }
    pthread_mutex_unlock(&f->all->lock);
    return ended ? MHD_CONTENT_READER_END_OF_STREAM : 0;
}

static ssize_t read_stream(void *context, uint64_t position, char *into, size_t room)
{
    struct ms_follower *f = context;
    double now_s = ms_monotonic_s();
    uint64_t version = f->version;
    int size = 0;
    if (position == 0)
        size = snprintf(into, room, "retry: %d\n\n", MS_FOLLOWER_RETRY_MS);
    else if (now_s - f->looked_s >= LOOK_S) {
        f->looked_s = now_s;
        if (look(f, &version) && version != f->version)
            size = snprintf(into, room, "event: user\ndata: {\"version\": %" PRIu64 "}\n\n", version);
        else if (now_s - f->wrote_s >= MS_FOLLOWER_STILL_S)
            size = snprintf(into, room, ": still here\n\n");
    }
    if (size <= 0 || (size_t)size >= room)
        return wait_for_news(f);
    f->version = version;
    f->wrote_s = now_s;
    return size;
}

static void forget(void *context)
{
    struct ms_follower *f = context;
    struct ms_followers *all = f->all;
    pthread_mutex_lock(&all->lock);
    if (f->before)
        f->before->next = f->next;
    else
        all->first = f->next;
    if (f->next)
        f->next->before = f->before;
    all->count--;
    pthread_mutex_unlock(&all->lock);
    free(f);
}

/* Takes a place in the list. False: there is none. */
static bool enter(struct ms_followers *followers, struct ms_follower *f)
{
    pthread_mutex_lock(&followers->lock);
    bool good = !followers->ended && followers->count < MS_FOLLOWERS_MAX;
    if (good) {
        f->next = followers->first;
        if (f->next)
            f->next->before = f;
        followers->first = f;
        followers->count++;
    }
    pthread_mutex_unlock(&followers->lock);
    return good;
}

struct MHD_Response *ms_followers_add(struct ms_followers *followers, struct ms_desk *desk,
                                      struct MHD_Connection *connection, struct ms_bytes id,
                                      int32_t partition)
{
    struct ms_follower *f = calloc(1, sizeof *f + id.size);
    if (!f)
        return NULL;
    f->all = followers;
    f->desk = desk;
    f->connection = connection;
    f->partition = partition;
    f->id_bytes = id.size;
    f->wrote_s = ms_monotonic_s();
    memcpy(f->id, id.data, id.size);
    if (!enter(followers, f)) {
        free(f);
        return NULL;
    }
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 512, read_stream, f,
                                                                      forget);
    if (!response)
        forget(f);
    return response;
}

/* Under the lock. */
static void wake(struct ms_followers *followers)
{
    for (struct ms_follower *f = followers->first; f; f = f->next) {
        if (f->suspended) {
            f->suspended = false;
            MHD_resume_connection(f->connection);
        }
    }
}

void ms_followers_wake(struct ms_followers *followers)
{
    pthread_mutex_lock(&followers->lock);
    wake(followers);
    pthread_mutex_unlock(&followers->lock);
}

void ms_followers_end(struct ms_followers *followers)
{
    pthread_mutex_lock(&followers->lock);
    followers->ended = true;
    wake(followers);
    pthread_mutex_unlock(&followers->lock);
}
