/* mindstream inspect import: a new state directory from what inspect export wrote. It is built beside its place and moved
 * there when it is whole. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/inspect/selection.h"
#include "app/inspect/shared.h"
#include "base/array.h"
#include "base/json.h"
#include "base/scratch.h"
#include "state/bulk.h"
#include "train/input.h"
#include "user/restore.h"

#define BULK_BYTES  ((size_t)128 << 20)
#define CACHE_BYTES ((size_t)8 << 20)

struct import {
    const struct ms_inspect_arguments *arguments;
    struct ms_line_file file;
    struct ms_json *json;
    struct ms_selection selection;
    struct ms_scratch building; /* the directory while it is built */
    struct ms_store *store;
    struct ms_bulk *bulk;
    struct ms_flush_row *rows;
    size_t row_count, rows_capacity;
    bool moved; /* to another application or topic: the offsets mean nothing there */
    struct ms_restored_behavior *behaviors;
    struct ms_json_value *elements, *numbers;
    size_t behaviors_capacity, elements_capacity, numbers_capacity;
    float *sums;
    size_t sums_capacity;
    uint64_t users, passed;
};

/* ---- reading values ---- */

static enum ms_status bad(struct import *import, const char *what, struct ms_error *error)
{
    return ms_fail(error, MS_FORMAT, "%s:%" PRIu64 ": %s", import->file.lines.source.name,
                   import->file.lines.number, what);
}

static bool get_string(struct ms_json_value object, const char *name, struct ms_bytes *bytes)
{
    struct ms_json_value value;
    if (!ms_json_member(object, name, strlen(name), &value))
        return false;
    if (ms_json_type(value) != MS_JSON_STRING)
        return false;
    bytes->data = ms_json_string(value, &bytes->size);
    return true;
}

static bool get_integer(struct ms_json_value object, const char *name, int64_t *number)
{
    struct ms_json_value value;
    if (!ms_json_member(object, name, strlen(name), &value))
        return false;
    if (ms_json_type(value) == MS_JSON_NULL)
        *number = INT64_MIN;
    else if (ms_json_type(value) == MS_JSON_INTEGER)
        *number = ms_json_integer(value);
    else
        return false;
    return true;
}

/* A number from 0 to |max|. */
static bool get_count(struct ms_json_value object, const char *name, uint64_t max, uint64_t *number)
{
    int64_t value;
    if (!get_integer(object, name, &value) || value < 0 || (uint64_t)value > max)
        return false;
    *number = (uint64_t)value;
    return true;
}

static bool get_fold_id(struct ms_json_value object, uint64_t *fold_id)
{
    struct ms_bytes text;
    char digits[17], *end;
    if (!get_string(object, "fold_id", &text) || text.size != 16)
        return false;
    memcpy(digits, text.data, 16);
    digits[16] = '\0';
    *fold_id = strtoull(digits, &end, 16);
    return *end == '\0';
}

/* The elements of an array, in *list. False where it is none or memory ended. */
static bool get_elements(struct ms_json_value object, const char *name, struct ms_json_value **list,
                         size_t *capacity, size_t *count)
{
    struct ms_json_value array;
    if (!ms_json_member(object, name, strlen(name), &array))
        return false;
    if (ms_json_type(array) != MS_JSON_ARRAY)
        return false;
    *count = ms_json_elements(array, NULL, 0);
    if (!ms_array_reserve(list, capacity, *count + 1, sizeof **list))
        return false;
    ms_json_elements(array, *list, *count);
    return true;
}

/* ---- the first line ---- */

static bool unhex(struct ms_bytes text, char *out, size_t size)
{
    if (text.size != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++) {
        char pair[3] = {text.data[2 * i], text.data[2 * i + 1], '\0'}, *end;
        out[i] = (char)strtoul(pair, &end, 16);
        if (*end)
            return false;
    }
    return true;
}

static enum ms_status take_row(struct import *import, struct ms_json_value value, struct ms_error *error)
{
    uint64_t partition;
    struct ms_bytes text;
    char bytes[MS_PARTITION_ROW_BYTES];
    struct ms_flush_row row;
    if (!get_count(value, "partition", MS_MAX_PARTITIONS - 1, &partition) ||
        !get_string(value, "row", &text) || !unhex(text, bytes, sizeof bytes) ||
        (import->row_count && import->rows[import->row_count - 1].partition >= partition))
        return bad(import, "a partition that cannot be read", error);
    row.partition = (uint16_t)partition;
    enum ms_status status = ms_partition_row_decode((struct ms_bytes){bytes, sizeof bytes}, row.partition,
                                                    &row.row, error);
    if (status != MS_OK)
        return status;
    if (!ms_array_reserve(&import->rows, &import->rows_capacity, import->row_count + 1, sizeof row))
        return ms_fail(error, MS_MEMORY, "no memory for the rows of partitions");
    import->rows[import->row_count++] = row;
    return MS_OK;
}

