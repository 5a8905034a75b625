/* The state directory: who may open it, what becomes visible when, which keys it takes, and two workers on
 * one. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "user/codec.h"

static enum ms_status open_as(const char *dir, const char *application, const char *topic,
                              const char *instance, struct ms_store **store, struct ms_error *error)
{
    const struct ms_store_options options = {.dir = dir,
                                             .application_id = application,
                                             .input_topic = topic,
                                             .instance_id = instance,
                                             .block_cache_bytes = 8 << 20};
    return ms_store_open(store, &options, error);
}

static void refuses(const char *dir, const char *application, const char *topic, enum ms_status status,
                    const char *text)
{
    struct ms_store *store = NULL;
    struct ms_error error = {0};
    assert_int_equal(open_as(dir, application, topic, "", &store, &error), status);
    assert_null(store);
    if (!strstr(error.text, text))
        fail_msg("\"%s\" does not say \"%s\"", error.text, text);
    assert_non_null(strstr(error.text, dir));
}

static void write_identity(const char *dir, const char *text)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/identity", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_directory_belongs_to_one(void **state)
{
    char *dir = state_dir_new(), made[4200], pid[64], instance[256];
    struct ms_store *store;
    struct ms_error error;
    struct stat stat_of;
    (void)state;
    snprintf(made, sizeof made, "%s/new", dir);
    store = state_open(made);
    assert_int_equal(stat(made, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0700);
    assert_string_equal(ms_store_application_id(store), "app");
    assert_string_equal(ms_store_input_topic(store), "clicks");
    snprintf(instance, sizeof instance, "%s", ms_store_instance_id(store));
    assert_int_equal(strlen(instance), 12);
    snprintf(pid, sizeof pid, "in use by process %ld", (long)getpid());
    refuses(made, "app", "clicks", MS_STATE_BUSY, pid);
    assert_int_equal(ms_store_set_workers(store, 7, &error), MS_OK);
    ms_store_close(store);
    refuses(made, "other", "clicks", MS_STATE, "application.id app");
    refuses(made, "app", "orders", MS_STATE, "input.topic clicks");
    assert_int_equal(open_as(made, "", "", "", &store, &error), MS_OK); /* a tool that does not know */
    assert_string_equal(ms_store_application_id(store), "app");
    assert_string_equal(ms_store_instance_id(store), instance);
    assert_int_equal(ms_store_workers(store), 7);
    ms_store_close(store);
    assert_int_equal(open_as(made, "app", "clicks", "left", &store, &error), MS_OK);
    assert_string_equal(ms_store_instance_id(store), "left");
    ms_store_close(store);
    write_identity(made, "format=2\napplication.id=app\nshard.count=4\n");
    refuses(made, "app", "clicks", MS_STATE_NEWER, "format 2");
    assert_int_equal(ms_store_open_reader(&store, made, &error), MS_STATE_NEWER);
    write_identity(made, "format=1\nshard.count=4\n");
    refuses(made, "app", "clicks", MS_STATE, "unknown key shard.count");
    write_identity(made, "application.id=app\n");
    refuses(made, "app", "clicks", MS_STATE, "no format");
    assert_int_equal(ms_store_open_reader(&store, dir, &error), MS_NOT_FOUND);
    snprintf(made, sizeof made, "%s/no/such", dir);
    refuses(made, "app", "clicks", MS_IO, "No such file");
    state_dir_remove(dir);
}

static void any_application_id_comes_back(void **state)
{
    const char *const names[] = {"back\\slash\\", "#hash", " blank", "a=b:c", "caf\xc3\xa9\tt", "\\n"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *dir = state_dir_new();
        struct ms_store *store;
        struct ms_error error;
        assert_int_equal(open_as(dir, names[i], "t", names[i], &store, &error), MS_OK);
        ms_store_close(store);
        assert_int_equal(open_as(dir, names[i], "t", "", &store, &error), MS_OK);
        assert_string_equal(ms_store_application_id(store), names[i]);
        assert_string_equal(ms_store_instance_id(store), names[i]);
        ms_store_close(store);
        state_dir_remove(dir);
    }
}

/* ---- keys ---- */

#define CHUNK_NUMBER 0x01020304u

struct seen {
    uint32_t partitions[8], users, chunks;
    struct ms_bytes ids[16]; /* as they are expected, in key order */
    uint16_t of[16];
};

