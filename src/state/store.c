/* Opening, reading, and ingesting: the calls into RocksDB.
 *
 * Partition row: version of the layout (u8: 1), 7 zero bytes, applied and origin of the clicks,
 * applied and origin of the profiles, changelog (i64 each), fold id (u64), all little-endian; 56 bytes, padded to 64. */
#include "state/store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rocksdb/c.h>

#include "base/properties.h"

#define CHECKSUM_XXH3 4 /* rocksdb::kXXH3, which the C header does not name */
#define ROW_VERSION   1
#define ROW_BYTES     64
#define CACHE_SHARD   ((size_t)16 << 20) /* least bytes of a shard of the block cache */

struct ms_store {
    char *dir;
    char application_id[256], input_topic[256], instance_id[256];
    int format, workers;
    int lock_fd;
    bool reader;
    char *secondary_dir;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_column_family_handle_t *rows;
    rocksdb_readoptions_t *read;
    rocksdb_envoptions_t *env;
    rocksdb_ingestexternalfileoptions_t *ingest;
    pthread_mutex_t ingesting; /* guards owners, and one ingestion at a time */
    uint32_t owners[MS_MAX_PARTITIONS];
    atomic_uint next_file;
};

struct ms_store_file {
    struct ms_store *store;
    rocksdb_sstfilewriter_t *writer;
    char *path;
    size_t rows;
};

const char *ms_store_rocksdb_version(void)
{
    return MS_ROCKSDB_VERSION;
}

/* ---- the directory ---- */

static char *path_of(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static enum ms_status make_dir(const char *path, struct ms_error *error)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return MS_OK;
    return ms_fail(error, MS_IO, "%s: cannot make the directory: %s", path, strerror(errno));
}

static enum ms_status take_lock(struct ms_store *store, struct ms_error *error)
{
    char *path = path_of(store->dir, "LOCK");
    enum ms_status status = MS_OK;
    store->lock_fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (store->lock_fd < 0) {
        status = ms_fail(error, MS_IO, "%s/LOCK: %s", store->dir, strerror(errno));
    } else if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char holder[32] = "";
        ssize_t n = pread(store->lock_fd, holder, sizeof holder - 1, 0);
        holder[n > 0 ? n : 0] = '\0';
        status = ms_fail(error, MS_STATE_BUSY, "%s: the state directory is in use by process %s", store->dir,
                         holder[0] ? holder : "(unknown)");
    } else {
        char pid[32];
        int n = snprintf(pid, sizeof pid, "%ld", (long)getpid());
        if (ftruncate(store->lock_fd, 0) != 0 || pwrite(store->lock_fd, pid, (size_t)n, 0) != n)
            status = ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    }
    free(path);
    return status;
}

static enum ms_status identity_line(void *context, const char *key, const char *value, const char *where,
                                    struct ms_error *error)
{
    struct ms_store *store = context;
    if (strcmp(key, "format") == 0)
        store->format = atoi(value);
    else if (strcmp(key, "application.id") == 0)
        snprintf(store->application_id, sizeof store->application_id, "%s", value);
    else if (strcmp(key, "input.topic") == 0)
        snprintf(store->input_topic, sizeof store->input_topic, "%s", value);
    else if (strcmp(key, "instance.id") == 0)
        snprintf(store->instance_id, sizeof store->instance_id, "%s", value);
    else if (strcmp(key, "workers") == 0)
        store->workers = atoi(value);
    else if (store->format <= MS_STATE_FORMAT)
        return ms_fail(error, MS_STATE, "%s: unknown key %s", where, key);
    return MS_OK;
}

