/* Opening a state directory, and reading from its database. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/room.h"
#include "state/dir.h"
#include "state/store_inside.h"

#define RUNS          20                 /* sorted runs at which a merge begins */
#define OPENERS       4                  /* threads that open tables */
#define THREADS       (OPENERS + 4)      /* that RocksDB starts; it throws where it cannot */
#define ROOM_BYTES    ((size_t)32 << 20) /* besides their stacks */
#define CHECKSUM_XXH3 4                  /* rocksdb::kXXH3, which the C header does not name */
#define CACHE_SHARD   ((size_t)16 << 20) /* least bytes of a shard of the block cache */

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

static enum ms_status take_lock(struct ms_store *store, struct ms_error *error)
{
    char *path = path_of(store->dir, "LOCK");
    enum ms_status status = MS_OK;
    if (!path)
        return ms_fail(error, MS_MEMORY, "no memory for a path");
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
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

/* Reads whose directory it is and what is in it. Where nobody has it, it must hold nothing else. */
static enum ms_status read_claim(struct ms_store *store, bool *claimed, struct ms_error *error)
{
    bool found = false, sealed = false;
    ms_contents_free(&store->contents);
    enum ms_status status = ms_contents_read(&store->contents, store->dir, error);
    if (status == MS_OK)
        status = ms_identity_read(&store->identity, store->dir, &found, &sealed, error);
    if (status != MS_OK)
        return status;
    enum ms_contents_state state = store->contents.state;
    *claimed = found;
    if (state == MS_CONTENTS_NONE && sealed)
        return ms_fail(error, MS_STATE, "%s/contents: is gone; the state is damaged", store->dir);
    if (!found && state != MS_CONTENTS_NONE && state != MS_CONTENTS_NEW)
        return ms_fail(error, MS_STATE, "%s/identity: is gone; the state is damaged", store->dir);
    if (found && !sealed && (state == MS_CONTENTS_OPEN || state == MS_CONTENTS_CLOSED))
        return ms_fail(error, MS_STATE, "%s/identity: was changed since mindstream wrote it", store->dir);
    return MS_OK;
}

/* Makes the directory ours, or checks that it is, and whole. The contents are written first and name what is
 * about to happen, so that a start that is killed in between can be done again. */
static enum ms_status claim(struct ms_store *store, const struct ms_store_options *options,
                            struct ms_error *error)
{
    bool claimed;
    enum ms_status status = read_claim(store, &claimed, error);
    enum ms_contents_state *state = &store->contents.state;
    if (status == MS_OK && !claimed)
        status = ms_dir_check_unclaimed(store->dir, error);
    if (status == MS_OK && claimed && *state != MS_CONTENTS_NEW)
        status = ms_contents_check(&store->contents, store->dir, error);
    if (status == MS_OK && *state == MS_CONTENTS_NONE) {
        *state = claimed ? MS_CONTENTS_ADOPTED : MS_CONTENTS_NEW;
        status = ms_contents_write(&store->contents, store->dir, error);
    }
    if (status == MS_OK)
        status = ms_identity_settle(&store->identity, store->dir, options->application_id,
                                    options->input_topic, options->instance_id, error);
    if (status == MS_OK)
        status = ms_dir_make_part(store->dir, "ingest", error);
    if (status == MS_OK)
        status = ms_dir_make_part(store->dir, "db", error);
    if (status == MS_OK && *state == MS_CONTENTS_CLOSED) { /* it changes as soon as it is opened */
        *state = MS_CONTENTS_OPEN;
        status = ms_contents_write(&store->contents, store->dir, error);
    }
    return status;
}

bool ms_store_in_use(const char *dir)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    char *path = path_of(dir, "db/LOCK");
    int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    bool used = fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    free(path);
    return used;
}

/* ---- the database ---- */

/* A cache of few shards. The filter of a big file takes half a megabyte, so a small shard would hold too few
 * of them and read them again for every look-up. */
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

/* Size-tiered compaction: a merge takes runs of about the same size, newest first. So a byte is rewritten a few
 * times, with the logarithm of the number of flushes, however large the database is; level compaction would
 * rewrite all tables that a handful of changed users fall into, which are all there are. The oldest run is
 * merged as well when all others together are as large, in a thread of its own, so that small merges go on.
 *
 * A look-up asks the bloom filter of each run: fewer runs make look-ups cheaper and flushes dearer. */
