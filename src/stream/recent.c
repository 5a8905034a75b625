/* A ring. */
#include "stream/recent.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

bool ms_recent_init(struct ms_recent *recent)
{
    recent->count = 0;
    recent->ring = calloc(MS_RECENT_EVENTS, sizeof *recent->ring);
    return recent->ring != NULL;
}

void ms_recent_free(struct ms_recent *recent)
{
    free(recent->ring);
    recent->ring = NULL;
}

static uint32_t copy(char *to, size_t room, struct ms_bytes from)
{
    if (from.size)
        memcpy(to, from.data, from.size < room ? from.size : room);
    return (uint32_t)from.size;
}

static void note(struct ms_recent *recent, const struct ms_input *input, const struct ms_decoded *decoded,
                 int64_t now_ms)
{
    struct ms_recent_event *event = &recent->ring[++recent->count % MS_RECENT_EVENTS];
    event->number = recent->count;
    event->noted_ms = now_ms;
    event->offset = input->offset;
    event->time_ms = decoded->event.time_ms;
    event->partition = input->partition;
    event->kind = decoded->kind;
    event->known_item = decoded->row != MS_NO_ITEM;
    event->user_bytes = copy(event->user, sizeof event->user, decoded->event.user);
    event->item_bytes = copy(event->item, sizeof event->item, decoded->event.item);
    event->type_bytes = copy(event->type, sizeof event->type, decoded->event.type);
}

static bool is_click(const struct ms_input *input, const struct ms_decoded *decoded)
{
    return input->source == MS_SOURCE_CLICKS && !decoded->reason && decoded->wanted != UINT32_MAX;
}

void ms_recent_note(struct ms_recent *recent, const struct ms_input *inputs, const struct ms_decoded *decoded,
                    size_t count)
{
    struct timespec now;
    size_t first = count, found = 0;
    while (first > 0 && found < MS_RECENT_OF_BATCH) {
        first--;
        found += is_click(&inputs[first], &decoded[first]);
    }
    if (found == 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    for (size_t i = first; i < count; i++) {
        if (is_click(&inputs[i], &decoded[i]))
            note(recent, &inputs[i], &decoded[i], (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    }
}

size_t ms_recent_copy(const struct ms_recent *recent, struct ms_recent_event *out, size_t limit)
{
    size_t count = recent->count < MS_RECENT_EVENTS ? (size_t)recent->count : MS_RECENT_EVENTS;
    count = count < limit ? count : limit;
    for (size_t i = 0; i < count; i++)
        out[i] = recent->ring[(recent->count - count + 1 + i) % MS_RECENT_EVENTS];
    return count;
}
