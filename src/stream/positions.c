/* Partitions by number, and the rules that look at all their positions. */
#include "stream/positions.h"

#include <assert.h>
#include <stdlib.h>

#include "stream/source.h"

bool ms_positions_init(struct ms_positions *positions)
{
    /* Large arrays of zeros: memory is taken page by page as it is touched. */
    positions->partitions = calloc(MS_MAX_PARTITIONS, sizeof *positions->partitions);
    positions->by_number = calloc(MS_MAX_PARTITIONS, sizeof(struct ms_partition *));
    return positions->partitions && positions->by_number;
}

void ms_positions_free(struct ms_positions *positions)
{
    free(positions->partitions);
    free(positions->by_number);
    *positions = (struct ms_positions){.count = 0};
}

bool ms_partition_number_valid(int32_t number)
{
    return number >= 0 && number < MS_MAX_PARTITIONS;
}

struct ms_partition *ms_positions_add(struct ms_positions *positions, int32_t number)
{
    assert(ms_partition_number_valid(number));
    struct ms_partition **at = &positions->by_number[number];
    if (!*at) {
        *at = &positions->partitions[positions->count++];
        (*at)->number = number;
        (*at)->debt.owed_from = (*at)->owed_from_flushed = -1;
    }
    return *at;
}

struct ms_position *ms_positions_next(const struct ms_positions *positions, size_t *cursor)
{
    while (*cursor < positions->count * MS_SOURCES) {
        struct ms_partition *partition = &positions->partitions[*cursor / MS_SOURCES];
        size_t source = (*cursor)++ % MS_SOURCES;
        if (partition->open & 1u << source)
            return &partition->positions[source];
    }
    return NULL;
}

bool ms_partition_replays(const struct ms_partition *partition)
{
    for (int source = 0; source < MS_SOURCES; source++) {
        if (partition->open & 1u << source && ms_position_replays(&partition->positions[source]))
            return true;
    }
    return false;
}

bool ms_partition_waits(const struct ms_partition *partition, int source)
{
    const struct ms_source *rules = ms_sources[source];
    bool replays = ms_position_replays(&partition->positions[source]);
    if (ms_debt_is_open(&partition->debt) && !replays)
        return true;
    for (int other = 0; other < MS_SOURCES; other++) {
        const struct ms_position *position = &partition->positions[other];
        unsigned bit = 1u << other;
        if (!(partition->open & bit))
            continue;
        if (rules->waits_for_replay & bit && ms_position_replays(position))
            return true;
        if (rules->waits_to_catch_up & bit && !replays &&
            (ms_position_replays(position) || position->next < position->wait_until))
            return true;
    }
    return false;
}

bool ms_positions_pending(const struct ms_positions *positions)
{
    const struct ms_position *position;
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        if (ms_position_to_send(position))
            return true;
    }
    return false;
}

void ms_positions_committed(struct ms_positions *positions)
{
    struct ms_position *position;
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        if (!ms_position_replays(position)) {
            position->committed = position->next;
            position->must_send = false;
        }
    }
}

void ms_partition_begin_debt(struct ms_positions *positions, struct ms_partition *partition)
{
    struct ms_position *clicks = &partition->positions[MS_SOURCE_CLICKS];
    bool republish = false;
    uint32_t shown_slots = 0;
    ms_partition_end_debt(positions, partition);
    if (!(partition->open & 1u << MS_SOURCE_CLICKS))
        return;
    for (int source = 0; source < MS_SOURCES; source++) {
        const struct ms_position *position = &partition->positions[source];
        if (partition->open & 1u << source && position->republish) {
            republish = true;
            if (position->shown_slots > (int)shown_slots)
                shown_slots = (uint32_t)position->shown_slots;
        }
    }
    struct ms_debt debt = ms_debt_begin(&partition->row, &clicks->debt_note, republish, clicks->next,
                                        shown_slots);
    partition->debt = debt;
    partition->owed_from_flushed = partition->row.owed_from;
    partition->debt_stored = !ms_partition_replays(partition);
    positions->debts += ms_debt_is_open(&debt);
    /* No note of another source names this fold before the clicks' note tells of the debt. */
    clicks->must_send |= ms_debt_is_open(&debt);
    for (int source = 0; source < MS_SOURCES; source++) {
        struct ms_position *position = &partition->positions[source];
        position->owes = debt.carried || position->republish ? debt.number : 0;
        position->shown_slots = (int)debt.shown_slots;
    }
}