static char *copy_of(struct ms_bytes bytes)
{
    char *copy = malloc(bytes.size + 1);
    if (copy) {
        memcpy(copy, bytes.data, bytes.size);
        copy[bytes.size] = '\0';
    }
    return copy;
}

/* Opens a new state directory for the application and the topic. */
static enum ms_status open_building(struct import *import, struct ms_bytes application, struct ms_bytes topic,
                                    struct ms_error *error)
{
    const struct ms_inspect_arguments *arguments = import->arguments;
    char *own_application = copy_of(application), *own_topic = copy_of(topic);
    enum ms_status status = MS_OK;
    if (!own_application || !own_topic)
        status = ms_fail(error, MS_MEMORY, "no memory");
    const struct ms_store_options options = {
        .dir = import->building.path,
        .application_id = arguments->application_id ? arguments->application_id : own_application,
        .input_topic = arguments->input_topic ? arguments->input_topic : own_topic,
        .instance_id = "",
        .block_cache_bytes = CACHE_BYTES};
    if (status == MS_OK) {
        import->moved = strcmp(options.application_id, own_application) != 0 ||
                        strcmp(options.input_topic, own_topic) != 0;
        status = ms_store_open(&import->store, &options, error);
    }
    free(own_application);
    free(own_topic);
    if (status == MS_OK)
        status = ms_bulk_begin(&import->bulk, import->store, BULK_BYTES, error);
    return status;
}

static enum ms_status take_header(struct import *import, struct ms_json_value root, struct ms_error *error)
{
    struct ms_bytes format, application, topic;
    struct ms_json_value all;
    size_t count;
    if (!get_string(root, "format", &format) || format.size != strlen("mindstream-export/1") ||
        memcmp(format.data, "mindstream-export/1", format.size) != 0)
        return bad(import, "not the first line of what `mindstream inspect export` writes as jsonl", error);
    if (!get_string(root, "application_id", &application) || !get_string(root, "input_topic", &topic) ||
        !ms_json_member(root, "all_users", strlen("all_users"), &all) || ms_json_type(all) != MS_JSON_BOOL ||
        !get_elements(root, "partitions", &import->elements, &import->elements_capacity, &count))
        return bad(import, "application_id, input_topic, all_users or partitions cannot be read", error);
    enum ms_status status = MS_OK;
    for (size_t i = 0; status == MS_OK && i < count; i++)
        status = take_row(import, import->elements[i], error);
    if (status == MS_OK)
        status = open_building(import, application, topic, error);
    if (status == MS_OK && !import->moved && (!ms_json_bool(all) || import->selection.limited))
        status = ms_fail(
            error, MS_USAGE,
            "%s: a part of the users would look like a loss of the others to application %.*s; give the part "
            "another --application-id",
            import->file.lines.source.name, (int)application.size, application.data);
    return status;
}

/* ---- a user ---- */

static bool read_behavior(struct ms_json_value value, struct ms_restored_behavior *behavior)
{
    return get_string(value, "item", &behavior->item) && get_integer(value, "time", &behavior->time_ms) &&
           get_string(value, "type", &behavior->type);
}

/* The behaviors in order of arrival. */
static bool read_behaviors(struct import *import, struct ms_json_value root, struct ms_user_parts *parts)
{
    size_t count, places = 0;
    struct ms_json_value arrived;
    if (!get_elements(root, "behaviors", &import->elements, &import->elements_capacity, &count) ||
        !ms_array_reserve(&import->behaviors, &import->behaviors_capacity, count + 1,
                          sizeof *import->behaviors))
        return false;
    bool reordered = ms_json_member(root, "arrived", strlen("arrived"), &arrived);
    if (reordered && (!get_elements(root, "arrived", &import->numbers, &import->numbers_capacity, &places) ||
                      places != count))
        return false;
    memset(import->behaviors, 0, (count + 1) * sizeof *import->behaviors);
    for (size_t i = 0; i < count; i++) {
        size_t place = i;
        if (reordered)
            place = ms_json_type(import->numbers[i]) == MS_JSON_INTEGER
                        ? (size_t)ms_json_integer(import->numbers[i])
                        : count;
        if (place >= count || import->behaviors[place].item.data ||
            !read_behavior(import->elements[i], &import->behaviors[place]))
            return false;
    }
    parts->behaviors = import->behaviors;
    parts->behavior_count = (uint32_t)count;
    return true;
}

