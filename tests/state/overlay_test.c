/* Many users through an overlay on a real database, each held against a naive double. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"
#include "state/user_walk.h"
#include "user/codec.h"

struct world {
    char *dir;
    struct ms_store *store;
    struct life_model model;
    struct ms_fold_context fold_context;
    struct ms_overlay *overlay;
};

static void overlay_open(struct world *w, size_t memory_bytes)
{
    struct ms_error error;
    assert_int_equal(ms_overlay_new(&w->overlay, w->store, &w->fold_context, memory_bytes, 1, &error), MS_OK);
}

static void world_open(struct world *w, bool incremental, uint32_t behaviors_max, size_t memory_bytes)
{
    w->dir = state_dir_new();
    w->store = state_open(w->dir);
    life_model_open(&w->model, 1, 4, 8);
    life_folder(&w->fold_context, &w->model, incremental, behaviors_max);
    for (uint16_t p = 0; p < 8; p++)
        ms_store_acquire(w->store, p, 1);
    overlay_open(w, memory_bytes);
}

static void world_reopen(struct world *w, size_t memory_bytes)
{
    ms_overlay_destroy(w->overlay);
    ms_store_close(w->store);
    w->store = state_open(w->dir);
    for (uint16_t p = 0; p < 8; p++)
        ms_store_acquire(w->store, p, 1);
    overlay_open(w, memory_bytes);
}

static void world_close(struct world *w)
{
    ms_overlay_destroy(w->overlay);
    ms_fold_context_free(&w->fold_context);
    life_model_close(&w->model);
    ms_store_close(w->store);
    state_dir_remove(w->dir);
}

/* Two partitions, batches of many sizes, memory for a tenth of the users, flushes at random, some left on
 * their way while folding goes on, reopened. */
static void crowds(bool incremental, uint32_t behaviors_max, uint64_t seed)
{
    struct world w;
    struct crowd a, b;
    struct crowd *const both[] = {&a, &b};
    uint64_t random = seed;
    const size_t bound = 40000;
    world_open(&w, incremental, behaviors_max, bound);
    crowd_start(&a, 3, 300, seed);
    crowd_start(&b, 4, 200, seed + 1);
    for (int round = 0; round < 60; round++) {
        uint32_t batch = 1 + (uint32_t)(life_random(&random) % 100);
        crowd_fold(&a, w.overlay, &w.fold_context, (uint32_t)(life_random(&random) % 400), batch, true);
        crowd_fold(&b, w.overlay, &w.fold_context, (uint32_t)(life_random(&random) % 300), batch, true);
        uint64_t what = life_random(&random) % 6;
        if (what < 3)
            assert_false(crowd_flush_end(w.overlay));
        if (what == 2) {
            crowd_flush_begin(both, 2, w.overlay);
        } else if (what < 2) {
            assert_false(crowd_flush(both, 2, w.overlay));
            assert_int_equal(ms_overlay_dirty_users(w.overlay), 0);
            assert_int_equal(ms_overlay_dirty_bytes(w.overlay), 0);
            /* With nothing dirty, a small batch leaves no more than the bound and itself. */
            crowd_fold(&a, w.overlay, &w.fold_context, 1, 1, true);
            assert_in_range(ms_overlay_bytes(w.overlay), 1,
                            bound + ms_overlay_dirty_bytes(w.overlay) + 40000);
        }
        if (round % 20 == 19) {
            assert_false(crowd_flush_end(w.overlay));
            assert_false(crowd_flush(both, 2, w.overlay));
            struct row_counts rows = count_rows(w.store);
            assert_int_equal(rows.partitions, 2);
            assert_int_equal(rows.orphans, 0);
            world_reopen(&w, bound);
        }
    }
    crowd_compare(&a, w.overlay, &w.fold_context);
    crowd_compare(&b, w.overlay, &w.fold_context);
    crowd_free(&a);
    crowd_free(&b);
    world_close(&w);
}

static void crowds_incremental(void **state)
{
    (void)state;
    crowds(true, 5, 1);
    crowds(true, 100, 2);
    crowds(true, 1000, 3);
}

static void crowds_full(void **state)
{
    (void)state;
    crowds(false, 33, 4);
    crowds(false, 200, 5);
}

