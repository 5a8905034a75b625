/* Owners, and files on their way into the database. */
#include "state/ingest.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "state/store_inside.h"

#define LEVEL0_FILES_MAX 60 /* beyond which a file waits for compactions */
#define PATIENCE_MS                                                                                          \
    20000            /* longest wait of one file; a worker may be waiting for it, and its session times out */
#define IDLE_MS 2000 /* with no compaction running for so long, none comes */
#define POLL_MS 10
#define TOLD_MS 1000 /* a wait that is worth a line of the log */

struct ms_store_file {
    struct ms_store *store;
    rocksdb_sstfilewriter_t *writer;
    char *path;
    size_t rows;
};

/* ---- ownership ---- */

void ms_store_acquire(struct ms_store *store, uint16_t partition, uint32_t owner)
{
    pthread_mutex_lock(&store->ingesting);
    store->owners[partition] = owner;
    pthread_mutex_unlock(&store->ingesting);
}

void ms_store_release(struct ms_store *store, uint16_t partition, uint32_t owner)
{
    pthread_mutex_lock(&store->ingesting);
    if (store->owners[partition] == owner)
        store->owners[partition] = MS_NO_OWNER;
    pthread_mutex_unlock(&store->ingesting);
}

bool ms_store_owns(struct ms_store *store, uint16_t partition, uint32_t owner)
{
    pthread_mutex_lock(&store->ingesting);
    bool owns = store->owners[partition] == owner;
    pthread_mutex_unlock(&store->ingesting);
    return owns;
}

/* ---- files ---- */

enum ms_status ms_store_file_begin(struct ms_store_file **out, struct ms_store *store, struct ms_error *error)
{
    assert(!store->reader);
    struct ms_store_file *file = calloc(1, sizeof *file);
    if (!file)
        return ms_fail(error, MS_MEMORY, "no memory to write the state");
    file->store = store;
    if (asprintf(&file->path, "%s/ingest/%u.sst", store->dir, atomic_fetch_add(&store->next_file, 1)) < 0)
        file->path = NULL;
    /* A killed process may have left a file of this name. It may be a hard link to a table of the database, so
     * it is removed, not overwritten. */
    if (!file->path || (unlink(file->path) && errno != ENOENT)) {
        enum ms_status status = ms_fail(error, MS_IO, "%s: %s", file->path ? file->path : store->dir,
                                        strerror(errno));
        ms_store_file_discard(file);
        return status;
    }
    char *text = NULL;
    file->writer = rocksdb_sstfilewriter_create(store->env, store->options);
    rocksdb_sstfilewriter_open(file->writer, file->path, &text);
    enum ms_status status = ms_rocksdb_error(text, MS_IO, error, file->path);
    if (status != MS_OK) {
        ms_store_file_discard(file);
        return status;
    }
    *out = file;
    return MS_OK;
}

enum ms_status ms_store_file_put(struct ms_store_file *file, struct ms_bytes key, struct ms_bytes value,
                                 struct ms_error *error)
{
    char *text = NULL;
    rocksdb_sstfilewriter_put(file->writer, key.data, key.size, value.data, value.size, &text);
    file->rows++;
    return ms_rocksdb_error(text, MS_IO, error, file->path);
}

enum ms_status ms_store_file_delete(struct ms_store_file *file, struct ms_bytes key, struct ms_error *error)
{
    char *text = NULL;
    rocksdb_sstfilewriter_delete(file->writer, key.data, key.size, &text);
    file->rows++;
    return ms_rocksdb_error(text, MS_IO, error, file->path);
}

/* ---- back-pressure ---- */

static uint64_t property(struct ms_store *store, const char *name)
{
    char *text = rocksdb_property_value(store->db, name);
    uint64_t value = text ? strtoull(text, NULL, 10) : 0;
    rocksdb_free(text);
    return value;
}

static uint64_t level0_files(struct ms_store *store)
{
    return property(store, "rocksdb.num-files-at-level0");
}

void ms_store_file_wait(struct ms_store_file *file, const atomic_bool *hurry)
{
    struct ms_store *store = file->store;
    int waited_ms = 0, idle_ms = 0;
    uint64_t files = level0_files(store);
    while (level0_files(store) >= LEVEL0_FILES_MAX && waited_ms < PATIENCE_MS && idle_ms < IDLE_MS &&
           !atomic_load(hurry)) {
        usleep(POLL_MS * 1000);
        waited_ms += POLL_MS;
        idle_ms = property(store, "rocksdb.num-running-compactions") ? 0 : idle_ms + POLL_MS;
    }
    if (waited_ms >= TOLD_MS)
        ms_log(MS_LOG_WARN, "state.behind",
               "waited_ms=%d files=%llu text=\"compactions are slower than flushes\"", waited_ms,
               (unsigned long long)files);
}

/* ---- ingestion ---- */

static bool owns_all(const struct ms_store *store, const uint16_t *partitions, size_t count, uint32_t owner)
{
    for (size_t i = 0; i < count; i++) {
        if (store->owners[partitions[i]] != owner)
            return false;
    }
    return true;
}

/* What cannot be noted now is noted by the next ingestion: the note before still fits a longer manifest. */
static void note_contents(struct ms_store *store)
{
    struct ms_error error;
    if (ms_store_note_contents(store, MS_CONTENTS_OPEN, &error) != MS_OK)
        ms_log(MS_LOG_WARN, "state.contents", "text=\"%s\"", error.text);
}

enum ms_status ms_store_file_ingest(struct ms_store_file *file, const uint16_t *partitions, size_t count,
                                    uint32_t owner, bool *lost, struct ms_error *error)
{
    struct ms_store *store = file->store;
    char *text = NULL;
    *lost = false;
    enum ms_status status = MS_OK;
    if (file->rows) {
        rocksdb_sstfilewriter_finish(file->writer, &text);
        status = ms_rocksdb_error(text, MS_IO, error, file->path);
        text = NULL;
        pthread_mutex_lock(&store->ingesting);
        *lost = !owns_all(store, partitions, count, owner);
        if (status == MS_OK && !*lost) {
            const char *path = file->path;
            rocksdb_ingest_external_file(store->db, &path, 1, store->ingest, &text);
            if (!text)
                note_contents(store);
        }
        pthread_mutex_unlock(&store->ingesting);
        if (status == MS_OK)
            status = ms_rocksdb_error(text, MS_STATE, error, file->path);
    }
    ms_store_file_discard(file);
    return status;
}

void ms_store_file_discard(struct ms_store_file *file)
{
    if (!file)
        return;
    if (file->writer)
        rocksdb_sstfilewriter_destroy(file->writer);
    if (file->path)
        unlink(file->path);
    free(file->path);
    free(file);
}