static bool read_sums(struct import *import, struct ms_json_value root, struct ms_user_parts *parts)
{
    struct ms_json_value value;
    size_t count;
    if (!ms_json_member(root, "sums", strlen("sums"), &value))
        return false;
    parts->sums_left_out = ms_json_type(value) == MS_JSON_NULL;
    if (parts->sums_left_out)
        return true;
    if (!get_elements(root, "sums", &import->numbers, &import->numbers_capacity, &count) ||
        !ms_array_reserve(&import->sums, &import->sums_capacity, count + 1, sizeof *import->sums))
        return false;
    for (size_t i = 0; i < count; i++) {
        enum ms_json_type type = ms_json_type(import->numbers[i]);
        if (type != MS_JSON_DOUBLE && type != MS_JSON_INTEGER)
            return false;
        import->sums[i] = type == MS_JSON_DOUBLE ? (float)ms_json_double(import->numbers[i])
                                                 : (float)ms_json_integer(import->numbers[i]);
    }
    parts->sums = import->sums;
    parts->floats = (uint32_t)count;
    return true;
}

static bool read_counters(struct ms_json_value root, struct ms_user_parts *parts)
{
    uint64_t partition, slots, slots_max;
    if (!get_string(root, "user_id", &parts->id) ||
        !get_count(root, "partition", MS_MAX_PARTITIONS - 1, &partition) ||
        !get_count(root, "version", INT64_MAX, &parts->version) ||
        !get_integer(root, "event_time", &parts->last_time_ms) ||
        !get_integer(root, "own_offset", &parts->own_offset) ||
        !get_integer(root, "profile_offset", &parts->profile_offset) || !get_fold_id(root, &parts->fold_id) ||
        !get_count(root, "slots", UINT16_MAX, &slots) ||
        !get_count(root, "slots_max", UINT16_MAX, &slots_max) ||
        !get_count(root, "events_folded", INT64_MAX, &parts->events_folded) ||
        !get_integer(root, "sums_time", &parts->sums_time_ms))
        return false;
    struct ms_json_value owed;
    if (ms_json_member(root, "owed", strlen("owed"), &owed) &&
        !get_count(root, "owed", INT64_MAX, &parts->owed))
        return false;
    get_string(root, "profile", &parts->profile);
    parts->partition = (uint16_t)partition;
    parts->slots = (uint16_t)slots;
    parts->slots_max = (uint16_t)slots_max;
    return true;
}

static bool has_row(const struct import *import, uint16_t partition)
{
    for (size_t i = 0; i < import->row_count; i++) {
        if (import->rows[i].partition == partition)
            return true;
    }
    return false;
}

static enum ms_status take_user(struct import *import, struct ms_json_value root, struct ms_error *error)
{
    struct ms_user_parts parts = {0};
    struct ms_user *user = NULL;
    if (!read_counters(root, &parts) || !read_behaviors(import, root, &parts) ||
        !read_sums(import, root, &parts))
        return bad(import, "a user that cannot be read (was the line written by another version?)", error);
    if (!ms_selection_has(&import->selection, parts.id)) {
        import->passed++;
        return MS_OK;
    }
    if (!has_row(import, parts.partition))
        return bad(import, "its partition is not in the first line", error);
    if (import->moved) { /* and nobody has seen anything there */
        parts.own_offset = parts.profile_offset = -1;
        parts.owed = 0;
    }
    enum ms_status status = ms_user_restore(&user, &parts, error);
    if (status != MS_OK)
        return ms_fail_in(error, status, "%s:%" PRIu64, import->file.lines.source.name,
                          import->file.lines.number);
    import->users++;
    return ms_bulk_add(import->bulk, user, error);
}

static enum ms_status read_all(struct import *import, struct ms_error *error)
{
    struct ms_bytes line;
    enum ms_status status;
    while ((status = ms_lines_next(&import->file.lines, &line, error)) == MS_OK && line.data) {
        struct ms_json_value root;
        if (ms_bytes_trim(line).size == 0)
            continue;
        const char *reason = ms_json_read(import->json, line.data, line.size, &root);
        if (reason)
            return bad(import, reason, error);
        status = import->bulk ? take_user(import, root, error) : take_header(import, root, error);
        if (status != MS_OK)
            return status;
    }
    if (status == MS_OK && !import->bulk)
        return bad(import, "it is empty", error);
    return status;
}

/* ---- the directory ---- */

/* A directory that is empty is replaced by the move. */
static bool is_empty(const char *dir)
{
    bool empty = true;
    DIR *stream = opendir(dir);
    for (const struct dirent *entry = stream ? readdir(stream) : NULL; entry; entry = readdir(stream)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            empty = false;
    }
    if (stream)
        closedir(stream);
    return stream && empty;
}

