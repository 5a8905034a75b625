/* Stored bytes of a user. All numbers little-endian.
 *
 * Head row, key = partition (u16 big-endian) + user id:
 *
 *   at  size  what
 *    0     1  version of the layout: 1
 *    1     1  flags: 1 = arrival order is time order for all that is stored
 *    2     2  slots: interests after the last event
 *    4     2  slots_max: most interests there ever were
 *    6     2  behaviors in the tail
 *    8     8  version of the user: accepted events
 *   16     8  own offset in the input topic
 *   24     8  own offset in the profile topic
 *   32     8  fold id
 *   40     8  greatest event time, ms
 *   48     8  greatest event time in a sealed chunk, ms
 *   56     8  routable events folded into the sums
 *   64     8  greatest event time in the sums, ms
 *   72     4  behaviors kept
 *   76     4  first live chunk
 *   80     4  number of the next chunk (live chunks are first .. next-1)
 *   84     4  floats of the sums, n
 *   88     4  bytes of the profile, p
 *   92     4  bytes of the tail, t
 *   96     -  the sums: one bit for each block of 16 floats (the last may be shorter), lowest bit first, in
 * whole bytes; then, as float32, the blocks whose bit is set; the others are zeros. A user of few events has
 * few interests, and their empty slots take no room.
 *    +     p  the profile, JSON as it came
 *    +     t  the tail: behaviors
 *
 * Chunk row, key = (partition | 0x8000) (u16 big-endian) + user id + number (u32 big-endian):
 *
 *    0     1  version of the layout: 1
 *    1     1  behaviors in it: 32
 *    2     -  behaviors
 *
 * Behaviors, in order of arrival, each: zigzag varint of time less the time before (the first: less 0);
 * varint of the item's bytes; the item; 0 when the type is that of the behavior before, else varint of the
 * type's bytes + 1 and the type. */
#include "user/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES   96
#define FLAG_ORDERED 1
#define MAX_FLOATS   (1u << 20)
#define MAX_KEPT     (1u << 20)
#define SPARE_CHUNKS 4
#define BLOCK_FLOATS 16u

static_assert(MS_CHUNK <= 255, "a chunk's count is one byte");

static int by_arrival(const void *a, const void *b)
{
    uint32_t x = ((const struct ms_behavior *)a)->arrival, y = ((const struct ms_behavior *)b)->arrival;
    return x < y ? -1 : x > y;
}

static int by_time(const void *a, const void *b)
{
    const struct ms_behavior *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return by_arrival(a, b);
}

/* Where the tail begins in the array, of a user whose arrival order is time order. */
static uint32_t tail_start(const struct ms_user *user)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    uint32_t at = user->count;
    while (at > 0 && b[at - 1].arrival >= user->sealed * MS_CHUNK)
        at--;
    return at;
}

/* Renumbers the tail's behaviors without gaps, in order of arrival. There are gaps where some slid out. */
static void renumber_tail(struct ms_user *user)
{
    struct ms_behavior *b = ms_user_behaviors(user);
    uint32_t next = user->sealed * MS_CHUNK, in_tail = 0;
    for (uint32_t i = 0; !user->ordered && i < user->count; i++)
        in_tail += b[i].arrival >= next;
    if (!user->ordered && in_tail == user->next_arrival - next)
        return;
    if (!user->ordered)
        qsort(b, user->count, sizeof *b, by_arrival);
    for (uint32_t i = tail_start(user); i < user->count; i++)
        b[i].arrival = next++;
    user->next_arrival = next;
    if (!user->ordered)
        qsort(b, user->count, sizeof *b, by_time);
}

/* Whether late events have slid out, so that arrival order is time order again and the sealed part has no
 * gaps. */
static bool ordered_again(const struct ms_user *user)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    for (uint32_t i = 1; i < user->count; i++) {
        if (b[i].arrival < b[i - 1].arrival)
            return false;
    }
    uint32_t tail = tail_start(user);
    return tail == 0 || user->sealed * MS_CHUNK - b[0].arrival == tail;
}

/* The first chunk with a behavior that is kept. */
static uint32_t first_live_chunk(const struct ms_user *user)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    if (!user->complete) { /* ordered: the kept ones are the last that arrived */
        uint32_t alive = user->kept - (user->count - tail_start(user));
        return user->sealed - (alive + MS_CHUNK - 1) / MS_CHUNK;
    }
    uint32_t first = user->sealed * MS_CHUNK;
    for (uint32_t i = 0; i < user->count; i++) {
        if (b[i].arrival < first)
            first = b[i].arrival;
        if (user->ordered)
            break;
    }
    return first / MS_CHUNK;
}

