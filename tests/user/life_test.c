/* Random lives of one user: folded, written to rows, dropped, read back whole or in part, forgotten, refolded
 * under other settings; at every step it equals a naive user that was never written. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/codec.h"
#include "user/lives.h"

#define MAX_ROWS 4096

/* What a database would hold of one user. */
struct rows {
    struct ms_buffer head;
    bool stored;
    struct ms_buffer chunks[MAX_ROWS]; /* by number modulo MAX_ROWS */
    uint32_t number[MAX_ROWS];
    bool live[MAX_ROWS];
    uint32_t live_count;
    uint64_t put_bytes;
};

static void rows_put(struct rows *rows, uint32_t number, const struct ms_buffer *value)
{
    uint32_t at = number % MAX_ROWS;
    assert_false(rows->live[at]); /* a chunk is written once */
    rows->chunks[at].size = 0;
    assert_true(ms_buffer_append(&rows->chunks[at], value->data, value->size));
    rows->number[at] = number;
    rows->live[at] = true;
    rows->live_count++;
    rows->put_bytes += value->size;
}

static void rows_delete(struct rows *rows, uint32_t number)
{
    uint32_t at = number % MAX_ROWS;
    assert_true(rows->live[at] && rows->number[at] == number);
    rows->live[at] = false;
    rows->live_count--;
}

static void rows_clear(struct rows *rows)
{
    for (uint32_t i = 0; i < MAX_ROWS; i++)
        rows->live[i] = false;
    rows->live_count = 0;
    rows->stored = false;
}

static void rows_free(struct rows *rows)
{
    ms_buffer_free(&rows->head);
    for (uint32_t i = 0; i < MAX_ROWS; i++)
        ms_buffer_free(&rows->chunks[i]);
    free(rows);
}

/* One user's life. */
struct life {
    struct life_model *model;
    struct ms_fold_context fold_context;
    struct ms_user *user;
    struct naive_user naive;
    struct rows *rows;
    struct life_source source;
    uint64_t random;
    bool dirty;
    uint32_t sealed_before; /* chunks that a new user has sealed already, and lost */
};

static const struct ms_bytes user_id = {"user\0one", 8};

static struct ms_user *new_user(const struct life *life)
{
    struct ms_user *user = ms_user_new(7, user_id, life->fold_context.first_floats);
    assert_non_null(user);
    user->sealed = user->first_chunk = user->stored_first_chunk = life->sealed_before;
    user->next_arrival = user->sealed * MS_CHUNK;
    return user;
}

/* Brings the chunks of |*user| into memory, as they stand in the rows. */
static void complete(struct life *life, struct ms_user **user)
{
    static struct ms_bytes values[MAX_ROWS];
    struct ms_error error;
    uint32_t count = 0;
    if ((*user)->complete)
        return;
    for (uint32_t c = (*user)->first_chunk; c != (*user)->sealed; c = ms_chunk_number(c + 1)) {
        uint32_t at = c % MAX_ROWS;
        assert_true(life->rows->live[at] && life->rows->number[at] == c);
        values[count++] = (struct ms_bytes){life->rows->chunks[at].data, life->rows->chunks[at].size};
    }
    ms_user_trim(*user);
    assert_int_equal(ms_user_decode_chunks(user, values, count, &error), MS_OK);
    if (!life->fold_context.incremental)
        ms_user_resolve(*user, life->fold_context.model);
}

/* Writes what a flush writes. With |fails| nothing arrives, as when the partition was lost. */
static void flush(struct life *life, bool fails)
{
    struct ms_user *user = life->user;
    struct rows *rows = life->rows;
    struct ms_buffer value = {0};
    if (!user->complete && ms_user_live_chunks(user) > 2 * (user->kept / MS_CHUNK) + 8) {
        complete(life, &life->user);
        user = life->user;
    }
    ms_user_settle(user);
    if (!fails) {
        for (uint32_t c = user->stored_first_chunk; c != user->first_chunk; c = ms_chunk_number(c + 1))
            rows_delete(rows, c);
        for (uint32_t i = 0; i < ms_user_sealable(user); i++) {
            value.size = 0;
            assert_true(ms_user_encode_chunk(user, i, &value));
            rows_put(rows, ms_chunk_number(user->sealed + i), &value);
        }
        rows->stored = user->version > 0;
        rows->head.size = 0;
        assert_true(ms_user_encode_head(user, &rows->head));
        if (rows->stored)
            rows->put_bytes += rows->head.size;
        ms_user_stored(user);
        user->stored = rows->stored;
        assert_int_equal(rows->live_count, ms_user_live_chunks(user));
        life->dirty = false;
    }
    ms_buffer_free(&value);
}