static struct ms_wanted want(uint16_t partition, const char *id)
{
    struct ms_wanted wanted = {.partition = partition, .id = {id, strlen(id)}, .time_ms = INT64_MIN};
    wanted.hash = ms_overlay_hash(partition, wanted.id);
    return wanted;
}

static struct ms_user *user_of(struct world *w, uint16_t partition, const char *id)
{
    struct ms_wanted wanted = want(partition, id);
    struct ms_error error;
    assert_int_equal(ms_overlay_find(w->overlay, &wanted, 1, &error), MS_OK);
    return ms_overlay_entry(w->overlay, wanted.entry)->user;
}

static void click(struct world *w, uint16_t partition, const char *id, int64_t time_ms, int64_t offset)
{
    struct ms_wanted wanted = want(partition, id);
    struct ms_event event = {.user = wanted.id, .item = {"item-1", 6}, .type = {"", 0}, .time_ms = time_ms};
    struct ms_error error;
    enum ms_folded folded;
    wanted.time_ms = time_ms;
    assert_int_equal(ms_overlay_find(w->overlay, &wanted, 1, &error), MS_OK);
    assert_int_equal(ms_overlay_fold(w->overlay, wanted.entry, &event, 1, offset, &folded, &error), MS_OK);
}

static bool flush(struct world *w, uint16_t partition, int64_t applied)
{
    struct ms_flush_row row = {.partition = partition, .row = {.sources[0].applied = applied}};
    struct ms_error error;
    bool lost;
    assert_int_equal(ms_overlay_flush(w->overlay, &row, 1, &lost, &error), MS_OK);
    return lost;
}

/* A user of 2^32 events: the numbers of its chunks begin again, in the database, too. */
static void chunk_numbers_come_round(void **state)
{
    struct world w;
    struct ms_error error;
    struct ms_user_walk *walk;
    struct ms_user *found = NULL;
    (void)state;
    world_open(&w, true, 100, 1 << 20);
    struct ms_user *user = user_of(&w, 1, "anonymous");
    user->sealed = user->first_chunk = user->stored_first_chunk = MS_CHUNK_NUMBERS - 5;
    user->next_arrival = user->sealed * MS_CHUNK;
    for (int i = 0; i < 300; i++) {
        click(&w, 1, "anonymous", 1000 + (i % 50 == 49 ? 10 * i - 305 : 10 * i), i); /* some are late */
        if (i % 20 == 19)
            assert_false(flush(&w, 1, i + 1));
        if (i % 60 == 59)
            ms_overlay_drop(w.overlay, 1);
    }
    click(&w, 1, "zoe", 1000, 300);
    assert_false(flush(&w, 1, 301));
    ms_overlay_drop(w.overlay, 1);
    user = user_of(&w, 1, "anonymous"); /* whole, with all its chunks */
    assert_true(user->complete && user->version == 300 && user->kept == 100);
    assert_in_range(user->sealed, 1, 20);
    struct row_counts rows = count_rows(w.store);
    assert_true(rows.users == 2 && rows.chunks >= 2 && rows.orphans == 0);
    assert_int_equal(ms_user_walk_begin(&walk, w.store, &error), MS_OK);
    for (int users = 0; users < 2; users++) {
        assert_int_equal(ms_user_walk_next(walk, &found, NULL, &error), MS_OK);
        assert_non_null(found);
        assert_true(found->complete && found->kept == (users ? 1 : 100));
        free(found);
    }
    ms_user_walk_end(walk);
    world_close(&w);
}

/* Writes a head row of |text| for a user. */
static void spoil(struct world *w, uint16_t partition, const char *id, const char *text)
{
    struct ms_store_file *file;
    struct ms_buffer key = {0};
    struct ms_error error;
    bool lost;
    assert_true(ms_key_user(&key, partition, (struct ms_bytes){id, strlen(id)}));
    assert_int_equal(ms_store_file_begin(&file, w->store, &error), MS_OK);
    assert_int_equal(ms_store_file_put(file, (struct ms_bytes){key.data, key.size},
                                       (struct ms_bytes){text, strlen(text)}, &error),
                     MS_OK);
    assert_int_equal(ms_store_file_ingest(file, &partition, 1, 1, &lost, &error), MS_OK);
    ms_buffer_free(&key);
}

