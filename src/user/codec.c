/* Stored bytes of a user. Fixed numbers little-endian, all others varints (LEB128; signed ones zigzag).
 *
 * Head row, key = partition (u16 big-endian) + user id:
 *
 *   1 byte   version of the layout: 2, of a user that is owed a record 3
 *   1 byte   flags: 1 = arrival order is time order for all that is stored
 *                   2 = the sums are left out: the fold of the tail, in order of arrival, gives them
 *                   4 = there is a greatest event time in the sums
 *                   8 = there is a greatest event time in a sealed chunk
 *   8 bytes  fold id
 *   varint   number of the debt that owes the user a record (with version 3)
 *   varint   version of the user: accepted events
 *   varint   own offset in the input topic, plus 1
 *   varint   own offset in the profile topic, plus 1
 *   signed   greatest event time, ms
 *   signed   the same less the greatest event time in the sums (with flag 4)
 *   signed   the same less the greatest event time in a sealed chunk (with flag 8)
 *   varint   slots: interests after the last event
 *   varint   slots_max: most interests there ever were
 *   varint   routable events folded into the sums
 *   varint   behaviors kept
 *   varint   first live chunk; chunks are counted modulo 2^27
 *   varint   live chunks (those after them are in the tail)
 *   varint   behaviors in the tail
 *   varint   floats of the sums, n
 *   varint   bytes of the profile, p
 *   4 n      the sums, float32
 *   p        the profile, JSON as it came
 *   the rest the tail: behaviors, the first one's time less the greatest event time
 *
 * A user of few events is stored without its sums. Folding the events again costs less than writing, compacting
 * and reading the sums.
 *
 * Chunk row, key = (partition | 0x8000) (u16 big-endian) + user id + number (u32 big-endian):
 *
 *   1 byte   version of the layout: 2
 *   1 byte   behaviors in it: 32
 *   the rest behaviors
 *
 * Behaviors, in order of arrival, each: signed time less the time before (a chunk's first: less 0);
 * varint of the item's bytes; the item; 0 when the type is that of the behavior before, else varint of the
 * type's bytes + 1 and the type. */
#include "user/codec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/model.h"

#define FLAG_ORDERED       1
#define FLAG_SUMS_LEFT_OUT 2
#define FLAG_SUMS_TIME     4
#define FLAG_SEALED_TIME   8
#define FIXED_BYTES        10 /* of a head, before its varints */
#define HEAD_NUMBERS       16 /* varints of a head, at most */
#define MAX_FLOATS         (1u << 20)
#define MAX_KEPT           (1u << 20)
#define FEW_EVENTS         12 /* a user of no more is stored without its sums */

static_assert(MS_CHUNK <= 255, "a chunk's count is one byte");

