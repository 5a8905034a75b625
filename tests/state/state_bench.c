/* What a flush costs a dirty user, a look-up a cached and a cold one, and what few changes of a large state have
 * written to the disk. Not a test: run it by hand, in a release build.   state_bench [stored users, 1000000] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/progress.h"
#include "fixture.h"

static double cpu_s(void) /* of the whole process, RocksDB's threads included */
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct bench {
    char *dir;
    struct ms_store *store;
    struct life_model model;
    struct ms_fold_context fold_context;
    struct ms_overlay *overlay;
    int64_t offset;
};

static void must(bool good, const struct ms_error *error)
{
    if (!good) {
        fprintf(stderr, "%s\n", error->text);
        abort();
    }
}

static void bench_open(struct bench *b, bool incremental, size_t memory_bytes, size_t cache_bytes)
{
    struct ms_error error;
    *b = (struct bench){.dir = state_dir_new()};
    const struct ms_store_options options = {.dir = b->dir,
                                             .application_id = "app",
                                             .input_topic = "clicks",
                                             .instance_id = "",
                                             .block_cache_bytes = cache_bytes};
    must(ms_store_open(&b->store, &options, &error) == MS_OK, &error);
    life_model_open(&b->model, 1, 4, 64);
    life_folder(&b->fold_context, &b->model, incremental, 200);
    ms_store_acquire(b->store, 0, 1);
    must(ms_overlay_new(&b->overlay, b->store, &b->fold_context, memory_bytes, 1, &error) == MS_OK, &error);
}

static void bench_close(struct bench *b)
{
    ms_overlay_destroy(b->overlay);
    ms_fold_context_free(&b->fold_context);
    life_model_close(&b->model);
    ms_store_close(b->store);
    state_dir_remove(b->dir);
}

#define BATCH 1000 /* most users of a batch */

/* Finds |count| users, from number |first| on with a stride, and folds one event into each when asked. */
static void some(struct bench *b, uint32_t count, uint32_t first, uint32_t stride, uint32_t users, bool fold)
{
    static char ids[BATCH][16];
    static struct ms_wanted wanted[BATCH];
    struct ms_error error;
    enum ms_folded folded;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t user = (uint32_t)((first + (uint64_t)i * stride) % users);
        int n = snprintf(ids[i], sizeof ids[i], "u%u", user * 2654435761u);
        wanted[i] = (struct ms_wanted){.id = {ids[i], (size_t)n}, .time_ms = INT64_MAX};
        wanted[i].hash = ms_overlay_hash(0, wanted[i].id);
    }
    must(ms_overlay_find(b->overlay, wanted, count, &error) == MS_OK, &error);
    for (uint32_t i = 0; fold && i < count; i++) {
        char item[16];
        int n = snprintf(item, sizeof item, "item-%u", (uint32_t)b->offset % 3);
        struct ms_event event = {.user = wanted[i].id,
                                 .item = {item, (size_t)n},
                                 .type = {"click", 5},
                                 .time_ms = 1700000000000 + b->offset};
        must(ms_overlay_fold(b->overlay, wanted[i].entry, &event, (uint32_t)b->offset % 3, b->offset, &folded,
                             &error) == MS_OK,
             &error);
        b->offset++;
    }
}

static void batch(struct bench *b, uint32_t first, uint32_t stride, uint32_t users, bool fold)
{
    some(b, BATCH, first, stride, users, fold);
}

static void flush(struct bench *b)
{
    struct ms_flush_row row = {.row = {.sources[0].applied = b->offset}};
    struct ms_error error;
    bool lost;
    must(ms_overlay_flush(b->overlay, &row, 1, &lost, &error) == MS_OK && !lost, &error);
}