static struct ms_user *read_back(struct life *life)
{
    struct ms_user *user;
    struct ms_error error;
    struct ms_bytes head = {life->rows->head.data, life->rows->head.size};
    assert_int_equal(ms_user_decode_head(&user, 7, user_id, head, &error), MS_OK);
    assert_true(user->partition == 7 && user->id_bytes == user_id.size &&
                memcmp(ms_user_id_bytes(user), user_id.data, user_id.size) == 0);
    return user;
}

/* Out of memory, and back from the rows. */
static void reload(struct life *life, bool whole)
{
    int64_t own_offset = life->user->own_offset;
    free(life->user);
    if (!life->rows->stored) {
        assert_int_equal(life->rows->live_count, 0);
        rows_clear(life->rows);
        life->user = new_user(life);
        return;
    }
    life->user = read_back(life);
    assert_int_equal(life->user->own_offset, own_offset);
    if (life->user->sums_left_out)
        assert_true(ms_refold(&life->fold_context, &life->user));
    if (life->user->complete && !life->fold_context.incremental)
        ms_user_resolve(life->user, life->fold_context.model);
    if (whole || !life->fold_context.incremental)
        complete(life, &life->user);
}

static void event(struct life *life)
{
    struct ms_event event = life_next(&life->source);
    uint32_t row = ms_model_find(life->fold_context.model, event.item.data, event.item.size);
    if (ms_fold_needs_history(&life->fold_context, life->user, event.time_ms))
        complete(life, &life->user);
    enum ms_folded folded = ms_fold(&life->fold_context, &life->user, &event, row);
    assert_int_equal(folded,
                     naive_fold(&life->naive, &life->fold_context, &event, row) ? MS_FOLDED : MS_DUPLICATE);
    life->user->own_offset++;
    life->dirty |= folded == MS_FOLDED;
}

static void change_settings(struct life *life, uint32_t behaviors_max)
{
    uint32_t before = life->fold_context.behaviors_max;
    bool incremental = life->fold_context.incremental;
    if (life->user->version == 0)
        return;
    complete(life, &life->user);
    ms_fold_context_free(&life->fold_context);
    life_folder(&life->fold_context, life->model, !incremental, behaviors_max);
    assert_true(ms_refold(&life->fold_context, &life->user));
    naive_refold(&life->naive, &life->fold_context, before);
    life->dirty = true;
}

/* The user in memory, and what its rows would say, each made whole. */
static void compare(struct life *life, bool deep)
{
    naive_compare_counters(&life->naive, life->user, &life->fold_context, "in memory");
    if (!deep)
        return;
    struct ms_user *copy = ms_user_copy(life->user);
    assert_non_null(copy);
    complete(life, &copy);
    naive_compare(&life->naive, copy, &life->fold_context, "made whole");
    if (!life->fold_context.incremental) {
        size_t kept, routable = 0;
        const struct naive_behavior *b = naive_kept(&life->naive, life->fold_context.behaviors_max, &kept);
        for (size_t i = 0; i < kept; i++)
            routable += b[i].row != MS_NO_ITEM;
        assert_int_equal(copy->routable, routable);
    }
    free(copy);
    if (!life->dirty && life->rows->stored) {
        copy = read_back(life);
        if (copy->sums_left_out)
            assert_true(ms_refold(&life->fold_context, &copy));
        complete(life, &copy);
        if (!life->fold_context.incremental)
            ms_user_resolve(copy, life->fold_context.model);
        naive_compare(&life->naive, copy, &life->fold_context, "read back");
        free(copy);
    }
}

