/* mindstream inspect partitions and stats: sums over all users of a partition. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "app/inspect/shared.h"
#include "app/inspector.h"
#include "user/codec.h"
#include "view/json.h"

struct partition_sums {
    uint16_t partition;
    bool has_row;
    struct ms_partition_row row;
    uint64_t users, behaviors, head_bytes;
};

struct totals {
    struct partition_sums *list; /* in the order of the walk, which is by partition */
    size_t count;
};

static struct partition_sums *sums_of(struct totals *totals, uint16_t partition)
{
    if (totals->count == 0 || totals->list[totals->count - 1].partition != partition)
        totals->list[totals->count++] = (struct partition_sums){.partition = partition};
    return &totals->list[totals->count - 1];
}

static enum ms_status sum_partition(void *context, uint16_t partition, const struct ms_partition_row *row,
                                    struct ms_error *error)
{
    struct partition_sums *sums = sums_of(context, partition);
    (void)error;
    sums->has_row = true;
    sums->row = *row;
    return MS_OK;
}

static enum ms_status sum_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                               struct ms_error *error)
{
    struct partition_sums *sums = sums_of(context, partition);
    struct ms_user *user = NULL;
    enum ms_status status = ms_user_decode_head(&user, partition, id, value, error);
    if (status == MS_OK && user->version > 0) {
        sums->users++;
        sums->behaviors += user->kept;
        sums->head_bytes += id.size + value.size;
    }
    free(user);
    return status;
}

static enum ms_status sum_up(struct totals *totals, struct ms_store *store, struct ms_error *error)
{
    const struct ms_store_visitor visitor = {
        .context = totals, .on_partition = sum_partition, .on_user = sum_user};
    totals->list = calloc(MS_MAX_PARTITIONS, sizeof *totals->list);
    if (!totals->list)
        return ms_fail(error, MS_MEMORY, "no memory for %d partitions", MS_MAX_PARTITIONS);
    return ms_store_walk(store, &visitor, error);
}

static enum ms_status partitions_json(const struct totals *totals, struct ms_error *error)
{
    json_t *list = json_array();
    for (size_t i = 0; i < totals->count; i++) {
        const struct partition_sums *p = &totals->list[i];
        const struct ms_partition_row *row = &p->row;
        json_array_append_new(
            list,
            json_pack("{s:i, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "partition", (int)p->partition, "applied",
                      p->has_row ? json_integer(row->sources[0].applied) : json_null(), "origin",
                      p->has_row ? json_integer(row->sources[0].origin) : json_null(), "users",
                      (json_int_t)p->users, "fold_id",
                      p->has_row ? ms_view_json_fold_id(row->fold_id) : json_null(), "decode_id",
                      row->decode_id ? ms_view_json_fold_id(row->decode_id) : json_null(), "topic_partitions",
                      row->partitions_count ? json_integer(row->partitions_count) : json_null(), "owed_from",
                      p->has_row && row->owed_from >= 0 ? json_integer(row->owed_from) : json_null()));
    }
    return ms_inspect_print_json(json_pack("{s:o}", "partitions", list), error);
}

