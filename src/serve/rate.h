/* How many requests a client may send: a bucket of tokens for each address, in a table of fixed size. Any thread. */
#ifndef MS_SERVE_RATE_H
#define MS_SERVE_RATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define MS_RATE_SLOTS   4096
#define MS_RATE_BURST_S 2 /* a client that was quiet may send so many seconds' requests at once */

struct ms_rate_slot {
    uint64_t client; /* digest of its address, 0: free */
    double tokens, at_s;
};

struct ms_rate {
    pthread_mutex_t lock;
    double per_s; /* 0: no limit */
    struct ms_rate_slot slots[MS_RATE_SLOTS];
};

void ms_rate_init(struct ms_rate *rate, int64_t per_s);
void ms_rate_free(struct ms_rate *rate);

/* One for all of IPv4's bits, of IPv6 for the network's 64; 0 for other families, which are not limited. */
uint64_t ms_rate_client(const struct sockaddr *address);

/* Whether |client| may send a request at |now_s|. Two clients whose digests meet in a slot take it from each other, and begin anew. */
bool ms_rate_allow(struct ms_rate *rate, uint64_t client, double now_s);

#endif