static void step(struct life *life, uint32_t behaviors_max)
{
    uint32_t chance = (uint32_t)(life_random(&life->random) % 1000);
    uint64_t rare = life_random(&life->random) % (20 + 4 * (uint64_t)behaviors_max);
    bool deep = life_random(&life->random) % (1 + behaviors_max / 16) == 0;
    if (chance < 60) {
        flush(life, false);
        if (ms_may_trim(&life->fold_context, life->user))
            ms_user_trim(life->user);
        uint32_t bound = 2 * (life->user->kept / MS_CHUNK) + 16;
        assert_in_range(life->rows->live_count, 0, bound);
    } else if (chance < 100) {
        flush(life, false);
        reload(life, chance % 2);
    } else if (chance < 110) {
        flush(life, true);
    } else if (chance < 112 && rare < 20) {
        change_settings(life, rare % 3 == 0 ? 1 + behaviors_max / 2 : behaviors_max);
    } else if (chance < 114 && rare < 20) {
        ms_user_clear(life->user);
        naive_forget(&life->naive);
        life->dirty = true;
    } else {
        event(life);
    }
    compare(life, deep);
}

static void live(struct life_model *model, bool incremental, uint32_t behaviors_max, uint64_t seed,
                 uint32_t steps, uint32_t sealed_before)
{
    struct life life = {.model = model, .random = seed, .sealed_before = sealed_before};
    life.rows = calloc(1, sizeof *life.rows);
    life_folder(&life.fold_context, model, incremental, behaviors_max);
    life_source_start(&life.source, seed * 77);
    life.user = new_user(&life);
    for (uint32_t i = 0; i < steps; i++)
        step(&life, behaviors_max);
    compare(&life, true);
    ms_fold_context_free(&life.fold_context);
    naive_free(&life.naive);
    free(life.user);
    rows_free(life.rows);
}

static void lives(void **state)
{
    const uint32_t maxima[] = {1, 2, 5, 31, 32, 33, 64, 200, 1000};
    const char *more = getenv("LIVES"); /* times as many */
    uint32_t times = more ? (uint32_t)atoi(more) : 1;
    struct life_model model;
    (void)state;
    life_model_open(&model, 1, 4, 8);
    for (uint32_t m = 0; m < sizeof maxima / sizeof *maxima; m++) {
        uint32_t seeds = (maxima[m] < 100 ? 40 : maxima[m] < 500 ? 16 : 6) * times;
        for (uint32_t seed = 1; seed <= seeds; seed++) {
            if (more)
                printf("max %u seed %u\n", maxima[m], seed);
            live(&model, seed % 2, maxima[m], seed, 400 + maxima[m] * 4, 0);
        }
    }
    life_model_close(&model);
}

/* After 2^32 events of a user, the numbers of its arrivals and of its chunks come round. */
static void numbers_come_round(void **state)
{
    const uint32_t maxima[] = {5, 32, 64, 200};
    struct life_model model;
    (void)state;
    life_model_open(&model, 1, 4, 8);
    for (uint32_t m = 0; m < sizeof maxima / sizeof *maxima; m++) {
        for (uint32_t seed = 1; seed <= 24; seed++)
            live(&model, seed % 2, maxima[m], seed, 400 + maxima[m] * 4, MS_CHUNK_NUMBERS - seed % 12 - 1);
    }
    life_model_close(&model);
}

/* One event after another, a flush after each: what is put for an event late in a long history is what is put
 * for one early in it. */
static void bytes_do_not_grow(void **state)
{
    struct life_model model;
    (void)state;
    life_model_open(&model, 1, 4, 8);
    struct life life = {.model = &model};
    life.rows = calloc(1, sizeof *life.rows);
    life_folder(&life.fold_context, &model, true, 5000);
    life_source_start(&life.source, 5);
    life.source.late_percent = life.source.ahead_per_mille = 0;
    life.user = ms_user_new(7, user_id, life.fold_context.first_floats);
    assert_non_null(life.user);
    uint64_t at_100 = 0, at_5000 = 0;
    for (uint32_t i = 0; i < 5200; i++) {
        uint64_t before = life.rows->put_bytes;
        event(&life);
        flush(&life, false);
        ms_user_trim(life.user);
        if (i >= 100 && i < 200)
            at_100 += life.rows->put_bytes - before;
        if (i >= 5000 && i < 5100)
            at_5000 += life.rows->put_bytes - before;
        assert_in_range(life.user->count, 0, MS_CHUNK);
    }
    assert_in_range(at_5000, 1, at_100 + 1000); /* of 100 events, each a head row of some 700 bytes */
    assert_in_range(at_100, 1, 100 * 1200);
    assert_int_equal(life.rows->live_count, life.user->sealed - life.user->first_chunk);
    ms_fold_context_free(&life.fold_context);
    naive_free(&life.naive);
    free(life.user);
    rows_free(life.rows);
    life_model_close(&model);
}

