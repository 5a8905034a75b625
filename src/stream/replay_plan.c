/* Bounds as people write them, and the plan as a sealed file. */
#include "stream/replay_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buffer.h"
#include "base/duration.h"
#include "event/time.h"
#include "state/sealed.h"

#define NAME "replay"

static const char *const stages[] = {"reading", "read", "published", "handed"};

/* ---- bounds ---- */

static bool parse_offset(const char *text, int64_t *offset)
{
    char *end;
    errno = 0;
    *offset = strtoll(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static bool parse_duration(const char *text, int64_t *ms)
{
    return ms_duration_parse(text, strlen(text), ms) && *ms > 0;
}

enum ms_status ms_bound_parse(struct ms_bound *bound, const char *option, const char *text,
                              struct ms_error *error)
{
    *bound = (struct ms_bound){.kind = MS_BOUND_EARLIEST};
    if (strcmp(text, "earliest") == 0)
        return MS_OK;
    bound->kind = MS_BOUND_LATEST;
    if (strcmp(text, "latest") == 0)
        return MS_OK;
    bound->kind = MS_BOUND_OFFSET;
    if (strncmp(text, "offset:", 7) == 0 && parse_offset(text + 7, &bound->value))
        return MS_OK;
    bound->kind = MS_BOUND_LAST;
    if (strncmp(text, "last:", 5) == 0 && parse_duration(text + 5, &bound->value))
        return MS_OK;
    bound->kind = MS_BOUND_TIME;
    if (strlen(text) < MS_BOUND_BYTES && strchr(text, '-') &&
        !ms_time_from_text(text, strlen(text), &bound->value))
        return MS_OK;
    return ms_fail(
        error, MS_USAGE,
        "%s '%s': earliest, latest, offset:N, an ISO 8601 time, or last:DURATION (PT6H, 7d) is needed",
        option, text);
}

/* ---- the plan ---- */

bool ms_replay_plan_add(struct ms_replay_plan *plan, const struct ms_replay_part *part)
{
    if (!ms_array_reserve(&plan->parts, &plan->capacity, plan->count + 1, sizeof *plan->parts))
        return false;
    plan->parts[plan->count++] = *part;
    return true;
}

bool ms_replay_plan_add_file(struct ms_replay_plan *plan, const struct ms_replay_file *file)
{
    if (!ms_array_reserve(&plan->file, &plan->file_capacity, plan->file_count + 1, sizeof *plan->file))
        return false;
    char *path = strdup(file->path);
    if (path)
        plan->file[plan->file_count++] = (struct ms_replay_file){path, file->size, file->digest};
    return path != NULL;
}

void ms_replay_plan_free(struct ms_replay_plan *plan)
{
    for (size_t i = 0; i < plan->file_count; i++)
        free(plan->file[i].path);
    free(plan->file);
    free(plan->parts);
    *plan = (struct ms_replay_plan){0};
}

static bool put_parts(const struct ms_replay_plan *plan, struct ms_buffer *text)
{
    bool good = true;
    for (size_t i = 0; good && i < plan->count; i++) {
        const struct ms_replay_part *part = &plan->parts[i];
        good = ms_buffer_printf(text, "part=%d %" PRId32 " %" PRId64 " %" PRId64 "\n", part->source,
                                part->partition, part->from, part->to);
    }
    return good;
}

static bool put_files(const struct ms_replay_plan *plan, struct ms_buffer *text)
{
    if (!plan->files)
        return true;
    bool good = ms_buffer_printf(text, "files=%x %016" PRIx64 " %x\n", plan->files, plan->reading,
                                 plan->files_done) &&
                (!plan->seam || ms_buffer_printf(text, "seam=1\n"));
    for (size_t i = 0; good && i < plan->file_count; i++)
        good = ms_buffer_printf(text, "file=%" PRIu64 " %016" PRIx64 " %s\n", plan->file[i].size,
                                plan->file[i].digest, plan->file[i].path);
    return good;
}

enum ms_status ms_replay_plan_write(const struct ms_replay_plan *plan, const char *dir,
                                    struct ms_error *error)
{
    struct ms_buffer text = {0};
    bool good = ms_buffer_printf(&text,
                                 "format=2\nid=%016" PRIx64 "\nfrom=%s\nto=%s\nfold=%016" PRIx64
                                 "\ndecode=%016" PRIx64 "\nstage=%s\npublish=%s\noutput=%s\n",
                                 plan->id, plan->from, plan->to, plan->fold_id, plan->decode_id,
                                 stages[plan->stage], plan->every ? "every" : "end", plan->output) &&
                put_files(plan, &text) && put_parts(plan, &text);
    enum ms_status status = good ? ms_sealed_write(dir, NAME, &text, error)
                                 : ms_fail(error, MS_MEMORY, "no memory for the plan of a replay");
    ms_buffer_free(&text);
    return status;
}

static bool read_stage(struct ms_replay_plan *plan, const char *word)
{
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        if (strcmp(word, stages[i]) == 0) {
            plan->stage = (enum ms_replay_stage)i;
            return true;
        }
    }
    return false;
}

/* A line of files. *known tells whether it is one. */
static bool read_files(struct ms_replay_plan *plan, char *line, bool *known)
{
    struct ms_replay_file file;
    int at = 0;
    *known = true;
    if (sscanf(line, "files=%x %" SCNx64 " %x", &plan->files, &plan->reading, &plan->files_done) == 3)
        return true;
    if (strcmp(line, "seam=1") == 0)
        return plan->seam = true;
    if (sscanf(line, "file=%" SCNu64 " %" SCNx64 "%n", &file.size, &file.digest, &at) == 2 &&
        line[at] == ' ') {
        file.path = line + at + 1;
        return ms_replay_plan_add_file(plan, &file);
    }
    *known = false;
    return false;
}

static bool read_line(struct ms_replay_plan *plan, char *line)
{
    bool known, good = read_files(plan, line, &known);
    if (known)
        return good;
    struct ms_replay_part part;
    int format;
    char word[MS_BOUND_BYTES];
    if (sscanf(line, "format=%d", &format) == 1)
        return format == 2;
    if (strcmp(line, "output=") == 0 || strcmp(line, "to=") == 0 || strcmp(line, "publish=end") == 0)
        return true;
    if (strcmp(line, "publish=every") == 0)
        return plan->every = true;
    if (sscanf(line, "output=%255[^\n]", plan->output) == 1 || sscanf(line, "id=%" SCNx64, &plan->id) == 1 ||
        sscanf(line, "from=%63[^\n]", plan->from) == 1 || sscanf(line, "to=%63[^\n]", plan->to) == 1 ||
        sscanf(line, "fold=%" SCNx64, &plan->fold_id) == 1 ||
        sscanf(line, "decode=%" SCNx64, &plan->decode_id) == 1)
        return true;
    if (sscanf(line, "stage=%63s", word) == 1)
        return read_stage(plan, word);
    return sscanf(line, "part=%d %" SCNd32 " %" SCNd64 " %" SCNd64, &part.source, &part.partition, &part.from,
                  &part.to) == 4 &&
           ms_replay_plan_add(plan, &part);
}

enum ms_status ms_replay_plan_read(struct ms_replay_plan *plan, const char *dir, bool *found,
                                   struct ms_error *error)
{
    struct ms_buffer text = {0};
    bool sealed = false, good = true;
    *plan = (struct ms_replay_plan){0};
    enum ms_status status = ms_sealed_read(dir, NAME, &text, found, &sealed, error);
    if (status == MS_OK && *found && !ms_buffer_append(&text, "", 1))
        status = ms_fail(error, MS_MEMORY, "no memory for the plan of a replay");
    char *rest = text.data;
    for (char *line; status == MS_OK && *found && good && (line = strsep(&rest, "\n"));)
        good = *line == '\0' || read_line(plan, line);
    if (status == MS_OK && *found && (!sealed || !good))
        status = ms_fail(error, MS_STATE, "%s/%s: damaged, or of another version", dir, NAME);
    ms_buffer_free(&text);
    return status;
}