static void set_compaction(struct ms_store *store)
{
    rocksdb_universal_compaction_options_t *tiers = rocksdb_universal_compaction_options_create();
    rocksdb_universal_compaction_options_set_max_size_amplification_percent(tiers, 100);
    rocksdb_options_set_universal_compaction_options(store->options, tiers);
    rocksdb_universal_compaction_options_destroy(tiers);
    rocksdb_options_set_compaction_style(store->options, rocksdb_universal_compaction);
    rocksdb_options_set_level0_file_num_compaction_trigger(store->options, RUNS);
    rocksdb_options_set_max_background_jobs(store->options, 3);
    rocksdb_env_t *env = rocksdb_create_default_env();
    rocksdb_env_set_bottom_priority_background_threads(env, 1);
    rocksdb_env_destroy(env); /* the process's own, of which this was a handle */
    rocksdb_options_set_target_file_size_base(store->options, (uint64_t)64 << 20);
}

/* The load is point look-ups of small values that are always rewritten whole. Each worker brings a new file
 * about once a second.
 *
 * The block cache holds filters and indexes only. A user that was read is in memory from then on, and its row
 * in the block is out of date as soon as the user is written again. */
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
    rocksdb_options_set_paranoid_checks(store->options, 1);
    rocksdb_options_set_compression(store->options, rocksdb_no_compression);
    set_compaction(store);
    rocksdb_options_set_max_file_opening_threads(store->options, OPENERS);
    /* All tables are opened and checked at once, which a reader beside a running service needs too. */
    rocksdb_options_set_max_open_files(store->options, -1);
    rocksdb_options_set_max_manifest_file_size(store->options, (size_t)16 << 20);
    rocksdb_options_set_keep_log_file_num(store->options, 4);
    rocksdb_options_set_max_log_file_size(store->options, 16 << 20);
    rocksdb_options_set_info_log_level(store->options, 2); /* warnings */
    rocksdb_options_enable_statistics(store->options);
    store->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(store->read, 0);
    store->env = rocksdb_envoptions_create();
    store->ingest = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(store->ingest, 1);
}

static enum ms_status open_db(struct ms_store *store, struct ms_error *error)
{
    if (!ms_has_room_for_threads(THREADS, ROOM_BYTES))
        return ms_fail(error, MS_MEMORY, "%s: no memory to open the database", store->dir);
    char *path = path_of(store->dir, "db"), *text = NULL;
    const char *name = "default";
    const rocksdb_options_t *options = store->options;
    if (!path)
        return ms_fail(error, MS_MEMORY, "no memory");
    rocksdb_options_set_create_if_missing(store->options, store->contents.state == MS_CONTENTS_NEW);
    if (store->reader)
        store->db = rocksdb_open_for_read_only_column_families(store->options, path, 1, &name, &options,
                                                               &store->rows, 0, &text);
    else
        store->db = rocksdb_open_column_families(store->options, path, 1, &name, &options, &store->rows,
                                                 &text);
    enum ms_status status = ms_rocksdb_error(text, MS_STATE, error, path);
    free(path);
    return status;
}

/* The numbers of the database's tables; NULL when memory ended. */
static uint64_t *list_tables(struct ms_store *store, size_t *count)
{
    const rocksdb_livefiles_t *files = rocksdb_livefiles(store->db);
    int all = rocksdb_livefiles_count(files);
    uint64_t *numbers = malloc((size_t)(all + 1) * sizeof *numbers);
    *count = 0;
    for (int i = 0; numbers && i < all; i++) {
        const char *name = rocksdb_livefiles_name(files, i);
        numbers[(*count)++] = strtoull(name + (name[0] == '/'), NULL, 10);
    }
    rocksdb_livefiles_destroy(files);
    return numbers;
}

enum ms_status ms_store_note_contents(struct ms_store *store, enum ms_contents_state state,
                                      struct ms_error *error)
{
    size_t count;
    uint64_t *numbers = list_tables(store, &count);
    enum ms_status status = numbers ? ms_contents_update(&store->contents, store->dir, numbers, count, error)
                                    : ms_fail(error, MS_MEMORY, "no memory for the list of a state's files");
    free(numbers);
    if (status != MS_OK)
        return status;
    store->contents.state = state;
    return ms_contents_write(&store->contents, store->dir, error);
}

