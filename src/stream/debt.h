/* The debt of a partition: users that are owed one record, because what a reader saw of them came from another
 * fold than the one that folded them again.
 *
 * It begins with a replay of [L, C) whose events were published under another fold. Each user that the replay
 * changes carries the number of the debt, in memory and in its row, and is written and evicted like any other.
 * When all sources of the partition have reached C, the users are published in the order of their ids, in
 * transactions of bounded size. Each of them carries the unchanged C, and beside it how far the debt is paid:
 * both are committed together, so that a stop at any moment neither loses nor repeats a record. Until it is
 * paid, the partition takes no further records.
 *
 * Paying changes no user: a number that is not that of the open debt says nothing. */
#ifndef MS_STREAM_DEBT_H
#define MS_STREAM_DEBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mindstream/bytes.h"
#include "state/partition_row.h"

#define MS_PAID_PREFIX 64

/* How far a debt is paid, in the order of ids. Of an id that is longer than the prefix, only its beginning is
 * kept: then the first |users| of those that begin so are paid. */
struct ms_paid {
    uint64_t users; /* owed users whose ids begin with the prefix and that are paid, 0: nobody is paid */
    uint32_t bytes;
    char prefix[MS_PAID_PREFIX];
};

/* What the note beside the committed offset of the clicks tells (offsets.h). */
struct ms_debt_note {
    uint64_t number; /* of the last debt that is paid at least in part, 0: there was none */
    bool open;       /* not all of it is paid yet */
    int shown_slots; /* while it is open: as in struct ms_debt */
    struct ms_paid paid;
    int64_t from; /* while it is open: struct ms_debt's owed_from */
};

struct ms_debt {
    uint64_t number;      /* of the last debt, 0: there was none */
    int64_t owed_from;    /* the clicks of this debt begin there, -1: it is paid */
    uint32_t shown_slots; /* slots that readers may have seen of its users */
    struct ms_paid paid;
    bool carried; /* it was open before this assignment */
};

/* The debt of a partition that is assigned, from its row and the note beside its clicks. |republish|: what the
 * replay from |next| on folds was published by another fold, which showed at most |shown_slots|. */
struct ms_debt ms_debt_begin(const struct ms_partition_row *row, const struct ms_debt_note *note,
                             bool republish, int64_t next, uint32_t shown_slots);

/* What the note beside an offset tells of the debt from now on. */
struct ms_debt_note ms_debt_note(const struct ms_debt *debt);

static inline bool ms_debt_is_open(const struct ms_debt *debt)
{
    return debt->owed_from >= 0;
}

/* The user with this id, the next in order, is paid. */
void ms_paid_add(struct ms_paid *paid, struct ms_bytes id);

/* Whether the owed user with this id is paid. Asked of all of them in order, from the first that begins with
 * the prefix on. |*alike| counts those that begin with it, and starts with 0. */
bool ms_paid_covers(const struct ms_paid *paid, struct ms_bytes id, uint64_t *alike);

#endif