void ms_user_reseal(struct ms_user *user)
{
    struct ms_behavior *b = ms_user_behaviors(user);
    assert(user->complete);
    for (uint32_t i = 0; i < user->count; i++)
        b[i].arrival = user->sealed * MS_CHUNK + i; /* time order becomes the order of arrival */
    user->next_arrival = user->sealed * MS_CHUNK + user->count;
    user->first_chunk = user->sealed;
    user->sealed_time_ms = INT64_MIN;
    user->ordered = true;
}

void ms_user_settle(struct ms_user *user)
{
    if (user->count == user->kept)
        user->complete = true;
    if (user->complete && !user->ordered)
        user->ordered = ordered_again(user);
    if (user->complete || user->ordered)
        user->first_chunk = first_live_chunk(user);
    if (user->complete && user->sealed - user->first_chunk > 2 * (user->count / MS_CHUNK) + SPARE_CHUNKS) {
        ms_user_reseal(user);
    }
    renumber_tail(user);
    if (user->first_chunk == user->sealed)
        user->sealed_time_ms = INT64_MIN;
}

bool ms_user_reaches_back(const struct ms_user *user)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    if (user->ordered)
        return false;
    for (uint32_t i = 0; i < user->count && b[i].time_ms < user->sealed_time_ms; i++) {
        if (b[i].arrival >= user->sealed * MS_CHUNK)
            return true;
    }
    return false;
}

void ms_user_trim(struct ms_user *user)
{
    if (user->ordered) {
        uint32_t tail = tail_start(user);
        user->first += tail;
        user->count -= tail;
    } else {
        struct ms_behavior *b = ms_user_behaviors(user);
        uint32_t left = 0;
        for (uint32_t i = 0; i < user->count; i++) {
            if (b[i].arrival >= user->sealed * MS_CHUNK)
                b[left++] = b[i];
        }
        user->count = left;
    }
    user->complete = user->count == user->kept;
}

static uint32_t tail_count(const struct ms_user *user)
{
    return user->next_arrival - user->sealed * MS_CHUNK;
}

uint32_t ms_user_sealable(const struct ms_user *user)
{
    return tail_count(user) / MS_CHUNK;
}

static bool encode_behaviors(const struct ms_user *user, const struct ms_behavior *const *list,
                             uint32_t count, struct ms_buffer *out)
{
    int64_t time_ms = 0;
    struct ms_bytes before = {NULL, SIZE_MAX};
    for (uint32_t i = 0; i < count; i++) {
        const struct ms_behavior *b = list[i];
        struct ms_bytes item = ms_behavior_item(user, b), type = ms_behavior_type(user, b);
        if (!ms_buffer_reserve(out, 3 * MS_VARINT_MAX + item.size + type.size))
            return false;
        char *at = out->data + out->size;
        at += ms_put_varint(at,
                            ms_zigzag((int64_t)((uint64_t)b->time_ms - (uint64_t)time_ms))); /* may wrap */
        at += ms_put_varint(at, item.size);
        memcpy(at, item.data, item.size);
        at += item.size;
        if (type.size == before.size && memcmp(type.data, before.data, type.size) == 0) {
            *at++ = 0;
        } else {
            at += ms_put_varint(at, type.size + 1);
            memcpy(at, type.data, type.size);
            at += type.size;
        }
        out->size = (size_t)(at - out->data);
        time_ms = b->time_ms;
        before = type;
    }
    return true;
}

/* The behaviors with arrival from..from+count-1, in that order. At most MS_CHUNK of them. */
static void pick(const struct ms_user *user, uint32_t from, uint32_t count, const struct ms_behavior **list)
{
    const struct ms_behavior *b = ms_user_behaviors(user);
    uint32_t found = 0;
    uint32_t at = user->count;
    if (user->ordered) { /* consecutive, from the end backwards */
        at = tail_start(user) + (from - user->sealed * MS_CHUNK);
        for (; found < count; found++)
            list[found] = &b[at + found];
        return;
    }
    while (at > 0 && found < count) {
        at--;
        if (b[at].arrival >= from && b[at].arrival < from + count) {
            list[b[at].arrival - from] = &b[at];
            found++;
        }
    }
    assert(found == count);
}

bool ms_user_encode_chunk(const struct ms_user *user, uint32_t index, struct ms_buffer *out)
{
    const struct ms_behavior *list[MS_CHUNK];
    char head[2] = {MS_VALUE_VERSION, MS_CHUNK};
    pick(user, (user->sealed + index) * MS_CHUNK, MS_CHUNK, list);
    return ms_buffer_append(out, head, sizeof head) && encode_behaviors(user, list, MS_CHUNK, out);
}