static enum ms_status partitions_text(const struct totals *totals, struct ms_error *error)
{
    struct ms_table table = {0};
    static const char *const titles[] = {"partition", "applied (L)", "origin", "users"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        ms_table_column(&table, titles[i], true);
    ms_table_column(&table, "fold id", false);
    for (size_t i = 0; i < totals->count; i++) {
        const struct partition_sums *p = &totals->list[i];
        ms_table_cell(&table, "%u", p->partition);
        ms_table_cell(&table, "%" PRId64, p->row.sources[0].applied);
        ms_table_cell(&table, "%" PRId64, p->row.sources[0].origin);
        ms_table_cell(&table, "%" PRIu64, p->users);
        ms_table_cell(&table, "%016" PRIx64, p->row.fold_id);
    }
    return ms_inspect_print_table(&table, error);
}

/* Bytes of the files in db/, as the file system counts them. Files that disappear meanwhile are skipped. */
static uint64_t disk_bytes(const char *state_dir)
{
    char path[4096];
    uint64_t bytes = 0;
    snprintf(path, sizeof path, "%s/db", state_dir);
    DIR *dir = opendir(path);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        struct stat file;
        if (fstatat(dirfd(dir), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(file.st_mode))
            bytes += (uint64_t)file.st_blocks * 512;
    }
    if (dir)
        closedir(dir);
    return bytes;
}

static enum ms_status print_stats(const struct ms_inspect_arguments *arguments, struct ms_store *store,
                                  const char *state_dir, const struct totals *totals, struct ms_error *error)
{
    uint64_t users = 0, behaviors = 0, head_bytes = 0, disk = disk_bytes(state_dir);
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < totals->count; i++) {
        users += totals->list[i].users;
        behaviors += totals->list[i].behaviors;
        head_bytes += totals->list[i].head_bytes;
    }
    char *rocksdb = ms_store_stats(store);
    if (arguments->json) {
        json_t *root = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:s?}", "application_id",
                                 ms_store_application_id(store), "input_topic", ms_store_input_topic(store),
                                 "instance_id", ms_store_instance_id(store), "workers",
                                 ms_store_workers(store), "partitions", (json_int_t)totals->count, "users",
                                 (json_int_t)users, "behaviors", (json_int_t)behaviors, "head_bytes",
                                 (json_int_t)head_bytes, "disk_bytes", (json_int_t)disk, "rocksdb", rocksdb);
        status = ms_inspect_print_json(root, error);
    } else {
        printf("application.id  %s\ninput.topic     %s\ninstance.id     %s\nworkers         %d\npartitions   "
               "   %zu\n",
               ms_store_application_id(store), ms_store_input_topic(store), ms_store_instance_id(store),
               ms_store_workers(store), totals->count);
        printf("users           %" PRIu64 "\nbehaviors       %" PRIu64 "\nhead rows       %" PRIu64
               " bytes\non disk         %" PRIu64 " bytes\n\n%s",
               users, behaviors, head_bytes, disk, rocksdb ? rocksdb : "");
    }
    free(rocksdb);
    return status;
}

static enum ms_status show_partitions(const struct ms_inspect_arguments *arguments,
                                      const struct ms_config *config, struct ms_error *error)
{
    struct ms_store *store = NULL;
    struct totals totals = {0};
    enum ms_status status = ms_inspect_open(&store, config, error);
    if (status == MS_OK)
        status = sum_up(&totals, store, error);
    if (status == MS_OK)
        status = arguments->json ? partitions_json(&totals, error) : partitions_text(&totals, error);
    free(totals.list);
    ms_store_close(store);
    return status;
}

static enum ms_status show_stats(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                                 struct ms_error *error)
{
    struct ms_store *store = NULL;
    struct totals totals = {0};
    enum ms_status status = ms_inspect_open(&store, config, error);
    if (status == MS_OK)
        status = sum_up(&totals, store, error);
    if (status == MS_OK)
        status = print_stats(arguments, store, config->state_dir, &totals, error);
    free(totals.list);
    ms_store_close(store);
    return status;
}

static enum ms_status run_partitions(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show_partitions, error);
}

static enum ms_status run_stats(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show_stats, error);
}

static const struct ms_argument rows_of_totals[] = {MS_INSPECT_STATE_ROWS, {0}};

const struct ms_command ms_inspect_partitions = {
    .name = "partitions",
    .summary = "applied offset L, origin, fold id and number of users of each partition",
    .description =
        "Lists the partitions of the state. The applied offset L is the next event of the input topic that the state has\n"
        "not seen.\n",
    .rows = rows_of_totals,
    .notes = MS_INSPECT_JSON_RULES
    "  partitions [{partition, applied, origin, users, fold_id, decode_id (what the decoder was told),\n"
    "  topic_partitions (as the input topic had), owed_from (from this offset on, users are owed a record that the\n"
    "  service is about to publish)}]\n",
    .examples = "mindstream inspect partitions --state-dir /var/lib/mindstream\n",
    .exit_status = ms_inspect_exit_status,
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run_partitions,
};

const struct ms_command ms_inspect_stats = {
    .name = "stats",
    .summary = "totals, bytes, and RocksDB's own statistics",
    .description = "Prints totals of the state, its bytes, and RocksDB's own statistics.\n",
    .rows = rows_of_totals,
    .notes = MS_INSPECT_JSON_RULES
    "  application_id, input_topic, instance_id, workers, partitions, users, behaviors, head_bytes, disk_bytes,\n"
    "  rocksdb (text)\n",
    .examples = "mindstream inspect stats --state-dir /var/lib/mindstream --json | jq .users\n",
    .exit_status = ms_inspect_exit_status,
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run_stats,
};
