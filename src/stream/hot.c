/* Space-Saving with a hand that goes round for the least count. */
#include "stream/hot.h"

#include <stdlib.h>
#include <string.h>

bool ms_hot_init(struct ms_hot *hot)
{
    *hot = (struct ms_hot){.users = calloc(MS_HOT_USERS, sizeof *hot->users)};
    return hot->users && ms_index_init(&hot->index, MS_HOT_USERS * 2);
}

void ms_hot_free(struct ms_hot *hot)
{
    ms_index_free(&hot->index);
    free(hot->users);
    hot->users = NULL;
}

static uint64_t hash_of(void *context, uint32_t number)
{
    return ((const struct ms_hot *)context)->users[number].hash;
}

/* Two users whose 64-bit hashes are the same are one here. */
static struct ms_hot_user *find(struct ms_hot *hot, uint64_t hash)
{
    uint32_t number, cursor = ms_index_start(&hot->index, hash);
    while (ms_index_next(&hot->index, hash, &cursor, &number)) {
        if (hot->users[number].hash == hash)
            return &hot->users[number];
    }
    return NULL;
}

/* A user with the least count. The hand meets each of them once before the least rises, so that a round of MS_HOT_USERS looks
 * finds as many as there are. */
static uint32_t find_least(struct ms_hot *hot)
{
    for (;;) {
        uint64_t least = UINT64_MAX;
        for (uint32_t i = 0; i < MS_HOT_USERS; i++) {
            uint32_t at = (hot->next + i) % MS_HOT_USERS;
            uint64_t count = hot->users[at].count;
            if (count <= hot->least) {
                hot->next = at + 1;
                return at;
            }
            least = count < least ? count : least;
        }
        hot->least = least;
    }
}

void ms_hot_add(struct ms_hot *hot, uint16_t partition, struct ms_bytes id, uint64_t hash, uint64_t weight)
{
    struct ms_hot_user *user = find(hot, hash);
    if (user) {
        user->count += weight;
        return;
    }
    if (id.size > MS_HOT_ID_BYTES)
        return;
    uint32_t at = hot->used < MS_HOT_USERS ? hot->used++ : find_least(hot);
    user = &hot->users[at];
    if (user->count > 0)
        ms_index_remove(&hot->index, user->hash, at, hash_of, hot);
    user->error = user->count;
    user->count += weight;
    user->hash = hash;
    user->partition = partition;
    user->id_bytes = (uint16_t)id.size;
    memcpy(user->id, id.data, id.size);
    (void)ms_index_add(&hot->index, hash, at, hash_of, hot); /* there is room for all */
}

/* How often the counts are to be halved. */
static unsigned halvings(const struct ms_hot *hot, double now_s)
{
    double times = (now_s - hot->halved_s) / MS_HOT_HALF_S;
    return times < 0 ? 0 : times > 63 ? 63 : (unsigned)times;
}

void ms_hot_age(struct ms_hot *hot, double now_s)
{
    unsigned times = halvings(hot, now_s);
    if (times == 0)
        return;
    hot->halved_s = hot->halved_s > 0 && times < 63 ? hot->halved_s + times * MS_HOT_HALF_S : now_s;
    for (uint32_t i = 0; i < hot->used; i++) {
        struct ms_hot_user *user = &hot->users[i];
        user->count = (user->count >> times) + 1; /* a place in use never counts 0 */
        user->error = user->error >> times;
    }
    hot->least = 0;
}

int ms_hot_order(const void *a, const void *b)
{
    const struct ms_hot_user *x = a, *y = b;
    return (x->count < y->count) - (x->count > y->count);
}

size_t ms_hot_top(const struct ms_hot *hot, double now_s, struct ms_hot_user *out, size_t limit)
{
    unsigned times = halvings(hot, now_s);
    size_t count = 0;
    for (uint32_t i = 0; i < hot->used; i++) { /* |out| stays in order; the least falls out */
        const struct ms_hot_user *user = &hot->users[i];
        if (count == limit && user->count <= out[count - 1].count)
            continue;
        size_t at = count < limit ? count++ : count - 1;
        for (; at > 0 && out[at - 1].count < user->count; at--)
            out[at] = out[at - 1];
        out[at] = *user;
    }
    for (size_t i = 0; i < count; i++) {
        out[i].count >>= times;
        out[i].error >>= times;
    }
    return count;
}