/* The first behavior's time is written less |time_ms|. */
static bool encode_behaviors(const struct ms_user *user, const struct ms_behavior *const *list,
                             uint32_t count, int64_t time_ms, struct ms_buffer *out)
{
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

bool ms_user_encode_chunk(const struct ms_user *user, uint32_t index, struct ms_buffer *out)
{
    const struct ms_behavior *list[MS_CHUNK];
    char head[2] = {MS_VALUE_VERSION, MS_CHUNK};
    ms_user_tail_pick(user, (user->sealed + index) * MS_CHUNK, MS_CHUNK, list);
    return ms_buffer_append(out, head, sizeof head) && encode_behaviors(user, list, MS_CHUNK, 0, out);
}

/* Whether the tail alone gives the sums again. |user| is settled. */
static bool leaves_sums_out(const struct ms_user *user)
{
    return user->sums_left_out ||
           (user->sums_of_kept && user->ordered && user->complete && user->kept <= FEW_EVENTS &&
            user->first_chunk == user->sealed && user->floats > 0);
}

static char *put_number(char *at, uint64_t number)
{
    return at + ms_put_varint(at, number);
}

/* |time_ms| less |from_ms|; the difference may wrap. */
static char *put_time(char *at, int64_t time_ms, int64_t from_ms)
{
    return put_number(at, ms_zigzag((int64_t)((uint64_t)time_ms - (uint64_t)from_ms)));
}

bool ms_user_encode_head(const struct ms_user *user, struct ms_buffer *out)
{
    const struct ms_behavior *list[MS_CHUNK];
    uint32_t sealed = user->sealed + ms_user_sealable(user);
    uint32_t tail = ms_user_tail_count(user) % MS_CHUNK;
    int64_t sealed_time_ms = ms_user_sealed_time_after(user);
    bool without = leaves_sums_out(user);
    uint32_t floats = without ? 0 : user->floats;
    if (!ms_buffer_reserve(out, FIXED_BYTES + HEAD_NUMBERS * MS_VARINT_MAX + floats * sizeof(float) +
                                    user->profile_bytes))
        return false;
    char *at = out->data + out->size;
    *at++ = user->owed ? MS_OWED_VERSION : MS_VALUE_VERSION;
    *at++ = (char)((user->ordered ? FLAG_ORDERED : 0) | (without ? FLAG_SUMS_LEFT_OUT : 0) |
                   (user->sums_time_ms != INT64_MIN ? FLAG_SUMS_TIME : 0) |
                   (sealed_time_ms != INT64_MIN ? FLAG_SEALED_TIME : 0));
    ms_put_u64(at, user->fold_id);
    at += 8;
    if (user->owed)
        at = put_number(at, user->owed);
    at = put_number(at, user->version);
    at = put_number(at, (uint64_t)user->own_offset + 1);
    at = put_number(at, (uint64_t)user->profile_offset + 1);
    at = put_time(at, user->last_time_ms, 0);
    if (user->sums_time_ms != INT64_MIN)
        at = put_time(at, user->last_time_ms, user->sums_time_ms);
    if (sealed_time_ms != INT64_MIN)
        at = put_time(at, user->last_time_ms, sealed_time_ms);
    at = put_number(at, user->slots);
    at = put_number(at, user->slots_max);
    at = put_number(at, user->events_folded);
    at = put_number(at, user->kept);
    at = put_number(at, user->first_chunk);
    at = put_number(at, ms_chunk_number(sealed - user->first_chunk));
    at = put_number(at, tail);
    at = put_number(at, floats);
    at = put_number(at, user->profile_bytes);
    memcpy(at, ms_user_sums(user), floats * sizeof(float));
    at += floats * sizeof(float);
    memcpy(at, ms_user_profile_bytes(user), user->profile_bytes);
    out->size = (size_t)(at + user->profile_bytes - out->data);
    ms_user_tail_pick(user, sealed * MS_CHUNK, tail, list);
    return encode_behaviors(user, list, tail, user->last_time_ms, out);
}

/* Reads |count| behaviors from [at, end) and inserts them after those that the user has, arrival numbers from
 * |arrival|; the first one's time is less |time_ms|. */
static const char *decode_behaviors(struct ms_user **user, const char *at, const char *end, uint32_t count,
                                    uint32_t arrival, int64_t time_ms)
{
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
        if (!ms_user_make_room(user, (uint32_t)(item.size + type.size), (*user)->kept + MS_CHUNK, 0))
            return NULL;
        struct ms_user *u = *user;
        u->next_arrival = arrival + i;
        ms_user_insert(u, time_ms, MS_NO_ITEM, item, type);
        u->kept--; /* the head's number of kept behaviors counts it already */
    }
    return at;
}

static enum ms_status damaged(struct ms_error *error, struct ms_bytes id, const char *what)
{
    return ms_fail(error, MS_STATE, "user \"%.*s\": %s", (int)(id.size < 200 ? id.size : 200), id.data, what);
}

/* Of a head row or a chunk row, of version |most| at most. */
static enum ms_status check_version(struct ms_bytes id, struct ms_bytes value, int most,
                                    struct ms_error *error)
{
    int version = value.size ? (unsigned char)value.data[0] : 0;
    if (version > most)
        return ms_fail(error, MS_STATE_NEWER,
                       "user \"%.*s\": its value has layout version %d, this program knows %d",
                       (int)(id.size < 200 ? id.size : 200), id.data, version, most);
    if (version > 0 && version < MS_VALUE_VERSION)
        return damaged(error, id, "its value has an old layout that this program does not read");
    return version > 0 ? MS_OK : damaged(error, id, "its value is not a user's");
}

/* Reads numbers one after the other. |bad| is set when they end early or are too large. */
struct reader {
    const char *at, *end;
    bool bad;
};

static uint64_t get_number(struct reader *r)
{
    uint64_t number = 0;
    size_t n = ms_get_varint(r->at, r->end, &number);
    r->bad |= n == 0;
    r->at += n;
    return number;
}

static uint32_t get_up_to(struct reader *r, uint64_t most)
{
    uint64_t number = get_number(r);
    r->bad |= number > most;
    return (uint32_t)number;
}

static int64_t get_time(struct reader *r)
{
    return ms_unzigzag(get_number(r));
}

/* A time that was written as |from_ms| less it. */
static int64_t get_time_before(struct reader *r, int64_t from_ms)
{
    return (int64_t)((uint64_t)from_ms - (uint64_t)get_time(r));
}

struct head {
    struct ms_user user; /* its counters */
    uint32_t tail, floats, profile_bytes;
};

