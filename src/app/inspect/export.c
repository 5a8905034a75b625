/* mindstream inspect export: users one after the other, in a form that other tools read. Holds one user at a time. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/inspect/selection.h"
#include "app/inspect/shared.h"
#include "app/inspector.h"
#include "app/service_setup.h"
#include "base/array.h"
#include "base/json_text.h"
#include "state/user_walk.h"
#include "user/restore.h"
#include "view/escape.h"
#include "view/viewer.h"

enum { JSONL, CSV, NPY };

#define OUT_BYTES  ((size_t)1 << 20) /* that are gathered before they are written */
#define NPY_HEADER 128

struct export
{
    int format;
    struct ms_store *store;
    struct ms_user_walk *walk;
    struct ms_model *model; /* NULL: no interests */
    struct ms_viewer *viewer;
    struct ms_selection selection;
    struct ms_buffer text;
    uint32_t *places; /* of behaviors in the order of arrival */
    size_t places_capacity;
    FILE *out, *ids; /* ids: of the rows of npy */
    const char *out_name;
    uint64_t users, rows;
};

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for the text of a user");
}

/* ---- output ---- */

static enum ms_status write_text(struct export *export, size_t least, struct ms_error *error)
{
    if (export->text.size < least || export->text.size == 0)
        return MS_OK;
    size_t written = fwrite(export->text.data, 1, export->text.size, export->out);
    bool good = written == export->text.size;
    export->text.size = 0;
    return good ? MS_OK : ms_fail(error, MS_IO, "%s: %s", export->out_name, strerror(errno));
}

static FILE *create(const char *prefix, const char *suffix, struct ms_error *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s%s", prefix, suffix) < 0) {
        ms_fail(error, MS_MEMORY, "no memory for a path");
        return NULL;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file)
        ms_fail(error, MS_IO, "%s: %s%s", path, strerror(errno),
                errno == EEXIST ? "; give another --out, or remove it" : "");
    if (!file && fd >= 0)
        close(fd);
    free(path);
    return file;
}

static enum ms_status open_out(struct export *export, const char *out, struct ms_error *error)
{
    export->out = stdout;
    export->out_name = out ? out : "standard output";
    if (export->format == NPY && !out)
        return ms_fail(error, MS_USAGE, "--format npy needs --out NAME: it makes NAME.npy and NAME.ids");
    if (out && !(export->out = create(out, export->format == NPY ? ".npy" : "", error)))
        return error->status;
    if (export->format == NPY && !(export->ids = create(out, ".ids", error)))
        return error->status;
    return MS_OK;
}

static enum ms_status close_out(struct export *export, enum ms_status status, struct ms_error *error)
{
    FILE *files[] = {export->out == stdout ? NULL : export->out, export->ids};
    for (size_t i = 0; i < 2; i++) {
        if (files[i] && fclose(files[i]) != 0 && status == MS_OK)
            status = ms_fail(error, MS_IO, "%s: %s", export->out_name, strerror(errno));
    }
    return status;
}

/* ---- JSON lines ---- */

#define PUT(export, ...) ms_buffer_printf(&(export)->text, __VA_ARGS__)

static bool put_name_and_string(struct export *export, const char *name, struct ms_bytes bytes)
{
    return PUT(export, "\"%s\":", name) && ms_json_text_string(&export->text, bytes);
}

static bool put_time(struct export *export, const char *name, int64_t time_ms)
{
    return time_ms == INT64_MIN ? PUT(export, ",\"%s\":null", name)
                                : PUT(export, ",\"%s\":%" PRId64, name, time_ms);
}

static bool put_behaviors(struct export *export, const struct ms_user *user)
{
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    bool good = PUT(export, ",\"behaviors\":[");
    for (uint32_t i = 0; good && i < user->count; i++) {
        good = PUT(export, "%s{", i ? "," : "") &&
               put_name_and_string(export, "item", ms_behavior_item(user, &behaviors[i])) &&
               PUT(export, ",\"time\":%" PRId64 ",", behaviors[i].time_ms) &&
               put_name_and_string(export, "type", ms_behavior_type(user, &behaviors[i])) && PUT(export, "}");
    }
    return good && PUT(export, "]");
}

/* "arrived": the place of each behavior in the order of arrival, where that is not the order of their times. */
static bool put_arrival(struct export *export, const struct ms_user *user)
{
    if (!ms_array_reserve(&export->places, &export->places_capacity, user->count, sizeof *export->places))
        return false;
    if (user->count == 0 || ms_user_arrival_places(user, export->places))
        return true;
    bool good = PUT(export, ",\"arrived\":[");
    for (uint32_t i = 0; good && i < user->count; i++)
        good = PUT(export, "%s%" PRIu32, i ? "," : "", export->places[i]);
    return good && PUT(export, "]");
}

