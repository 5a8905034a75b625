/* Connections that follow a user: a stream of server-sent events, one for each new version, until the client goes.
 *
 * A connection with nothing to tell is suspended, and woken a few times a second to look. So it costs no thread. */
#ifndef MS_SERVE_FOLLOWERS_H
#define MS_SERVE_FOLLOWERS_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>

#include "mindstream/bytes.h"

struct ms_desk;

#define MS_FOLLOWERS_MAX 32 /* at a time: each looks its user up at every waking */
#define MS_FOLLOWER_STILL_S                                                                                  \
    15.0 /* a connection without news gets a comment then, so that both ends know that it lives */
#define MS_FOLLOWER_RETRY_MS 2000 /* after which a client comes again */

struct ms_follower;

struct ms_followers {
    pthread_mutex_t lock;
    struct ms_follower *first;
    int count;
    bool ended; /* every stream ends where it is */
};

void ms_followers_init(struct ms_followers *followers);
void ms_followers_free(struct ms_followers *followers);

/* The answer that follows the user |id|, in |partition| where that is not negative. NULL: as many follow as may, or memory ended. */
struct MHD_Response *ms_followers_add(struct ms_followers *followers, struct ms_desk *desk,
                                      struct MHD_Connection *connection, struct ms_bytes id,
                                      int32_t partition);

/* Wakes all suspended connections. To be called a few times a second. */
void ms_followers_wake(struct ms_followers *followers);
/* Ends all streams and those that come. Before the daemons stop. */
void ms_followers_end(struct ms_followers *followers);

#endif