/* A walk names the users whose rows are damaged, and goes on behind each. */
static void a_walk_passes_damaged_users(void **state)
{
    static const char *const ids[] = {"anna", "bert", "carl", "dora"};
    struct world w;
    struct ms_error error;
    struct ms_user_walk *walk;
    struct ms_user *found = NULL;
    struct ms_bytes id;
    uint16_t partition;
    (void)state;
    world_open(&w, true, 5, 1 << 20);
    for (int i = 0; i < 4; i++)
        click(&w, 1, ids[i], 1000, i);
    assert_false(flush(&w, 1, 4));
    spoil(&w, 1, "bert", "\x02 nonsense");
    spoil(&w, 1, "dora", "");
    assert_int_equal(ms_user_walk_begin(&walk, w.store, &error), MS_OK);
    for (size_t i = 0; i < 4; i++) {
        enum ms_status status = ms_user_walk_next(walk, &found, NULL, &error);
        assert_int_equal(status, i % 2 ? MS_STATE : MS_OK);
        assert_true(ms_user_walk_failed_at(walk, &partition, &id) == (i % 2 == 1));
        if (i % 2 == 0)
            id = ms_user_id(found);
        else
            assert_int_equal(partition, 1);
        assert_int_equal(id.size, 4);
        assert_memory_equal(id.data, ids[i], 4);
        free(found);
    }
    assert_int_equal(ms_user_walk_next(walk, &found, NULL, &error), MS_OK);
    assert_null(found);
    ms_user_walk_end(walk);
    world_close(&w);
}

static void a_new_user_twice_in_a_batch(void **state)
{
    struct world w;
    struct ms_error error;
    (void)state;
    world_open(&w, true, 5, 1 << 20);
    struct ms_wanted wanted[] = {want(1, "x"), want(2, "x"), want(1, "x"), want(1, "xx"), want(2, "x")};
    assert_int_equal(ms_overlay_find(w.overlay, wanted, 5, &error), MS_OK);
    assert_int_equal(wanted[0].entry, wanted[2].entry);
    assert_int_equal(wanted[1].entry, wanted[4].entry);
    assert_int_not_equal(wanted[0].entry, wanted[1].entry);
    assert_int_not_equal(wanted[0].entry, wanted[3].entry);
    assert_int_equal(ms_overlay_users(w.overlay), 3);
    assert_int_equal(ms_overlay_find(w.overlay, wanted, 0, &error), MS_OK);
    world_close(&w);
}

static void a_dropped_partition_leaves_the_others(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true, 5, 1 << 20);
    click(&w, 1, "a", 1000, 0);
    click(&w, 1, "b", 1000, 1);
    assert_false(flush(&w, 1, 2));
    click(&w, 1, "a", 2000, 2);
    click(&w, 2, "a", 5000, 0);
    click(&w, 2, "c", 5000, 1);
    ms_overlay_drop(w.overlay, 1);
    assert_int_equal(ms_overlay_users(w.overlay), 2);
    assert_int_equal(ms_overlay_dirty_users(w.overlay), 2);
    assert_int_equal(ms_overlay_bytes(w.overlay), ms_overlay_dirty_bytes(w.overlay));
    assert_int_equal(user_of(&w, 1, "a")->version, 1); /* as of the flush */
    assert_int_equal(user_of(&w, 1, "a")->own_offset, 1);
    assert_int_equal(user_of(&w, 2, "a")->version, 1);
    assert_false(flush(&w, 2, 2)); /* nothing of partition 1 is dirty */
    ms_overlay_drop(w.overlay, 2);
    ms_overlay_drop(w.overlay, 1);
    assert_int_equal(ms_overlay_users(w.overlay), 0);
    assert_int_equal(ms_overlay_bytes(w.overlay), 0);
    assert_int_equal(user_of(&w, 2, "c")->own_offset, 2);
    world_close(&w);
}

