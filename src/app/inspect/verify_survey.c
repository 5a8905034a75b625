/* A first walk over the state: its partitions, how many users it has, and which of them are the sample. */
#include <stdlib.h>

#include "app/inspect/verify.h"

/* What a first walk finds: the partitions, how many users there are, and the hashes of the sample: the smallest ones, in a heap
 * with the greatest of them on top. */
struct survey {
    struct ms_verify *verify;
    uint64_t *heap;
    size_t count, most;
};

static void sink(struct survey *survey, size_t at)
{
    uint64_t *heap = survey->heap;
    for (;;) {
        size_t next = 2 * at + 1;
        if (next >= survey->count)
            return;
        if (next + 1 < survey->count && heap[next + 1] > heap[next])
            next++;
        if (heap[at] >= heap[next])
            return;
        uint64_t hash = heap[at];
        heap[at] = heap[next];
        heap[next] = hash;
        at = next;
    }
}

static void add_hash(struct survey *survey, uint64_t hash)
{
    uint64_t *heap = survey->heap;
    if (survey->count == survey->most) {
        if (hash < heap[0]) {
            heap[0] = hash;
            sink(survey, 0);
        }
        return;
    }
    size_t at = survey->count++;
    for (; at > 0 && heap[(at - 1) / 2] < hash; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = hash;
}

static enum ms_status take_partition(void *context, uint16_t partition, const struct ms_partition_row *row,
                                     struct ms_error *error)
{
    const struct survey *survey = context;
    (void)error;
    survey->verify->partitions[partition].has_row = true;
    survey->verify->partitions[partition].row = *row;
    return MS_OK;
}

static enum ms_status take_user(void *context, uint16_t partition, struct ms_bytes id, struct ms_bytes value,
                                struct ms_error *error)
{
    struct survey *survey = context;
    (void)partition, (void)value, (void)error;
    survey->verify->users++;
    if (survey->most)
        add_hash(survey, ms_verify_hash(id));
    return MS_OK;
}

enum ms_status ms_verify_survey(struct ms_verify *verify, struct ms_error *error)
{
    struct survey survey = {.verify = verify, .most = (size_t)verify->arguments->sample};
    const struct ms_store_visitor visitor = {
        .context = &survey, .on_partition = take_partition, .on_user = take_user};
    verify->partitions = calloc(MS_MAX_PARTITIONS, sizeof *verify->partitions);
    survey.heap = calloc(survey.most + 1, sizeof *survey.heap);
    verify->most_hash = UINT64_MAX;
    verify->buckets = 1;
    if (!verify->partitions || !survey.heap) {
        free(survey.heap);
        return ms_fail(error, MS_MEMORY, "no memory for a sample of %zu users", survey.most);
    }
    for (int p = 0; p < MS_MAX_PARTITIONS; p++)
        verify->partitions[p].row = MS_EMPTY_ROW;
    enum ms_status status = ms_store_walk(verify->store, &visitor, error);
    if (survey.most && survey.count == survey.most)
        verify->most_hash = survey.heap[0];
    free(survey.heap);
    return status;
}
