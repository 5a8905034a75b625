/* Stored bytes: what is refused and how, extremes, and that a refusal leaves the user as it was. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/model.h"
#include "user/codec.h"

static const struct ms_bytes user_id = {"someone", 7};
static const struct ms_bytes no_bytes = {"", 0};

static void add(struct ms_user **user, int64_t time_ms, struct ms_bytes item, struct ms_bytes type)
{
    assert_true(ms_user_make_room(user, (uint32_t)(item.size + type.size), 100000, 0));
    ms_user_insert(*user, time_ms, MS_NO_ITEM, item, type);
}

/* A user of |count| behaviors, item-0 and so on, one a second. */
static struct ms_user *someone(uint32_t count, uint32_t floats)
{
    struct ms_user *user = ms_user_new(3, user_id, floats);
    assert_non_null(user);
    for (uint32_t i = 0; i < count; i++) {
        char item[32];
        int n = snprintf(item, sizeof item, "item-%u", i);
        add(&user, 1000 * (int64_t)i, (struct ms_bytes){item, (size_t)n}, (struct ms_bytes){"click", 5});
    }
    for (uint32_t i = 0; i < floats; i++)
        ms_user_sums(user)[i] = (float)i * 0.5f;
    user->version = count;
    user->own_offset = 77;
    user->last_time_ms = count ? 1000 * (int64_t)(count - 1) : INT64_MIN;
    return user;
}

struct stored {
    struct ms_buffer head, chunks[40];
    struct ms_bytes values[40];
    uint32_t count;
};

static void store(struct ms_user *user, struct stored *stored)
{
    *stored = (struct stored){0};
    ms_user_settle(user);
    assert_true(ms_user_encode_head(user, &stored->head));
    stored->count = ms_user_sealable(user);
    for (uint32_t i = 0; i < stored->count; i++) {
        assert_true(ms_user_encode_chunk(user, i, &stored->chunks[i]));
        stored->values[i] = (struct ms_bytes){stored->chunks[i].data, stored->chunks[i].size};
    }
    ms_user_stored(user);
}

static void stored_free(struct stored *stored)
{
    ms_buffer_free(&stored->head);
    for (uint32_t i = 0; i < stored->count; i++)
        ms_buffer_free(&stored->chunks[i]);
}

static struct ms_bytes head_of(const struct stored *stored)
{
    return (struct ms_bytes){stored->head.data, stored->head.size};
}

static void same_behaviors(const struct ms_user *a, const struct ms_user *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct ms_behavior *x = ms_user_behaviors(a) + i, *y = ms_user_behaviors(b) + i;
        assert_true(x->time_ms == y->time_ms && x->item_bytes == y->item_bytes &&
                    x->type_bytes == y->type_bytes);
        assert_memory_equal(ms_user_text(a) + x->text, ms_user_text(b) + y->text,
                            (size_t)x->item_bytes + x->type_bytes);
    }
}

static void everything_comes_back(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 140; count += 7) {
        struct stored stored;
        struct ms_error error;
        struct ms_user *user = someone(count, 37), *back;
        user->version = UINT64_MAX - 1;
        user->fold_id = 0x1234567890abcdef;
        user->owed = count % 2 ? UINT64_MAX : count % 3;
        user->profile_offset = 99;
        user->sums_time_ms = -5;
        user->events_folded = UINT64_MAX;
        user->slots = 3;
        user->slots_max = 64;
        assert_true(ms_user_set_profile(&user, (struct ms_bytes){"{\"age\":7}", 9}));
        store(user, &stored);
        assert_int_equal(stored.count, count / MS_CHUNK);
        assert_int_equal(ms_user_decode_head(&back, 3, user_id, head_of(&stored), &error), MS_OK);
        assert_int_equal(back->complete, stored.count == 0);
        assert_true(back->stored && back->ordered && back->owed == user->owed);
        assert_true(ms_user_head_owed(head_of(&stored)) == user->owed);
        assert_int_equal(back->count, count % MS_CHUNK);
        if (!back->complete)
            assert_int_equal(ms_user_decode_chunks(&back, stored.values, stored.count, &error), MS_OK);
        assert_true(back->complete && back->version == user->version && back->fold_id == user->fold_id &&
                    back->own_offset == 77 && back->profile_offset == 99 && back->sums_time_ms == -5 &&
                    back->events_folded == UINT64_MAX && back->slots == 3 && back->slots_max == 64 &&
                    back->kept == count && back->last_time_ms == user->last_time_ms);
        assert_memory_equal(ms_user_sums(back), ms_user_sums(user), 37 * sizeof(float));
        assert_int_equal(ms_user_profile(back).size, 9);
        assert_memory_equal(ms_user_profile(back).data, "{\"age\":7}", 9);
        same_behaviors(user, back);
        free(back);
        free(user);
        stored_free(&stored);
    }
}