/* Reads the identity; *found tells whether there is one. */
static enum ms_status read_identity(struct ms_store *store, bool *found, struct ms_error *error)
{
    char *path = path_of(store->dir, "identity");
    if (!path)
        return ms_fail(error, MS_MEMORY, "no memory");
    enum ms_status status = MS_OK;
    *found = access(path, F_OK) == 0;
    if (*found)
        status = ms_properties_read(path, identity_line, store, error);
    if (status == MS_OK && *found && store->format > MS_STATE_FORMAT)
        status = ms_fail(error, MS_STATE_NEWER,
                         "%s: the state was written by a newer version (format %d, this program knows %d)",
                         store->dir, store->format, MS_STATE_FORMAT);
    if (status == MS_OK && *found && store->format < 1)
        status = ms_fail(error, MS_STATE, "%s: no format in it", path);
    free(path);
    return status;
}

/* One line of the identity, escaped as .properties files have it. */
static void put_line(FILE *file, const char *key, const char *value)
{
    fprintf(file, "%s=", key);
    for (const char *at = value; *at; at++) {
        if (*at == '\n' || *at == '\r' || *at == '\t' || *at == '\f')
            fprintf(file, "\\%c", *at == '\n' ? 'n' : *at == '\r' ? 'r' : *at == '\t' ? 't' : 'f');
        else
            fprintf(file, *at == '\\' || (*at == ' ' && at == value) ? "\\%c" : "%c", *at);
    }
    fputc('\n', file);
}

/* Writes the identity to a new file and renames it over the old one. */
static enum ms_status write_identity(struct ms_store *store, struct ms_error *error)
{
    char *path = path_of(store->dir, "identity"), *next = path_of(store->dir, "identity.new");
    enum ms_status status = MS_OK;
    FILE *file = path && next ? fopen(next, "w") : NULL;
    if (!file) {
        status = ms_fail(error, MS_IO, "%s/identity.new: %s", store->dir, strerror(errno));
    } else {
        fprintf(file, "format=%d\nworkers=%d\n", MS_STATE_FORMAT, store->workers);
        put_line(file, "application.id", store->application_id);
        put_line(file, "input.topic", store->input_topic);
        put_line(file, "instance.id", store->instance_id);
        bool written = fflush(file) == 0 && fsync(fileno(file)) == 0;
        written &= fclose(file) == 0;
        if (!written || rename(next, path) != 0)
            status = ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
    }
    free(path);
    free(next);
    return status;
}

static enum ms_status adopt(char *have, size_t size, const char *want, const char *what, const char *dir,
                            struct ms_error *error)
{
    if (have[0] && want[0] && strcmp(have, want) != 0)
        return ms_fail(error, MS_STATE, "%s: the state belongs to %s %s, not %s: give another state.dir", dir,
                       what, have, want);
    if (!have[0] && (size_t)snprintf(have, size, "%s", want) >= size)
        return ms_fail(error, MS_CONFIG, "%s is longer than %zu bytes", what, size - 1);
    return MS_OK;
}

static enum ms_status settle_identity(struct ms_store *store, const struct ms_store_options *options,
                                      struct ms_error *error)
{
    bool found;
    enum ms_status status = read_identity(store, &found, error);
    if (status == MS_OK)
        status = adopt(store->application_id, sizeof store->application_id, options->application_id,
                       "application.id", store->dir, error);
    if (status == MS_OK)
        status = adopt(store->input_topic, sizeof store->input_topic, options->input_topic, "input.topic",
                       store->dir, error);
    if (status == MS_OK && options->instance_id[0])
        snprintf(store->instance_id, sizeof store->instance_id, "%s", options->instance_id);
    if (status == MS_OK && !store->instance_id[0]) {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            return ms_fail(error, MS_IO, "no random bytes: %s", strerror(errno));
        snprintf(store->instance_id, sizeof store->instance_id, "%012" PRIx64, random >> 16);
    }
    return status == MS_OK ? write_identity(store, error) : status;
}