static struct ms_store *store_new(const char *dir, size_t block_cache_bytes)
{
    /* RocksDB starts a thread with its first options, and ends the process where that gets no memory. */
    if (!ms_has_room_for_threads(THREADS, ROOM_BYTES))
        return NULL;
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
    if (!store || !store->dir) {
        ms_store_close(store);
        return ms_fail(error, MS_MEMORY, "no memory for the state");
    }
    bool claimed = false;
    enum ms_status status = ms_dir_make(store->dir, error);
    /* Looked at before the lock is made, so that a foreign directory stays as it is. */
    if (status == MS_OK)
        status = read_claim(store, &claimed, error);
    if (status == MS_OK && !claimed)
        status = ms_dir_check_unclaimed(store->dir, error);
    if (status == MS_OK)
        status = take_lock(store, error);
    if (status == MS_OK)
        status = claim(store, options, error);
    if (status == MS_OK)
        status = open_db(store, error);
    if (status == MS_OK)
        ms_dir_clear_ingest(store->dir);
    if (status == MS_OK)
        status = ms_store_note_contents(store, MS_CONTENTS_OPEN, error);
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
    if (!store || !store->dir) {
        ms_store_close(store);
        return ms_fail(error, MS_MEMORY, "no memory for the state");
    }
    store->reader = true;
    bool found = false;
    enum ms_status status = read_claim(store, &found, error);
    if (status == MS_OK && !found)
        status = ms_fail(error, MS_NOT_FOUND, "%s: not a state directory (no identity file in it)", dir);
    if (status == MS_OK)
        status = ms_contents_check(&store->contents, dir, error);
    store->contents.state = MS_CONTENTS_NONE; /* a reader makes no database */
    if (status == MS_OK)
        status = open_db(store, error);
    if (status != MS_OK) {
        ms_store_close(store);
        return status;
    }
    *out = store;
    return MS_OK;
}

/* Closes the database and notes that all of it is as it is to be found. A note that cannot be written leaves
 * the one before, with which the state can be opened too. */
static void close_contents(struct ms_store *store)
{
    struct ms_error error;
    if (!store->db || store->reader || store->contents.state != MS_CONTENTS_OPEN)
        return;
    rocksdb_cancel_all_background_work(store->db, 1);
    enum ms_status status = ms_store_note_contents(store, MS_CONTENTS_CLOSED, &error);
    if (status != MS_OK)
        ms_log(MS_LOG_WARN, "state.contents", "text=\"%s\"", error.text);
}

void ms_store_set_cache(struct ms_store *store, size_t block_cache_bytes)
{
    rocksdb_cache_set_capacity(store->cache, block_cache_bytes);
}

void ms_store_close(struct ms_store *store)
{
    if (!store)
        return;
    close_contents(store);
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
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    pthread_mutex_destroy(&store->ingesting);
    ms_contents_free(&store->contents);
    free(store->dir);
    free(store);
}

const char *ms_store_instance_id(const struct ms_store *store)
{
    return store->identity.instance_id;
}

const char *ms_store_application_id(const struct ms_store *store)
{
    return store->identity.application_id;
}

const char *ms_store_input_topic(const struct ms_store *store)
{
    return store->identity.input_topic;
}

int ms_store_workers(const struct ms_store *store)
{
    return store->identity.workers;
}

enum ms_status ms_store_set_workers(struct ms_store *store, int workers, struct ms_error *error)
{
    store->identity.workers = workers;
    return ms_identity_write(&store->identity, store->dir, error);
}

char *ms_store_stats(struct ms_store *store)
{
    char *text = rocksdb_property_value(store->db, "rocksdb.stats");
    char *copy = text ? strdup(text) : NULL;
    rocksdb_free(text);
    return copy;
}

/* ---- reading ---- */

enum ms_status ms_store_partition(struct ms_store *store, uint16_t partition, struct ms_partition_row *row,
                                  bool *found, struct ms_error *error)
{
    struct ms_buffer key = {0};
    if (!ms_key_partition(&key, partition))
        return ms_fail(error, MS_MEMORY, "no memory for a key");
    char *text = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(store->db, store->read, key.data, key.size, &text);
    ms_buffer_free(&key);
    enum ms_status status = ms_rocksdb_error(text, MS_STATE, error, store->dir);
    if (status == MS_OK && slice) {
        struct ms_bytes value;
        value.data = rocksdb_pinnableslice_value(slice, &value.size);
        status = ms_partition_row_decode(value, partition, row, error);
    }
    if (status == MS_OK)
        *found = slice != NULL;
    if (slice)
        rocksdb_pinnableslice_destroy(slice);
    return status;
}