static void a_lost_partition_is_not_written(void **state)
{
    struct world w;
    struct ms_partition_row row;
    struct ms_error error;
    bool found;
    (void)state;
    world_open(&w, true, 5, 1 << 20);
    click(&w, 1, "a", 1000, 0);
    assert_false(flush(&w, 1, 1));
    click(&w, 1, "a", 2000, 1);
    ms_store_acquire(w.store, 1, 9); /* somebody else's now */
    assert_true(flush(&w, 1, 2));
    ms_overlay_drop(w.overlay, 1);
    assert_int_equal(user_of(&w, 1, "a")->version, 1);
    assert_int_equal(ms_store_partition(w.store, 1, &row, &found, &error), MS_OK);
    assert_true(found && row.sources[0].applied == 1);
    ms_store_release(w.store, 1, 1); /* not ours to release */
    click(&w, 1, "a", 2000, 1);
    assert_true(flush(&w, 1, 2));
    ms_overlay_drop(w.overlay, 1);
    ms_store_release(w.store, 1, 9);
    click(&w, 1, "a", 2000, 1);
    assert_true(flush(&w, 1, 2)); /* nobody's */
    ms_overlay_drop(w.overlay, 1);
    ms_store_acquire(w.store, 1, 1);
    click(&w, 1, "a", 2000, 1);
    assert_false(flush(&w, 1, 2));
    ms_overlay_drop(w.overlay, 1);
    assert_int_equal(user_of(&w, 1, "a")->version, 2);
    world_close(&w);
}

static void begin(struct world *w, uint16_t partition, int64_t applied)
{
    struct ms_flush_row row = {.partition = partition, .row = {.sources[0].applied = applied}};
    struct ms_error error;
    assert_int_equal(ms_overlay_flush_begin(w->overlay, &row, 1, &error), MS_OK);
}

/* The linker puts this before the store's function. A file does not arrive while the gate is shut, and never
 * while the disk is broken. */
static atomic_bool gate_shut, disk_broken;

enum ms_status __wrap_ms_store_file_ingest(struct ms_store_file *file, const uint16_t *partitions,
                                           size_t count, uint32_t owner, bool *lost, struct ms_error *error);
enum ms_status __real_ms_store_file_ingest(struct ms_store_file *file, const uint16_t *partitions,
                                           size_t count, uint32_t owner, bool *lost, struct ms_error *error);

enum ms_status __wrap_ms_store_file_ingest(struct ms_store_file *file, const uint16_t *partitions,
                                           size_t count, uint32_t owner, bool *lost, struct ms_error *error)
{
    while (atomic_load(&gate_shut))
        usleep(100);
    if (atomic_load(&disk_broken)) {
        ms_store_file_discard(file);
        *lost = false;
        return ms_fail(error, MS_IO, "the disk is broken");
    }
    return __real_ms_store_file_ingest(file, partitions, count, owner, lost, error);
}

/* Users u0 .. u49 of partition 1, a click each, at the offsets of their numbers. */
static void click_fifty(struct world *w)
{
    char id[16];
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "u%d", i);
        click(w, 1, id, 1000, i);
    }
}

/* While a file is on its way its users take events, and none of them leaves memory, whatever the bound. */
static void users_in_flight_stay(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true, 500, 1000);
    atomic_store(&gate_shut, true);
    click_fifty(&w);
    begin(&w, 1, 50);
    assert_int_equal(ms_overlay_dirty_users(w.overlay), 0);
    assert_false(ms_overlay_flush_arrived(w.overlay));
    click(&w, 1, "u7", 2000, 50);
    for (int i = 0; i < 5; i++)
        click(&w, 1, "new", 1000 + i, 51 + i);
    assert_int_equal(ms_overlay_users(w.overlay), 51);
    assert_int_equal(ms_overlay_dirty_users(w.overlay), 2);
    atomic_store(&gate_shut, false);
    while (!ms_overlay_flush_arrived(w.overlay))
        usleep(100);
    click(&w, 1, "new", 3000, 56);
    assert_in_range(ms_overlay_users(w.overlay), 2, 4); /* the dirty ones, and what the sweep spared */
    assert_false(crowd_flush_end(w.overlay));
    assert_int_equal(user_of(&w, 1, "u8")->version, 1); /* read back */
    begin(&w, 1, 57);
    ms_overlay_drop(w.overlay, 1); /* waits: who takes the partition reads from disk */
    assert_false(crowd_flush_end(w.overlay));
    assert_int_equal(user_of(&w, 1, "u7")->version, 2);
    assert_int_equal(user_of(&w, 1, "new")->version, 6);
    world_close(&w);
}