/* What is stored. The sums are those of the row: a user that was stored without them has null. */
static bool put_stored(struct export *export, const struct ms_user *user)
{
    bool good = PUT(export, "{") && put_name_and_string(export, "user_id", ms_user_id(user)) &&
                PUT(export, ",\"partition\":%u,\"version\":%" PRIu64, user->partition, user->version) &&
                put_time(export, "event_time", user->last_time_ms) &&
                PUT(export,
                    ",\"own_offset\":%" PRId64 ",\"profile_offset\":%" PRId64 ",\"fold_id\":\"%016" PRIx64
                    "\",\"slots\":%u,\"slots_max\":%u,\"events_folded\":%" PRIu64,
                    user->own_offset, user->profile_offset, user->fold_id, user->slots, user->slots_max,
                    user->events_folded) &&
                put_time(export, "sums_time", user->sums_time_ms);
    if (good && user->owed)
        good = PUT(export, ",\"owed\":%" PRIu64, user->owed);
    if (good && user->profile_bytes)
        good = PUT(export, ",") && put_name_and_string(export, "profile", ms_user_profile(user));
    good = good && put_behaviors(export, user) && put_arrival(export, user) && PUT(export, ",\"sums\":");
    return good &&
           (user->sums_left_out ? PUT(export, "null")
                                : ms_json_text_floats(&export->text, ms_user_sums(user), user->floats));
}

static bool put_interests(struct export *export, const struct ms_interests *interests)
{
    bool good = PUT(export, ",\"interests\":[");
    for (int k = 0; good && k < interests->count; k++)
        good = PUT(export, "%s{\"slot\":%d,\"weight\":", k ? "," : "", k) &&
               ms_json_text_float(&export->text, interests->weights[k]) && PUT(export, ",\"vector\":") &&
               ms_json_text_floats(&export->text, interests->vectors + (size_t)k * (size_t)interests->dim,
                                   (size_t)interests->dim) &&
               PUT(export, "}");
    return good && PUT(export, "]");
}

static bool put_row_of_partition(struct export *export, const struct ms_flush_row *row)
{
    char bytes[MS_PARTITION_ROW_BYTES];
    ms_partition_row_encode(&row->row, bytes);
    bool good = PUT(export, "%s{\"partition\":%u,\"applied\":%" PRId64 ",\"row\":\"",
                    export->text.data[export->text.size - 1] == '[' ? "" : ",", row->partition,
                    row->row.sources[0].applied);
    for (size_t i = 0; good && i < sizeof bytes; i++)
        good = PUT(export, "%02x", (unsigned char)bytes[i]);
    return good && PUT(export, "\"}");
}

static enum ms_status export_partition(void *context, uint16_t partition, const struct ms_partition_row *row,
                                       struct ms_error *error)
{
    const struct ms_flush_row one = {partition, *row};
    return put_row_of_partition(context, &one) ? MS_OK : no_memory(error);
}

/* The first line: whose state it is, and how far each partition is folded. */
static enum ms_status put_header(struct export *export, struct ms_error *error)
{
    const struct ms_store_visitor visitor = {.context = export, .on_partition = export_partition};
    const char *application = ms_store_application_id(export->store),
               *topic = ms_store_input_topic(export->store);
    bool good = PUT(export, "{\"format\":\"mindstream-export/1\",") &&
                put_name_and_string(export, "application_id",
                                    (struct ms_bytes){application, strlen(application)}) &&
                PUT(export, ",") &&
                put_name_and_string(export, "input_topic", (struct ms_bytes){topic, strlen(topic)}) &&
                PUT(export, ",\"all_users\":%s,\"model\":", export->selection.limited ? "false" : "true");
    const char *model = export->model ? ms_model_config(export->model)->id : NULL;
    good = good && (model ? ms_json_text_string(&export->text, (struct ms_bytes){model, strlen(model)})
                          : PUT(export, "null"));
    if (!good || !PUT(export, ",\"partitions\":["))
        return no_memory(error);
    enum ms_status status = ms_store_walk(export->store, &visitor, error);
    if (status == MS_OK && !PUT(export, "]}\n"))
        status = no_memory(error);
    return status;
}

/* ---- CSV ---- */

/* A field in quotes where it needs them (RFC 4180). */
static bool put_field(struct export *export, struct ms_bytes bytes)
{
    bool quoted = bytes.size == 0;
    for (size_t i = 0; !quoted && i < bytes.size; i++)
        quoted = strchr(",\"\r\n", bytes.data[i]) != NULL;
    if (!quoted)
        return ms_buffer_append(&export->text, bytes.data, bytes.size);
    bool good = PUT(export, "\"");
    for (size_t i = 0; good && i < bytes.size; i++)
        good = (bytes.data[i] != '"' || PUT(export, "\"")) &&
               ms_buffer_append(&export->text, bytes.data + i, 1);
    return good && PUT(export, "\"");
}

