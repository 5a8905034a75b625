/* Produces generated clicks, and reads the service's records back. */
#include "app/demo_clicks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/progress.h"

#define READ_MAX    4000
#define ENOUGH_FROM 20 /* clicks that make a user worth showing */
#define ENOUGH_TO   60 /* clicks that still fit a screen */
#define MAX_TRIES   200000

static const struct ms_demo_topic read_back[] = {{MS_DEMO_OUTPUT, MS_DEMO_PARTITIONS},
                                                 {MS_DEMO_DEAD_LETTERS, 1}};

enum ms_status ms_demo_clicks_init(struct ms_demo_clicks *clicks, struct ms_generator *generator,
                                   const char *bootstrap, struct ms_error *error)
{
    struct ms_demo_clicks made = {.generator = generator};
    made.clicks = calloc(ms_generator_settings(generator)->users, sizeof *made.clicks);
    enum ms_status status = made.clicks ? MS_OK
                                        : ms_fail(error, MS_MEMORY, "no memory for the users' counts");
    if (status == MS_OK)
        status = ms_demo_client_new(&made.client, bootstrap, read_back, sizeof read_back / sizeof *read_back,
                                    error);
    if (status != MS_OK) {
        ms_demo_clicks_free(&made);
        return status;
    }
    *clicks = made;
    return MS_OK;
}

void ms_demo_clicks_free(struct ms_demo_clicks *clicks)
{
    ms_demo_client_destroy(clicks->client);
    ms_buffer_free(&clicks->last.value);
    free(clicks->clicks);
    *clicks = (struct ms_demo_clicks){0};
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Produces one click that happens now. |cut| leaves out the second half of the JSON text. */
static enum ms_status feed(struct ms_demo_clicks *clicks, struct ms_generated *event, bool cut,
                           struct ms_error *error)
{
    char key[MS_DEMO_KEY_BYTES], value[MS_GENERATOR_JSON_MAX_BYTES];
    event->time_ms = now_ms(); /* the generator's own times run at its own pace */
    int key_bytes = snprintf(key, sizeof key, "u%" PRIu32, event->user);
    size_t size = ms_generator_json(value, event);
    enum ms_status status = ms_demo_feed(clicks->client, MS_DEMO_INPUT,
                                         (struct ms_bytes){key, (size_t)key_bytes},
                                         (struct ms_bytes){value, cut ? size / 2 : size}, error);
    if (status != MS_OK)
        return status;
    clicks->fed++;
    clicks->clicks[event->user] += !cut;
    return MS_OK;
}

enum ms_status ms_demo_clicks_feed(struct ms_demo_clicks *clicks, uint64_t count, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (uint64_t i = 0; status == MS_OK && i < count; i++) {
        struct ms_generated event;
        ms_generator_next(clicks->generator, &event);
        status = feed(clicks, &event, false, error);
    }
    return status == MS_KAFKA_RETRY ? MS_OK : status; /* a full queue: the next call goes on */
}

enum ms_status ms_demo_clicks_break(struct ms_demo_clicks *clicks, int count, struct ms_error *error)
{
    enum ms_status status = MS_OK;
    for (int i = 0; status == MS_OK && i < count; i++) {
        struct ms_generated event;
        ms_generator_next(clicks->generator, &event);
        status = feed(clicks, &event, true, error);
    }
    return status;
}

enum ms_status ms_demo_clicks_one_more(struct ms_demo_clicks *clicks, struct ms_generated *clicked,
                                       struct ms_error *error)
{
    struct ms_generated event, best = {0};
    bool good = false;
    for (int i = 0; i < MAX_TRIES && !good; i++) {
        ms_generator_next(clicks->generator, &event);
        uint32_t have = clicks->clicks[event.user];
        good = have >= ENOUGH_FROM && have <= ENOUGH_TO;
        if (good || i == 0 || have > clicks->clicks[best.user])
            best = event;
    }
    snprintf(clicks->watched, sizeof clicks->watched, "u%" PRIu32, best.user);
    clicks->found = false;
    enum ms_status status = feed(clicks, &best, false, error);
    if (status == MS_OK)
        *clicked = best;
    return status;
}

static void note_record(void *context, const struct ms_demo_record *record)
{
    struct ms_demo_clicks *clicks = context;
    if (strcmp(record->topic, MS_DEMO_DEAD_LETTERS) == 0) {
        clicks->dead_letters++;
        return;
    }
    clicks->records++;
    if (!clicks->watched[0] || record->key.size != strlen(clicks->watched) ||
        memcmp(record->key.data, clicks->watched, record->key.size) != 0)
        return;
    struct ms_demo_found *last = &clicks->last;
    last->value.size = 0;
    if (!ms_buffer_append(&last->value, record->value.data, record->value.size)) {
        clicks->out_of_memory = true;
        return;
    }
    last->partition = record->partition;
    last->offset = record->offset;
    last->at_s = ms_monotonic_s();
    clicks->found = true;
}

void ms_demo_clicks_read(struct ms_demo_clicks *clicks, int timeout_ms)
{
    (void)ms_demo_read(clicks->client, READ_MAX, timeout_ms, note_record, clicks);
}
