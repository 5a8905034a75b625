/* Encoding a flush without a database: which rows come out, in which order, with which bytes. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "state/flush.h"
#include "user/codec.h"

#define MOST 4000

/* A row that came out. */
struct row {
    struct ms_buffer key, value;
    bool removed;
};

/* Keeps all rows; fails at row |fail_at|. */
struct recorder {
    struct row rows[MOST];
    size_t count, fail_at;
};

static enum ms_status record(struct recorder *recorder, struct ms_bytes key, struct ms_bytes value,
                             bool removed, struct ms_error *error)
{
    if (recorder->count == recorder->fail_at)
        return ms_fail(error, MS_IO, "the disk is full");
    assert_true(recorder->count < MOST);
    struct row *row = &recorder->rows[recorder->count++];
    row->key.size = row->value.size = 0;
    row->removed = removed;
    assert_true(ms_buffer_append(&row->key, key.data, key.size));
    assert_true(ms_buffer_append(&row->value, value.data, value.size));
    return MS_OK;
}

static enum ms_status put(void *context, struct ms_bytes key, struct ms_bytes value, struct ms_error *error)
{
    return record(context, key, value, false, error);
}

static enum ms_status take_away(void *context, struct ms_bytes key, struct ms_error *error)
{
    return record(context, key, (struct ms_bytes){"", 0}, true, error);
}

struct world {
    struct life_model model;
    struct ms_fold_context fold_context;
    struct ms_flush flush;
    struct recorder *recorder;
};

static void world_open(struct world *w, bool incremental, uint32_t behaviors_max)
{
    *w = (struct world){.recorder = calloc(1, sizeof *w->recorder)};
    assert_non_null(w->recorder);
    w->recorder->fail_at = SIZE_MAX;
    life_model_open(&w->model, 1, 4, 8);
    life_folder(&w->fold_context, &w->model, incremental, behaviors_max);
}

static void world_close(struct world *w)
{
    for (size_t i = 0; i < MOST; i++) {
        ms_buffer_free(&w->recorder->rows[i].key);
        ms_buffer_free(&w->recorder->rows[i].value);
    }
    free(w->recorder);
    ms_flush_free(&w->flush);
    ms_fold_context_free(&w->fold_context);
    life_model_close(&w->model);
}

static enum ms_status encode(struct world *w, const struct ms_flush_row *rows, size_t rows_count,
                             struct ms_user *const *users, size_t users_count, struct ms_error *error)
{
    const struct ms_row_writer writer = {w->recorder, put, take_away};
    w->recorder->count = 0;
    return ms_flush_encode(&w->flush, &w->fold_context, rows, rows_count, users, users_count, &writer, error);
}

/* Encodes users of one partition. */
static void encode_all(struct world *w, uint16_t partition, struct ms_user *const *users, size_t count)
{
    const struct ms_flush_row row = {.partition = partition, .row = MS_EMPTY_ROW};
    struct ms_error error;
    assert_int_equal(encode(w, &row, 1, users, count, &error), MS_OK);
}

static void assert_key(const struct row *row, bool removed, const char *bytes, size_t size)
{
    assert_int_equal(row->removed, removed);
    assert_int_equal(row->key.size, size);
    assert_memory_equal(row->key.data, bytes, size);
}

static struct ms_user *new_user(const struct world *w, uint16_t partition, const char *id)
{
    struct ms_user *user = ms_user_new(partition, (struct ms_bytes){id, strlen(id)},
                                       w->fold_context.first_floats);
    assert_non_null(user);
    return user;
}

/* |count| clicks on known items, one a second from |first_s| on. */
static void click(struct world *w, struct ms_user **user, int64_t first_s, int count)
{
    for (int i = 0; i < count; i++) {
        struct ms_event event = {.item = {"item-1", 6}, .type = {"t", 1}, .time_ms = 1000 * (first_s + i)};
        assert_int_equal(ms_fold(&w->fold_context, user, &event, 1), MS_FOLDED);
        (*user)->own_offset = first_s + i + 1;
    }
}