static bool put_titles(struct export *export)
{
    int dim = ms_model_config(export->model)->dim;
    bool good = PUT(export, "user_id,partition,version,event_time,slot,weight");
    for (int i = 0; good && i < dim; i++)
        good = PUT(export, ",v%d", i);
    return good && PUT(export, "\n");
}

static bool put_csv(struct export *export, const struct ms_user *user, const struct ms_interests *interests)
{
    bool good = true;
    for (int k = 0; good && k < interests->count; k++) {
        const float *vector = interests->vectors + (size_t)k * (size_t)interests->dim;
        good = put_field(export, ms_user_id(user)) &&
               PUT(export, ",%u,%" PRIu64 ",%" PRId64 ",%d,", user->partition, user->version,
                   user->last_time_ms, k) &&
               ms_json_text_float(&export->text, interests->weights[k]);
        for (int i = 0; good && i < interests->dim; i++)
            good = PUT(export, ",") && ms_json_text_float(&export->text, vector[i]);
        good = good && PUT(export, "\n");
    }
    return good;
}

/* ---- npy ---- */

/* NumPy's header for |rows| float32 vectors, always NPY_HEADER bytes. */
static void npy_header(char header[NPY_HEADER + 1], uint64_t rows, int dim)
{
    static const char magic[] = "\x93NUMPY\x01";
    memset(header, ' ', NPY_HEADER);
    memcpy(header, magic, sizeof magic); /* with the minor version, a zero */
    ms_put_u16(header + 8, NPY_HEADER - 10);
    int n = snprintf(header + 10, NPY_HEADER - 10,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRIu64 ", %d), }", rows, dim);
    header[10 + n] = ' ';
    header[NPY_HEADER - 1] = '\n';
}

static enum ms_status put_npy_header(struct export *export, struct ms_error *error)
{
    char header[NPY_HEADER + 1];
    npy_header(header, export->rows, ms_model_config(export->model)->dim);
    if (fseek(export->out, 0, SEEK_SET) != 0 || fwrite(header, 1, NPY_HEADER, export->out) != NPY_HEADER)
        return ms_fail(error, MS_IO, "%s: %s", export->out_name, strerror(errno));
    return MS_OK;
}

static enum ms_status put_npy(struct export *export, const struct ms_user *user,
                              const struct ms_interests *interests, struct ms_error *error)
{
    struct ms_buffer id = {0};
    size_t bytes = (size_t)interests->count * (size_t)interests->dim * sizeof(float);
    bool good = ms_escape(&id, ms_user_id(user)) &&
                (bytes == 0 || ms_buffer_append(&export->text, interests->vectors, bytes));
    enum ms_status status = good ? MS_OK : no_memory(error);
    for (int k = 0; status == MS_OK && k < interests->count; k++) {
        if (fprintf(export->ids, "%.*s#%d\n", (int)id.size, id.data, k) < 0)
            status = ms_fail(error, MS_IO, "%s.ids: %s", export->out_name, strerror(errno));
    }
    ms_buffer_free(&id);
    export->rows += (uint64_t)interests->count;
    return status;
}

/* ---- the walk ---- */

/* Users that have a profile and no event yet have no interests. */
static enum ms_status export_user(struct export *export, struct ms_user **user, struct ms_error *error)
{
    struct ms_interests interests = {0};
    if (export->format == JSONL && !put_stored(export, *user))
        return no_memory(error);
    if (export->model) {
        struct ms_fold_context *context;
        bool refolded;
        enum ms_status status = ms_viewer_fold(export->viewer, user, &context, &refolded, error);
        if (status != MS_OK)
            return status;
        interests = ms_user_interests(context, *user);
    }
    export->users++;
    if (export->format == NPY)
        return put_npy(export, *user, &interests, error);
    bool good = export->format == CSV
                    ? put_csv(export, *user, &interests)
                    : (!export->model || put_interests(export, &interests)) && PUT(export, "}\n");
    return good ? MS_OK : no_memory(error);
}

static enum ms_status begin(struct export *export, struct ms_error *error)
{
    if (export->format == JSONL)
        return put_header(export, error);
    if (export->format == NPY)
        return put_npy_header(export, error);
    return put_titles(export) ? MS_OK : no_memory(error);
}

static enum ms_status export_all(struct export *export, struct ms_error *error)
{
    struct ms_user *user = NULL;
    enum ms_status status = begin(export, error);
    while (status == MS_OK && (status = ms_user_walk_next(export->walk, &user, NULL, error)) == MS_OK &&
           user) {
        if (ms_selection_has(&export->selection, ms_user_id(user)))
            status = export_user(export, &user, error);
        if (status == MS_OK)
            status = write_text(export, OUT_BYTES, error);
        free(user);
    }
    if (status == MS_OK)
        status = write_text(export, 0, error);
    if (status == MS_OK && export->format == NPY)
        status = put_npy_header(export, error);
    return status;
}