/* Files that a killed process left on their way in. */
static void clear_ingest(const char *dir)
{
    DIR *list = opendir(dir);
    if (!list)
        return;
    for (struct dirent *entry = readdir(list); entry; entry = readdir(list)) {
        char *path = entry->d_name[0] == '.' ? NULL : path_of(dir, entry->d_name);
        if (path)
            unlink(path);
        free(path);
    }
    closedir(list);
}

/* ---- the database ---- */

static enum ms_status take_error(char *text, enum ms_status status, struct ms_error *error, const char *what)
{
    if (!text)
        return MS_OK;
    ms_fail(error, status, "%s: %s", what, text);
    rocksdb_free(text);
    return status;
}

/* A cache of few shards: a shard smaller than a few filters (a big file's takes half a megabyte) would read
 * them anew for every look-up. */
static rocksdb_cache_t *new_cache(size_t bytes)
{
    rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
    int bits = 0;
    while (bits < 4 && bytes >> (bits + 1) >= CACHE_SHARD)
        bits++;
    rocksdb_lru_cache_options_set_capacity(options, bytes);
    rocksdb_lru_cache_options_set_num_shard_bits(options, bits);
    rocksdb_cache_t *cache = rocksdb_cache_create_lru_opts(options);
    rocksdb_lru_cache_options_destroy(options);
    return cache;
}

/* Point look-ups of small values that are rewritten whole; new files arrive about once a second from each
 * worker, so level 0 may hold many (each look-up asks their bloom filters) before a compaction pays. The
 * block cache is for filters and indexes alone: a user that is read is in memory then, and its row in the
 * block is dead as soon as it is written again. */