static void extremes_come_back(void **state)
{
    char *item = malloc(32768), type[255];
    struct stored stored;
    struct ms_error error;
    struct ms_user *user = ms_user_new(0, user_id, 0), *back;
    assert_non_null(user);
    (void)state;
    memset(item, 'i', 32768);
    memset(type, 't', sizeof type);
    item[5] = type[5] = '\0';
    for (int i = 0; i < 40; i++)
        add(&user, i % 2 ? INT64_MAX : INT64_MIN + i, (struct ms_bytes){item, i % 3 ? 32768 : 1},
            i % 4 ? (struct ms_bytes){type, 255} : no_bytes);
    store(user, &stored);
    assert_int_equal(ms_user_decode_head(&back, 0, user_id, head_of(&stored), &error), MS_OK);
    assert_int_equal(ms_user_decode_chunks(&back, stored.values, stored.count, &error), MS_OK);
    same_behaviors(user, back);
    free(back);
    free(user);
    free(item);
    stored_free(&stored);
}

/* A user that has sealed all chunk numbers but a few: its next ones, and its arrivals, begin again at 0. */
static void numbers_come_round(void **state)
{
    (void)state;
    for (uint32_t left = 1; left <= 4; left++) {
        struct stored stored;
        struct ms_error error = {0};
        struct ms_user *user = someone(70, 3), *back;
        user->sealed = user->first_chunk = user->stored_first_chunk = (1u << 27) - left;
        user->next_arrival += user->sealed * MS_CHUNK;
        for (uint32_t i = 0; i < user->count; i++)
            ms_user_behaviors(user)[i].arrival += user->sealed * MS_CHUNK;
        store(user, &stored);
        assert_int_equal(stored.count, 2);
        if (ms_user_decode_head(&back, 3, user_id, head_of(&stored), &error) != MS_OK)
            fail_msg("%s", error.text);
        assert_int_equal(back->sealed, ((1u << 27) - left + 2) % (1u << 27));
        assert_int_equal(ms_user_decode_chunks(&back, stored.values, stored.count, &error), MS_OK);
        same_behaviors(user, back);
        add(&back, 1000 * 70, (struct ms_bytes){"one more", 8}, no_bytes);
        add(&user, 1000 * 70, (struct ms_bytes){"one more", 8}, no_bytes);
        stored_free(&stored);
        store(back, &stored); /* its tail of six and one */
        assert_int_equal(stored.count, 0);
        same_behaviors(user, back);
        assert_int_equal(ms_user_tail_count(back), 7);
        free(back);
        free(user);
        stored_free(&stored);
    }
}

static void refused(const struct ms_buffer *value, size_t size, enum ms_status status, const char *text)
{
    struct ms_user *user = NULL;
    struct ms_error error = {0};
    char *exact = malloc(size + 1); /* so that reading past the end is seen */
    memcpy(exact, value->data, size);
    exact = realloc(exact, size ? size : 1);
    assert_int_equal(ms_user_decode_head(&user, 3, user_id, (struct ms_bytes){exact, size}, &error), status);
    assert_null(user);
    assert_non_null(strstr(error.text, "user \"someone\""));
    assert_non_null(strstr(error.text, text));
    free(exact);
}