static void the_bytes_of_a_small_user(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, false, 100);
    struct ms_user *user = new_user(&w, 0x0102, "ab");
    click(&w, &user, 1, 2);
    user->fold_id = 0x0807060504030201;
    encode_all(&w, 0x0102, &user, 1);
    assert_int_equal(w.recorder->count, 2);
    assert_key(&w.recorder->rows[0], false, "\1\2", 2);
    assert_int_equal(w.recorder->rows[0].value.size, MS_PARTITION_ROW_BYTES);
    assert_key(&w.recorder->rows[1], false, "\1\2ab", 4);
    /* clang-format off */
    static const char value[] = {
        2, 1,                   /* layout; ordered */
        1, 2, 3, 4, 5, 6, 7, 8, /* fold id */
        2, 4, 0,                /* version; own offset + 1; no profile offset */
        (char)0xa0, 0x1f,       /* greatest event time 2000, zigzag */
        1, 1,                   /* slots, slots_max */
        0, 2, 0, 0, 2, 0, 0,    /* folded, kept, first chunk, chunks, tail, floats, profile bytes */
        (char)0xcf, 0x0f,       /* 1000 - 2000 */
        6, 'i', 't', 'e', 'm', '-', '1', 2, 't',
        (char)0xd0, 0x0f,       /* 2000 - 1000 */
        6, 'i', 't', 'e', 'm', '-', '1', 0, /* the type as before */
    };
    /* clang-format on */
    const struct ms_buffer *found = &w.recorder->rows[1].value;
    assert_int_equal(user->slots, value[15]);
    assert_int_equal(found->size, sizeof value);
    assert_memory_equal(found->data, value, sizeof value);
    assert_true(user->stored);
    free(user);
    world_close(&w);
}

/* Partition rows come before their users, also those of partitions without users; chunks come after all. */
static void rows_come_in_key_order(void **state)
{
    struct world w;
    struct ms_error error;
    (void)state;
    world_open(&w, true, 1000);
    struct ms_user *users[] = {new_user(&w, 2, "a"), new_user(&w, 2, "ab"), new_user(&w, 7, "a")};
    click(&w, &users[0], 1, 70);
    click(&w, &users[1], 1, 3);
    click(&w, &users[2], 1, 32);
    const struct ms_flush_row rows[] = {
        {.partition = 1}, {.partition = 2}, {.partition = 7}, {.partition = 9}};
    assert_int_equal(encode(&w, rows, 4, users, 3, &error), MS_OK);
    const struct row *row = w.recorder->rows;
    assert_int_equal(w.recorder->count, 10);
    assert_key(&row[0], false, "\0\1", 2);
    assert_key(&row[1], false, "\0\2", 2);
    assert_key(&row[2], false, "\0\2a", 3);
    assert_key(&row[3], false, "\0\2ab", 4);
    assert_key(&row[4], false, "\0\7", 2);
    assert_key(&row[5], false, "\0\7a", 3);
    assert_key(&row[6], false, "\0\11", 2);
    assert_key(&row[7], false, "\x80\2a\0\0\0\0", 7);
    assert_key(&row[8], false, "\x80\2a\0\0\0\1", 7);
    assert_key(&row[9], false, "\x80\7a\0\0\0\0", 7);
    assert_int_equal(users[0]->count, 70 - 64); /* only the tail stays in memory */
    assert_int_equal(users[0]->sealed, 2);
    assert_int_equal(users[1]->count, 3);
    assert_true(users[0]->stored && users[1]->stored && users[2]->stored);
    for (int i = 0; i < 3; i++)
        free(users[i]);
    world_close(&w);
}