/* Only they: whoever was written by a flush before leaves as ever. */
static void users_of_arrived_flights_leave(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true, 500, 1000);
    click_fifty(&w);
    assert_false(flush(&w, 1, 50));
    assert_int_equal(ms_overlay_users(w.overlay), 50);
    atomic_store(&gate_shut, true);
    begin(&w, 1, 51); /* with nothing but the partition's row */
    for (int round = 0; round < 3; round++)
        click(&w, 1, "one", 2000 + round, 51 + round);
    size_t users = ms_overlay_users(w.overlay);
    atomic_store(&gate_shut, false);
    assert_in_range(users, 1, 3);
    assert_false(crowd_flush_end(w.overlay));
    world_close(&w);
}

/* A file that came to nothing leaves the only copy of its users in memory: until that is collected nobody may
 * read the rows from before in their place. */
static void users_of_a_lost_flight_stay(void **state)
{
    struct world w;
    char id[16];
    (void)state;
    world_open(&w, true, 500, 1000);
    click_fifty(&w);
    click(&w, 2, "other", 1000, 0);
    ms_store_acquire(w.store, 2, 9);
    struct ms_flush_row rows[] = {{.partition = 1, .row = {.sources[0].applied = 50}},
                                  {.partition = 2, .row = {.sources[0].applied = 1}}};
    struct ms_error error;
    assert_int_equal(ms_overlay_flush_begin(w.overlay, rows, 2, &error), MS_OK);
    while (!ms_overlay_flush_arrived(w.overlay))
        usleep(100);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++) {
            snprintf(id, sizeof id, "u%d", i);
            assert_int_equal(user_of(&w, 1, id)->version, 1);
        }
    }
    assert_int_equal(ms_overlay_users(w.overlay), 51);
    assert_true(crowd_flush_end(w.overlay));
    ms_overlay_drop(w.overlay, 1);
    assert_int_equal(user_of(&w, 1, "u7")->version, 0);
    world_close(&w);
}

/* The same where the file failed. The only copy of its users stays in memory also after the failure was told:
 * until their partition is dropped, nobody reads the rows from before in their place. */
static void users_of_a_failed_flight_stay(void **state)
{
    struct world w;
    struct ms_error error;
    char id[16];
    bool lost = true;
    (void)state;
    world_open(&w, true, 500, 1000);
    click_fifty(&w);
    atomic_store(&disk_broken, true);
    begin(&w, 1, 50);
    while (!ms_overlay_flush_arrived(w.overlay))
        usleep(100);
    atomic_store(&disk_broken, false);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 50; i++) {
            snprintf(id, sizeof id, "u%d", i);
            assert_int_equal(user_of(&w, 1, id)->version, 1);
        }
        assert_int_equal(ms_overlay_users(w.overlay), 50);
        if (round == 2) {
            assert_int_equal(ms_overlay_flush_end(w.overlay, &lost, &error), MS_IO);
            assert_false(lost);
            assert_string_equal(error.text, "the disk is broken");
        }
    }
    ms_overlay_drop(w.overlay, 1);
    assert_int_equal(user_of(&w, 1, "u7")->version, 0);
    world_close(&w);
}

/* A chunk that is needed while it is on its way is waited for; if it never arrives, folding cannot go on. */
static void chunks_in_flight_are_waited_for(void **state)
{
    struct world w;
    struct ms_error error;
    enum ms_folded folded;
    (void)state;
    world_open(&w, true, 500, 1 << 20);
    for (int i = 0; i < 100; i++)
        click(&w, 1, "a", 1000 * i, i);
    begin(&w, 1, 100);
    struct ms_wanted wanted = want(1, "a");
    wanted.time_ms = INT64_MAX; /* without its history, which only the fold asks for */
    assert_int_equal(ms_overlay_find(w.overlay, &wanted, 1, &error), MS_OK);
    assert_int_equal(ms_overlay_entry(w.overlay, wanted.entry)->user->count, 100 % MS_CHUNK);
    click(&w, 1, "a", 10500, 100); /* between sealed ones */
    assert_int_equal(user_of(&w, 1, "a")->count, 101);
    assert_false(crowd_flush_end(w.overlay));
    assert_false(flush(&w, 1, 101));
    for (int i = 0; i < 100; i++)
        click(&w, 1, "a", 200000 + 1000 * i, 101 + i);
    ms_store_acquire(w.store, 1, 9);
    begin(&w, 1, 201);
    struct ms_event event = {.user = wanted.id, .item = {"item-1", 6}, .type = {"", 0}, .time_ms = 10600};
    wanted.time_ms = INT64_MAX;
    assert_int_equal(ms_overlay_find(w.overlay, &wanted, 1, &error), MS_OK);
    assert_int_equal(ms_overlay_fold(w.overlay, wanted.entry, &event, 1, 201, &folded, &error),
                     MS_KAFKA_ABORT);
    assert_true(crowd_flush_end(w.overlay));
    world_close(&w);
}