static void set_options(struct ms_store *store, size_t block_cache_bytes)
{
    store->options = rocksdb_options_create();
    store->table = rocksdb_block_based_options_create();
    store->cache = new_cache(block_cache_bytes);
    rocksdb_block_based_options_set_block_cache(store->table, store->cache);
    rocksdb_block_based_options_set_filter_policy(store->table, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(store->table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(store->table, 1);
    rocksdb_block_based_options_set_block_size(store->table, 8 << 10);
    rocksdb_block_based_options_set_format_version(store->table, 5);
    rocksdb_block_based_options_set_checksum(store->table, CHECKSUM_XXH3);
    rocksdb_options_set_block_based_table_factory(store->options, store->table);
    rocksdb_options_set_create_if_missing(store->options, 1);
    rocksdb_options_set_paranoid_checks(store->options, 1);
    rocksdb_options_set_compression(store->options, rocksdb_no_compression);
    rocksdb_options_set_max_background_jobs(store->options, 2);
    rocksdb_options_set_level0_file_num_compaction_trigger(store->options, 20);
    rocksdb_options_set_level0_slowdown_writes_trigger(store->options, 60);
    rocksdb_options_set_level0_stop_writes_trigger(store->options, 120);
    rocksdb_options_set_target_file_size_base(store->options, (uint64_t)64 << 20);
    rocksdb_options_set_max_bytes_for_level_base(store->options, (uint64_t)1 << 30);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(store->options, 1);
    rocksdb_options_set_max_open_files(store->options, -1);
    rocksdb_options_set_keep_log_file_num(store->options, 4);
    rocksdb_options_set_max_log_file_size(store->options, 16 << 20);
    rocksdb_options_set_info_log_level(store->options, 2); /* warnings */
    store->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(store->read, 0);
    store->env = rocksdb_envoptions_create();
    store->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(store->ingest, 1);
}

static enum ms_status open_db(struct ms_store *store, struct ms_error *error)
{
    char *path = path_of(store->dir, "db"), *text = NULL;
    const char *name = "default";
    const rocksdb_options_t *options = store->options;
    if (!path)
        return ms_fail(error, MS_MEMORY, "no memory");
    if (store->secondary_dir)
        store->db = rocksdb_open_as_secondary_column_families(store->options, path, store->secondary_dir, 1,
                                                              &name, &options, &store->rows, &text);
    else
        store->db = rocksdb_open_column_families(store->options, path, 1, &name, &options, &store->rows,
                                                 &text);
    enum ms_status status = take_error(text, MS_STATE, error, path);
    free(path);
    return status;
}

static struct ms_store *store_new(const char *dir, size_t block_cache_bytes)
{
    struct ms_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->lock_fd = -1;
    store->dir = strdup(dir);
    pthread_mutex_init(&store->ingesting, NULL);
    set_options(store, block_cache_bytes);
    return store;
}

enum ms_status ms_store_open(struct ms_store **out, const struct ms_store_options *options,
                             struct ms_error *error)
{
    struct ms_store *store = store_new(options->dir, options->block_cache_bytes);
    if (!store || !store->dir)
        return ms_fail(error, MS_MEMORY, "no memory for the state");
    char *ingest = path_of(options->dir, "ingest");
    enum ms_status status = make_dir(options->dir, error);
    if (status == MS_OK)
        status = take_lock(store, error);
    if (status == MS_OK)
        status = settle_identity(store, options, error);
    if (status == MS_OK)
        status = make_dir(ingest, error);
    if (status == MS_OK) {
        clear_ingest(ingest);
        status = open_db(store, error);
    }
    free(ingest);
    if (status != MS_OK) {
        ms_store_close(store);
        return status;
    }
    *out = store;
    return MS_OK;
}

enum ms_status ms_store_open_reader(struct ms_store **out, const char *dir, struct ms_error *error)
{
    struct ms_store *store = store_new(dir, (size_t)64 << 20);
    if (!store || !store->dir)
        return ms_fail(error, MS_MEMORY, "no memory for the state");
    store->reader = true;
    bool found = false;
    enum ms_status status = read_identity(store, &found, error);
    if (status == MS_OK && !found)
        status = ms_fail(error, MS_NOT_FOUND, "%s: not a state directory (no identity file in it)", dir);
    if (status == MS_OK) {
        const char *tmp = getenv("TMPDIR");
        if (asprintf(&store->secondary_dir, "%s/mindstream-inspect-XXXXXX", tmp && tmp[0] ? tmp : "/tmp") < 0)
            store->secondary_dir = NULL;
        if (!store->secondary_dir || !mkdtemp(store->secondary_dir))
            status = ms_fail(error, MS_IO, "cannot make a temporary directory: %s", strerror(errno));
    }
    if (status == MS_OK)
        status = open_db(store, error);
    if (status == MS_OK) {
        char *text = NULL;
        rocksdb_try_catch_up_with_primary(store->db, &text);
        status = take_error(text, MS_STATE, error, dir);
    }
    if (status != MS_OK) {
        ms_store_close(store);
        return status;
    }
    *out = store;
    return MS_OK;
}

void ms_store_close(struct ms_store *store)
{
    if (!store)
        return;
    if (store->rows)
        rocksdb_column_family_handle_destroy(store->rows);
    if (store->db)
        rocksdb_close(store->db);
    rocksdb_ingestexternalfileoptions_destroy(store->ingest);
    rocksdb_envoptions_destroy(store->env);
    rocksdb_readoptions_destroy(store->read);
    rocksdb_options_destroy(store->options);
    rocksdb_block_based_options_destroy(store->table);
    rocksdb_cache_destroy(store->cache);
    if (store->secondary_dir) {
        clear_ingest(store->secondary_dir);
        rmdir(store->secondary_dir);
        free(store->secondary_dir);
    }
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_mutex_destroy(&store->ingesting);
    free(store->dir);
    free(store);
}

const char *ms_store_instance_id(const struct ms_store *store)
{
    return store->instance_id;
}

const char *ms_store_application_id(const struct ms_store *store)
{
    return store->application_id;
}

const char *ms_store_input_topic(const struct ms_store *store)
{
    return store->input_topic;
}

int ms_store_workers(const struct ms_store *store)
{
    return store->workers;
}

enum ms_status ms_store_set_workers(struct ms_store *store, int workers, struct ms_error *error)
{
    store->workers = workers;
    return write_identity(store, error);
}

char *ms_store_stats(struct ms_store *store)
{
    char *text = rocksdb_property_value(store->db, "rocksdb.stats");
    char *copy = text ? strdup(text) : NULL;
    rocksdb_free(text);
    return copy;
}

/* ---- keys and rows ---- */

static void put_partition(struct ms_buffer *key, unsigned partition)
{
    key->data[0] = (char)(partition >> 8);
    key->data[1] = (char)partition;
    key->size = 2;
}

void ms_key_partition(struct ms_buffer *key, uint16_t partition)
{
    key->size = 0;
    if (ms_buffer_reserve(key, 2))
        put_partition(key, partition);
}

bool ms_key_user(struct ms_buffer *key, uint16_t partition, struct ms_bytes id)
{
    key->size = 0;
    if (!ms_buffer_reserve(key, 2 + id.size))
        return false;
    put_partition(key, partition);
    return ms_buffer_append(key, id.data, id.size);
}

bool ms_key_chunk(struct ms_buffer *key, uint16_t partition, struct ms_bytes id, uint32_t number)
{
    char be[4] = {(char)(number >> 24), (char)(number >> 16), (char)(number >> 8), (char)number};
    return ms_key_user(key, partition | 0x8000, id) && ms_buffer_append(key, be, sizeof be);
}

void ms_partition_row_encode(const struct ms_partition_row *row, char out[64])
{
    memset(out, 0, ROW_BYTES);
    out[0] = ROW_VERSION;
    for (int i = 0; i < MS_ROW_SOURCES; i++) {
        ms_put_u64(out + 8 + 16 * i, (uint64_t)row->sources[i].applied);
        ms_put_u64(out + 16 + 16 * i, (uint64_t)row->sources[i].origin);
    }
    ms_put_u64(out + 40, (uint64_t)row->changelog);
    ms_put_u64(out + 48, row->fold_id);
}

static enum ms_status decode_row(uint16_t partition, struct ms_bytes value, struct ms_partition_row *row,
                                 struct ms_error *error)
{
    int version = value.size ? (unsigned char)value.data[0] : 0;
    if (version > ROW_VERSION)
        return ms_fail(error, MS_STATE_NEWER,
                       "partition %u: its row was written by a newer version (layout %d)", partition,
                       version);
    if (value.size != ROW_BYTES || version != ROW_VERSION)
        return ms_fail(error, MS_STATE, "partition %u: its row is damaged (%zu bytes)", partition,
                       value.size);
    for (int i = 0; i < MS_ROW_SOURCES; i++)
        row->sources[i] = (struct ms_row_source){.applied = (int64_t)ms_get_u64(value.data + 8 + 16 * i),
                                                 .origin = (int64_t)ms_get_u64(value.data + 16 + 16 * i)};
    row->changelog = (int64_t)ms_get_u64(value.data + 40);
    row->fold_id = ms_get_u64(value.data + 48);
    return MS_OK;
}

enum ms_status ms_store_partition(struct ms_store *store, uint16_t partition, struct ms_partition_row *row,
                                  bool *found, struct ms_error *error)
{
    char key[2] = {(char)(partition >> 8), (char)partition}, *text = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(store->db, store->read, key, sizeof key, &text);
    enum ms_status status = take_error(text, MS_STATE, error, store->dir);
    if (status == MS_OK && slice) {
        struct ms_bytes value;
        value.data = rocksdb_pinnableslice_value(slice, &value.size);
        status = decode_row(partition, value, row, error);
    }
    if (status == MS_OK)
        *found = slice != NULL;
    if (slice)
        rocksdb_pinnableslice_destroy(slice);
    return status;
}

/* ---- reading ---- */

static bool values_reserve(struct ms_store_values *values, size_t count)
{
    if (values->capacity >= count)
        return true;
    struct ms_bytes *bytes = realloc(values->values, count * sizeof *bytes);
    if (bytes)
        values->values = bytes;
    void **pinned = realloc(values->pinned, count * sizeof *pinned);
    if (pinned)
        values->pinned = pinned;
    if (!bytes || !pinned)
        return false;
    values->capacity = count;
    return true;
}

#define GET_BATCH 256

static enum ms_status get_batch(struct ms_store *store, const struct ms_bytes *keys, size_t count,
                                struct ms_store_values *values, struct ms_error *error)
{
    const char *data[GET_BATCH];
    size_t sizes[GET_BATCH];
    rocksdb_pinnableslice_t *slices[GET_BATCH];
    char *texts[GET_BATCH];
    for (size_t i = 0; i < count; i++) {
        data[i] = keys[i].data;
        sizes[i] = keys[i].size;
    }
    rocksdb_batched_multi_get_cf(store->db, store->read, store->rows, count, data, sizes, slices, texts,
                                 false);
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < count; i++) {
        struct ms_bytes *value = &values->values[values->count];
        values->pinned[values->count++] = slices[i];
        *value = (struct ms_bytes){NULL, 0};
        if (texts[i])
            status = take_error(texts[i], MS_STATE, status == MS_OK ? error : NULL, store->dir);
        else if (slices[i])
            value->data = rocksdb_pinnableslice_value(slices[i], &value->size);
    }
    return status;
}

enum ms_status ms_store_get(struct ms_store *store, const struct ms_bytes *keys, size_t count,
                            struct ms_store_values *values, struct ms_error *error)
{
    values->count = 0;
    if (!values_reserve(values, count))
        return ms_fail(error, MS_MEMORY, "no memory to look %zu users up", count);
    enum ms_status status = MS_OK;
    for (size_t at = 0; at < count && status == MS_OK; at += GET_BATCH)
        status = get_batch(store, keys + at, count - at < GET_BATCH ? count - at : GET_BATCH, values, error);
    if (status != MS_OK)
        ms_store_values_release(values);
    return status;
}

void ms_store_values_release(struct ms_store_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        if (values->pinned[i])
            rocksdb_pinnableslice_destroy(values->pinned[i]);
    }
    values->count = 0;
}