/* Reads the head's numbers. Returns NULL, or what is wrong with them. */
static const char *decode_numbers(struct reader *r, struct head *head)
{
    struct ms_user *user = &head->user;
    if (r->end - r->at < FIXED_BYTES)
        return "its value is not a user's";
    bool is_owed = r->at[0] == MS_OWED_VERSION;
    int flags = (unsigned char)r->at[1];
    *head = (struct head){.user = {.fold_id = ms_get_u64(r->at + 2),
                                   .ordered = flags & FLAG_ORDERED,
                                   .sums_left_out = flags & FLAG_SUMS_LEFT_OUT,
                                   .sums_time_ms = INT64_MIN,
                                   .sealed_time_ms = INT64_MIN}};
    r->at += FIXED_BYTES;
    user->owed = is_owed ? get_number(r) : 0;
    user->version = get_number(r);
    user->own_offset = (int64_t)(get_number(r) - 1);
    user->profile_offset = (int64_t)(get_number(r) - 1);
    user->last_time_ms = get_time(r);
    if (flags & FLAG_SUMS_TIME)
        user->sums_time_ms = get_time_before(r, user->last_time_ms);
    if (flags & FLAG_SEALED_TIME)
        user->sealed_time_ms = get_time_before(r, user->last_time_ms);
    user->slots = (uint16_t)get_up_to(r, UINT16_MAX);
    user->slots_max = (uint16_t)get_up_to(r, UINT16_MAX);
    user->events_folded = get_number(r);
    user->kept = get_up_to(r, MAX_KEPT);
    user->first_chunk = get_up_to(r, MS_CHUNK_NUMBERS - 1);
    user->sealed = ms_chunk_number(user->first_chunk + get_up_to(r, MAX_KEPT));
    head->tail = get_up_to(r, MS_CHUNK - 1);
    head->floats = get_up_to(r, MAX_FLOATS);
    head->profile_bytes = get_up_to(r, UINT32_MAX);
    if (r->bad)
        return "its value is damaged (a number in its head)";
    if (head->floats * sizeof(float) + head->profile_bytes > (size_t)(r->end - r->at))
        return "its value is damaged (lengths do not add up)";
    if (user->kept < head->tail || user->kept - head->tail > ms_user_live_chunks(user) * (uint64_t)MS_CHUNK)
        return "its value is damaged (more behaviors kept than stored)";
    if (user->sums_left_out && (head->floats || user->sealed != user->first_chunk))
        return "its value is damaged (sums left out that cannot be)";
    return NULL;
}

uint64_t ms_user_head_owed(struct ms_bytes value)
{
    if (value.size < FIXED_BYTES || value.data[0] != MS_OWED_VERSION)
        return 0;
    struct reader reader = {.at = value.data + FIXED_BYTES, .end = value.data + value.size};
    return get_number(&reader);
}

enum ms_status ms_user_decode_head(struct ms_user **out, uint16_t partition, struct ms_bytes id,
                                   struct ms_bytes value, struct ms_error *error)
{
    struct reader reader = {.at = value.data, .end = value.data + value.size};
    struct head head;
    enum ms_status status = check_version(id, value, MS_OWED_VERSION, error);
    if (status != MS_OK)
        return status;
    const char *wrong = decode_numbers(&reader, &head);
    if (wrong)
        return damaged(error, id, wrong);
    const struct ms_user *from = &head.user;
    struct ms_user *user = ms_user_new(partition, id, head.floats);
    if (!user)
        return ms_fail(error, MS_MEMORY, "no memory for a user of %zu bytes", value.size);
    memcpy(ms_user_sums(user), reader.at, head.floats * sizeof(float));
    struct ms_bytes profile = {reader.at + head.floats * sizeof(float), head.profile_bytes};
    if (profile.size && !ms_user_set_profile(&user, profile)) {
        free(user);
        return ms_fail(error, MS_MEMORY, "no memory for a user of %zu bytes", value.size);
    }
    user->kept = from->kept;
    const char *end = decode_behaviors(&user, profile.data + profile.size, reader.end, head.tail,
                                       from->sealed * MS_CHUNK, from->last_time_ms);
    if (end != reader.end) {
        free(user);
        return damaged(error, id, "its value is damaged (a behavior in the tail)");
    }
    user->slots = from->slots;
    user->slots_max = from->slots_max;
    user->version = from->version;
    user->owed = from->owed;
    user->own_offset = from->own_offset;
    user->profile_offset = from->profile_offset;
    user->fold_id = from->fold_id;
    user->last_time_ms = from->last_time_ms;
    user->sealed_time_ms = from->sealed_time_ms;
    user->events_folded = from->events_folded;
    user->sums_time_ms = from->sums_time_ms;
    user->first_chunk = user->stored_first_chunk = from->first_chunk;
    user->sealed = from->sealed;
    user->next_arrival = from->sealed * MS_CHUNK + head.tail;
    user->ordered = from->ordered;
    user->sums_left_out = from->sums_left_out;
    user->complete = from->first_chunk == from->sealed;
    user->stored = true;
    *out = user;
    return MS_OK;
}

static enum ms_status decode_chunk(struct ms_user **user, struct ms_bytes value, uint32_t number,
                                   struct ms_error *error)
{
    enum ms_status status = check_version(ms_user_id(*user), value, MS_VALUE_VERSION, error);
    if (status != MS_OK)
        return status;
    const char *end = value.data + value.size;
    if (value.size < 2 || value.data[1] != MS_CHUNK ||
        decode_behaviors(user, value.data + 2, end, MS_CHUNK, number * MS_CHUNK, 0) != end)
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
    assert(count == ms_user_live_chunks(*user));
    for (size_t i = 0; i < count && status == MS_OK; i++)
        status = decode_chunk(user, values[i], first + (uint32_t)i, error);
    struct ms_user *u = *user;
    ms_user_sort(u);
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
