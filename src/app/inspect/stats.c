/* mindstream inspect stats: totals, and how users, histories and interests are. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "app/inspect/shared.h"
#include "app/inspect/spread.h"
#include "app/inspector.h"
#include "app/service_setup.h"
#include "base/progress.h"
#include "state/user_walk.h"
#include "user/codec.h"
#include "view/json.h"
#include "view/viewer.h"

#define PROGRESS_USERS 4096
#define COLUMNS        80   /* where there is no terminal to ask */
#define ALIKE          0.95 /* a user whose interests have this mean cosine has one, said K'u times */

/* In the order in which they are shown. From ENTROPY on they need the model. */
enum { SLOTS, HISTORY, BYTES, AGE, ENTROPY, COSINE, UNKNOWN, SPREADS };

/* A user that waits for a look with the model. */
struct drawn {
    uint64_t lot; /* the smallest ones are looked at */
    struct ms_user *user;
};

struct stats {
    struct ms_store *store;
    struct ms_model *model; /* NULL: none */
    struct ms_viewer *viewer;
    const char *state_dir;
    uint64_t users, behaviors, bytes;
    uint64_t known, unknown; /* behaviors of those looked at */
    uint64_t looked, alike, several;
    int64_t now_ms;
    struct ms_spread spreads[SPREADS];
    struct drawn *drawn;        /* a heap with the greatest lot on top */
    size_t drawn_count, sample; /* 0: all are looked at */
};

static void make_spreads(struct stats *stats)
{
    static const double ages[] = {0,           60e3,         3600e3,       86400e3,
                                  7 * 86400e3, 30 * 86400e3, 90 * 86400e3, 365 * 86400e3};
    struct ms_spread *s = stats->spreads;
    s[SLOTS] = (struct ms_spread){.key = "interests", .title = "interests (K'u)", .unit = MS_SPREAD_WHOLE};
    ms_spread_even(&s[SLOTS], 0, 1, MS_SPREAD_BOUNDS);
    s[HISTORY] = (struct ms_spread){.key = "history", .title = "kept behaviors", .unit = MS_SPREAD_WHOLE};
    ms_spread_double(&s[HISTORY], 1, 65536);
    s[BYTES] = (struct ms_spread){.key = "bytes", .title = "bytes a user", .unit = MS_SPREAD_BYTES};
    ms_spread_double(&s[BYTES], 64, 1 << 30);
    s[AGE] = (struct ms_spread){.key = "age_ms", .title = "age of the last event", .unit = MS_SPREAD_MS};
    memcpy(s[AGE].bounds, ages, sizeof ages);
    s[AGE].buckets = sizeof ages / sizeof *ages;
    s[ENTROPY] = (struct ms_spread){
        .key = "weight_entropy",
        .title = "entropy of the interests' weights (1: all alike, 0: one has all)",
        .unit = MS_SPREAD_NUMBER};
    ms_spread_even(&s[ENTROPY], 0, 0.1, 10);
    s[COSINE] = (struct ms_spread){
        .key = "cosine", .title = "mean cosine between a user's interests", .unit = MS_SPREAD_NUMBER};
    ms_spread_even(&s[COSINE], -1, 0.1, 20);
    s[UNKNOWN] = (struct ms_spread){.key = "unknown_items",
                                    .title = "share of a user's behaviors whose item the model does not know",
                                    .unit = MS_SPREAD_NUMBER};
    ms_spread_even(&s[UNKNOWN], 0, 0.1, 10);
}

/* ---- a user ---- */

/* In units of the greatest there can be, so that users of many and of few interests compare. */
static double entropy_of(const struct ms_interests *interests)
{
    double total = 0, entropy = 0;
    for (int k = 0; k < interests->count; k++)
        total += (double)interests->weights[k];
    for (int k = 0; total > 0 && k < interests->count; k++) {
        double share = (double)interests->weights[k] / total;
        entropy -= share > 0 ? share * log(share) : 0;
    }
    return fmin(entropy / log(interests->count), 1);
}

