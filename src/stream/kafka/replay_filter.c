/* Decoders of its own, one for each source. */
#include "stream/kafka/replay_filter.h"

#include <pthread.h>
#include <stdlib.h>

#include "stream/source.h"

struct ms_replay_filter {
    bool (*wants)(const void *context, struct ms_bytes user);
    const void *wants_context;
    void *own[MS_SOURCES];
    struct ms_arena arena;
    struct ms_stats stats; /* of the decoders; nobody asks */
    struct ms_source_context context;
};

enum ms_status ms_replay_filter_new(struct ms_replay_filter **out, const struct ms_config *config,
                                    bool (*wants)(const void *context, struct ms_bytes user),
                                    const void *context, struct ms_error *error)
{
    struct ms_replay_filter *filter = calloc(1, sizeof *filter);
    enum ms_status status = MS_OK;
    if (!filter)
        return ms_fail(error, MS_MEMORY, "no memory for a filter");
    filter->wants = wants;
    filter->wants_context = context;
    filter->context = (struct ms_source_context){
        .config = config, .arena = &filter->arena, .stats = &filter->stats};
    pthread_mutex_init(&filter->stats.lock, NULL);
    for (int source = 0; status == MS_OK && source < MS_SOURCES; source++) {
        if (ms_source_topic(source, config)[0])
            status = ms_sources[source]->open(&filter->own[source], config, error);
    }
    if (status != MS_OK) {
        ms_replay_filter_destroy(filter);
        return status;
    }
    *out = filter;
    return MS_OK;
}

void ms_replay_filter_destroy(struct ms_replay_filter *filter)
{
    if (!filter)
        return;
    for (int source = 0; source < MS_SOURCES; source++)
        ms_sources[source]->close(filter->own[source]);
    ms_arena_free(&filter->arena);
    pthread_mutex_destroy(&filter->stats.lock);
    free(filter);
}

bool ms_replay_wants(struct ms_replay_filter *filter, const struct ms_input *input)
{
    struct ms_decoded decoded = {.row = MS_NO_ITEM};
    ms_arena_reset(&filter->arena);
    if (ms_sources[input->source]->decode(filter->own[input->source], &filter->context, input, &decoded,
                                          NULL) != MS_OK)
        return true;
    return !decoded.reason && decoded.needs_user && filter->wants(filter->wants_context, decoded.event.user);
}
