/* A walk over the rows of a partition, in steps. */
#include "stream/pay.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/log.h"
#include "state/store.h"
#include "stream/source.h"
#include "user/codec.h"

struct ms_payer {
    struct ms_store *store;
    struct ms_overlay *overlay;
    struct ms_publisher *publisher;
    size_t records;       /* of a step */
    int32_t partition;    /* that is paid, -1: none */
    struct ms_buffer at;  /* the id from which on rows are still to be looked at */
    uint64_t alike;       /* see ms_paid_covers */
    uint64_t users;       /* paid since it began with this partition */
    struct ms_paid begun; /* how far the debt was paid then */
    /* a step */
    const struct ms_debt *debt;
    struct ms_emitted before;
    size_t rows;
    bool no_memory;
    struct ms_arena arena; /* the ids of the owed users */
    struct ms_wanted wanted[MS_PAY_USERS];
    size_t count;
};

enum ms_status ms_payer_new(struct ms_payer **out, struct ms_store *store, struct ms_overlay *overlay,
                            struct ms_publisher *publisher, size_t records, struct ms_error *error)
{
    struct ms_payer *payer = calloc(1, sizeof *payer);
    if (!payer)
        return ms_fail(error, MS_MEMORY, "no memory for a worker");
    payer->store = store;
    payer->overlay = overlay;
    payer->publisher = publisher;
    payer->records = records ? records : MS_PAY_RECORDS;
    payer->partition = -1;
    *out = payer;
    return MS_OK;
}

void ms_payer_destroy(struct ms_payer *payer)
{
    if (!payer)
        return;
    ms_buffer_free(&payer->at);
    ms_arena_free(&payer->arena);
    free(payer);
}

void ms_payer_leave(struct ms_payer *payer, int32_t partition)
{
    if (payer->partition == partition)
        payer->partition = -1;
}

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for the users that are owed a record");
}

/* Goes on behind |id|, or with it. */
static bool go_to(struct ms_payer *payer, struct ms_bytes id, bool behind)
{
    payer->at.size = 0;
    return ms_buffer_append(&payer->at, id.data, id.size) && (!behind || ms_buffer_append(&payer->at, "", 1));
}

/* Takes a row's user if it is owed and not paid. False to stop behind it. */
static bool look_at(void *context, struct ms_bytes id, struct ms_bytes value)
{
    struct ms_payer *payer = context;
    bool owed = ms_user_head_owed(value) == payer->debt->number &&
                !ms_paid_covers(&payer->begun, id, &payer->alike);
    payer->rows++;
    if (owed) {
        uint16_t partition = (uint16_t)payer->partition;
        char *copy = ms_arena_copy(&payer->arena, id.data, id.size);
        payer->no_memory |= !copy;
        payer->wanted[payer->count++] = (struct ms_wanted){.partition = partition,
                                                           .id = {copy, id.size},
                                                           .hash = ms_overlay_hash(partition, id),
                                                           .time_ms = INT64_MAX};
    }
    bool stop = payer->count == MS_PAY_USERS || payer->rows >= MS_PAY_ROWS || payer->no_memory;
    if (stop)
        payer->no_memory |= !go_to(payer, id, true);
    return !stop;
}

/* Finds the next owed users, at most MS_PAY_USERS. */
static enum ms_status gather(struct ms_payer *payer, bool *ended, struct ms_error *error)
{
    const struct ms_bytes from = {payer->at.data, payer->at.size};
    payer->count = 0;
    ms_arena_reset(&payer->arena);
    enum ms_status status = ms_store_scan(payer->store, (uint16_t)payer->partition, from, payer, look_at,
                                          ended, error);
    return status == MS_OK && payer->no_memory ? no_memory(error) : status;
}

/* Whether the step has published enough. */
static bool enough(const struct ms_payer *payer)
{
    struct ms_emitted now = ms_publisher_emitted(payer->publisher);
    return now.records - payer->before.records >= payer->records ||
           now.bytes - payer->before.bytes >= MS_PAY_BYTES;
}

/* Publishes those that were gathered, until it is enough: then the next step begins behind the last. */
static enum ms_status publish(struct ms_payer *payer, struct ms_partition *partition, bool *ended,
                              struct ms_error *error)
{
    struct ms_position *clicks = &partition->positions[MS_SOURCE_CLICKS];
    enum ms_status status = ms_overlay_find(payer->overlay, payer->wanted, payer->count, error);
    size_t i = 0;
    while (status == MS_OK && i < payer->count && !enough(payer)) {
        status = ms_publisher_owed(payer->publisher, clicks, payer->wanted[i].entry, error);
        ms_paid_add(&partition->debt.paid, payer->wanted[i++].id);
    }
    payer->users += i;
    if (status != MS_OK || i == payer->count)
        return status;
    *ended = false;
    return go_to(payer, payer->wanted[i].id, false) ? MS_OK : no_memory(error);
}

static bool start(struct ms_payer *payer, const struct ms_partition *partition)
{
    payer->partition = partition->number;
    payer->begun = partition->debt.paid;
    payer->alike = payer->users = 0;
    ms_log(MS_LOG_INFO, "debt",
           "partition=%d number=%llu from=%lld until=%lld: publishing what was shown of "
           "another fold",
           partition->number, (unsigned long long)partition->debt.number,
           (long long)partition->debt.owed_from, (long long)partition->positions[MS_SOURCE_CLICKS].committed);
    return go_to(payer, (struct ms_bytes){payer->begun.prefix, payer->begun.bytes}, false);
}

/* All of the partition's offsets go along: from now on the notes beside them name this fold. */
static void send_offsets(struct ms_partition *partition)
{
    for (int source = 0; source < MS_SOURCES; source++) {
        if (partition->open & 1u << source)
            partition->positions[source].must_send = true;
    }
}

enum ms_status ms_payer_step(struct ms_payer *payer, struct ms_partition *partition, bool *done,
                             struct ms_error *error)
{
    if (payer->partition != partition->number && !start(payer, partition))
        return no_memory(error);
    enum ms_status status = MS_OK;
    bool ended = false;
    payer->debt = &partition->debt;
    payer->before = ms_publisher_emitted(payer->publisher);
    payer->rows = 0;
    while (status == MS_OK && !ended && payer->rows < MS_PAY_ROWS && !enough(payer)) {
        status = gather(payer, &ended, error);
        if (status == MS_OK)
            status = publish(payer, partition, &ended, error);
    }
    if (status != MS_OK)
        return status;
    if (ended || ms_publisher_emitted(payer->publisher).records > payer->before.records)
        send_offsets(partition);
    if (ended) {
        ms_log(MS_LOG_INFO, "debt_paid", "partition=%d number=%llu users=%llu", partition->number,
               (unsigned long long)partition->debt.number, (unsigned long long)payer->users);
        payer->partition = -1;
    }
    *done = ended;
    return MS_OK;
}