static void the_forgotten_leave_no_rows(void **state)
{
    struct world w;
    struct row_counts rows;
    (void)state;
    world_open(&w, true, 500, 1 << 20);
    for (int i = 0; i < 200; i++) {
        click(&w, 1, "a", 1000 * i, i);
        if (i % 50 == 0)
            assert_false(flush(&w, 1, i + 1));
    }
    assert_false(flush(&w, 1, 200));
    rows = count_rows(w.store);
    assert_true(rows.users == 1 && rows.chunks == 6 && rows.orphans == 0);
    struct ms_wanted wanted = want(1, "a");
    struct ms_error error;
    assert_int_equal(ms_overlay_find(w.overlay, &wanted, 1, &error), MS_OK);
    ms_overlay_forget(w.overlay, wanted.entry, 200);
    assert_false(flush(&w, 1, 201));
    rows = count_rows(w.store);
    assert_true(rows.partitions == 1 && rows.users == 0 && rows.chunks == 0);
    click(&w, 1, "a", 1000, 201); /* back, as somebody new */
    assert_int_equal(user_of(&w, 1, "a")->version, 1);
    assert_int_equal(user_of(&w, 1, "a")->events_folded, 1);
    assert_false(flush(&w, 1, 202));
    world_reopen(&w, 1 << 20);
    assert_int_equal(user_of(&w, 1, "a")->version, 1);
    for (int i = 0; i < 100; i++)
        click(&w, 1, "a", 2000 + 1000 * i, 202 + i);
    assert_false(flush(&w, 1, 302));
    rows = count_rows(w.store);
    assert_true(rows.users == 1 && rows.chunks == 3 && rows.orphans == 0);
    world_close(&w);
}

/* Wanted whole, a user that is in memory in part is made whole. */
static void whole_means_whole(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true, 500, 1 << 20);
    for (int i = 0; i < 100; i++)
        click(&w, 1, "a", 1000 * i, i);
    assert_false(flush(&w, 1, 100)); /* the fold does not look back: only the tail stays */
    click(&w, 1, "a", 200000, 100);
    assert_true(user_of(&w, 1, "a")->complete);
    assert_int_equal(user_of(&w, 1, "a")->count, 101);
    world_close(&w);
}

/* Nothing of it was stored when it was taken, it was let go untouched, and another worker has written since.
 */
static void a_partition_that_comes_back_is_looked_up(void **state)
{
    struct world w;
    (void)state;
    world_open(&w, true, 500, 1 << 20);
    struct ms_overlay *first = w.overlay;
    ms_overlay_nothing_stored(first, 3);
    ms_overlay_drop(first, 3);
    overlay_open(&w, 1 << 20);
    click(&w, 3, "a", 1000, 0);
    assert_false(flush(&w, 3, 1));
    ms_overlay_destroy(w.overlay);
    w.overlay = first;
    click(&w, 3, "a", 2000, 1);
    assert_int_equal(user_of(&w, 3, "a")->version, 2);
    world_close(&w);
}