static bool values_reserve(struct ms_store_values *values, size_t count)
{
    if (values->capacity >= count)
        return true;
    struct ms_bytes *bytes = realloc(values->values, count * sizeof *bytes);
    if (bytes)
        values->values = bytes;
    void **handles = realloc(values->handles, count * sizeof *handles);
    if (handles)
        values->handles = handles;
    if (!bytes || !handles)
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
        values->handles[values->count++] = slices[i];
        *value = (struct ms_bytes){NULL, 0};
        if (texts[i])
            status = ms_rocksdb_error(texts[i], MS_STATE, status == MS_OK ? error : NULL, store->dir);
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
        if (values->handles[i])
            rocksdb_pinnableslice_destroy(values->handles[i]);
    }
    values->count = 0;
}

void ms_store_values_free(struct ms_store_values *values)
{
    ms_store_values_release(values);
    free(values->values);
    free(values->handles);
    *values = (struct ms_store_values){0};
}

static enum ms_status visit(const struct ms_store_visitor *visitor, const struct ms_key *key,
                            struct ms_bytes value, struct ms_error *error)
{
    void *context = visitor->context;
    struct ms_partition_row row;
    enum ms_status status = MS_OK;
    switch (key->kind) {
    case MS_KEY_PARTITION:
        status = ms_partition_row_decode(value, key->partition, &row, error);
        if (status == MS_OK && visitor->on_partition)
            status = visitor->on_partition(context, key->partition, &row, error);
        break;
    case MS_KEY_USER:
        if (visitor->on_user)
            status = visitor->on_user(context, key->partition, key->id, value, error);
        break;
    case MS_KEY_CHUNK:
        if (visitor->on_chunk)
            status = visitor->on_chunk(context, key->partition, key->id, key->number, value, error);
        break;
    }
    return status;
}

enum ms_status ms_store_walk(struct ms_store *store, const struct ms_store_visitor *visitor,
                             struct ms_error *error)
{
    rocksdb_iterator_t *it = rocksdb_create_iterator(store->db, store->read);
    enum ms_status status = MS_OK;
    for (rocksdb_iter_seek_to_first(it); status == MS_OK && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        struct ms_bytes bytes, value;
        struct ms_key key;
        bytes.data = rocksdb_iter_key(it, &bytes.size);
        value.data = rocksdb_iter_value(it, &value.size);
        if (!ms_key_parse(bytes, &key))
            status = ms_fail(error, MS_STATE, "%s: a key of %zu bytes", store->dir, bytes.size);
        else if (key.kind == MS_KEY_CHUNK && !visitor->on_chunk) /* the chunks come last */
            break;
        else
            status = visit(visitor, &key, value, error);
    }
    char *text = NULL;
    rocksdb_iter_get_error(it, &text);
    rocksdb_iter_destroy(it);
    enum ms_status read = ms_rocksdb_error(text, MS_STATE, status == MS_OK ? error : NULL, store->dir);
    return status != MS_OK ? status : read;
}

/* The user's row that an iterator is at. False where it is no longer one of |partition|'s, and at the end. */
static bool user_at(rocksdb_iterator_t *it, uint16_t partition, struct ms_bytes *id, struct ms_bytes *value)
{
    struct ms_bytes bytes;
    struct ms_key key;
    if (!rocksdb_iter_valid(it))
        return false;
    bytes.data = rocksdb_iter_key(it, &bytes.size);
    value->data = rocksdb_iter_value(it, &value->size);
    if (!ms_key_parse(bytes, &key) || key.kind != MS_KEY_USER || key.partition != partition)
        return false;
    *id = key.id;
    return true;
}

enum ms_status ms_store_scan(struct ms_store *store, uint16_t partition, struct ms_bytes from, void *context,
                             bool (*on_user)(void *context, struct ms_bytes id, struct ms_bytes value),
                             bool *ended, struct ms_error *error)
{
    struct ms_buffer key = {0};
    struct ms_bytes id, value;
    char *text = NULL;
    /* At least one byte of an id, or the key would be that of the partition's own row. */
    if (!ms_key_user(&key, partition, from.size ? from : (struct ms_bytes){"", 1}))
        return ms_fail(error, MS_MEMORY, "no memory for a key");
    rocksdb_iterator_t *it = rocksdb_create_iterator(store->db, store->read);
    bool goes_on = true;
    for (rocksdb_iter_seek(it, key.data, key.size); goes_on && user_at(it, partition, &id, &value);
         rocksdb_iter_next(it))
        goes_on = on_user(context, id, value);
    rocksdb_iter_get_error(it, &text);
    rocksdb_iter_destroy(it);
    ms_buffer_free(&key);
    enum ms_status status = ms_rocksdb_error(text, MS_STATE, error, store->dir);
    if (status == MS_OK)
        *ended = goes_on;
    return status;
}
