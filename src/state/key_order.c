/* A radix sort over partition and front, lowest byte first. Bytes that are the same in all keys are skipped. */
#include "state/key_order.h"

#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 18 /* the two fronts and the partition */
#define FEW       64 /* keys that are sorted by comparing */

struct ms_sort_key ms_sort_key(uint16_t partition, struct ms_bytes id, uint32_t index)
{
    struct ms_sort_key key = {.index = index, .partition = partition};
    unsigned char bytes[16] = {0};
    memcpy(bytes, id.data, id.size < sizeof bytes ? id.size : sizeof bytes);
    for (int i = 0; i < 16; i++)
        key.front[i / 8] = key.front[i / 8] << 8 | bytes[i];
    return key;
}

/* Byte |n| of a key, 0 the lowest. */
static unsigned byte_of(const struct ms_sort_key *key, int n)
{
    uint64_t word = n < 8 ? key->front[1] : n < 16 ? key->front[0] : key->partition;
    return (unsigned)(word >> 8 * (n % 8)) & 0xff;
}

/* One pass of the sort: moves the keys into the order of byte |n|. Keys with the same byte keep their order. */
static void scatter(const struct ms_sort_key *from, struct ms_sort_key *to, size_t count, int n)
{
    size_t next[256] = {0}, at = 0;
    for (size_t i = 0; i < count; i++)
        next[byte_of(&from[i], n)]++;
    for (int i = 0; i < 256; i++) {
        size_t keys = next[i];
        next[i] = at;
        at += keys;
    }
    for (size_t i = 0; i < count; i++)
        to[next[byte_of(&from[i], n)]++] = from[i];
}

/* How to ask for a whole id. */
struct ids {
    struct ms_bytes (*id_of)(void *context, uint32_t index);
    void *context;
};

static int by_key(const void *a, const void *b, void *context)
{
    const struct ms_sort_key *x = a, *y = b;
    const struct ids *ids = context;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    for (int i = 0; i < 2; i++) {
        if (x->front[i] != y->front[i])
            return x->front[i] < y->front[i] ? -1 : 1;
    }
    struct ms_bytes p = ids->id_of(ids->context, x->index), q = ids->id_of(ids->context, y->index);
    int order = memcmp(p.data, q.data, p.size < q.size ? p.size : q.size);
    return order ? order : (p.size > q.size) - (p.size < q.size);
}

static bool same_front(const struct ms_sort_key *a, const struct ms_sort_key *b)
{
    return a->partition == b->partition && a->front[0] == b->front[0] && a->front[1] == b->front[1];
}

/* Sorts the runs of keys that share partition and front by their whole ids. */
static void sort_runs(struct ms_sort_key *keys, size_t count, struct ids *ids)
{
    for (size_t start = 0, end; start < count; start = end) {
        for (end = start + 1; end < count && same_front(&keys[start], &keys[end]);)
            end++;
        if (end - start > 1)
            qsort_r(keys + start, end - start, sizeof *keys, by_key, ids);
    }
}

void ms_sort_keys(struct ms_sort_key *keys, struct ms_sort_key *scratch, size_t count,
                  struct ms_bytes (*id_of)(void *context, uint32_t index), void *context)
{
    struct ids ids = {id_of, context};
    struct ms_sort_key *from = keys, *to = scratch;
    if (count <= FEW) {
        if (count > 1)
            qsort_r(keys, count, sizeof *keys, by_key, &ids);
        return;
    }
    struct ms_sort_key differs = {0};
    for (size_t i = 1; i < count; i++) {
        differs.front[0] |= keys[i].front[0] ^ keys[0].front[0];
        differs.front[1] |= keys[i].front[1] ^ keys[0].front[1];
        differs.partition |= keys[i].partition ^ keys[0].partition;
    }
    for (int n = 0; n < KEY_BYTES; n++) {
        if (byte_of(&differs, n) == 0)
            continue;
        scatter(from, to, count, n);
        struct ms_sort_key *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != keys)
        memcpy(keys, from, count * sizeof *keys);
    sort_runs(keys, count, &ids);
}
