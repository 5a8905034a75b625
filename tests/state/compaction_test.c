/* What flushes have written to the disk in the end, and what keeps them from getting ahead of compactions. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"
#include "fixture.h"
#include "state/flight.h"
#include "state/store_inside.h"

#define VALUE_BYTES 400

static int64_t compaction_bytes_a_second; /* 0: as fast as can be */

rocksdb_t *__wrap_rocksdb_open_column_families(rocksdb_options_t *options, const char *name, int count,
                                               const char *const *names,
                                               const rocksdb_options_t *const *options_of,
                                               rocksdb_column_family_handle_t **handles, char **text);
rocksdb_t *__real_rocksdb_open_column_families(rocksdb_options_t *options, const char *name, int count,
                                               const char *const *names,
                                               const rocksdb_options_t *const *options_of,
                                               rocksdb_column_family_handle_t **handles, char **text);

rocksdb_t *__wrap_rocksdb_open_column_families(rocksdb_options_t *options, const char *name, int count,
                                               const char *const *names,
                                               const rocksdb_options_t *const *options_of,
                                               rocksdb_column_family_handle_t **handles, char **text)
{
    if (compaction_bytes_a_second) {
        rocksdb_ratelimiter_t *limiter = rocksdb_ratelimiter_create(compaction_bytes_a_second, 100000, 10);
        rocksdb_options_set_ratelimiter(options, limiter);
        rocksdb_ratelimiter_destroy(limiter);
    }
    return __real_rocksdb_open_column_families(options, name, count, names, options_of, handles, text);
}

static uint64_t property(struct ms_store *store, const char *name)
{
    char *text = rocksdb_property_value(store->db, name);
    assert_non_null(text);
    uint64_t value = strtoull(text, NULL, 10);
    rocksdb_free(text);
    return value;
}

static uint64_t level0_files(struct ms_store *store)
{
    return property(store, "rocksdb.num-files-at-level0");
}

/* One that is due is scheduled at once; where none can be chosen, none runs. */
static void wait_for_quiet(struct ms_store *store)
{
    for (int quiet = 0; quiet < 5; quiet++) {
        if (property(store, "rocksdb.num-running-compactions"))
            quiet = -1;
        usleep(1000);
    }
}

/* Bytes that this process has handed to the kernel to be written. */
static uint64_t written_bytes(void)
{
    char line[128];
    unsigned long long bytes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) && sscanf(line, "wchar: %llu", &bytes) != 1)
        ;
    fclose(file);
    return bytes;
}

/* A file of partition 0's users number first, first + step ... below |end|; returns its bytes of rows. */
static struct ms_store_file *new_file(struct ms_store *store, uint32_t first, uint32_t step, uint32_t end,
                                      uint64_t *bytes)
{
    static uint64_t random = 1;
    struct ms_store_file *file = NULL;
    struct ms_buffer key = {0};
    struct ms_error error;
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    for (uint32_t user = first; user < end; user += step) {
        char id[16];
        uint64_t value[VALUE_BYTES / 8];
        int n = snprintf(id, sizeof id, "user%08u", user);
        for (size_t i = 0; i < VALUE_BYTES / 8; i++)
            value[i] = life_random(&random);
        assert_true(ms_key_user(&key, 0, (struct ms_bytes){id, (size_t)n}));
        const struct ms_bytes row = {(const char *)value, VALUE_BYTES};
        assert_int_equal(ms_store_file_put(file, (struct ms_bytes){key.data, key.size}, row, &error), MS_OK);
        *bytes += key.size + VALUE_BYTES;
    }
    ms_buffer_free(&key);
    return file;
}

/* Brings such a file into the database, as a flush does. */
static uint64_t ingest(struct ms_store *store, struct ms_flight *flight, uint32_t first, uint32_t step,
                       uint32_t end)
{
    const uint16_t partition = 0;
    struct ms_error error;
    uint64_t bytes = 0;
    bool lost;
    ms_flight_launch(flight, new_file(store, first, step, end, &bytes), &partition, 1, 1);
    assert_int_equal(ms_flight_end(flight, &lost, &error), MS_OK);
    assert_false(lost);
    return bytes;
}

/* Many small flushes into a large state. */
static void a_flush_costs_what_changed(void **state)
{
    enum { USERS = 50000, FLUSHES = 200, STEP = 997 };
    char *dir = state_dir_new();
    struct ms_store *store = state_open(dir);
    struct ms_flight flight = {0};
    uint64_t changed = 0;
    (void)state;
    ms_store_acquire(store, 0, 1);
    ingest(store, &flight, 0, 1, USERS);
    uint64_t before = written_bytes();
    for (uint32_t i = 0; i < FLUSHES; i++) {
        changed += ingest(store, &flight, i, STEP, USERS);
        wait_for_quiet(store);
    }
    double written = (double)(written_bytes() - before);
    print_message("%.1f MB changed, %.1f times as much written\n", (double)changed / 1e6,
                  written / (double)changed);
    assert_true(written < 8 * (double)changed);
    ms_store_close(store);
    state_dir_remove(dir);
}

static void flushes_wait_for_compactions(void **state)
{
    enum { USERS = 40000, STEP = 997, FLUSHES = 160, FILES_MAX = 60 };
    char *dir = state_dir_new();
    compaction_bytes_a_second = 1 << 19;
    struct ms_store *store = state_open(dir);
    compaction_bytes_a_second = 0;
    struct ms_flight flight = {0};
    uint64_t most = 0;
    (void)state;
    ms_store_acquire(store, 0, 1);
    for (uint32_t i = 0; i < FLUSHES; i++) {
        ingest(store, &flight, i, STEP, USERS);
        most = level0_files(store) > most ? level0_files(store) : most;
    }
    print_message("at most %llu files in level 0\n", (unsigned long long)most);
    assert_in_range(most, FILES_MAX / 2, FILES_MAX);
    ms_store_close(store);
    state_dir_remove(dir);
}

/* Before a partition leaves nobody waits, and nowhere for a compaction that does not come. */
static void some_do_not_wait(void **state)
{
    enum { USERS = 1000, STEP = 97, FILES_MAX = 60 };
    const char *const keys[] = {"disable_auto_compactions"}, *const values[] = {"true"};
    char *dir = state_dir_new(), *text = NULL;
    struct ms_store *store = state_open(dir);
    struct ms_flight flight = {0};
    (void)state;
    ms_store_acquire(store, 0, 1);
    rocksdb_set_options(store->db, 1, keys, values, &text);
    assert_null(text);
    for (uint32_t i = 0; i < FILES_MAX; i++)
        ingest(store, &flight, i, STEP, USERS);
    assert_int_equal(level0_files(store), FILES_MAX);
    ms_flight_hurry(&flight, true);
    double began_s = ms_monotonic_s();
    for (uint32_t i = 0; i < 3; i++)
        ingest(store, &flight, i, STEP, USERS);
    assert_true(ms_monotonic_s() - began_s < 1.9);
    ms_flight_hurry(&flight, false);
    ingest(store, &flight, 0, STEP, USERS);
    assert_int_equal(level0_files(store), FILES_MAX + 4);
    ms_store_close(store);
    state_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_costs_what_changed),
        cmocka_unit_test(flushes_wait_for_compactions),
        cmocka_unit_test(some_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