/* The ids "a" and "a\0\0\0\1" have chunk keys of which one is a prefix of the other. */
static void chunk_keys_are_sorted_by_their_bytes(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true, 1000);
    struct ms_user *users[] = {
        new_user(&w, 2, "a"), ms_user_new(2, (struct ms_bytes){"a\0\0\0\0", 5}, w.fold_context.first_floats)};
    assert_non_null(users[1]);
    click(&w, &users[0], 1, 64);
    click(&w, &users[1], 1, 64);
    encode_all(&w, 2, users, 2);
    assert_int_equal(w.recorder->count, 7);
    assert_key(&w.recorder->rows[3], false, "\x80\2a\0\0\0\0", 7);
    assert_key(&w.recorder->rows[4], false, "\x80\2a\0\0\0\0\0\0\0\0", 11);
    assert_key(&w.recorder->rows[5], false, "\x80\2a\0\0\0\0\0\0\0\1", 11);
    assert_key(&w.recorder->rows[6], false, "\x80\2a\0\0\0\1", 7);
    free(users[0]);
    free(users[1]);
    world_close(&w);
}

static void a_forgotten_user_leaves_deletes(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true, 1000);
    struct ms_user *user = new_user(&w, 1, "a");
    click(&w, &user, 1, 70);
    encode_all(&w, 1, &user, 1);
    ms_user_clear(user);
    encode_all(&w, 1, &user, 1);
    assert_int_equal(w.recorder->count, 4);
    assert_key(&w.recorder->rows[1], true, "\0\1a", 3);
    assert_key(&w.recorder->rows[2], true, "\x80\1a\0\0\0\0", 7);
    assert_key(&w.recorder->rows[3], true, "\x80\1a\0\0\0\1", 7);
    assert_false(user->stored);
    encode_all(&w, 1, &user, 1); /* nothing is left to delete */
    assert_int_equal(w.recorder->count, 1);
    free(user);
    world_close(&w);
}

/* With room for 40 behaviors, the first chunk of 32 is dead once 72 have come. */
static void a_chunk_that_slid_out_is_deleted(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, false, 40);
    struct ms_user *user = new_user(&w, 1, "a");
    click(&w, &user, 1, 40);
    encode_all(&w, 1, &user, 1);
    assert_int_equal(w.recorder->count, 3);
    assert_key(&w.recorder->rows[2], false, "\x80\1a\0\0\0\0", 7);
    click(&w, &user, 41, 31);
    encode_all(&w, 1, &user, 1);
    assert_int_equal(w.recorder->count, 3);
    assert_key(&w.recorder->rows[2], false, "\x80\1a\0\0\0\1", 7);
    click(&w, &user, 72, 1);
    encode_all(&w, 1, &user, 1);
    assert_int_equal(w.recorder->count, 3);
    assert_key(&w.recorder->rows[1], false, "\0\1a", 3);
    assert_key(&w.recorder->rows[2], true, "\x80\1a\0\0\0\0", 7);
    free(user);
    world_close(&w);
}

/* A profile alone is worth a row. */
static void a_user_with_only_a_profile_is_stored(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true, 40);
    struct ms_user *user = new_user(&w, 1, "a");
    assert_true(ms_user_set_profile(&user, (struct ms_bytes){"{}", 2}));
    encode_all(&w, 1, &user, 1);
    assert_int_equal(w.recorder->count, 2);
    assert_key(&w.recorder->rows[1], false, "\0\1a", 3);
    assert_true(user->stored);
    free(user);
    world_close(&w);
}

/* Whichever row cannot be written, its status comes out and nothing is written after it. */
static void the_writers_failure_ends_it(void **state)
{
    (void)state;
    for (size_t fail_at = 0; fail_at < 8; fail_at++) {
        struct world w;
        struct ms_error error;
        world_open(&w, true, 1000);
        struct ms_user *users[] = {new_user(&w, 2, "a"), new_user(&w, 5, "b"), new_user(&w, 5, "c")};
        for (int i = 0; i < 3; i++)
            click(&w, &users[i], 1, i == 1 ? 32 : 1);
        const struct ms_flush_row rows[] = {{.partition = 1}, {.partition = 2}, {.partition = 5}};
        w.recorder->fail_at = fail_at;
        assert_int_equal(encode(&w, rows, 3, users, 3, &error), fail_at < 7 ? MS_IO : MS_OK);
        assert_int_equal(w.recorder->count, fail_at < 7 ? fail_at : 7);
        for (int i = 0; i < 3; i++)
            free(users[i]);
        world_close(&w);
    }
}

