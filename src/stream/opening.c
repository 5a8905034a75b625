/* The table of transitions, and the list of an assignment's partitions. */
#include "stream/opening.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEVER MS_PARTITION_STATE_COUNT

/* clang-format off */
static const unsigned char follows[MS_PARTITION_STATE_COUNT][MS_PARTITION_EVENT_COUNT] = {
    /*                            ASSIGNED              HELD                  AGAIN                 OPENED                  REPLAYED           REVOKED */
    [MS_PARTITION_UNASSIGNED] = { MS_PARTITION_OPENING, NEVER,                NEVER,                NEVER,                  NEVER,             NEVER                   },
    [MS_PARTITION_OPENING]    = { NEVER,                MS_PARTITION_WAITING, NEVER,                MS_PARTITION_REPLAYING, NEVER,             MS_PARTITION_UNASSIGNED },
    [MS_PARTITION_WAITING]    = { NEVER,                NEVER,                MS_PARTITION_OPENING, NEVER,                  NEVER,             MS_PARTITION_UNASSIGNED },
    [MS_PARTITION_REPLAYING]  = { NEVER,                NEVER,                NEVER,                NEVER,                  MS_PARTITION_LIVE, MS_PARTITION_UNASSIGNED },
    [MS_PARTITION_LIVE]       = { NEVER,                NEVER,                NEVER,                NEVER,                  NEVER,             MS_PARTITION_UNASSIGNED },
};
/* clang-format on */

bool ms_partition_follows(enum ms_partition_state *state, enum ms_partition_event event)
{
    unsigned char next = follows[*state][event];
    if (next == NEVER)
        return false;
    *state = (enum ms_partition_state)next;
    return true;
}

const char *ms_partition_state_name(enum ms_partition_state state)
{
    static const char *const names[] = {
#define MS_PARTITION_NAME(state, name) name,
        MS_PARTITION_STATES(MS_PARTITION_NAME)
#undef MS_PARTITION_NAME
    };
    return names[state];
}

/* A step that the caller knows to be possible. */
static void step(struct ms_opening *opening, enum ms_partition_event event)
{
    bool possible = ms_partition_follows(&opening->state, event);
    assert(possible);
    (void)possible;
    opening->asked = false;
}

/* ---- the list ---- */

void ms_openings_free(struct ms_openings *openings)
{
    free(openings->list);
    *openings = (struct ms_openings){.assignment = openings->assignment};
}

struct ms_opening *ms_openings_find(const struct ms_openings *openings, int32_t partition)
{
    for (size_t i = 0; i < openings->count; i++) {
        if (openings->list[i].partition == partition)
            return &openings->list[i];
    }
    return NULL;
}

bool ms_openings_assign(struct ms_openings *openings, int32_t partition, double now_s)
{
    if (ms_openings_find(openings, partition))
        return true;
    if (openings->count == openings->capacity) {
        size_t capacity = openings->capacity ? 2 * openings->capacity : 16;
        struct ms_opening *list = realloc(openings->list, capacity * sizeof *list);
        if (!list)
            return false;
        openings->list = list;
        openings->capacity = capacity;
    }
    struct ms_opening *opening = &openings->list[openings->count++];
    *opening = (struct ms_opening){.partition = partition, .since_s = now_s};
    step(opening, MS_PARTITION_ASSIGNED);
    openings->moving++;
    return true;
}

void ms_openings_revoke(struct ms_openings *openings)
{
    for (size_t i = 0; i < openings->count; i++)
        step(&openings->list[i], MS_PARTITION_REVOKED);
    openings->count = openings->moving = 0;
    openings->told_s = 0;
    openings->assignment++;
}

struct ms_opening *ms_openings_due(struct ms_openings *openings, size_t *cursor, double now_s)
{
    while (*cursor < openings->count) {
        struct ms_opening *opening = &openings->list[(*cursor)++];
        if (opening->state == MS_PARTITION_WAITING && now_s >= opening->ask_s)
            step(opening, MS_PARTITION_AGAIN);
        if (opening->state == MS_PARTITION_OPENING && !opening->asked)
            return opening;
    }
    return NULL;
}

bool ms_openings_asked(const struct ms_openings *openings)
{
    for (size_t i = 0; openings->moving && i < openings->count; i++) {
        if (openings->list[i].asked)
            return true;
    }
    return false;
}

/* ---- answers ---- */

void ms_opening_held(struct ms_opening *opening, const char *reason, double now_s)
{
    double pause_s = MS_OPENING_PAUSE_S;
    for (int i = 0; i < opening->held && pause_s < MS_OPENING_PAUSE_MAX_S; i++)
        pause_s *= 2;
    opening->held++;
    opening->ask_s = now_s + (pause_s < MS_OPENING_PAUSE_MAX_S ? pause_s : MS_OPENING_PAUSE_MAX_S);
    snprintf(opening->reason, sizeof opening->reason, "%s", reason);
    step(opening, MS_PARTITION_HELD);
}

bool ms_opening_no_commit(struct ms_opening *opening, double now_s)
{
    if (opening->no_commit == MS_OPENING_NO_COMMIT)
        return false;
    opening->no_commit++;
    ms_opening_held(opening, "the group tells no committed offset though there is local state", now_s);
    opening->ask_s = now_s + MS_OPENING_NO_COMMIT_S;
    return true;
}

void ms_openings_opened(struct ms_openings *openings, struct ms_opening *opening, bool replays)
{
    step(opening, MS_PARTITION_OPENED);
    if (!replays)
        ms_openings_replayed(openings, opening);
}

void ms_openings_replayed(struct ms_openings *openings, struct ms_opening *opening)
{
    step(opening, MS_PARTITION_REPLAYED);
    openings->moving--;
}

/* ---- telling ---- */

/* Whether it waits, or is asked for again after it had to wait. */
static bool waits(const struct ms_opening *opening)
{
    return opening->held > 0 &&
           (opening->state == MS_PARTITION_WAITING || opening->state == MS_PARTITION_OPENING);
}

void ms_openings_tell(struct ms_openings *openings, double now_s,
                      void (*tell)(void *context, const struct ms_opening *opening, size_t waiting),
                      void *context)
{
    size_t waiting = 0, told = 0;
    bool long_enough = false;
    if (openings->moving == 0 || (openings->told_s > 0 && now_s - openings->told_s < MS_OPENING_TOLD_S))
        return;
    for (size_t i = 0; i < openings->count; i++) {
        if (!waits(&openings->list[i]))
            continue;
        waiting++;
        long_enough = long_enough || now_s - openings->list[i].since_s >= MS_OPENING_QUIET_S;
    }
    if (!long_enough)
        return;
    openings->told_s = now_s;
    for (size_t i = 0; i < openings->count && told < MS_OPENING_TOLD_AT_ONCE; i++) {
        if (waits(&openings->list[i])) {
            tell(context, &openings->list[i], waiting);
            told++;
        }
    }
}