/* The numbers of a head with flags for a sealed time and none for one of the sums, in their order. */
enum {
    VERSION,
    OWN,
    PROFILE_OWN,
    LAST_TIME,
    SEALED_TIME,
    SLOTS,
    SLOTS_MAX,
    FOLDED,
    KEPT,
    FIRST_CHUNK,
    CHUNKS,
    TAIL,
    FLOATS,
    PROFILE_BYTES
};

/* The head with number |which| replaced. */
static struct ms_buffer with_number(const struct ms_buffer *head, int which, uint64_t value)
{
    struct ms_buffer copy = {0};
    char number[MS_VARINT_MAX];
    const char *at = head->data + 10, *end = head->data + head->size;
    uint64_t old;
    for (int i = 0; i < which; i++)
        at += ms_get_varint(at, end, &old);
    assert_true(ms_buffer_append(&copy, head->data, (size_t)(at - head->data)));
    assert_true(ms_buffer_append(&copy, number, ms_put_varint(number, value)));
    at += ms_get_varint(at, end, &old);
    assert_true(ms_buffer_append(&copy, at, (size_t)(end - at)));
    return copy;
}

static void patched(const struct ms_buffer *head, int which, uint64_t value, const char *text)
{
    struct ms_buffer copy = with_number(head, which, value);
    refused(&copy, copy.size, MS_STATE, text);
    ms_buffer_free(&copy);
}

static void damaged_heads_are_refused(void **state)
{
    struct stored stored;
    struct ms_user *user = someone(70, 8), *back;
    struct ms_error error;
    (void)state;
    assert_true(ms_user_set_profile(&user, (struct ms_bytes){"{}", 2}));
    store(user, &stored);
    for (size_t size = 0; size < stored.head.size; size++)
        refused(&stored.head, size, MS_STATE, size < 10 ? "not a user's" : "damaged");
    patched(&stored.head, FLOATS, 9, "a behavior in the tail");
    patched(&stored.head, FLOATS, 1 << 20, "lengths do not add up");
    patched(&stored.head, FLOATS, UINT32_MAX, "a number in its head");
    patched(&stored.head, PROFILE_BYTES, UINT32_MAX, "lengths do not add up");
    patched(&stored.head, PROFILE_BYTES, UINT64_MAX, "a number in its head");
    patched(&stored.head, KEPT, 5, "more behaviors kept than stored");
    patched(&stored.head, KEPT, 200, "more behaviors kept than stored");
    patched(&stored.head, KEPT, UINT32_MAX, "a number in its head");
    patched(&stored.head, FIRST_CHUNK, UINT32_MAX, "a number in its head");
    patched(&stored.head, CHUNKS, 1, "more behaviors kept than stored");
    patched(&stored.head, CHUNKS, UINT32_MAX, "a number in its head");
    patched(&stored.head, SLOTS, 65536, "a number in its head");
    patched(&stored.head, TAIL, 5, "more behaviors kept than stored");
    patched(&stored.head, TAIL, 7, "a behavior in the tail");
    patched(&stored.head, TAIL, 32, "a number in its head");
    struct ms_buffer fewer = with_number(&stored.head, KEPT, 69);
    patched(&fewer, TAIL, 5, "a behavior in the tail");
    ms_buffer_free(&fewer);
    struct ms_buffer same = with_number(&stored.head, VERSION, 71);
    assert_int_equal(ms_user_decode_head(&back, 3, user_id, (struct ms_bytes){same.data, same.size}, &error),
                     MS_OK);
    assert_int_equal(back->version, 71);
    free(back);
    ms_buffer_free(&same);
    stored.head.data[1] |= 2;
    refused(&stored.head, stored.head.size, MS_STATE, "sums left out that cannot be");
    assert_int_equal(ms_user_head_owed((struct ms_bytes){stored.head.data, stored.head.size}), 0);
    stored.head.data[0] = MS_OWED_VERSION + 1;
    refused(&stored.head, stored.head.size, MS_STATE_NEWER, "layout version 4");
    stored.head.data[0] = (char)200;
    refused(&stored.head, stored.head.size, MS_STATE_NEWER, "layout version 200");
    stored.head.data[0] = MS_VALUE_VERSION - 1;
    refused(&stored.head, stored.head.size, MS_STATE, "old layout");
    stored.head.data[0] = 0;
    refused(&stored.head, stored.head.size, MS_STATE, "not a user's");
    free(user);
    stored_free(&stored);
}