/* Late events that pin old chunks of an incomplete user: only then its history is needed. */
static void scattered_users_need_their_history(void **state)
{
    struct ms_user user = {.sealed = 13, .first_chunk = 0, .kept = 70};
    (void)state;
    assert_true(ms_flush_needs_history(&user)); /* 13 chunks for 70 behaviors: more than 2 * 2 + 8 */
    user.sealed = 12;
    assert_false(ms_flush_needs_history(&user));
    user.sealed = 13;
    user.ordered = true;
    assert_false(ms_flush_needs_history(&user));
    user.ordered = false;
    user.complete = true;
    assert_false(ms_flush_needs_history(&user));
}

/* What many disorderly lives leave behind, decoded from the rows alone, equals their doubles. */
static void rows_bring_every_user_back(void **state)
{
    enum { USERS = 40 };
    struct world w;
    struct ms_user *users[USERS];
    struct naive_user doubles[USERS] = {0};
    char ids[USERS][8];
    (void)state;
    world_open(&w, true, 200);
    for (uint32_t i = 0; i < USERS; i++) {
        struct life_source source;
        snprintf(ids[i], sizeof ids[i], "u%03u", i);
        users[i] = new_user(&w, 3, ids[i]);
        life_source_start(&source, i);
        for (uint32_t n = 0; n < 10 * i; n++) {
            struct ms_event event = life_next(&source);
            uint32_t item = ms_model_find(w.model.model, event.item.data, event.item.size);
            bool folded = ms_fold(&w.fold_context, &users[i], &event, item) == MS_FOLDED;
            assert_int_equal(naive_fold(&doubles[i], &w.fold_context, &event, item), folded);
        }
    }
    encode_all(&w, 3, users, USERS);
    const struct row *chunk = w.recorder->rows;
    while (chunk->key.data[0] != (char)0x80)
        chunk++;
    struct ms_error error;
    for (uint32_t i = 1; i < USERS; i++) { /* user 0 has no row */
        struct row *head = &w.recorder->rows[i];
        struct ms_bytes value = {head->value.data, head->value.size}, chunks[64];
        struct ms_user *user;
        assert_int_equal(ms_user_decode_head(&user, 3, (struct ms_bytes){ids[i], 4}, value, &error), MS_OK);
        uint32_t count = user->sealed - user->first_chunk;
        for (uint32_t c = 0; c < count; c++, chunk++)
            chunks[c] = (struct ms_bytes){chunk->value.data, chunk->value.size};
        assert_int_equal(ms_user_decode_chunks(&user, chunks, count, &error), MS_OK);
        if (user->sums_left_out)
            assert_true(ms_refold(&w.fold_context, &user));
        naive_compare(&doubles[i], user, &w.fold_context, ids[i]);
        free(user);
    }
    assert_ptr_equal(chunk, w.recorder->rows + w.recorder->count);
    for (uint32_t i = 0; i < USERS; i++) {
        free(users[i]);
        naive_free(&doubles[i]);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_bytes_of_a_small_user),
                                       cmocka_unit_test(rows_come_in_key_order),
                                       cmocka_unit_test(chunk_keys_are_sorted_by_their_bytes),
                                       cmocka_unit_test(a_forgotten_user_leaves_deletes),
                                       cmocka_unit_test(a_chunk_that_slid_out_is_deleted),
                                       cmocka_unit_test(a_user_with_only_a_profile_is_stored),
                                       cmocka_unit_test(the_writers_failure_ends_it),
                                       cmocka_unit_test(scattered_users_need_their_history),
                                       cmocka_unit_test(rows_bring_every_user_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