static enum ms_status see_partition(void *context, uint16_t partition, const struct ms_partition_row *row,
                                    struct ms_error *error)
{
    struct seen *seen = context;
    (void)error;
    assert_true(row->sources[0].applied == partition + 1 && row->sources[0].origin == INT64_MIN &&
                row->sources[1].applied == -1 && row->sources[1].origin == 7 && row->decode_id == INT64_MAX &&
                row->fold_id == UINT64_MAX);
    seen->partitions[partition == 32767]++;
    return MS_OK;
}

static enum ms_status see_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                               struct ms_error *error)
{
    struct seen *seen = context;
    const struct ms_bytes *expected = &seen->ids[seen->users];
    (void)error;
    assert_int_equal(partition, seen->of[seen->users]);
    assert_int_equal(id.size, expected->size);
    assert_memory_equal(id.data, expected->data, id.size);
    assert_int_equal(value.size, seen->users);
    seen->users++;
    return MS_OK;
}

static enum ms_status see_chunk(void *context, uint16_t partition, struct ms_bytes id, uint32_t number,
                                struct ms_bytes value, struct ms_error *error)
{
    struct seen *seen = context;
    assert_in_range(number, CHUNK_NUMBER, CHUNK_NUMBER + 15); /* tells whose it is */
    const struct ms_bytes *expected = &seen->ids[number - CHUNK_NUMBER];
    (void)error;
    assert_int_equal(partition, seen->of[number - CHUNK_NUMBER]);
    assert_int_equal(id.size, expected->size);
    assert_memory_equal(id.data, expected->data, id.size);
    assert_memory_equal(value.data, "chunk", 5);
    seen->chunks++;
    return MS_OK;
}

static void put(struct ms_store_file *file, const struct ms_buffer *key, const char *value, size_t size)
{
    struct ms_error error;
    assert_int_equal(ms_store_file_put(file, (struct ms_bytes){key->data, key->size},
                                       (struct ms_bytes){value, size}, &error),
                     MS_OK);
}

static void put_partition(struct ms_store_file *file, uint16_t partition)
{
    const struct ms_partition_row row = {
        .sources = {{partition + 1, INT64_MIN}, {-1, 7}}, .fold_id = UINT64_MAX, .decode_id = INT64_MAX};
    struct ms_buffer key = {0};
    char bytes[MS_PARTITION_ROW_BYTES];
    ms_partition_row_encode(&row, bytes);
    ms_key_partition(&key, partition);
    put(file, &key, bytes, sizeof bytes);
    ms_buffer_free(&key);
}

static int by_key(const void *a, const void *b)
{
    const struct ms_buffer *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Ids with NUL bytes, prefixes of each other, the longest, high bytes; the first and the last partition. */
static void every_key_is_its_own(void **state)
{
    char *dir = state_dir_new(), *longest = malloc(32768);
    struct ms_store *store = state_open(dir);
    struct ms_store_file *file;
    struct ms_error error;
    struct ms_buffer key = {0};
    const uint16_t partitions[] = {0, 32767};
    bool lost;
    (void)state;
    memset(longest, 'l', 32768);
    struct seen seen = {.ids = {{"\0", 1},
                                {"\0\0", 2},
                                {"a", 1},
                                {"a\0", 2},
                                {"a\0\0\0\1", 5},
                                {"ab", 2},
                                {longest, 32767},
                                {longest, 32768},
                                {"\xff\xff", 2}}};
    for (int i = 9; i < 16; i++)
        seen.ids[i] = seen.ids[i - 7];
    for (int i = 9; i < 16; i++)
        seen.of[i] = 32767;
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    put_partition(file, 0);
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 9)
            put_partition(file, 32767);
        assert_true(ms_key_user(&key, seen.of[i], seen.ids[i]));
        put(file, &key, "0123456789abcdef", i);
    }
    static struct ms_buffer chunk_keys[16];
    for (uint32_t i = 0; i < 16; i++) {
        assert_true(ms_key_chunk(&chunk_keys[i], seen.of[i], seen.ids[i], CHUNK_NUMBER + i));
        assert_in_range(chunk_keys[i].size, 7, MS_KEY_MAX);
    }
    qsort(chunk_keys, 16, sizeof *chunk_keys, by_key);
    for (uint32_t i = 0; i < 16; i++) {
        put(file, &chunk_keys[i], "chunk", 5);
        ms_buffer_free(&chunk_keys[i]);
    }
    ms_store_acquire(store, 0, 3);
    ms_store_acquire(store, 32767, 3);
    assert_int_equal(ms_store_file_ingest(file, partitions, 2, 3, &lost, &error), MS_OK);
    assert_false(lost);
    struct ms_store_visitor visitor = {&seen, see_partition, see_user, see_chunk};
    assert_int_equal(ms_store_walk(store, &visitor, &error), MS_OK);
    assert_true(seen.partitions[0] == 1 && seen.partitions[1] == 1 && seen.users == 16 && seen.chunks == 16);
    struct ms_store_values values = {0};
    for (uint32_t i = 0; i < 16; i++) {
        assert_true(ms_key_user(&key, seen.of[i], seen.ids[i]));
        struct ms_bytes wanted = {key.data, key.size};
        assert_int_equal(ms_store_get(store, &wanted, 1, &values, &error), MS_OK);
        assert_true(values.values[0].data && values.values[0].size == i);
        ms_store_values_release(&values);
    }
    ms_store_values_free(&values);
    ms_buffer_free(&key);
    ms_store_close(store);
    free(longest);
    state_dir_remove(dir);
}

