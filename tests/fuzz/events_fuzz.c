/* Any bytes as a click log, read in ways that the first byte chooses. What is taken must keep the contract of events.h. A log that
 * has nothing bad gives the same events where bad ones would be passed over. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "mindstream/model.h"
#include "train/events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(const struct ms_log_event *event, uint64_t line, bool timed)
{
    assert(event->event.user.size >= 1 && event->event.user.size <= MS_MAX_ITEM_ID);
    assert(event->event.item.size >= 1 && event->event.item.size <= MS_MAX_ITEM_ID);
    assert(event->event.type.size <= MS_TYPE_MAX_BYTES);
    assert(ms_utf8_valid(event->event.user.data, event->event.user.size));
    assert(ms_utf8_valid(event->event.item.data, event->event.item.size));
    assert(ms_utf8_valid(event->event.type.data, event->event.type.size));
    assert(event->event.time_ms >= 0 && (timed || event->event.time_ms == 0));
    assert(event->line >= line && event->line >= 1);
}

/* Reads to the end or the first error; returns how many events there were. */
static uint64_t read_all(const struct ms_events_options *options, enum ms_status *status)
{
    struct ms_events *events = NULL;
    struct ms_log_event event;
    struct ms_error error = {0};
    uint64_t count = 0, line = 0;
    *status = ms_events_open(&events, options, &error);
    while (*status == MS_OK && (*status = ms_events_next(events, &event, &error)) == MS_OK &&
           event.event.user.data) {
        check_event(&event, line, ms_events_timed(events));
        line = event.line;
        count++;
    }
    if (*status != MS_OK)
        assert(error.text[0] && !strchr(error.text, '\n') && ms_utf8_valid(error.text, strlen(error.text)));
    ms_events_close(events);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    const char *paths[] = {path};
    if (file < 0) {
        file = memfd_create("log", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    uint8_t ways = size ? data[0] : 0;
    data += size > 0;
    size -= size > 0;
    if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        return 0;
    struct ms_events_options options = {.paths = paths,
                                        .path_count = 1,
                                        .format = (enum ms_events_format)(ways % 3),
                                        .quotes = (enum ms_csv_quotes)((ways >> 2 & 3) % 3),
                                        .columns = ways & 16 ? "user_id,item_id,,timestamp" : NULL,
                                        .types = ways & 32 ? "pv, buy" : NULL,
                                        .passed = MS_PASSED_STRICT};
    enum ms_status strict, lenient;
    uint64_t count = read_all(&options, &strict);
    options.passed = ((1u << MS_PASSED_COUNT) - 1) &
                     ~(1u << MS_PASSED_UNTIMED); /* with that, a log has times */
    uint64_t again = read_all(&options, &lenient);
    assert(strict != MS_OK || (lenient == MS_OK && again == count));
    return 0;
}