static enum ms_status check_place(const char *dir, struct ms_error *error)
{
    struct stat place;
    if (!dir[0])
        return ms_fail(error, MS_USAGE, "where to? give --state-dir DIR, a directory that is new or empty");
    if (lstat(dir, &place) != 0)
        return errno == ENOENT ? MS_OK : ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(place.st_mode))
        return ms_fail(error, MS_USAGE, "%s: it is there and no directory", dir);
    if (!is_empty(dir))
        return ms_fail(error, MS_USAGE, "%s: not empty; import makes a state directory, it adds to none",
                       dir);
    return MS_OK;
}

static enum ms_status make_building(struct import *import, const char *dir, struct ms_error *error)
{
    char prefix[PATH_MAX];
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/')
        size--;
    if (size >= sizeof prefix)
        return ms_fail(error, MS_IO, "%s: the name is too long", dir);
    snprintf(prefix, sizeof prefix, "%.*s", (int)size, dir);
    return ms_scratch_make(&import->building, prefix, ".import", ms_scratch_remove_all, error);
}

/* The rows under which the users may be read: what was applied means nothing to another application. */
static void settle_rows(struct import *import)
{
    for (size_t i = 0; import->moved && i < import->row_count; i++)
        import->rows[i].row = MS_EMPTY_ROW;
}

static enum ms_status build(struct import *import, struct ms_error *error)
{
    import->json = ms_json_new();
    if (!import->json)
        return ms_fail(error, MS_MEMORY, "no memory for a JSON reader");
    enum ms_status status = ms_line_file_open(&import->file, import->arguments->file, MS_JSON_MAX_BYTES,
                                              error);
    if (status == MS_OK && import->arguments->users)
        status = ms_selection_read(&import->selection, import->arguments->users, error);
    if (status == MS_OK)
        status = read_all(import, error);
    settle_rows(import);
    if (status == MS_OK)
        status = ms_bulk_finish(import->bulk, import->rows, import->row_count, error);
    return status;
}

static void close_all(struct import *import)
{
    ms_line_file_close(&import->file);
    ms_json_destroy(import->json);
    ms_selection_free(&import->selection);
    free(import->rows);
    free(import->behaviors);
    free(import->elements);
    free(import->numbers);
    free(import->sums);
    ms_scratch_remove(&import->building);
}

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    struct import import = {.arguments = arguments};
    const char *dir = config->state_dir;
    enum ms_status status = check_place(dir, error);
    if (status == MS_OK)
        status = make_building(&import, dir, error);
    if (status == MS_OK)
        status = build(&import, error);
    ms_bulk_end(import.bulk);
    ms_store_close(import.store);
    if (status == MS_OK && rename(import.building.path, dir) != 0)
        status = ms_fail(error, MS_IO, "%s: %s", dir, strerror(errno));
    if (status == MS_OK)
        printf("%" PRIu64 " users in %zu partitions imported into %s%s\n", import.users, import.row_count,
               dir, import.moved ? "; another application or topic: the offsets were left out" : "");
    close_all(&import);
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show, error);
}

static const struct ms_argument rows[] = {
    {.name = "FILE",
     .kind = MS_ARGUMENT_FILE,
     .positional = true,
     .required = true,
     .help = "what inspect export wrote, - for standard input",
     MS_INSPECT_AT(file)},
    MS_SETTINGS_ROWS(struct ms_inspect_arguments, sources),
    {.name = "state-dir",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "DIR",
     .help = "the state directory to make, instead of state.dir of the settings; new or empty",
     MS_INSPECT_AT(sources.state_dir)},
    {.name = "application-id",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .placeholder = "ID",
     .standard_text = "that of the export",
     .help = "whose state it becomes; of another one the offsets are left out",
     MS_INSPECT_AT(application_id)},
    {.name = "input-topic",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .placeholder = "TOPIC",
     .standard_text = "that of the export",
     .help = "the input topic it belongs to; of another one the offsets are left out",
     MS_INSPECT_AT(input_topic)},
    {.name = "users",
     .kind = MS_ARGUMENT_FILE,
     .placeholder = "FILE",
     .help = "only the users whose ids are the lines of FILE; needs another --application-id",
     MS_INSPECT_AT(users)},
    {0},
};

const struct ms_command ms_inspect_import = {
    .name = "import",
    .summary = "make a state directory from what export wrote",
    .description =
        "Makes a new state directory from what inspect export wrote as JSON lines: to move to other hardware, or for a\n"
        "test bed with some real users. The users come out as they were; inspect diff finds nothing. The directory is built\n"
        "beside its place and moved there when it is whole.\n",
    .rows = rows,
    .examples =
        "mindstream inspect export --state-dir old | ssh new mindstream inspect import - --state-dir /srv/state\n"
        "mindstream inspect import users.jsonl --users ten.txt --application-id test-bed --state-dir /tmp/bed\n",
    .exit_status =
        "0 made, 1 a file cannot be read or written, 2 bad usage or settings, 3 rows of a newer version",
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};