static void many_look_ups_together(void **state)
{
    enum { N = 1500 };
    char *dir = state_dir_new();
    static char names[N][16], keys[N][24];
    static struct ms_bytes wanted[N];
    struct ms_store *store = state_open(dir);
    struct ms_store_file *file;
    struct ms_store_values values = {0};
    struct ms_error error;
    const uint16_t partition = 1;
    bool lost;
    (void)state;
    ms_store_acquire(store, 1, 1);
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "%05d", i);
        keys[i][1] = 1;
        memcpy(keys[i] + 2, names[i], 5);
        wanted[(i * 7) % N] = (struct ms_bytes){keys[i], 7}; /* not in order */
        if (i % 3)
            assert_int_equal(ms_store_file_put(file, (struct ms_bytes){keys[i], 7},
                                               (struct ms_bytes){names[i], 5}, &error),
                             MS_OK);
    }
    assert_int_equal(ms_store_file_ingest(file, &partition, 1, 1, &lost, &error), MS_OK);
    assert_int_equal(ms_store_get(store, wanted, N, &values, &error), MS_OK);
    assert_int_equal(values.count, N);
    for (int i = 0; i < N; i++) {
        struct ms_bytes value = values.values[(i * 7) % N];
        assert_int_equal(value.data != NULL, i % 3 != 0);
        if (value.data)
            assert_memory_equal(value.data, names[i], 5);
    }
    ms_store_values_release(&values);
    assert_int_equal(ms_store_get(store, wanted, 0, &values, &error), MS_OK);
    ms_store_values_free(&values);
    ms_store_close(store);
    state_dir_remove(dir);
}

/* ---- files ---- */

/* Bytes of a directory's files of a kind, and how many of them the kernel holds in memory. */
static void count_resident(const char *dir, const char *kind, size_t *bytes, size_t *resident)
{
    DIR *list = opendir(dir);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *bytes = *resident = 0;
    assert_non_null(list);
    for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
        struct stat stat;
        if (!strstr(entry->d_name, kind))
            continue;
        int fd = openat(dirfd(list), entry->d_name, O_RDONLY);
        assert_true(fd >= 0 && fstat(fd, &stat) == 0);
        size_t size = (size_t)stat.st_size, pages = (size + page - 1) / page;
        void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        unsigned char *held = calloc(pages, 1);
        assert_true(map != MAP_FAILED && held && mincore(map, size, held) == 0);
        for (size_t i = 0; i < pages; i++)
            *resident += (held[i] & 1) * page;
        *bytes += pages * page;
        free(held);
        munmap(map, size);
        close(fd);
    }
    closedir(list);
}

/* The path of a table file in |db|. */
static void find_table(const char *db, char *path, size_t size)
{
    DIR *list = opendir(db);
    bool found = false;
    assert_non_null(list);
    for (struct dirent *entry = readdir(list); entry && !found; entry = readdir(list)) {
        found = strstr(entry->d_name, ".sst") != NULL;
        assert_in_range(snprintf(path, size, "%s/%s", db, entry->d_name), 1, size - 1);
    }
    closedir(list);
    assert_true(found);
}