void ms_store_values_free(struct ms_store_values *values)
{
    ms_store_values_release(values);
    free(values->values);
    free(values->pinned);
    *values = (struct ms_store_values){0};
}

static enum ms_status visit_chunk(const struct ms_store_visitor *visitor, struct ms_bytes key,
                                  struct ms_bytes value, struct ms_error *error)
{
    const unsigned char *bytes = (const unsigned char *)key.data;
    if (key.size < 2 + 4)
        return ms_fail(error, MS_STATE, "a key of %zu bytes among the histories", key.size);
    const unsigned char *be = bytes + key.size - 4;
    uint32_t number = (uint32_t)be[0] << 24 | (uint32_t)be[1] << 16 | (uint32_t)be[2] << 8 | be[3];
    return visitor->on_chunk(visitor->context, (uint16_t)((bytes[0] & 0x7f) << 8 | bytes[1]),
                             (struct ms_bytes){key.data + 2, key.size - 6}, number, value, error);
}

static enum ms_status visit(const struct ms_store_visitor *visitor, struct ms_bytes key,
                            struct ms_bytes value, struct ms_error *error)
{
    uint16_t partition = (uint16_t)((unsigned char)key.data[0] << 8 | (unsigned char)key.data[1]);
    if (partition & 0x8000)
        return visit_chunk(visitor, key, value, error);
    if (key.size == 2) {
        struct ms_partition_row row;
        enum ms_status status = decode_row(partition, value, &row, error);
        return status == MS_OK && visitor->on_partition
                   ? visitor->on_partition(visitor->context, partition, &row, error)
                   : status;
    }
    return visitor->on_user ? visitor->on_user(visitor->context, partition,
                                               (struct ms_bytes){key.data + 2, key.size - 2}, value, error)
                            : MS_OK;
}