/* Every user of a directory met under another model and mode equals a fresh one with its kept history. */
static void other_settings_refold_once(void **state)
{
    struct world w;
    struct crowd a;
    struct crowd *const one[] = {&a};
    (void)state;
    world_open(&w, true, 64, 1 << 20);
    crowd_start(&a, 2, 60, 9);
    crowd_fold(&a, w.overlay, &w.fold_context, 9000, 100, true);
    assert_false(crowd_flush(one, 1, w.overlay));
    for (uint64_t change = 0; change < 4; change++) {
        uint32_t before = w.fold_context.behaviors_max;
        const uint32_t maxima[] = {64, 64, 90, 90}; /* never less: only a write makes a user shorter */
        ms_overlay_destroy(w.overlay);
        ms_fold_context_free(&w.fold_context);
        life_model_close(&w.model);
        life_model_open(&w.model, 2 + change, 3 + (int)change, 8 + 4 * (int)change);
        life_folder(&w.fold_context, &w.model, change % 2, maxima[change]);
        overlay_open(&w, 1 << 20);
        for (uint32_t i = 0; i < a.count; i++) {
            if (a.users[i].naive.version)
                naive_refold(&a.users[i].naive, &w.fold_context, before);
            else
                naive_forget(&a.users[i].naive); /* its sums are of the old shape */
        }
        crowd_compare(&a, w.overlay, &w.fold_context);
        uint32_t marked = 0, living = 0;
        for (uint32_t i = 0; i < a.count; i++) {
            struct ms_wanted wanted = {.partition = 2, .id = crowd_id(&a, i)};
            struct ms_error error;
            wanted.hash = ms_overlay_hash(2, wanted.id);
            assert_int_equal(ms_overlay_find(w.overlay, &wanted, 1, &error), MS_OK);
            marked += !!(ms_overlay_entry(w.overlay, wanted.entry)->marks & MS_MARK_REFOLDED);
            living += a.users[i].naive.version > 0;
        }
        assert_int_equal(marked, living);
        crowd_fold(&a, w.overlay, &w.fold_context, 3000, 50, true);
        crowd_compare(&a, w.overlay, &w.fold_context);
        assert_false(crowd_flush(one, 1, w.overlay));
    }
    assert_int_equal(count_rows(w.store).orphans, 0);
    crowd_free(&a);
    world_close(&w);
}

/* One late event among the many of a long history: those that follow in order need not read all of it. */
static void history_is_read_rarely(void **state)
{
    struct world w;
    uint32_t whole = 0;
    (void)state;
    world_open(&w, true, 2000, 1);
    for (int i = 0; i < 2000; i++)
        click(&w, 1, "a", 1000 * i, i);
    click(&w, 1, "a", 500500, 2000);
    assert_false(flush(&w, 1, 2001));
    for (int i = 2001; i < 2600; i++) {
        ms_overlay_drop(w.overlay, 1); /* as if evicted: comes back from its rows */
        click(&w, 1, "a", 1000 * i, i);
        struct ms_wanted wanted = want(1, "a");
        struct ms_error error;
        wanted.time_ms = INT64_MAX;
        assert_int_equal(ms_overlay_find(w.overlay, &wanted, 1, &error), MS_OK);
        whole += ms_overlay_entry(w.overlay, wanted.entry)->user->complete;
        assert_false(flush(&w, 1, i + 1));
    }
    assert_in_range(whole, 1, 60);
    assert_in_range(count_rows(w.store).chunks, 62, 3 * 62 + 16);
    assert_int_equal(user_of(&w, 1, "a")->count, 2000);
    world_close(&w);
}

/* After late events a short history would leave its dead chunks behind for ever, were it not read before some
 * flush. */
static void dead_chunks_do_not_pile_up(void **state)
{
    struct world w;
    size_t most = 0;
    (void)state;
    world_open(&w, true, 2 * MS_CHUNK, 1);
    for (int i = 0; i < 2 * MS_CHUNK; i++)
        click(&w, 1, "a", 1000 * i, i);
    for (int i = 2 * MS_CHUNK; i < 60 * MS_CHUNK; i++) {
        click(&w, 1, "a", i % MS_CHUNK ? 1000 * i : 1000 * i - 5500, i); /* one in a chunk is late */
        if (i % 8 == 0) {
            assert_false(flush(&w, 1, i + 1));
            ms_overlay_drop(w.overlay, 1); /* as if evicted: comes back from its rows */
            size_t chunks = count_rows(w.store).chunks;
            most = chunks > most ? chunks : most;
        }
    }
    assert_in_range(most, 3, 2 * 2 + 16 + 3);
    world_close(&w);
}

