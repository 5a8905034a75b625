/* Records of the input topic, as the decoder reads them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/inspect/tail.h"
#include "stream/source.h"
#include "view/escape.h"
#include "view/json.h"

struct input {
    void *decoder; /* the source's own */
    struct ms_arena arena;
    struct ms_stats stats; /* nobody asks */
    struct ms_source_context context;
    struct ms_decoded decoded;
};

static void close_input(void *own)
{
    struct input *input = own;
    if (!input)
        return;
    ms_source_clicks.close(input->decoder);
    ms_arena_free(&input->arena);
    pthread_mutex_destroy(&input->stats.lock);
    free(input);
}

static enum ms_status open_input(void **own, const struct ms_config *config, struct ms_error *error)
{
    struct input *input = calloc(1, sizeof *input);
    if (!input)
        return ms_fail(error, MS_MEMORY, "no memory for events");
    pthread_mutex_init(&input->stats.lock, NULL);
    input->context = (struct ms_source_context){
        .config = config, .arena = &input->arena, .stats = &input->stats};
    enum ms_status status = ms_source_clicks.open(&input->decoder, config, error);
    if (status != MS_OK) {
        close_input(input);
        return status;
    }
    *own = input;
    return MS_OK;
}

static enum ms_status look(void *own, const struct ms_input *record, const char *wanted,
                           struct ms_bytes *user, struct ms_error *error)
{
    struct input *input = own;
    (void)wanted;
    ms_arena_reset(&input->arena);
    input->decoded = (struct ms_decoded){.row = MS_NO_ITEM};
    enum ms_status status = ms_source_clicks.decode(input->decoder, &input->context, record, &input->decoded,
                                                    error);
    if (status == MS_OK && !input->decoded.reason && input->decoded.event.user.data)
        *user = input->decoded.event.user;
    return status;
}

static const char *what(const struct input *input)
{
    return input->decoded.reason                      ? "refused"
           : input->decoded.kind == MS_EVENT_FORGET   ? "forget"
           : input->decoded.kind == MS_EVENT_FILTERED ? "passed over"
                                                      : "event";
}

static struct ms_bytes bytes_of(const char *text)
{
    return (struct ms_bytes){text, strlen(text)};
}

static bool text(void *own, const struct ms_input *record, struct ms_buffer *out)
{
    struct input *input = own;
    const struct ms_event *event = &input->decoded.event;
    char time[MS_TIME_TEXT_BYTES];
    if (input->decoded.reason)
        return ms_buffer_printf(out, "refused: ") && ms_tail_bytes(out, bytes_of(input->decoded.reason)) &&
               ms_buffer_printf(out, ": key ") && ms_tail_quoted(out, record->key) &&
               ms_buffer_printf(out, " value ") && ms_tail_quoted(out, record->value);
    if (!ms_tail_bytes(out, event->user))
        return false;
    if (input->decoded.kind == MS_EVENT_FORGET)
        return ms_buffer_printf(out, "  forget this user");
    if (input->decoded.kind == MS_EVENT_FILTERED)
        return ms_buffer_printf(out, "  passed over, input.types has no ") &&
               ms_tail_quoted(out, event->type);
    ms_time_text(time, event->time_ms);
    return ms_buffer_printf(out, "  ") && ms_tail_bytes(out, event->item) &&
           ms_buffer_printf(out, "  %s  ", time) && ms_tail_bytes(out, event->type);
}

static void json(void *own, const struct ms_input *record, json_t *root)
{
    struct input *input = own;
    const struct ms_event *event = &input->decoded.event;
    json_object_set_new(root, "what", json_string(what(input)));
    if (input->decoded.reason) {
        json_object_set_new(root, "reason", ms_tail_json(bytes_of(input->decoded.reason)));
        json_object_set_new(root, "key", ms_tail_json(record->key));
        json_object_set_new(root, "value", ms_tail_json(record->value));
        return;
    }
    json_object_set_new(root, "user_id", ms_tail_json(event->user));
    if (input->decoded.kind == MS_EVENT_FORGET)
        return;
    json_object_set_new(root, "type", event->type.data ? ms_tail_json(event->type) : json_string(""));
    if (input->decoded.kind == MS_EVENT_FILTERED)
        return;
    json_object_set_new(root, "item", ms_tail_json(event->item));
    json_object_set_new(root, "event_time", json_integer(event->time_ms));
}

const struct ms_tail_kind ms_tail_input = {.name = "input",
                                           .option = "input.topic",
                                           .topic = offsetof(struct ms_config, input_topic),
                                           .open = open_input,
                                           .close = close_input,
                                           .look = look,
                                           .text = text,
                                           .json = json};