/* Who was written comes back soon: the kernel need not read the file from the device. */
static void a_file_stays_in_the_page_cache(void **state)
{
    char *dir = state_dir_new(), db[PATH_MAX], value[1000];
    struct ms_store *store = state_open(dir);
    struct ms_store_file *file;
    struct ms_error error;
    const uint16_t partition = 1;
    size_t bytes, resident;
    bool lost;
    (void)state;
    memset(value, 'x', sizeof value);
    ms_store_acquire(store, 1, 1);
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    for (unsigned i = 0; i < 4000; i++) {
        char key[] = {0, 1, (char)(i >> 8), (char)i};
        put(file, &(struct ms_buffer){.data = key, .size = sizeof key}, value, sizeof value);
    }
    assert_int_equal(ms_store_file_ingest(file, &partition, 1, 1, &lost, &error), MS_OK);
    snprintf(db, sizeof db, "%s/db", dir);
    count_resident(db, ".sst", &bytes, &resident);
    assert_in_range(bytes, 4000 * sizeof value, 2 * 4000 * sizeof value);
    assert_in_range(resident, bytes / 10 * 9, bytes);
    ms_store_close(store);
    state_dir_remove(dir);
}

/* A kill between the manifest and the removal of its first name leaves a table of the database under ingest/
 * too: the file that is to have that name next is another one. */