enum ms_status ms_store_walk(struct ms_store *store, const struct ms_store_visitor *visitor,
                             struct ms_error *error)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator(store->db, store->read);
    enum ms_status status = MS_OK;
    for (rocksdb_iter_seek_to_first(it); status == MS_OK && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        struct ms_bytes key, value;
        key.data = rocksdb_iter_key(it, &key.size);
        value.data = rocksdb_iter_value(it, &value.size);
        if (key.size < 2)
            status = ms_fail(error, MS_STATE, "%s: a key of %zu bytes", store->dir, key.size);
        else if ((key.data[0] & 0x80) && !visitor->on_chunk) /* the chunks come last */
            break;
        else
            status = visit(visitor, key, value, error);
    }
    char *text = NULL;
    rocksdb_iter_get_error(it, &text);
    rocksdb_iter_destroy(it);
    enum ms_status read = take_error(text, MS_STATE, status == MS_OK ? error : NULL, store->dir);
    return status != MS_OK ? status : read;
}

/* ---- writing ---- */

/* Takes the place of the C library's function for RocksDB: its writer of SST files tells the kernel to forget
 * each file that it has just synced, and has no way in its C interface to be asked not to. Users that went to
 * disk are the ones that come back; without this each of them is a read of the device. Other advice goes on.
 */
