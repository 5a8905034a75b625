/* Answers with lists from the workers: hot users and the last events. */
#include <stdlib.h>

#include "serve/desk.h"
#include "stream/kafka/live.h"
#include "view/json.h"

static bool started(struct ms_desk *desk, struct ms_reply *reply)
{
    if (!desk->service)
        ms_reply_fail(reply, 503, "the service starts: it opens the state and waits for the brokers");
    return desk->service != NULL;
}

void ms_answer_hot(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct ms_hot_user *users;
    struct ms_error error;
    size_t count;
    if (!started(desk, reply))
        return;
    if (ms_service_hot(desk->service, (size_t)request->numbers[0], &users, &count, &error) != MS_OK) {
        ms_reply_failed(reply, &error);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:o, s:i, s:I, s:I}", "user_id",
                                        ms_view_json_bytes((struct ms_bytes){users[i].id, users[i].id_bytes}),
                                        "partition", (int)users[i].partition, "count",
                                        (json_int_t)users[i].count, "error", (json_int_t)users[i].error));
    free(users);
    ms_reply_json(reply, json_pack("{s:i, s:o}", "half_life_s", MS_HOT_HALF_S, "users", list));
}

/* What is there of a text that may be cut; null where it was not given. */
static json_t *text_json(const char *text, uint32_t bytes, uint32_t room)
{
    return bytes ? ms_view_json_bytes((struct ms_bytes){text, bytes < room ? bytes : room}) : json_null();
}

static json_t *event_json(const struct ms_recent_event *event)
{
    static const char *const kinds[] = {"accepted", "forget", "filtered"};
    bool cut = event->user_bytes > MS_RECENT_ID_BYTES || event->item_bytes > MS_RECENT_ID_BYTES ||
               event->type_bytes > MS_RECENT_TYPE_BYTES;
    return json_pack("{s:i, s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:b, s:b}", "partition", (int)event->partition,
                     "offset", (json_int_t)event->offset, "kind", kinds[event->kind], "user_id",
                     text_json(event->user, event->user_bytes, MS_RECENT_ID_BYTES), "item_id",
                     text_json(event->item, event->item_bytes, MS_RECENT_ID_BYTES), "type",
                     text_json(event->type, event->type_bytes, MS_RECENT_TYPE_BYTES), "time",
                     (json_int_t)event->time_ms, "folded_time", (json_int_t)event->noted_ms, "known_item",
                     event->known_item, "cut", cut);
}

void ms_answer_events(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct ms_recent_event *events;
    struct ms_error error;
    size_t count;
    if (!started(desk, reply))
        return;
    if (ms_service_recent(desk->service, (size_t)request->numbers[0], &events, &count, &error) != MS_OK) {
        ms_reply_failed(reply, &error);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, event_json(&events[i]));
    free(events);
    ms_reply_json(reply, json_pack("{s:o}", "events", list));
}