static void flushes(bool incremental)
{
    enum { USERS = 100000, ROUNDS = 10 };
    struct bench b;
    double flushing = 0, wall = 0;
    bench_open(&b, incremental, (size_t)1 << 30, (size_t)64 << 20);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t at = 0; at < USERS; at += BATCH)
            batch(&b, at, 1, USERS, true);
        double began = cpu_s(), wall_began = ms_monotonic_s();
        flush(&b);
        flushing += cpu_s() - began;
        wall += ms_monotonic_s() - wall_began;
    }
    printf("flush, %s, 100000 users of up to 10 behaviors: %.2f us CPU a dirty user, %.2f us wall, %zu bytes "
           "of memory each\n",
           incremental ? "incremental" : "full", flushing / ROUNDS / USERS * 1e6, wall / ROUNDS / USERS * 1e6,
           ms_overlay_bytes(b.overlay) / USERS);
    bench_close(&b);
}

static void look_ups(uint32_t users, size_t cache_bytes)
{
    struct bench b;
    bench_open(&b, true, (size_t)32 << 20, cache_bytes);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t at = 0; at < users; at += BATCH) {
            batch(&b, at, 1, users, true);
            if (at % 100000 == 0)
                flush(&b);
        }
    }
    flush(&b);
    for (uint32_t i = 0; i < 200; i++) /* warms the block cache, where it is large enough */
        batch(&b, i * 7919, 48271, users, false);
    double began = cpu_s(), wall_began = ms_monotonic_s();
    for (uint32_t i = 0; i < 200; i++)
        batch(&b, i * 7919, 48271, users, false);
    printf("cold look-up, %u users, %zu MB of block cache: %.2f us CPU a user, %.2f us wall\n", users,
           cache_bytes >> 20, (cpu_s() - began) / 200 / BATCH * 1e6,
           (ms_monotonic_s() - wall_began) / 200 / BATCH * 1e6);
    for (uint32_t i = 0; i < 20; i++)
        batch(&b, i * BATCH, 1, users, false);
    began = cpu_s();
    for (uint32_t i = 0; i < 400; i++)
        batch(&b, i % 20 * BATCH, 1, users, false);
    printf("cached look-up of 20000 users: %.3f us CPU a user, the making of ids included\n",
           (cpu_s() - began) / 400 / BATCH * 1e6);
    bench_close(&b);
}

/* Bytes that this process has handed to the kernel to be written. */
static uint64_t written_bytes(void)
{
    char line[128];
    unsigned long long bytes = 0;
    FILE *file = fopen("/proc/self/io", "r");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "wchar: %llu", &bytes) != 1)
        ;
    if (file)
        fclose(file);
    return bytes;
}

/* Flushes of a few users each. The pause between them stands for the second that a service lets pass: the
 * compactions have to keep up. */
static void trickle(uint32_t users)
{
    enum { FLUSHES = 1000, USERS_EACH = 200, PAUSE_US = 10000, REST_S = 5 };
    struct bench b;
    bench_open(&b, true, (size_t)256 << 20, (size_t)64 << 20);
    for (uint32_t at = 0; at < users; at += BATCH) {
        batch(&b, at, 1, users, true);
        if (at % 100000 == 0)
            flush(&b);
    }
    flush(&b);
    sleep(REST_S);
    uint64_t before = written_bytes();
    for (uint32_t i = 0; i < FLUSHES; i++) {
        some(&b, USERS_EACH, i * 7919, 48271, users, true);
        flush(&b);
        usleep(PAUSE_US);
    }
    sleep(REST_S);
    double written = (double)(written_bytes() - before);
    printf("trickle, %u users stored, %d flushes of %d users: %.0f MB written, %.0f bytes a changed user\n",
           users, FLUSHES, USERS_EACH, written / 1e6, written / FLUSHES / USERS_EACH);
    bench_close(&b);
}

int main(int argc, char **argv)
{
    uint32_t users = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    flushes(false);
    flushes(true);
    look_ups(users, (size_t)8 << 20);
    look_ups(users, (size_t)1 << 30);
    trickle(users);
    return 0;
}