int posix_fadvise(int fd, off_t offset, off_t bytes, int advice)
{
    return advice == POSIX_FADV_DONTNEED ? 0 : posix_fadvise64(fd, offset, bytes, advice);
}

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

enum ms_status ms_store_file_begin(struct ms_store_file **out, struct ms_store *store, struct ms_error *error)
{
    assert(!store->reader);
    struct ms_store_file *file = calloc(1, sizeof *file);
    if (!file)
        return ms_fail(error, MS_MEMORY, "no memory to write the state");
    file->store = store;
    if (asprintf(&file->path, "%s/ingest/%u.sst", store->dir, atomic_fetch_add(&store->next_file, 1)) < 0)
        file->path = NULL;
    /* What a killed process left there may be the second name of a table: never written over. */
    if (!file->path || (unlink(file->path) && errno != ENOENT)) {
        enum ms_status status = ms_fail(error, MS_IO, "%s: %s", file->path ? file->path : store->dir,
                                        strerror(errno));
        ms_store_file_discard(file);
        return status;
    }
    char *text = NULL;
    file->writer = rocksdb_sstfilewriter_create(store->env, store->options);
    rocksdb_sstfilewriter_open(file->writer, file->path, &text);
    enum ms_status status = take_error(text, MS_IO, error, file->path);
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
    return take_error(text, MS_IO, error, file->path);
}

enum ms_status ms_store_file_delete(struct ms_store_file *file, struct ms_bytes key, struct ms_error *error)
{
    char *text = NULL;
    rocksdb_sstfilewriter_delete(file->writer, key.data, key.size, &text);
    file->rows++;
    return take_error(text, MS_IO, error, file->path);
}

static bool owns_all(const struct ms_store *store, const uint16_t *partitions, size_t count, uint32_t owner)
{
    for (size_t i = 0; i < count; i++) {
        if (store->owners[partitions[i]] != owner)
            return false;
    }
    return true;
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
        status = take_error(text, MS_IO, error, file->path);
        text = NULL;
        pthread_mutex_lock(&store->ingesting);
        *lost = !owns_all(store, partitions, count, owner);
        if (status == MS_OK && !*lost) {
            const char *path = file->path;
            rocksdb_ingest_external_file(store->db, &path, 1, store->ingest, &text);
        }
        pthread_mutex_unlock(&store->ingesting);
        if (status == MS_OK)
            status = take_error(text, MS_STATE, error, file->path);
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
