/* Time of one decoded event, for a flat and a nested one. Not a test: run it by hand in a release build. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "event/event.h"

#define EVENTS 2000000
#define BATCH  1000 /* events between two resets of the arena */

static const char flat[] =
    "{\"user_id\":\"user-12345\",\"item_id\":\"item-678\",\"timestamp\":1700000000123,\"event_type\":\"pv\"}";

static const char nested[] =
    "{\"type\":\"track\",\"event\":\"Product Clicked\",\"userId\":\"w7KcPq2LzX\",\"anonymousId\":"
    "\"0f6b2c1e-9d3a-4a57-8a41-5b7f6de0a1c2\",\"messageId\":\"ajs-5d1f0e7a9b3c4d2e8f60\",\"timestamp\":"
    "\"2021-06-01T10:00:00.250Z\",\"sentAt\":\"2021-06-01T10:00:00.251Z\",\"receivedAt\":\"2021-06-01T10:00:"
    "00.300Z\","
    "\"properties\":{\"product_id\":\"5f2b7c9d1e3a4f6081726354\",\"sku\":\"H-41\",\"category\":\"Puzzles\","
    "\"name\":"
    "\"Thousand Pieces\",\"brand\":\"Acme\",\"price\":12.5,\"quantity\":1,\"position\":2,\"url\":"
    "\"https://shop.example/puzzles/"
    "5f2b7c\"},\"context\":{\"library\":{\"name\":\"analytics.js\"}},\"integrations\":{}}";

static void run(const char *name, const char *text, const struct ms_event_fields *fields)
{
    struct ms_decoder *decoder;
    struct ms_arena arena = {0};
    struct ms_event event;
    enum ms_event_kind kind;
    struct ms_event_notes notes;
    struct ms_error error;
    size_t bytes = strlen(text);
    if (ms_decoder_new(&decoder, fields, &error))
        exit(1);
    double best_us = 1e9;
    for (int turn = 0; turn < 3; turn++) {
        double start = ms_monotonic_s();
        for (int i = 0; i < EVENTS; i++) {
            if (i % BATCH == 0)
                ms_arena_reset(&arena);
            if (ms_decode_event(decoder, &arena, (struct ms_bytes){"w7KcPq2LzX", 10},
                                (struct ms_bytes){text, bytes}, 0, &event, &kind, &notes, &error))
                exit(1);
        }
        double us = (ms_monotonic_s() - start) * 1e6 / EVENTS;
        best_us = us < best_us ? us : best_us;
    }
    printf("%-8s %4zu bytes  %.3f us/event\n", name, bytes, best_us);
    ms_arena_free(&arena);
    ms_decoder_destroy(decoder);
}

int main(void)
{
    const struct ms_event_fields defaults = {"user_id", "item_id", "timestamp",  "event_type",
                                             "",        1024,      MS_KEY_STRING};
    const struct ms_event_fields track = {"userId,anonymousId",
                                          "properties.product_id",
                                          "timestamp,originalTimestamp",
                                          "event",
                                          "Product Clicked",
                                          1024,
                                          MS_KEY_STRING};
    run("flat", flat, &defaults);
    run("nested", nested, &track);
    return 0;
}
