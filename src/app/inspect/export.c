/* mindstream inspect export: users one after the other, in a form that other tools read. Holds a few thousand users. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/inspect/export_crew.h"
#include "app/inspect/selection.h"
#include "app/inspect/shared.h"
#include "app/inspector.h"
#include "app/machine.h"
#include "app/service_setup.h"
#include "base/json_text.h"
#include "base/progress.h"
#include "state/user_walk.h"

#define NPY_HEADER     128
#define PROGRESS_USERS 4096
#define THREADS_MAX    32 /* the one that reads cannot feed more */

struct export
{
    enum ms_export_format format;
    struct ms_store *store;
    struct ms_user_walk *walk;
    struct ms_model *model; /* NULL: no interests */
    struct ms_exporter *exporters;
    size_t threads;
    struct ms_selection selection;
    struct ms_buffer text; /* of what comes before the users */
    struct ms_progress progress;
    bool told;       /* progress is */
    FILE *out, *ids; /* ids: of the rows of npy */
    const char *out_name;
    uint64_t users, rows;
};

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for the text of a user");
}

/* ---- output ---- */

static enum ms_status write_bytes(const struct export *export, FILE *file, const struct ms_buffer *bytes,
                                  struct ms_error *error)
{
    return bytes->size == 0 || fwrite(bytes->data, 1, bytes->size, file) == bytes->size
               ? MS_OK
               : ms_fail(error, MS_IO, "%s: %s", export->out_name, strerror(errno));
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
    if (export->format == MS_EXPORT_NPY && !out)
        return ms_fail(error, MS_USAGE, "--format npy needs --out NAME: it makes NAME.npy and NAME.ids");
    if (out && !(export->out = create(out, export->format == MS_EXPORT_NPY ? ".npy" : "", error)))
        return error->status;
    if (export->format == MS_EXPORT_NPY && !(export->ids = create(out, ".ids", error)))
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

/* ---- the walk ---- */

static enum ms_status begin(struct export *export, struct ms_error *error)
{
    if (export->format == MS_EXPORT_JSONL)
        return put_header(export, error);
    if (export->format == MS_EXPORT_NPY)
        return put_npy_header(export, error);
    bool good = ms_export_titles(&export->text, ms_model_config(export->model)->dim);
    return good ? MS_OK : no_memory(error);
}

static enum ms_status take_text(void *context, const struct ms_export_text *text, struct ms_error *error)
{
    struct export *export = context;
    enum ms_status status = write_bytes(export, export->out, &text->text, error);
    if (status == MS_OK && export->ids)
        status = write_bytes(export, export->ids, &text->ids, error);
    export->rows += text->rows;
    return status;
}

static enum ms_status give_users(struct export *export, struct ms_export_crew *crew, struct ms_error *error)
{
    struct ms_user *user = NULL;
    enum ms_status status = MS_OK;
    while (status == MS_OK && (status = ms_user_walk_next(export->walk, &user, NULL, error)) == MS_OK &&
           user) {
        if (!ms_selection_has(&export->selection, ms_user_id(user))) {
            free(user);
            continue;
        }
        status = ms_export_crew_give(crew, user, error);
        export->users++;
        if (export->told && export->users % PROGRESS_USERS == 0)
            ms_progress_update(&export->progress, export->users);
    }
    return status == MS_OK ? ms_export_crew_finish(crew, error) : status;
}

static enum ms_status export_all(struct export *export, struct ms_error *error)
{
    struct ms_export_crew *crew = NULL;
    enum ms_status status = begin(export, error);
    if (status == MS_OK)
        status = write_bytes(export, export->out, &export->text, error);
    if (status == MS_OK)
        status = ms_export_crew_start(&crew, export->exporters, export->threads, take_text, export, error);
    if (status == MS_OK)
        status = give_users(export, crew, error);
    ms_export_crew_end(crew);
    if (status == MS_OK && export->format == MS_EXPORT_NPY)
        status = put_npy_header(export, error);
    return status;
}

/* ---- the command ---- */

static enum ms_status open_model(struct export *export, const struct ms_config *config,
                                 struct ms_error *error)
{
    if (!config->model_dir[0])
        return export->format == MS_EXPORT_JSONL
                   ? MS_OK
                   : ms_fail(
                         error, MS_CONFIG,
                         "the interests need the model: give --model DIR, or -c FILE with model.dir in it");
    enum ms_status status = ms_setup_model(&export->model, config, error);
    for (size_t i = 0; status == MS_OK && i < export->threads; i++)
        status = ms_inspect_viewer(&export->exporters[i].viewer, export->model, config, error);
    return status;
}

/* An exporter for each thread: as many as there are cores. */
static enum ms_status make_exporters(struct export *export, const struct ms_config *config,
                                     struct ms_error *error)
{
    size_t cores = (size_t)ms_machine_cores();
    export->threads = cores < THREADS_MAX ? cores : THREADS_MAX;
    export->exporters = calloc(export->threads, sizeof *export->exporters);
    if (!export->exporters)
        return no_memory(error);
    for (size_t i = 0; i < export->threads; i++)
        export->exporters[i].format = export->format;
    return open_model(export, config, error);
}

static void close_all(struct export *export)
{
    ms_user_walk_end(export->walk);
    ms_store_close(export->store);
    for (size_t i = 0; export->exporters && i < export->threads; i++)
        ms_exporter_free(&export->exporters[i]);
    free(export->exporters);
    ms_model_destroy(export->model);
    ms_selection_free(&export->selection);
    ms_buffer_free(&export->text);
}

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    struct export export = {.format = (enum ms_export_format)arguments->format};
    enum ms_status status = MS_OK;
    if (arguments->users)
        status = ms_selection_read(&export.selection, arguments->users, error);
    if (status == MS_OK)
        status = make_exporters(&export, config, error);
    if (status == MS_OK)
        status = ms_inspect_open(&export.store, config, error);
    if (status == MS_OK)
        status = ms_user_walk_begin(&export.walk, export.store, error);
    if (status == MS_OK)
        status = open_out(&export, arguments->out, error);
    export.told = arguments->out && isatty(STDERR_FILENO);
    if (export.told)
        ms_progress_start(&export.progress, "users", 0);
    if (status == MS_OK)
        status = export_all(&export, error);
    if (export.told)
        ms_progress_end(&export.progress, export.users);
    status = close_out(&export, status, error);
    if (status == MS_OK && arguments->out)
        fprintf(stderr, "%" PRIu64 " users written to %s%s\n", export.users, arguments->out,
                export.format == MS_EXPORT_NPY ? ".npy and .ids" : "");
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
        "service and holds a few thousand users at a time. What it writes as JSON lines, inspect import reads.\n",
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