/* Greatest time among the behaviors that are in chunks once the sealable ones are sealed. */
static int64_t sealed_time_after(const struct ms_user *user)
{
    int64_t time_ms = user->sealed_time_ms;
    uint32_t sealed = ms_user_sealable(user);
    if (sealed) {
        const struct ms_behavior *b = ms_user_behaviors(user);
        uint32_t base = user->sealed * MS_CHUNK;
        for (uint32_t i = user->count; i > 0 && b[i - 1].time_ms > time_ms; i--) {
            if (b[i - 1].arrival >= base && b[i - 1].arrival < base + sealed * MS_CHUNK) {
                time_ms = b[i - 1].time_ms;
                break;
            }
        }
    }
    return time_ms;
}

static size_t sums_blocks(uint32_t floats)
{
    return (floats + BLOCK_FLOATS - 1) / BLOCK_FLOATS;
}

static size_t sums_max_bytes(uint32_t floats)
{
    return (sums_blocks(floats) + 7) / 8 + floats * sizeof(float);
}

static size_t block_bytes(uint32_t floats, size_t block)
{
    size_t left = floats - block * BLOCK_FLOATS;
    return (left < BLOCK_FLOATS ? left : BLOCK_FLOATS) * sizeof(float);
}

/* Writes the sums at |at| and returns their bytes. A block is left out only when all its bits are 0: -0.0 is
 * kept. */
static size_t encode_sums(const struct ms_user *user, char *at)
{
    static const char zeros[BLOCK_FLOATS * sizeof(float)];
    size_t blocks = sums_blocks(user->floats), map_bytes = (blocks + 7) / 8;
    const char *sums = (const char *)ms_user_sums(user);
    char *out = at + map_bytes;
    memset(at, 0, map_bytes);
    for (size_t i = 0; i < blocks; i++) {
        size_t bytes = block_bytes(user->floats, i);
        const char *block = sums + i * sizeof zeros;
        if (memcmp(block, zeros, bytes) == 0)
            continue;
        at[i / 8] = (char)(at[i / 8] | 1 << i % 8);
        memcpy(out, block, bytes);
        out += bytes;
    }
    return (size_t)(out - at);
}

/* How many bytes the sums at |at| take; 0 when they do not end before |end|, or |floats| is 0. */
static size_t sums_bytes(const char *at, const char *end, uint32_t floats)
{
    size_t blocks = sums_blocks(floats), bytes = (blocks + 7) / 8;
    if ((size_t)(end - at) < bytes)
        return 0;
    for (size_t i = 0; i < blocks; i++)
        bytes += at[i / 8] >> i % 8 & 1 ? block_bytes(floats, i) : 0;
    return bytes <= (size_t)(end - at) ? bytes : 0;
}

/* The sums of a new user, whose floats are zeros. */
static void decode_sums(struct ms_user *user, const char *at)
{
    size_t blocks = sums_blocks(user->floats);
    const char *from = at + (blocks + 7) / 8;
    for (size_t i = 0; i < blocks; i++) {
        if (!(at[i / 8] >> i % 8 & 1))
            continue;
        memcpy(ms_user_sums(user) + i * BLOCK_FLOATS, from, block_bytes(user->floats, i));
        from += block_bytes(user->floats, i);
    }
}

bool ms_user_encode_head(const struct ms_user *user, struct ms_buffer *out)
{
    const struct ms_behavior *list[MS_CHUNK];
    uint32_t sealed = user->sealed + ms_user_sealable(user);
    uint32_t tail = tail_count(user) % MS_CHUNK;
    size_t start = out->size;
    if (!ms_buffer_reserve(out, HEAD_BYTES + sums_max_bytes(user->floats) + user->profile_bytes))
        return false;
    char *h = out->data + out->size;
    h[0] = MS_VALUE_VERSION;
    h[1] = user->ordered ? FLAG_ORDERED : 0;
    ms_put_u16(h + 2, user->slots);
    ms_put_u16(h + 4, user->slots_max);
    ms_put_u16(h + 6, (uint16_t)tail);
    ms_put_u64(h + 8, user->version);
    ms_put_u64(h + 16, (uint64_t)user->own_offset);
    ms_put_u64(h + 24, (uint64_t)user->profile_offset);
    ms_put_u64(h + 32, user->fold_id);
    ms_put_u64(h + 40, (uint64_t)user->last_time_ms);
    ms_put_u64(h + 48, (uint64_t)sealed_time_after(user));
    ms_put_u64(h + 56, user->folded);
    ms_put_u64(h + 64, (uint64_t)user->sums_time_ms);
    ms_put_u32(h + 72, user->kept);
    ms_put_u32(h + 76, user->first_chunk);
    ms_put_u32(h + 80, sealed);
    ms_put_u32(h + 84, user->floats);
    ms_put_u32(h + 88, user->profile_bytes);
    size_t sums_bytes = encode_sums(user, h + HEAD_BYTES);
    memcpy(h + HEAD_BYTES + sums_bytes, ms_user_profile_bytes(user), user->profile_bytes);
    out->size += HEAD_BYTES + sums_bytes + user->profile_bytes;
    size_t tail_at = out->size;
    pick(user, sealed * MS_CHUNK, tail, list);
    if (!encode_behaviors(user, list, tail, out))
        return false;
    ms_put_u32(out->data + start + 92, (uint32_t)(out->size - tail_at));
    return true;
}

