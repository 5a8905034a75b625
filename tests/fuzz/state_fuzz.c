/* The state codec. First byte even: the rest is a stored user, head and chunks, cut by lengths; whatever
 * decodes must encode again to the same user. Odd: the rest is a life (behaviors, drops, flushes, reloads)
 * whose stored form must decode to the user it came from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/model.h"
#include "user/codec.h"

#define MAX_CHUNKS 64

static const struct ms_bytes user_id = {"fuzz", 4};

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->at++;
}

/* The next |size| bytes, fewer at the end, in a block of their own so that reading beyond is seen. */
static struct ms_bytes take_bytes(struct input *in, size_t size)
{
    size = size < in->left ? size : in->left;
    char *copy = malloc(size ? size : 1);
    check(copy != NULL, "no memory");
    memcpy(copy, in->at, size);
    in->at += size;
    in->left -= size;
    return (struct ms_bytes){copy, size};
}

static void same(const struct ms_user *a, const struct ms_user *b)
{
    check(a->version == b->version && a->kept == b->kept && a->own_offset == b->own_offset &&
              a->fold_id == b->fold_id && a->events_folded == b->events_folded && a->slots == b->slots &&
              a->slots_max == b->slots_max && a->last_time_ms == b->last_time_ms,
          "counters");
    check(a->floats == b->floats && memcmp(ms_user_sums(a), ms_user_sums(b), a->floats * sizeof(float)) == 0,
          "sums");
    check(a->profile_bytes == b->profile_bytes &&
              memcmp(ms_user_profile_bytes(a), ms_user_profile_bytes(b), a->profile_bytes) == 0,
          "profile");
    check(a->complete == b->complete && a->count == b->count, "behaviors");
    for (uint32_t i = 0; i < a->count; i++) {
        const struct ms_behavior *x = ms_user_behaviors(a) + i, *y = ms_user_behaviors(b) + i;
        check(x->time_ms == y->time_ms && x->item_bytes == y->item_bytes && x->type_bytes == y->type_bytes &&
                  memcmp(ms_user_text(a) + x->text, ms_user_text(b) + y->text,
                         (size_t)x->item_bytes + x->type_bytes) == 0,
              "a behavior");
    }
}

/* ---- stored bytes ---- */

static void stored_bytes(struct input *in)
{
    struct ms_user *user, *back;
    struct ms_error error;
    struct ms_bytes chunks[MAX_CHUNKS];
    size_t head_bytes = (size_t)take(in) | (size_t)take(in) << 8;
    struct ms_bytes head = take_bytes(in, head_bytes);
    if (ms_user_decode_head(&user, 1, user_id, head, &error) == MS_OK) {
        size_t count = ms_user_live_chunks(user);
        if (count && count <= MAX_CHUNKS) {
            for (size_t i = 0; i < count; i++)
                chunks[i] = take_bytes(in, (size_t)take(in) * 4);
            uint32_t kept = user->kept, tail = user->count;
            if (ms_user_decode_chunks(&user, chunks, count, &error) == MS_OK)
                check(user->complete && user->count == kept, "whole, but not whole");
            else
                check(!user->complete && user->count == tail && user->kept == kept, "not as it was");
            for (size_t i = 0; i < count; i++)
                free((void *)(uintptr_t)chunks[i].data);
        }
        if (user->complete) { /* what was decoded, sealed anew, comes back */
            struct ms_buffer out = {0}, chunk[MAX_CHUNKS + 1] = {{0}};
            ms_user_reseal(user);
            ms_user_settle(user);
            uint32_t sealable = ms_user_sealable(user);
            check(sealable <= MAX_CHUNKS + 1 && ms_user_encode_head(user, &out), "encode");
            for (uint32_t i = 0; i < sealable; i++) {
                check(ms_user_encode_chunk(user, i, &chunk[i]), "encode a chunk");
                chunks[i % MAX_CHUNKS] = (struct ms_bytes){chunk[i].data, chunk[i].size};
            }
            check(ms_user_decode_head(&back, 1, user_id, (struct ms_bytes){out.data, out.size}, &error) ==
                      MS_OK,
                  error.text);
            if (sealable && sealable <= MAX_CHUNKS)
                check(ms_user_decode_chunks(&back, chunks, sealable, &error) == MS_OK, error.text);
            if (sealable <= MAX_CHUNKS)
                same(user, back);
            free(back);
            ms_buffer_free(&out);
            for (uint32_t i = 0; i <= MAX_CHUNKS; i++)
                ms_buffer_free(&chunk[i]);
        }
        free(user);
    }
    free((void *)(uintptr_t)head.data);
}