static double product(const float *a, const float *b, int dim)
{
    double sum = 0;
    for (int i = 0; i < dim; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Over all pairs; an interest of length zero is like none. */
static double cosine_of(const struct ms_interests *interests)
{
    double sum = 0, norms[MS_MAX_INTERESTS];
    size_t dim = (size_t)interests->dim;
    for (int k = 0; k < interests->count; k++) {
        const float *vector = interests->vectors + (size_t)k * dim;
        norms[k] = sqrt(product(vector, vector, interests->dim));
        for (int j = 0; j < k; j++) {
            double length = norms[j] * norms[k];
            sum += length > 0 ? product(interests->vectors + (size_t)j * dim, vector, interests->dim) / length
                              : 0;
        }
    }
    return sum / (interests->count * (interests->count - 1) / 2);
}

/* Takes the user. */
static enum ms_status look(struct stats *stats, struct ms_user *user, struct ms_error *error)
{
    struct ms_fold_context *context;
    bool refolded;
    uint32_t known = 0;
    enum ms_status status = ms_viewer_fold(stats->viewer, &user, &context, &refolded, error);
    if (status != MS_OK) {
        free(user);
        return status;
    }
    struct ms_interests interests = ms_user_interests(context, user);
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    for (uint32_t i = 0; i < user->count; i++)
        known += behaviors[i].item != MS_NO_ITEM;
    stats->looked++;
    stats->known += known;
    stats->unknown += user->count - known;
    if (interests.count > 1) {
        double cosine = cosine_of(&interests);
        stats->several++;
        stats->alike += cosine > ALIKE;
        ms_spread_add(&stats->spreads[COSINE], cosine);
        ms_spread_add(&stats->spreads[ENTROPY], entropy_of(&interests));
    }
    if (user->count)
        ms_spread_add(&stats->spreads[UNKNOWN], (double)(user->count - known) / user->count);
    free(user);
    return MS_OK;
}

static void count(struct stats *stats, const struct ms_user *user, uint64_t bytes)
{
    int64_t age_ms = stats->now_ms - user->last_time_ms;
    stats->users++;
    stats->behaviors += user->kept;
    stats->bytes += bytes;
    ms_spread_add(&stats->spreads[SLOTS], user->slots);
    ms_spread_add(&stats->spreads[HISTORY], user->kept);
    ms_spread_add(&stats->spreads[BYTES], (double)bytes);
    ms_spread_add(&stats->spreads[AGE], age_ms > 0 ? (double)age_ms : 0);
}

/* ---- the sample ---- */

static void sift(struct drawn *heap, size_t size, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < size; at = child) {
        child += child + 1 < size && heap[child + 1].lot > heap[child].lot;
        if (heap[child].lot <= heap[at].lot)
            return;
        struct drawn swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

/* Takes the user: keeps those of the smallest lots, which their ids draw, so that the sample is the same again. */
static void draw(struct stats *stats, struct ms_user *user)
{
    struct ms_bytes id = ms_user_id(user);
    const struct drawn one = {XXH3_64bits_withSeed(id.data, id.size, user->partition), user};
    if (stats->drawn_count < stats->sample) {
        stats->drawn[stats->drawn_count++] = one;
        for (size_t i = stats->drawn_count == stats->sample ? stats->sample / 2 : 0; i > 0; i--)
            sift(stats->drawn, stats->sample, i - 1);
        return;
    }
    bool enters = one.lot < stats->drawn[0].lot;
    free(enters ? stats->drawn[0].user : user);
    if (enters) {
        stats->drawn[0] = one;
        sift(stats->drawn, stats->sample, 0);
    }
}

static enum ms_status look_at_drawn(struct stats *stats, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (size_t i = 0; i < stats->drawn_count; i++) {
        if (status == MS_OK)
            status = look(stats, stats->drawn[i].user, error);
        else
            free(stats->drawn[i].user);
    }
    stats->drawn_count = 0;
    return status;
}

/* ---- the walk ---- */

/* Takes the user. */
static enum ms_status take(struct stats *stats, struct ms_user *user, uint64_t bytes, struct ms_error *error)
{
    if (user->version > 0)
        count(stats, user, bytes);
    if (user->version > 0 && stats->viewer && stats->sample)
        draw(stats, user);
    else if (user->version > 0 && stats->viewer)
        return look(stats, user, error);
    else
        free(user);
    return MS_OK;
}

static enum ms_status walk_users(struct stats *stats, struct ms_error *error)
{
    struct ms_user_walk *walk = NULL;
    struct ms_user *user = NULL;
    struct ms_progress progress;
    uint64_t bytes, seen = 0;
    bool told = isatty(STDERR_FILENO);
    if (told)
        ms_progress_start(&progress, "users", 0);
    enum ms_status status = ms_user_walk_begin(&walk, stats->store, error);
    while (status == MS_OK && (status = ms_user_walk_next(walk, &user, &bytes, error)) == MS_OK && user) {
        status = take(stats, user, bytes, error);
        if (told && ++seen % PROGRESS_USERS == 0)
            ms_progress_update(&progress, seen);
    }
    ms_user_walk_end(walk);
    if (status == MS_OK)
        status = look_at_drawn(stats, error);
    for (size_t i = 0; i < stats->drawn_count; i++)
        free(stats->drawn[i].user);
    if (told && seen >= PROGRESS_USERS)
        ms_progress_end(&progress, seen);
    return status;
}

/* ---- output ---- */

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

static enum ms_status add_head(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                               struct ms_error *error)
{
    struct ms_user *user = NULL;
    enum ms_status status = ms_user_decode_head(&user, partition, id, value, error);
    if (status == MS_OK && user->version > 0)
        *(uint64_t *)context += id.size + value.size;
    free(user);
    return status;
}

/* Bytes of head rows alone. */
static enum ms_status head_bytes(const struct stats *stats, uint64_t *bytes, struct ms_error *error)
{
    const struct ms_store_visitor visitor = {.context = bytes, .on_user = add_head};
    *bytes = 0;
    return ms_store_walk(stats->store, &visitor, error);
}

static bool looks_collapsed(const struct stats *stats)
{
    return stats->several && 2 * stats->alike > stats->several;
}

static size_t spreads_of(const struct stats *stats)
{
    return stats->model ? SPREADS : ENTROPY;
}

static enum ms_status print_json(const struct stats *stats, uint64_t partitions, const char *rocksdb,
                                 struct ms_error *error)
{
    uint64_t heads;
    enum ms_status status = head_bytes(stats, &heads, error);
    if (status != MS_OK)
        return status;
    json_t *spreads = json_object();
    for (size_t i = 0; i < spreads_of(stats); i++)
        json_object_set_new(spreads, stats->spreads[i].key, ms_spread_json(&stats->spreads[i]));
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s?}", "application_id",
        ms_store_application_id(stats->store), "input_topic", ms_store_input_topic(stats->store),
        "instance_id", ms_store_instance_id(stats->store), "workers", ms_store_workers(stats->store),
        "partitions", (json_int_t)partitions, "users", (json_int_t)stats->users, "behaviors",
        (json_int_t)stats->behaviors, "head_bytes", (json_int_t)heads, "bytes", (json_int_t)stats->bytes,
        "disk_bytes", (json_int_t)disk_bytes(stats->state_dir), "histograms", spreads, "rocksdb", rocksdb);
    if (root && stats->model) {
        uint64_t all = stats->known + stats->unknown;
        json_object_set_new(root, "looked_at", json_integer((json_int_t)stats->looked));
        json_object_set_new(root, "unknown_share",
                            all ? json_real((double)stats->unknown / (double)all) : json_null());
        json_object_set_new(root, "collapsed", json_boolean(looks_collapsed(stats)));
    }
    return ms_inspect_print_json(root, error);
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : COLUMNS;
}

static bool put_totals(const struct stats *stats, uint64_t partitions, struct ms_buffer *out)
{
    return ms_buffer_printf(
        out,
        "application.id  %s\ninput.topic     %s\ninstance.id     %s\nworkers         %d\npartitions      "
        "%" PRIu64 "\nusers           %" PRIu64 "\nbehaviors       %" PRIu64 "\nrows            %" PRIu64
        " bytes\non disk         %" PRIu64 " bytes\n",
        ms_store_application_id(stats->store), ms_store_input_topic(stats->store),
        ms_store_instance_id(stats->store), ms_store_workers(stats->store), partitions, stats->users,
        stats->behaviors, stats->bytes, disk_bytes(stats->state_dir));
}

/* What only the model tells. */
static bool put_findings(const struct stats *stats, const struct ms_palette *palette, struct ms_buffer *out)
{
    uint64_t all = stats->known + stats->unknown;
    if (!stats->model)
        return ms_buffer_printf(out, "\nHow interests are needs the model: give --model DIR, or -c FILE with "
                                     "model.dir in it.\n");
    bool good = ms_buffer_printf(out,
                                 "\nwith the model  %" PRIu64 " users looked at, %.1f %% of their behaviors "
                                 "have an item that it does not know\n",
                                 stats->looked, all ? 100.0 * (double)stats->unknown / (double)all : 0.0);
    if (looks_collapsed(stats))
        good = good &&
               ms_buffer_printf(out,
                                "%scollapsed?      the interests of %.0f %% of the users point one way (mean "
                                "cosine over %.2f): the model may tell interests apart no longer%s\n",
                                palette->warning, 100.0 * (double)stats->alike / (double)stats->several,
                                ALIKE, palette->off);
    return good;
}

static enum ms_status print_text(const struct stats *stats, uint64_t partitions, const char *rocksdb,
                                 const struct ms_palette *palette, struct ms_error *error)
{
    struct ms_buffer text = {0};
    int columns = terminal_columns();
    bool good = put_totals(stats, partitions, &text) && put_findings(stats, palette, &text);
    for (size_t i = 0; good && i < spreads_of(stats); i++)
        good = ms_spread_text(&stats->spreads[i], columns, palette, &text);
    good = good &&
           ms_buffer_printf(&text, "\n%sRocksDB%s%s", palette->title, palette->off, rocksdb ? rocksdb : "\n");
    if (!good) {
        ms_buffer_free(&text);
        return ms_fail(error, MS_MEMORY, "no memory for the statistics");
    }
    ms_inspect_print(&text);
    return MS_OK;
}

static enum ms_status print(const struct stats *stats, const struct ms_inspect_arguments *arguments,
                            struct ms_error *error)
{
    size_t partitions = 0;
    uint16_t *list = malloc(MS_MAX_PARTITIONS * sizeof *list);
    if (!list)
        return ms_fail(error, MS_MEMORY, "no memory for a list of partitions");
    enum ms_status status = ms_store_list_partitions(stats->store, list, &partitions, error);
    free(list);
    char *rocksdb = ms_store_stats(stats->store);
    if (status == MS_OK)
        status = arguments->json
                     ? print_json(stats, partitions, rocksdb, error)
                     : print_text(stats, partitions, rocksdb, ms_inspect_palette(arguments), error);
    free(rocksdb);
    return status;
}

/* ---- the command ---- */

static enum ms_status load_model(struct stats *stats, const struct ms_config *config, struct ms_error *error)
{
    if (!config->model_dir[0])
        return MS_OK;
    enum ms_status status = ms_setup_model(&stats->model, config, error);
    return status == MS_OK ? ms_inspect_viewer(&stats->viewer, stats->model, config, error) : status;
}

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    struct stats stats = {.state_dir = config->state_dir,
                          .sample = (size_t)arguments->sample,
                          .now_ms = (int64_t)time(NULL) * 1000};
    make_spreads(&stats);
    enum ms_status status = MS_OK;
    if (stats.sample && !(stats.drawn = calloc(stats.sample, sizeof *stats.drawn)))
        status = ms_fail(error, MS_MEMORY, "no memory for a sample of %zu users", stats.sample);
    if (status == MS_OK)
        status = load_model(&stats, config, error);
    if (status == MS_OK)
        status = ms_inspect_open(&stats.store, config, error);
    if (status == MS_OK)
        status = walk_users(&stats, error);
    if (status == MS_OK)
        status = print(&stats, arguments, error);
    ms_store_close(stats.store);
    ms_viewer_destroy(stats.viewer);
    ms_model_destroy(stats.model);
    free(stats.drawn);
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show, error);
}