/* Of a user's rows, read one after the other, the later may be its new owner's: that is no damage. */
static void rows_of_a_new_owner_are_no_damage(void **state)
{
    struct world w;
    struct ms_store_file *file;
    struct ms_error error;
    struct ms_buffer key = {0};
    const uint16_t partition = 1;
    bool lost;
    (void)state;
    world_open(&w, true, 500, 1 << 20);
    for (int i = 0; i < 100; i++)
        click(&w, 1, "a", 1000 * i, i);
    assert_false(flush(&w, 1, 100));
    ms_overlay_drop(w.overlay, 1);
    assert_true(ms_key_chunk(&key, 1, (struct ms_bytes){"a", 1}, 0));
    assert_int_equal(ms_store_file_begin(&file, w.store, &error), MS_OK);
    assert_int_equal(ms_store_file_delete(file, (struct ms_bytes){key.data, key.size}, &error), MS_OK);
    assert_int_equal(ms_store_file_ingest(file, &partition, 1, 1, &lost, &error), MS_OK);
    assert_false(lost);
    struct ms_wanted wanted = want(1, "a");
    assert_int_equal(ms_overlay_find(w.overlay, &wanted, 1, &error), MS_STATE);
    assert_non_null(strstr(error.text, "user \"a\""));
    ms_store_acquire(w.store, 1, 9);
    assert_int_equal(ms_overlay_find(w.overlay, &wanted, 1, &error), MS_KAFKA_ABORT);
    ms_buffer_free(&key);
    world_close(&w);
}

static void damage_names_the_user(void **state)
{
    struct world w;
    struct ms_store_file *file;
    struct ms_error error;
    struct ms_buffer key = {0};
    const uint16_t partition = 1;
    bool lost;
    (void)state;
    world_open(&w, true, 500, 1 << 20);
    assert_true(ms_key_user(&key, 1, (struct ms_bytes){"broken", 6}));
    assert_int_equal(ms_store_file_begin(&file, w.store, &error), MS_OK);
    assert_int_equal(
        ms_store_file_put(file, (struct ms_bytes){key.data, key.size}, (struct ms_bytes){"\1no", 3}, &error),
        MS_OK);
    assert_int_equal(ms_store_file_ingest(file, &partition, 1, 1, &lost, &error), MS_OK);
    assert_false(lost);
    struct ms_wanted wanted[] = {want(1, "fine"), want(1, "broken"), want(1, "new")};
    assert_int_equal(ms_overlay_find(w.overlay, wanted, 3, &error), MS_STATE);
    assert_non_null(strstr(error.text, "user \"broken\""));
    assert_int_equal(ms_overlay_users(w.overlay), 0);
    click(&w, 1, "fine", 1000, 0);
    assert_false(flush(&w, 1, 1));
    ms_buffer_free(&key);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chunk_numbers_come_round),
                                       cmocka_unit_test(a_walk_passes_damaged_users),
                                       cmocka_unit_test(a_new_user_twice_in_a_batch),
                                       cmocka_unit_test(a_dropped_partition_leaves_the_others),
                                       cmocka_unit_test(a_lost_partition_is_not_written),
                                       cmocka_unit_test(users_in_flight_stay),
                                       cmocka_unit_test(users_of_arrived_flights_leave),
                                       cmocka_unit_test(users_of_a_lost_flight_stay),
                                       cmocka_unit_test(users_of_a_failed_flight_stay),
                                       cmocka_unit_test(chunks_in_flight_are_waited_for),
                                       cmocka_unit_test(dead_chunks_do_not_pile_up),
                                       cmocka_unit_test(the_forgotten_leave_no_rows),
                                       cmocka_unit_test(whole_means_whole),
                                       cmocka_unit_test(a_partition_that_comes_back_is_looked_up),
                                       cmocka_unit_test(other_settings_refold_once),
                                       cmocka_unit_test(history_is_read_rarely),
                                       cmocka_unit_test(rows_of_a_new_owner_are_no_damage),
                                       cmocka_unit_test(damage_names_the_user),
                                       cmocka_unit_test(crowds_incremental),
                                       cmocka_unit_test(crowds_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