static void a_left_over_name_is_not_written_over(void **state)
{
    char *dir = state_dir_new(), db[PATH_MAX], table[PATH_MAX], name[PATH_MAX];
    struct ms_store *store = state_open(dir);
    struct ms_store_file *file;
    struct ms_error error;
    struct stat before, after;
    const uint16_t partition = 1;
    bool lost;
    (void)state;
    ms_store_acquire(store, 1, 1);
    for (int i = 0; i < 2; i++) {
        char key[] = {0, 1, (char)i};
        assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
        put(file, &(struct ms_buffer){.data = key, .size = sizeof key}, "some value", i ? 4 : 10);
        assert_int_equal(ms_store_file_ingest(file, &partition, 1, 1, &lost, &error), MS_OK);
        if (i)
            break;
        snprintf(db, sizeof db, "%s/db", dir);
        find_table(db, table, sizeof table);
        assert_int_equal(stat(table, &before), 0);
        snprintf(name, sizeof name, "%s/ingest/1.sst", dir);
        assert_int_equal(link(table, name), 0);
    }
    assert_int_equal(stat(table, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    ms_store_close(store);
    state_dir_remove(dir);
}

static void a_file_is_all_or_nothing(void **state)
{
    char *dir = state_dir_new();
    struct ms_store *store = state_open(dir);
    struct ms_store_file *file;
    struct ms_partition_row row;
    struct ms_error error;
    const uint16_t both[] = {1, 2};
    bool lost, found;
    (void)state;
    ms_store_acquire(store, 1, 5);
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    put_partition(file, 1);
    put_partition(file, 2);
    assert_int_equal(ms_store_file_ingest(file, both, 2, 5, &lost, &error), MS_OK);
    assert_true(lost); /* one of the two is not its own */
    assert_int_equal(ms_store_partition(store, 1, &row, &found, &error), MS_OK);
    assert_false(found);
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    put_partition(file, 1);
    ms_store_file_discard(file);
    assert_int_equal(ms_store_partition(store, 1, &row, &found, &error), MS_OK);
    assert_false(found);
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    assert_int_equal(ms_store_file_ingest(file, both, 1, 5, &lost, &error), MS_OK); /* of no rows */
    assert_false(lost);
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    put_partition(file, 2);
    assert_int_equal(ms_store_file_put(file, (struct ms_bytes){"\0\1", 2}, (struct ms_bytes){"", 0}, &error),
                     MS_IO); /* out of order */
    ms_store_file_discard(file);
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    put_partition(file, 1);
    assert_int_equal(ms_store_file_ingest(file, both, 1, 5, &lost, &error), MS_OK);
    assert_int_equal(ms_store_partition(store, 1, &row, &found, &error), MS_OK);
    assert_true(found && row.sources[0].applied == 2 && row.decode_id == INT64_MAX);
    char *stats = ms_store_stats(store);
    assert_non_null(stats);
    free(stats);
    assert_true(strlen(ms_store_rocksdb_version()) > 2);
    ms_store_close(store);
    state_dir_remove(dir);
}

/* What a scan was given: the beginnings of the ids, and after how many it stops. */
struct scanned {
    char seen[16];
    size_t count, stops_at;
};

static bool take_scanned(void *context, struct ms_bytes id, struct ms_bytes value)
{
    struct scanned *scanned = context;
    assert_true(id.size > 0 && value.size == 1 && value.data[0] == id.data[0]);
    scanned->seen[scanned->count++] = id.data[0];
    return scanned->count != scanned->stops_at;
}

static void assert_scans(struct ms_store *store, const char *from, size_t stops_at, const char *expected,
                         bool to_end)
{
    struct scanned scanned = {.stops_at = stops_at};
    struct ms_error error;
    bool ended = !to_end;
    assert_int_equal(ms_store_scan(store, 7, (struct ms_bytes){from, strlen(from)}, &scanned, take_scanned,
                                   &ended, &error),
                     MS_OK);
    assert_string_equal(scanned.seen, expected);
    assert_int_equal(ended, to_end);
}

/* The head rows of one partition alone, from an id on, beside those of others, their own rows and chunks. */
static void a_scan_stays_in_its_partition(void **state)
{
    char *dir = state_dir_new();
    struct ms_store *store = state_open(dir);
    struct ms_store_file *file;
    struct ms_error error;
    struct ms_buffer key = {0};
    const uint16_t owned[] = {6, 7, 8};
    bool lost;
    (void)state;
    for (size_t i = 0; i < 3; i++)
        ms_store_acquire(store, owned[i], 5);
    assert_scans(store, "", 0, "", true);
    assert_int_equal(ms_store_file_begin(&file, store, &error), MS_OK);
    for (uint16_t partition = 6; partition <= 8; partition++) {
        put_partition(file, partition);
        for (const char *id = "\1ac"; *id; id++) {
            assert_true(ms_key_user(&key, partition, (struct ms_bytes){id, 1}));
            put(file, &key, id, 1);
        }
    }
    assert_true(ms_key_chunk(&key, 7, (struct ms_bytes){"a", 1}, 3));
    put(file, &key, "chunk", 5);
    assert_int_equal(ms_store_file_ingest(file, owned, 3, 5, &lost, &error), MS_OK);
    assert_false(lost);
    assert_scans(store, "", 0, "\1ac", true);
    assert_scans(store, "a", 0, "ac", true);
    assert_scans(store, "b", 0, "c", true);
    assert_scans(store, "d", 0, "", true);
    assert_scans(store, "", 2, "\1a", false);
    assert_scans(store, "", 3, "\1ac", false); /* it was not asked whether more follow */
    ms_buffer_free(&key);
    ms_store_close(store);
    state_dir_remove(dir);
}

static void a_reader_sees_what_was_flushed(void **state)
{
    char *dir = state_dir_new();
    struct ms_store *store = state_open(dir), *reader;
    struct life_model model;
    struct ms_fold_context fold_context;
    struct ms_overlay *overlay, *reading;
    struct crowd crowd;
    struct crowd *const one[] = {&crowd};
    struct ms_partition_row row;
    struct ms_error error;
    bool found;
    (void)state;
    life_model_open(&model, 1, 4, 8);
    life_folder(&fold_context, &model, true, 100);
    crowd_start(&crowd, 6, 50, 3);
    ms_store_acquire(store, 6, 2);
    assert_int_equal(ms_overlay_new(&overlay, store, &fold_context, 1 << 20, 2, &error), MS_OK);
    for (int round = 0; round < 20; round++) {
        crowd_fold(&crowd, overlay, &fold_context, 500, 100, true);
        assert_false(crowd_flush(one, 1, overlay));
        if (round % 5)
            continue;
        assert_int_equal(ms_store_open_reader(&reader, dir, &error), MS_OK);
        assert_string_equal(ms_store_application_id(reader), "app");
        assert_int_equal(ms_store_partition(reader, 6, &row, &found, &error), MS_OK);
        assert_true(found && row.sources[0].applied == crowd.offset);
        assert_int_equal(ms_overlay_new(&reading, reader, &fold_context, 1 << 20, 3, &error), MS_OK);
        crowd_compare(&crowd, reading, &fold_context);
        assert_int_equal(count_rows(reader).orphans, 0);
        ms_overlay_destroy(reading);
        ms_store_close(reader);
    }
    ms_overlay_destroy(overlay);
    ms_store_close(store);
    assert_int_equal(ms_store_open_reader(&reader, dir, &error), MS_OK); /* nobody writes */
    assert_int_equal(ms_overlay_new(&reading, reader, &fold_context, 1 << 20, 3, &error), MS_OK);
    crowd_compare(&crowd, reading, &fold_context);
    ms_overlay_destroy(reading);
    ms_store_close(reader);
    ms_fold_context_free(&fold_context);
    life_model_close(&model);
    crowd_free(&crowd);
    state_dir_remove(dir);
}

/* ---- two workers ---- */

/* A start may end at any point: killed, or on a full disk. What it leaves can be opened again. Here the contents cannot be
 * written. */
static void a_start_that_ends_midway(void **state)
{
    char *dir = state_dir_new(), blocked[4200];
    struct ms_store *store = state_open(dir);
    struct ms_error error;
    (void)state;
    ms_store_close(store);
    snprintf(blocked, sizeof blocked, "%s/contents.new", dir);
    assert_int_equal(mkdir(blocked, 0700), 0);
    assert_int_equal(open_as(dir, "app", "clicks", "", &store, &error), MS_IO);
    assert_int_equal(rmdir(blocked), 0);
    enum ms_status status = open_as(dir, "app", "clicks", "", &store, &error);
    if (status != MS_OK)
        fail_msg("%s", error.text);
    ms_store_close(store);
    state_dir_remove(dir);
}

struct worker {
    struct ms_store *store;
    uint32_t owner;
    struct crowd crowds[2];
    uint32_t lost;
};

/* Folds and flushes its own partition, and tries to flush one that is the other's half of the time. */
static void *work(void *context)
{
    struct worker *worker = context;
    struct life_model model;
    struct ms_fold_context fold_context;
    struct ms_overlay *overlay;
    struct ms_error error;
    uint16_t own = worker->crowds[0].partition;
    life_model_open(&model, 1, 4, 8);
    life_folder(&fold_context, &model, true, 50);
    ms_store_acquire(worker->store, own, worker->owner);
    if (ms_overlay_new(&overlay, worker->store, &fold_context, 20000, worker->owner, &error) != MS_OK)
        abort();
    struct crowd *const mine[] = {&worker->crowds[0]};
    for (int round = 0; round < 40; round++) {
        crowd_fold(&worker->crowds[0], overlay, &fold_context, 200, 50, true);
        if (crowd_flush(mine, 1, overlay))
            abort();
        struct ms_flush_row foreign = {.partition = (uint16_t)(own ^ 1), .row = {.sources[0].applied = -5}};
        bool lost;
        if (ms_overlay_flush(overlay, &foreign, 1, &lost, &error) != MS_OK)
            abort();
        worker->lost += lost;
    }
    ms_overlay_drop(overlay, own);
    crowd_compare(&worker->crowds[0], overlay, &fold_context);
    ms_store_release(worker->store, own, worker->owner);
    ms_overlay_destroy(overlay);
    ms_fold_context_free(&fold_context);
    life_model_close(&model);
    return NULL;
}

static void two_workers_on_one_store(void **state)
{
    char *dir = state_dir_new();
    struct ms_store *store = state_open(dir);
    struct worker workers[2] = {{.store = store, .owner = 1}, {.store = store, .owner = 2}};
    pthread_t threads[2];
    struct ms_partition_row row;
    struct ms_error error;
    bool found;
    (void)state;
    crowd_start(&workers[0].crowds[0], 10, 100, 4); /* makes the ids that both share */
    crowd_start(&workers[1].crowds[0], 11, 100, 4);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(workers[i].lost, 40);
        assert_int_equal(ms_store_partition(store, (uint16_t)(10 + i), &row, &found, &error), MS_OK);
        assert_true(found && row.sources[0].applied == 8000);
        crowd_free(&workers[i].crowds[0]);
    }
    ms_store_close(store);
    state_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_directory_belongs_to_one),
                                       cmocka_unit_test(any_application_id_comes_back),
                                       cmocka_unit_test(every_key_is_its_own),
                                       cmocka_unit_test(many_look_ups_together),
                                       cmocka_unit_test(a_file_stays_in_the_page_cache),
                                       cmocka_unit_test(a_left_over_name_is_not_written_over),
                                       cmocka_unit_test(a_file_is_all_or_nothing),
                                       cmocka_unit_test(a_scan_stays_in_its_partition),
                                       cmocka_unit_test(a_reader_sees_what_was_flushed),
                                       cmocka_unit_test(a_start_that_ends_midway),
                                       cmocka_unit_test(two_workers_on_one_store)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