static const struct ms_argument rows[] = {
    MS_INSPECT_STATE_ROWS,
    {.name = "sample",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = 10000000,
     .placeholder = "N",
     .help = "look at N users with the model, drawn by their ids, and only count the others",
     MS_INSPECT_AT(sample)},
    {0},
};

const struct ms_command ms_inspect_stats = {
    .name = "stats",
    .summary = "totals, and how histories, bytes, ages and interests are spread over users",
    .description =
        "Prints totals of the state, histograms over its users, and RocksDB's own statistics. With the model also how a\n"
        "user's interests are: how their weights are shared out, whether they point different ways, and how much of the\n"
        "history the model does not know.\n",
    .rows = rows,
    .notes = MS_INSPECT_JSON_RULES
    "  application_id, input_topic, instance_id, workers, partitions, users, behaviors, head_bytes (of their head rows),\n"
    "  bytes (of all their rows), disk_bytes, histograms {interests, history, bytes, age_ms, and with a model\n"
    "  weight_entropy (in units of log K'u), cosine (mean over all pairs), unknown_items (share of the kept behaviors)},\n"
    "  each {users, mean, buckets [{from, to (not in it; null: no end), count}]}, rocksdb (text); with a model also\n"
    "  looked_at, unknown_share, collapsed (true: the interests of most users point one way)\n",
    .examples = "mindstream inspect stats --state-dir /var/lib/mindstream --json | jq .users\n"
                "mindstream inspect stats -c /etc/mindstream/mindstream.properties --sample 10000\n",
    .exit_status = ms_inspect_exit_status,
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};