/* An event from far ahead stays among the kept for a whole window and pins its chunk. Nothing grows with it,
 * for a user that stays in memory and for one that is read back in part each time. */
static void pinned_chunks_do_not_pile_up(void **state)
{
    struct life_model model;
    life_model_open(&model, 1, 4, 8);
    for (int reloads = 0; reloads < 2; reloads++) {
        struct life life = {.model = &model};
        life.rows = calloc(1, sizeof *life.rows);
        life_folder(&life.fold_context, &model, true, 64);
        life_source_start(&life.source, 5);
        life.source.late_percent = life.source.ahead_per_mille = 0;
        life.user = ms_user_new(7, user_id, life.fold_context.first_floats);
        assert_non_null(life.user);
        uint32_t most = 0;
        for (uint32_t i = 0; i < 8000; i++) {
            if (i == 40) {
                struct ms_event far = life_next(&life.source);
                far.time_ms += INT64_C(1000) * 86400 * 1000;
                assert_int_equal(ms_fold(&life.fold_context, &life.user, &far, MS_NO_ITEM), MS_FOLDED);
                assert_true(naive_fold(&life.naive, &life.fold_context, &far, MS_NO_ITEM));
            }
            event(&life);
            flush(&life, false);
            if (reloads)
                reload(&life, false);
            else if (ms_may_trim(&life.fold_context, life.user))
                ms_user_trim(life.user);
            if (life.rows->live_count > most)
                most = life.rows->live_count;
            if (i % 100 == 0)
                compare(&life, true);
        }
        assert_in_range(most, 1, 16);
        assert_in_range(life.rows->put_bytes, 1, 8000 * 1500);
        ms_fold_context_free(&life.fold_context);
        naive_free(&life.naive);
        free(life.user);
        rows_free(life.rows);
    }
    (void)state;
    life_model_close(&model);
}

/* A late event slides out before those that arrived ahead of it and leaves a gap in a chunk; at whatever
 * place of the chunk, the live chunks are counted right for a user read in part. */
static void gaps_are_counted(void **state)
{
    struct life_model model;
    (void)state;
    life_model_open(&model, 1, 4, 8);
    for (uint32_t late_at = 64; late_at < 100; late_at++) {
        struct life life = {.model = &model};
        life.rows = calloc(1, sizeof *life.rows);
        life_folder(&life.fold_context, &model, true, 70);
        life.user = ms_user_new(7, user_id, life.fold_context.first_floats);
        assert_non_null(life.user);
        for (uint32_t i = 0; i < 300; i++) {
            struct ms_event event = {.item = {"item-1", 6},
                                     .type = {"", 0},
                                     .time_ms = 1000 * (int64_t)i - (i == late_at ? 20500 : 0)};
            if (ms_fold_needs_history(&life.fold_context, life.user, event.time_ms))
                complete(&life, &life.user);
            assert_int_equal(ms_fold(&life.fold_context, &life.user, &event, 1), MS_FOLDED);
            assert_true(naive_fold(&life.naive, &life.fold_context, &event, 1));
            flush(&life, false);
            reload(&life, i % 2);
            compare(&life, true);
        }
        ms_fold_context_free(&life.fold_context);
        naive_free(&life.naive);
        free(life.user);
        rows_free(life.rows);
    }
    life_model_close(&model);
}

/* A user of few events is stored without its sums and has them again, to the bit, when it is read; one whose
 * events came out of order, or some of whose have slid out, is stored with them. */
