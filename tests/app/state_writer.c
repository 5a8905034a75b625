/* Makes a state directory for tests of inspect: state_writer STATE_DIR MODEL_DIR full|incremental
 * BEHAVIORS_MAX [DECAY [HALF_LIFE]]. DECAY "-" is none.
 *
 * Reads events, one a line: partition, user, item, time in ms, type, separated by blanks; user, item and type
 * in hexadecimal, "-" for an empty one. Folds and flushes them as a worker does, every 50 events. Line n has
 * offset n. */
#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interest/decay.h"
#include "state/ingest.h"
#include "state/overlay.h"

#define OWNER       1
#define PARTITIONS  8
#define FLUSH_EVERY 50

static void check(enum ms_status status, const struct ms_error *error)
{
    if (status != MS_OK) {
        fprintf(stderr, "state_writer: %s\n", error->text);
        exit(1);
    }
}

/* Decodes hexadecimal text in place. */
static struct ms_bytes unhex(char *text)
{
    size_t size = text[0] == '-' ? 0 : strlen(text) / 2;
    for (size_t i = 0; i < size; i++) {
        const char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        text[i] = (char)strtoul(pair, NULL, 16);
    }
    return (struct ms_bytes){text, size};
}

static void flush(struct ms_overlay *overlay, const struct ms_fold_context *fold_context,
                  const int64_t *applied)
{
    struct ms_flush_row rows[PARTITIONS];
    struct ms_error error;
    size_t count = 0;
    bool lost;
    for (uint16_t p = 0; p < PARTITIONS; p++) {
        if (applied[p] > 0)
            rows[count++] = (struct ms_flush_row){
                p,
                {.sources = {{applied[p], 0}, {-1, -1}}, .owed_from = -1, .fold_id = fold_context->fold_id}};
    }
    check(ms_overlay_flush(overlay, rows, count, &lost, &error), &error);
    assert(!lost);
}

static void fold(struct ms_overlay *overlay, const struct ms_model *model, uint16_t partition,
                 const struct ms_event *event, int64_t offset)
{
    struct ms_error error;
    enum ms_folded folded;
    struct ms_wanted wanted = {.partition = partition,
                               .id = event->user,
                               .hash = ms_overlay_hash(partition, event->user),
                               .time_ms = event->time_ms};
    check(ms_overlay_find(overlay, &wanted, 1, &error), &error);
    uint32_t row = ms_model_find(model, event->item.data, event->item.size);
    check(ms_overlay_fold(overlay, wanted.entry, event, row, offset, &folded, &error), &error);
    assert(folded == MS_FOLDED);
}

/* An item that begins with '=' is a profile. */
static void set_profile(struct ms_overlay *overlay, uint16_t partition, struct ms_bytes user,
                        struct ms_bytes profile, int64_t offset)
{
    struct ms_error error;
    struct ms_wanted wanted = {
        .partition = partition, .id = user, .hash = ms_overlay_hash(partition, user), .time_ms = INT64_MAX};
    check(ms_overlay_find(overlay, &wanted, 1, &error), &error);
    check(ms_overlay_set_profile(overlay, wanted.entry, profile, offset, &error), &error);
}

static void fold_all(struct ms_overlay *overlay, const struct ms_fold_context *fold_context)
{
    static char line[200000], user[65538], item[65538], type[600];
    int64_t applied[PARTITIONS] = {0}, offset = 0, time_ms;
    unsigned partition;
    for (; fgets(line, sizeof line, stdin); offset++) {
        int fields = sscanf(line, "%u %65537s %65537s %" SCNd64 " %599s", &partition, user, item, &time_ms,
                            type);
        assert(fields == 5 && partition < PARTITIONS);
        if (item[0] == '=') {
            set_profile(overlay, (uint16_t)partition, unhex(user), unhex(item + 1), offset);
        } else {
            const struct ms_event event = {
                .user = unhex(user), .item = unhex(item), .type = unhex(type), .time_ms = time_ms};
            fold(overlay, fold_context->model, (uint16_t)partition, &event, offset);
        }
        applied[partition] = offset + 1;
        if (offset % FLUSH_EVERY == FLUSH_EVERY - 1)
            flush(overlay, fold_context, applied);
    }
    flush(overlay, fold_context, applied);
}

int main(int argc, char **argv)
{
    struct ms_error error;
    struct ms_store *store;
    struct ms_model *model;
    struct ms_extractor *extractor;
    struct ms_fold_context fold_context;
    struct ms_overlay *overlay;
    assert(argc >= 5 && argc <= 7);
    const struct ms_store_options options = {.dir = argv[1],
                                             .application_id = "inspected",
                                             .input_topic = "clicks",
                                             .instance_id = "one",
                                             .block_cache_bytes = (size_t)1 << 20};
    struct ms_decay decay = {.count = 1, .per_event = {0.9}};
    check(ms_model_load(&model, argv[2], &error), &error);
    if (argc > 5)
        check(
            ms_decay_parse(argv[5][0] == '-' ? "" : argv[5], argc > 6 ? argv[6] : "", model, &decay, &error),
            &error);
    check(ms_extractor_new(&extractor, model, &error), &error);
    check(ms_fold_context_init(&fold_context, model, extractor, strcmp(argv[3], "incremental") == 0, &decay,
                               (uint32_t)atoi(argv[4]), &error),
          &error);
    check(ms_store_open(&store, &options, &error), &error);
    check(ms_overlay_new(&overlay, store, &fold_context, (size_t)16 << 20, OWNER, &error), &error);
    for (uint16_t p = 0; p < PARTITIONS; p++)
        ms_store_acquire(store, p, OWNER);
    fold_all(overlay, &fold_context);
    ms_overlay_destroy(overlay);
    ms_store_close(store);
    ms_fold_context_free(&fold_context);
    ms_extractor_destroy(extractor);
    ms_model_destroy(model);
    return 0;
}