void ms_user_stored(struct ms_user *user)
{
    user->sealed_time_ms = sealed_time_after(user);
    user->sealed += ms_user_sealable(user);
    user->stored_first_chunk = user->first_chunk;
    user->stored = true;
}

/* Reads |count| behaviors from [at, end) and inserts them after those that the user has, arrival numbers from
 * |arrival|. */
static const char *decode_behaviors(struct ms_user **user, const char *at, const char *end, uint32_t count,
                                    uint32_t arrival)
{
    int64_t time_ms = 0;
    struct ms_bytes type = {"", 0};
    for (uint32_t i = 0; i < count; i++) {
        uint64_t delta, item_bytes, type_code;
        size_t n = ms_get_varint(at, end, &delta);
        if (!n)
            return NULL;
        at += n;
        n = ms_get_varint(at, end, &item_bytes);
        if (!n || item_bytes > UINT16_MAX || item_bytes > (uint64_t)(end - at) - n)
            return NULL;
        at += n;
        struct ms_bytes item = {at, (size_t)item_bytes};
        at += item_bytes;
        n = ms_get_varint(at, end, &type_code);
        if (!n || type_code > 256 || (type_code && type_code - 1 > (uint64_t)(end - at) - n))
            return NULL;
        at += n;
        if (type_code) {
            type = (struct ms_bytes){at, (size_t)type_code - 1};
            at += type.size;
        }
        time_ms = (int64_t)((uint64_t)time_ms + (uint64_t)ms_unzigzag(delta));
        if (!ms_user_make_room(user, (uint32_t)(item.size + type.size), (*user)->kept + MS_CHUNK))
            return NULL;
        struct ms_user *u = *user;
        u->next_arrival = arrival + i;
        ms_user_insert(u, time_ms, MS_NO_ITEM, item, type);
        u->kept--; /* the stored number of kept behaviors counts them already */
    }
    return at;
}

static enum ms_status damaged(struct ms_error *error, struct ms_bytes id, const char *what)
{
    return ms_fail(error, MS_STATE, "user \"%.*s\": %s", (int)(id.size < 200 ? id.size : 200), id.data, what);
}

/* Of a head row or a chunk row. */
static enum ms_status check_version(struct ms_bytes id, struct ms_bytes value, struct ms_error *error)
{
    int version = value.size ? (unsigned char)value.data[0] : 0;
    if (version > MS_VALUE_VERSION)
        return ms_fail(error, MS_STATE_NEWER,
                       "user \"%.*s\": its value has layout version %d, this program knows %d",
                       (int)(id.size < 200 ? id.size : 200), id.data, version, MS_VALUE_VERSION);
    return version == MS_VALUE_VERSION ? MS_OK : damaged(error, id, "its value is not a user's");
}