static void few_events_bring_their_sums(void **state)
{
    struct life_model model;
    (void)state;
    life_model_open(&model, 1, 4, 8);
    for (uint32_t late_at = 0; late_at < 14; late_at++) {
        struct life life = {.model = &model};
        uint32_t behaviors_max = late_at == 13 ? 2 : 70;
        life.rows = calloc(1, sizeof *life.rows);
        life_folder(&life.fold_context, &model, true, behaviors_max);
        life.user = ms_user_new(7, user_id, life.fold_context.first_floats);
        assert_non_null(life.user);
        for (uint32_t i = 0; i < 16; i++) {
            struct ms_event event = {.item = {i % 3 ? "item-1" : "item-2", 6},
                                     .type = {"", 0},
                                     .time_ms = 1000 * (int64_t)i - (i == late_at ? 20500 : 0)};
            uint32_t row = ms_model_find(life.fold_context.model, event.item.data, event.item.size);
            assert_int_equal(ms_fold(&life.fold_context, &life.user, &event, row), MS_FOLDED);
            assert_true(naive_fold(&life.naive, &life.fold_context, &event, row));
            flush(&life, false);
            struct ms_user *back = read_back(&life);
            bool late = late_at > 0 && i >= late_at;
            assert_int_equal(back->sums_left_out, i < 12 && !late && i < behaviors_max);
            assert_int_equal(back->floats == 0, back->sums_left_out);
            free(back);
            reload(&life, false);
            compare(&life, true);
        }
        ms_fold_context_free(&life.fold_context);
        naive_free(&life.naive);
        free(life.user);
        rows_free(life.rows);
    }
    life_model_close(&model);
}

/* ---- stored bytes ---- */

/* FNV-1a over the bytes of a row. */
static uint64_t hash_row(uint64_t hash, const struct ms_buffer *row)
{
    for (size_t i = 0; i < row->size; i++)
        hash = (hash ^ (unsigned char)row->data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Random lives, stored every now and then, give the rows that they always gave: a state directory is read by
 * the versions before and after. Full routing has no sums, whose last bits depend on the machine; the fold id
 * depends on the model's files. */
static void stored_bytes_do_not_change(void **state)
{
    struct life_model model;
    struct ms_fold_context fold_context;
    struct ms_buffer row = {0};
    uint64_t hash = UINT64_C(0xcbf29ce484222325), rows = 0;
    (void)state;
    life_model_open(&model, 1, 4, 8);
    life_folder(&fold_context, &model, false, 150);
    for (uint64_t life = 0; life < 20; life++) {
        struct ms_user *user = ms_user_new(7, user_id, 0);
        struct life_source source;
        assert_non_null(user);
        life_source_start(&source, life);
        for (uint32_t i = 0; i < 600; i++) {
            struct ms_event event = life_next(&source);
            uint32_t item = ms_model_find(model.model, event.item.data, event.item.size);
            assert_int_not_equal(ms_fold(&fold_context, &user, &event, item), MS_NO_MEMORY);
            user->own_offset = i + 1;
            user->fold_id = 0x0123456789abcdef;
            if (i % (7 + 5 * (uint32_t)life) != 0)
                continue;
            ms_user_settle(user);
            row.size = 0;
            assert_true(ms_user_encode_head(user, &row));
            for (uint32_t c = 0; c < ms_user_sealable(user); c++)
                assert_true(ms_user_encode_chunk(user, c, &row));
            rows += 1 + ms_user_sealable(user);
            hash = hash_row(hash, &row);
            ms_user_stored(user);
        }
        free(user);
    }
    ms_buffer_free(&row);
    ms_fold_context_free(&fold_context);
    life_model_close(&model);
    assert_int_equal(rows, 710);
    assert_true(hash == UINT64_C(0xa275d8014da69374));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(few_events_bring_their_sums),
                                       cmocka_unit_test(bytes_do_not_grow),
                                       cmocka_unit_test(pinned_chunks_do_not_pile_up),
                                       cmocka_unit_test(gaps_are_counted),
                                       cmocka_unit_test(stored_bytes_do_not_change),
                                       cmocka_unit_test(lives),
                                       cmocka_unit_test(numbers_come_round)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