void ms_partition_end_debt(struct ms_positions *positions, struct ms_partition *partition)
{
    positions->debts -= ms_debt_is_open(&partition->debt);
    partition->debt.owed_from = -1;
    for (int source = 0; source < MS_SOURCES; source++)
        partition->positions[source].owes = 0;
}

bool ms_positions_unflushed(const struct ms_positions *positions)
{
    const struct ms_position *position;
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));) {
        int64_t applied = ms_position_applied(position);
        const struct ms_partition *partition = ms_positions_partition(positions, position->partition);
        if (applied >= 0 &&
            (applied != position->flushed || partition->debt.owed_from != partition->owed_from_flushed))
            return true;
    }
    return false;
}

/* The partition's row as a flush writes it; what is not read keeps its offsets. False: nothing to write. */
static bool row_of(const struct ms_partition *partition, uint64_t fold_id, uint64_t decode_id,
                   struct ms_partition_row *row)
{
    bool any = false;
    *row = partition->row;
    row->fold_id = fold_id;
    row->decode_id = decode_id;
    if (partition->open & 1u << MS_SOURCE_CLICKS && partition->positions[MS_SOURCE_CLICKS].mark.upto > 0) {
        row->mark_upto = (uint64_t)partition->positions[MS_SOURCE_CLICKS].mark.upto;
        row->mark_digest = partition->positions[MS_SOURCE_CLICKS].mark.digest;
    }
    if (partition->open & 1u << MS_SOURCE_CLICKS && partition->positions[MS_SOURCE_CLICKS].partitions)
        row->partitions_count = (uint32_t)partition->positions[MS_SOURCE_CLICKS].partitions;
    if (partition->open & 1u << MS_SOURCE_CLICKS) {
        row->debt = partition->debt.number;
        row->owed_from = partition->debt.owed_from;
        row->shown_slots = partition->debt.shown_slots;
    }
    for (int source = 0; source < MS_SOURCES; source++) {
        const struct ms_position *position = &partition->positions[source];
        if (!(partition->open & 1u << source) || ms_position_applied(position) < 0)
            continue;
        /* Only what a committed transaction has published reaches the disk: L <= C, and no user is beyond
         * C. */
        assert(position->committed >= 0 &&
               (position->next == position->committed || ms_position_replays(position)));
        row->sources[source] = (struct ms_row_source){.applied = ms_position_applied(position),
                                                      .origin = position->origin};
        any = true;
    }
    return any;
}

size_t ms_positions_rows(const struct ms_positions *positions, uint64_t fold_id, uint64_t decode_id,
                         struct ms_flush_row *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < positions->count; i++) {
        const struct ms_partition *partition = &positions->partitions[i];
        if (row_of(partition, fold_id, decode_id, &rows[count].row))
            rows[count++].partition = (uint16_t)partition->number;
    }
    return count;
}

void ms_positions_flushed(struct ms_positions *positions)
{
    for (size_t i = 0; i < positions->count; i++) {
        struct ms_partition *partition = &positions->partitions[i];
        partition->debt_flushing = ms_partition_pays(partition);
        partition->owed_from_flushed = partition->debt.owed_from;
    }
    struct ms_position *position;
    for (size_t cursor = 0; (position = ms_positions_next(positions, &cursor));)
        position->flushed = ms_position_applied(position);
}

void ms_positions_stored(struct ms_positions *positions)
{
    for (size_t i = 0; i < positions->count; i++) {
        struct ms_partition *partition = &positions->partitions[i];
        partition->debt_stored |= partition->debt_flushing;
        partition->debt_flushing = false;
    }
}