enum ms_status ms_user_decode_head(struct ms_user **out, uint16_t partition, struct ms_bytes id,
                                   struct ms_bytes value, struct ms_error *error)
{
    const char *h = value.data;
    enum ms_status status = check_version(id, value, error);
    if (status != MS_OK)
        return status;
    if (value.size < HEAD_BYTES)
        return damaged(error, id, "its value is not a user's");
    size_t sums = 0;
    uint32_t floats = ms_get_u32(h + 84), profile_bytes = ms_get_u32(h + 88), tail_bytes = ms_get_u32(h + 92);
    uint32_t tail = ms_get_u16(h + 6), kept = ms_get_u32(h + 72), first = ms_get_u32(h + 76),
             sealed = ms_get_u32(h + 80);
    if (floats > MAX_FLOATS || kept > MAX_KEPT || profile_bytes > value.size || tail_bytes > value.size ||
        tail >= MS_CHUNK || first > sealed || sealed > UINT32_MAX / MS_CHUNK - MAX_KEPT ||
        (uint64_t)HEAD_BYTES + (sums = sums_bytes(h + HEAD_BYTES, value.data + value.size, floats)) +
                profile_bytes + tail_bytes !=
            value.size)
        return damaged(error, id, "its value is damaged (lengths do not add up)");
    if (floats && !sums)
        return damaged(error, id, "its value is damaged (the sums are cut)");
    if (kept < tail || kept - tail > (sealed - first) * (uint64_t)MS_CHUNK)
        return damaged(error, id, "its value is damaged (more behaviors kept than stored)");
    struct ms_user *user = ms_user_new(partition, id, floats);
    if (!user)
        return ms_fail(error, MS_MEMORY, "no memory for a user of %zu bytes", value.size);
    decode_sums(user, h + HEAD_BYTES);
    const char *profile = h + HEAD_BYTES + sums;
    if (profile_bytes && !ms_user_set_profile(&user, (struct ms_bytes){profile, profile_bytes})) {
        free(user);
        return ms_fail(error, MS_MEMORY, "no memory for a user of %zu bytes", value.size);
    }
    user->kept = kept;
    const char *end = decode_behaviors(&user, profile + profile_bytes, value.data + value.size, tail,
                                       sealed * MS_CHUNK);
    if (end != value.data + value.size) {
        free(user);
        return damaged(error, id, "its value is damaged (a behavior in the tail)");
    }
    user->slots = ms_get_u16(h + 2);
    user->slots_max = ms_get_u16(h + 4);
    user->version = ms_get_u64(h + 8);
    user->own_offset = (int64_t)ms_get_u64(h + 16);
    user->profile_offset = (int64_t)ms_get_u64(h + 24);
    user->fold_id = ms_get_u64(h + 32);
    user->last_time_ms = (int64_t)ms_get_u64(h + 40);
    user->sealed_time_ms = (int64_t)ms_get_u64(h + 48);
    user->folded = ms_get_u64(h + 56);
    user->sums_time_ms = (int64_t)ms_get_u64(h + 64);
    user->first_chunk = user->stored_first_chunk = first;
    user->sealed = sealed;
    user->next_arrival = sealed * MS_CHUNK + tail;
    user->ordered = h[1] & FLAG_ORDERED;
    user->complete = first == sealed;
    user->stored = true;
    *out = user;
    return MS_OK;
}

static enum ms_status decode_chunk(struct ms_user **user, struct ms_bytes value, uint32_t number,
                                   struct ms_error *error)
{
    enum ms_status status = check_version(ms_user_id(*user), value, error);
    if (status != MS_OK)
        return status;
    const char *end = value.data + value.size;
    if (value.size < 2 || value.data[1] != MS_CHUNK ||
        decode_behaviors(user, value.data + 2, end, MS_CHUNK, number * MS_CHUNK) != end)
        return damaged(error, ms_user_id(*user), "a chunk of its history is damaged");
    return MS_OK;
}

enum ms_status ms_user_decode_chunks(struct ms_user **user, const struct ms_bytes *values, size_t count,
                                     struct ms_error *error)
{
    uint32_t next_arrival = (*user)->next_arrival, first = (*user)->first_chunk;
    int64_t sealed_time_ms = (*user)->sealed_time_ms;
    bool ordered = (*user)->ordered;
    enum ms_status status = MS_OK;
    assert(count == (*user)->sealed - first);
    for (size_t i = 0; i < count && status == MS_OK; i++)
        status = decode_chunk(user, values[i], first + (uint32_t)i, error);
    struct ms_user *u = *user;
    qsort(ms_user_behaviors(u), u->count, sizeof(struct ms_behavior), by_time);
    if (status == MS_OK && u->count < u->kept)
        status = damaged(error, ms_user_id(u), "its history is shorter than its head says");
    if (status != MS_OK) { /* only its tail again */
        u->ordered = false;
        ms_user_trim(u);
    }
    while (u->count > u->kept) {
        ms_user_drop_oldest(u);
        u->kept++;
    }
    u->next_arrival = next_arrival;
    u->sealed_time_ms = sealed_time_ms;
    u->ordered = ordered;
    u->complete = status == MS_OK;
    return status;
}

void ms_user_resolve(struct ms_user *user, const struct ms_model *model)
{
    struct ms_behavior *b = ms_user_behaviors(user);
    user->routable = 0;
    for (uint32_t i = 0; i < user->count; i++) {
        struct ms_bytes item = ms_behavior_item(user, &b[i]);
        b[i].row = ms_model_find(model, item.data, item.size);
        user->routable += b[i].row != MS_NO_ITEM;
    }
}
