/* Buckets of tokens. */
#include "serve/rate.h"

#include <netinet/in.h>
#include <string.h>

#include "base/digest.h"

void ms_rate_init(struct ms_rate *rate, int64_t per_s)
{
    memset(rate, 0, sizeof *rate);
    rate->per_s = (double)per_s;
    pthread_mutex_init(&rate->lock, NULL);
}

void ms_rate_free(struct ms_rate *rate)
{
    pthread_mutex_destroy(&rate->lock);
}

uint64_t ms_rate_client(const struct sockaddr *address)
{
    uint64_t digest = 0;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        digest = ms_digest(&in.sin_addr, sizeof in.sin_addr);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        digest = ms_digest(&in6.sin6_addr, IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) ? 16 : 8);
    } else {
        return 0;
    }
    return digest ? digest : 1;
}

bool ms_rate_allow(struct ms_rate *rate, uint64_t client, double now_s)
{
    if (client == 0 || rate->per_s <= 0)
        return true;
    double most = rate->per_s * MS_RATE_BURST_S;
    struct ms_rate_slot *slot = &rate->slots[client % MS_RATE_SLOTS];
    pthread_mutex_lock(&rate->lock);
    if (slot->client != client)
        *slot = (struct ms_rate_slot){.client = client, .tokens = most, .at_s = now_s};
    slot->tokens += (now_s - slot->at_s) * rate->per_s;
    slot->tokens = slot->tokens > most ? most : slot->tokens;
    slot->at_s = now_s;
    bool allowed = slot->tokens >= 1;
    if (allowed)
        slot->tokens -= 1;
    pthread_mutex_unlock(&rate->lock);
    return allowed;
}
