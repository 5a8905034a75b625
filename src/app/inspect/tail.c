/* mindstream inspect tail: the records of a topic, decoded, as they come. */
#include "app/inspect/tail.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/service_setup.h"
#include "base/log.h"
#include "stream/kafka/topic_reader.h"
#include "view/escape.h"
#include "view/json.h"

#define BATCH   128
#define WAIT_MS 200

static const struct ms_tail_kind *const kinds[] = {&ms_tail_output, &ms_tail_input, &ms_tail_dead};

struct tail {
    const struct ms_inspect_arguments *arguments;
    const struct ms_tail_kind *kind;
    void *own;
    struct ms_topic_reader *reader;
    struct ms_input records[BATCH];
    struct ms_buffer out; /* of a batch */
    int64_t shown;
};

/* ---- a record ---- */

static enum ms_status add_json(struct tail *tail, const struct ms_input *record, struct ms_error *error)
{
    json_t *root = json_pack("{s:i, s:I, s:o}", "partition", (int)record->partition, "offset",
                             (json_int_t)record->offset, "time",
                             record->time_ms < 0 ? json_null() : json_integer(record->time_ms));
    if (root)
        tail->kind->json(tail->own, record, root);
    enum ms_status status = ms_view_json_text(root, &tail->out, error);
    if (status == MS_OK && !ms_buffer_append(&tail->out, "\n", 1))
        status = ms_fail(error, MS_MEMORY, "no memory for a line");
    return status;
}

static enum ms_status add_text(struct tail *tail, const struct ms_input *record, struct ms_error *error)
{
    char time[MS_TIME_TEXT_BYTES];
    ms_time_text(time, record->time_ms < 0 ? INT64_MIN : record->time_ms);
    bool good = ms_buffer_printf(&tail->out, "%s  %" PRId32 "@%" PRId64 "  ", time, record->partition,
                                 record->offset) &&
                tail->kind->text(tail->own, record, &tail->out) && ms_buffer_append(&tail->out, "\n", 1);
    return good ? MS_OK : ms_fail(error, MS_MEMORY, "no memory for a line");
}

static enum ms_status take(struct tail *tail, const struct ms_input *record, struct ms_error *error)
{
    struct ms_bytes user = record->key;
    enum ms_status status = tail->kind->look(tail->own, record, tail->arguments->user, &user, error);
    if (status != MS_OK || (tail->arguments->user && !ms_tail_is(user, tail->arguments->user)))
        return status;
    tail->shown++;
    return tail->arguments->json ? add_json(tail, record, error) : add_text(tail, record, error);
}

/* ---- the topic ---- */

static bool is_full(const struct tail *tail)
{
    return tail->arguments->limit && tail->shown == tail->arguments->limit;
}

/* Whoever reads the lines has them when the records have come. Where nobody does any more, main() says so. */
static bool write_out(struct tail *tail)
{
    if (tail->out.size)
        fwrite(tail->out.data, 1, tail->out.size, stdout);
    tail->out.size = 0;
    return fflush(stdout) == 0;
}

/* Whether the reader of a pipe has gone. It is asked between batches: no record may come that would tell. */
static bool nobody_reads(void)
{
    struct pollfd pipe = {.fd = STDOUT_FILENO};
    return poll(&pipe, 1, 0) == 1 && (pipe.revents & (POLLERR | POLLHUP));
}

static enum ms_status follow(struct tail *tail, const atomic_int *stop, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    bool written = true;
    while (status == MS_OK && written && !nobody_reads() && !is_full(tail) && !atomic_load(stop) &&
           !ms_topic_reader_done(tail->reader)) {
        size_t count = 0;
        status = ms_topic_reader_next(tail->reader, tail->records, BATCH, WAIT_MS, &count, error);
        for (size_t i = 0; status == MS_OK && i < count && !is_full(tail); i++)
            status = take(tail, &tail->records[i], error);
        written = write_out(tail);
    }
    return status;
}