/* Whatever byte of a chunk is wrong: refused, or other behaviors, and never a user that is half one and half
 * the other. */
static void damaged_chunks_leave_the_user(void **state)
{
    struct stored stored;
    struct ms_error error = {0};
    struct ms_user *user = someone(100, 4), *back;
    (void)state;
    store(user, &stored);
    assert_int_equal(stored.count, 3);
    assert_int_equal(ms_user_decode_head(&back, 3, user_id, head_of(&stored), &error), MS_OK);
    add(&back, 200000, (struct ms_bytes){"new", 3}, no_bytes);
    struct ms_user *before = ms_user_copy(back);
    assert_non_null(before);
    uint32_t refusals = 0;
    for (uint32_t c = 0; c < 3; c++) {
        size_t whole = stored.values[c].size;
        for (size_t size = 0; size < whole; size += 3) {
            char *cut = malloc(size ? size : 1);
            memcpy(cut, stored.chunks[c].data, size);
            stored.values[c] = (struct ms_bytes){cut, size};
            assert_int_equal(ms_user_decode_chunks(&back, stored.values, 3, &error), MS_STATE);
            assert_non_null(strstr(error.text, "user \"someone\""));
            assert_false(back->complete);
            assert_true(back->kept == before->kept && back->ordered == before->ordered &&
                        back->next_arrival == before->next_arrival &&
                        back->sealed_time_ms == before->sealed_time_ms);
            same_behaviors(before, back);
            free(cut);
            refusals++;
        }
        stored.values[c] = (struct ms_bytes){stored.chunks[c].data, whole};
    }
    assert_true(refusals > 300);
    stored.chunks[1].data[1] = 31;
    assert_int_equal(ms_user_decode_chunks(&back, stored.values, 3, &error), MS_STATE);
    stored.chunks[1].data[1] = MS_CHUNK;
    stored.chunks[1].data[0] = MS_VALUE_VERSION + 1;
    assert_int_equal(ms_user_decode_chunks(&back, stored.values, 3, &error), MS_STATE_NEWER);
    stored.chunks[1].data[0] = MS_VALUE_VERSION;
    assert_int_equal(ms_user_decode_chunks(&back, stored.values, 3, &error), MS_OK);
    assert_true(back->complete && back->count == 101);
    add(&user, 200000, (struct ms_bytes){"new", 3}, no_bytes);
    same_behaviors(user, back);
    free(before);
    free(back);
    free(user);
    stored_free(&stored);
}

static void a_block_has_an_end(void **state)
{
    struct ms_user *user = someone(1, 0);
    (void)state;
    uint32_t bytes = user->block_bytes;
    assert_false(ms_user_make_room(&user, UINT32_C(3000000000), 100000, 0));
    assert_int_equal(user->block_bytes, bytes);
    assert_int_equal(user->count, 1);
    free(user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(extremes_come_back),
        cmocka_unit_test(numbers_come_round),
        cmocka_unit_test(damaged_heads_are_refused),
        cmocka_unit_test(damaged_chunks_leave_the_user),
        cmocka_unit_test(a_block_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