/* ---- a life ---- */

struct rows {
    struct ms_buffer head, chunks[256];
};

static void whole(struct ms_user **user, const struct rows *rows)
{
    struct ms_bytes values[256];
    struct ms_error error;
    uint32_t first = (*user)->first_chunk, count = ms_user_live_chunks(*user);
    if ((*user)->complete)
        return;
    for (uint32_t i = 0; i < count; i++)
        values[i] = (struct ms_bytes){rows->chunks[first + i].data, rows->chunks[first + i].size};
    ms_user_trim(*user);
    check(ms_user_decode_chunks(user, values, count, &error) == MS_OK, error.text);
}

static bool flush(struct ms_user *user, struct rows *rows)
{
    ms_user_settle(user);
    uint32_t sealable = ms_user_sealable(user);
    if (user->sealed + sealable > 256)
        return false;
    for (uint32_t i = 0; i < sealable; i++)
        check(ms_user_encode_chunk(user, i, &rows->chunks[user->sealed + i]), "encode a chunk");
    rows->head.size = 0;
    check(ms_user_encode_head(user, &rows->head), "encode");
    ms_user_stored(user);
    return true;
}

static void add(struct ms_user **user, struct input *in, uint32_t max)
{
    static const char text[600] = "item";
    uint64_t magnitude = (uint64_t)take(in) << (take(in) % 57);
    int64_t time_ms = (int64_t)(take(in) % 16 ? magnitude : 0 - magnitude);
    if ((*user)->version && take(in) % 4)
        time_ms = (int64_t)((uint64_t)(*user)->last_time_ms + take(in) % 8);
    struct ms_bytes item = {text, take(in) * (size_t)(1 + take(in) % 2)}, type = {text, take(in) % 3 * 100u};
    if (!(*user)->complete && time_ms <= (*user)->sealed_time_ms)
        return;
    check(ms_user_make_room(user, (uint32_t)(item.size + type.size), max, 0), "no memory");
    ms_user_insert(*user, time_ms, MS_NO_ITEM, item, type);
    (*user)->version++;
    (*user)->last_time_ms = time_ms;
    if ((*user)->complete && (*user)->count > max)
        ms_user_drop_oldest(*user);
}

static void life(struct input *in)
{
    struct rows *rows = calloc(1, sizeof *rows);
    struct ms_error error;
    uint32_t max = 1 + take(in) + (take(in) & 3u) * 100, floats = take(in) % 40;
    struct ms_user *user = ms_user_new(1, user_id, floats), *back;
    check(rows && user, "no memory");
    while (in->left) {
        uint8_t action = take(in);
        for (uint32_t i = 0; i < (action & 31u); i++)
            add(&user, in, max);
        if (floats)
            ms_user_sums(user)[action % floats] += 1;
        if (action & 128) {
            uint8_t bytes = take(in);
            check(ms_user_set_profile(&user, (struct ms_bytes){(const char *)rows->chunks, bytes}), "memory");
        }
        if (action & 32) {
            whole(&user, rows);
            if (!flush(user, rows))
                break;
            check(ms_user_decode_head(&back, 1, user_id, (struct ms_bytes){rows->head.data, rows->head.size},
                                      &error) == MS_OK,
                  error.text);
            whole(&back, rows);
            same(user, back);
            free(user);
            user = back;
            if (action & 64 && user->ordered)
                ms_user_trim(user);
            if (user->complete && action % 16 == 1)
                ms_user_clear(user);
        }
    }
    free(user);
    ms_buffer_free(&rows->head);
    for (int i = 0; i < 256; i++)
        ms_buffer_free(&rows->chunks[i]);
    free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    if (take(&in) & 1)
        life(&in);
    else
        stored_bytes(&in);
    return 0;
}