static enum ms_status open_reader(struct tail *tail, const struct ms_config *config, const char *topic,
                                  struct ms_error *error)
{
    const struct ms_inspect_arguments *arguments = tail->arguments;
    struct ms_topic_reader_options options = {
        .config = config, .topic = topic, .client = "mindstream-tail", .follow = !arguments->to};
    enum ms_status status = ms_bound_parse(&options.from, "--from", arguments->from, error);
    if (status == MS_OK && arguments->to)
        status = ms_bound_parse(&options.to, "--to", arguments->to, error);
    return status == MS_OK ? ms_topic_reader_open(&tail->reader, &options, error) : status;
}

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *settings,
                           struct ms_error *error)
{
    struct tail tail = {.arguments = arguments, .kind = kinds[arguments->topic]};
    struct ms_config config = *settings;
    const atomic_int *stop = ms_setup_signals();
    const char *topic;
    memcpy(&topic, (const char *)&config + tail.kind->topic, sizeof topic);
    if (!config.bootstrap_servers[0])
        return ms_fail(error, MS_CONFIG, "which Kafka? give -c FILE with bootstrap.servers in it");
    if (!topic[0])
        return ms_fail(error, MS_CONFIG, "which topic? %s is not set", tail.kind->option);
    if (!config.application_id[0])
        config.application_id =
            "mindstream-tail"; /* a client has to name a group, also where it joins none */
    ms_log_set_level(MS_LOG_ERROR);
    enum ms_status status = tail.kind->open ? tail.kind->open(&tail.own, &config, error) : MS_OK;
    if (status == MS_OK)
        status = open_reader(&tail, &config, topic, error);
    if (status == MS_OK)
        status = follow(&tail, stop, error);
    ms_topic_reader_close(tail.reader);
    if (tail.kind->close)
        tail.kind->close(tail.own);
    ms_buffer_free(&tail.out);
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show, error);
}

static const struct ms_argument rows[] = {
    MS_SETTINGS_ROWS(struct ms_inspect_arguments, sources),
    {.name = "topic",
     .kind = MS_ARGUMENT_CHOICE,
     .values = "output|input|dead",
     .standard = "output",
     .placeholder = "WHICH",
     .help = "output.topic, input.topic or dead.letter.topic of the settings",
     MS_INSPECT_AT(topic)},
    {.name = "user",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .placeholder = "ID",
     .help = "only records of this user; of a dead letter the key counts",
     MS_INSPECT_AT(user)},
    {.name = "from",
     .kind = MS_ARGUMENT_STRING,
     .standard = "latest",
     .placeholder = "BEGIN",
     .help = "earliest, latest, offset:N, an ISO 8601 time, or last:DURATION (PT6H, 7d) back from now",
     MS_INSPECT_AT(from)},
    {.name = "to",
     .kind = MS_ARGUMENT_STRING,
     .placeholder = "END",
     .standard_text = "it goes on until Ctrl-C",
     .help = "end there; as --from, latest is the end as of the start",
     MS_INSPECT_AT(to)},
    {.name = "limit",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT32_MAX,
     .standard = "0",
     .placeholder = "N",
     .help = "end after N records, 0: do not",
     MS_INSPECT_AT(limit)},
    {.name = "json",
     .kind = MS_ARGUMENT_FLAG,
     .help = "a JSON object a line, see below",
     MS_INSPECT_AT(json)},
    {0},
};

const struct ms_command ms_inspect_tail = {
    .name = "tail",
    .summary = "decoded records of a topic as they come, a line each",
    .description =
        "Shows the records of the output topic with their versions, interests and shortened vectors, events as the decoder\n"
        "reads them or the reason why it refuses them, or dead letters with their headers. Committed records only. It joins no\n"
        "group, so a service does not notice it. Ctrl-C ends it with status 0.\n",
    .rows = rows,
    .notes = MS_INSPECT_JSON_RULES
    "  all: partition, offset, time (of the record)\n"
    "  output: user_id, slot (layout interest), forgotten (true), or version, event_time, model, interests [{slot, weight,\n"
    "  vector}], or key, value_bytes, unreadable (why)\n"
    "  input: what (\"event\", \"forget\", \"passed over\", \"refused\"), user_id, type, item, event_time, or reason, key, value\n"
    "  dead: key, value, headers [{name, value}]\n",
    .examples =
        "mindstream inspect tail -c clicks.properties --user u42\n"
        "mindstream inspect tail -c clicks.properties --topic dead --from last:PT1H --to latest\n"
        "mindstream inspect tail -c clicks.properties --topic input --json | jq -r 'select(.what==\"refused\").reason'\n",
    .exit_status =
        "0 ended by Ctrl-C, --limit or --to, 1 Kafka failed or nobody reads the output, 2 bad usage or settings",
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};