/* ---- the command ---- */

static enum ms_status open_model(struct export *export, const struct ms_config *config,
                                 struct ms_error *error)
{
    if (!config->model_dir[0])
        return export->format == JSONL
                   ? MS_OK
                   : ms_fail(
                         error, MS_CONFIG,
                         "the interests need the model: give --model DIR, or -c FILE with model.dir in it");
    enum ms_status status = ms_setup_model(&export->model, config, error);
    if (status == MS_OK)
        status = ms_inspect_viewer(&export->viewer, export->model, config, error);
    return status;
}

static void close_all(struct export *export)
{
    ms_user_walk_end(export->walk);
    ms_store_close(export->store);
    ms_viewer_destroy(export->viewer);
    ms_model_destroy(export->model);
    ms_selection_free(&export->selection);
    ms_buffer_free(&export->text);
    free(export->places);
}

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    struct export export = {.format = arguments->format};
    enum ms_status status = MS_OK;
    if (arguments->users)
        status = ms_selection_read(&export.selection, arguments->users, error);
    if (status == MS_OK)
        status = open_model(&export, config, error);
    if (status == MS_OK)
        status = ms_inspect_open(&export.store, config, error);
    if (status == MS_OK)
        status = ms_user_walk_begin(&export.walk, export.store, error);
    if (status == MS_OK)
        status = open_out(&export, arguments->out, error);
    if (status == MS_OK)
        status = export_all(&export, error);
    status = close_out(&export, status, error);
    if (status == MS_OK && arguments->out)
        fprintf(stderr, "%" PRIu64 " users written to %s%s\n", export.users, arguments->out,
                export.format == NPY ? ".npy and .ids" : "");
    close_all(&export);
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show, error);
}

static const struct ms_argument rows[] = {
    MS_SETTINGS_ROWS(struct ms_inspect_arguments, sources),
    {.name = "state-dir",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "DIR",
     .help = "the state directory, instead of state.dir of the settings",
     MS_INSPECT_AT(sources.state_dir)},
    {.name = "model",
     .kind = MS_ARGUMENT_DIRECTORY,
     .placeholder = "DIR",
     .help =
         "the model directory, instead of model.dir of the settings; jsonl goes without one and has no interests then",
     MS_INSPECT_AT(sources.model_dir)},
    {.name = "format",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "jsonl|csv|npy",
     .standard = "jsonl",
     .placeholder = "FORMAT",
     .help =
         "JSON lines with all that is stored, CSV with a row an interest, or NumPy's float32 array of the vectors",
     MS_INSPECT_AT(format)},
    {.name = "out",
     .kind = MS_ARGUMENT_FILE,
     .placeholder = "NAME",
     .standard_text = "standard output",
     .help = "write to the new file NAME; with npy to NAME.npy and NAME.ids",
     MS_INSPECT_AT(out)},
    {.name = "users",
     .kind = MS_ARGUMENT_FILE,
     .placeholder = "FILE",
     .help = "only the users whose ids are the lines of FILE, - for standard input",
     MS_INSPECT_AT(users)},
    {0},
};

const struct ms_command ms_inspect_export = {
    .name = "export",
    .summary = "all users with their interests as JSON lines, CSV or a NumPy array",
    .description =
        "Writes the users in the order of partition and id: the same state gives the same bytes. Works beside a running\n"
        "service and holds one user at a time. What it writes as JSON lines, inspect import reads.\n",
    .rows = rows,
    .notes =
        "jsonl: the first line is {format, application_id, input_topic, all_users, model, partitions [{partition, applied,\n"
        "row}]}; then a line a user: {user_id, partition, version, event_time, own_offset, profile_offset, fold_id, slots,\n"
        "slots_max, events_folded, sums_time, owed, profile, behaviors [{item, time, type}] oldest first, arrived (their\n"
        "order of arrival where it is another), sums (null: folded again from the behaviors), and with a model\n"
        "interests [{slot, weight, vector}]}.\n"
        "csv: user_id, partition, version, event_time, slot, weight, v0, v1, ...; a row an interest.\n"
        "npy: NAME.npy is [interests, dim] float32; line i of NAME.ids is USER#SLOT of row i, control characters as \\xNN.\n",
    .examples =
        "mindstream inspect export -c /etc/mindstream/mindstream.properties > users.jsonl\n"
        "mindstream inspect export --state-dir /var/lib/mindstream --model /srv/models/tmall --format npy --out index\n",
    .exit_status = ms_inspect_exit_status,
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};
