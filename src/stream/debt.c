/* The rules of debt.h. */
#include "stream/debt.h"

#include <string.h>

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Begins the next debt: all users that the replay changes are owed, and nobody is paid. */
static void open_next(struct ms_debt *debt, int64_t from)
{
    debt->number++;
    debt->owed_from = from;
    debt->paid = (struct ms_paid){.users = 0};
}

struct ms_debt ms_debt_begin(const struct ms_partition_row *row, const struct ms_debt_note *note,
                             bool republish, int64_t next, uint32_t shown_slots)
{
    struct ms_debt debt = {.number = row->debt, .owed_from = row->owed_from, .shown_slots = row->shown_slots};
    bool lost = false;
    /* A note of an earlier debt does not know of the row's yet: nothing of that is paid. */
    if (note->number > 0 && note->number >= debt.number) {
        bool known = note->number == debt.number && ms_debt_is_open(&debt);
        lost = !known && next < note->from;
        debt.owed_from = !note->open ? -1 : known ? debt.owed_from : next;
        debt.number = note->number;
        if (note->open) {
            debt.paid = note->paid;
            debt.shown_slots = larger(debt.shown_slots, (uint32_t)note->shown_slots);
        }
    }
    debt.carried = ms_debt_is_open(&debt);
    /* Some are paid, and the state is lost: where the replay begins before the debt did, it changes users that
     * the debt did not have, also before those that are paid. All are owed anew. */
    if (lost && debt.carried && debt.paid.users > 0)
        open_next(&debt, next);
    /* The same where some are paid under yet another fold. */
    else if (republish && (!debt.carried || debt.paid.users > 0)) {
        if (!debt.carried)
            debt.shown_slots = 0;
        open_next(&debt, next);
    }
    if (ms_debt_is_open(&debt))
        debt.shown_slots = larger(debt.shown_slots, shown_slots);
    return debt;
}

struct ms_debt_note ms_debt_note(const struct ms_debt *debt)
{
    struct ms_debt_note note = {.number = debt->number, .open = ms_debt_is_open(debt)};
    if (note.open) {
        note.shown_slots = (int)debt->shown_slots;
        note.paid = debt->paid;
        note.from = debt->owed_from;
    }
    return note;
}

static uint32_t prefix_bytes(struct ms_bytes id)
{
    return id.size < MS_PAID_PREFIX ? (uint32_t)id.size : MS_PAID_PREFIX;
}

/* As memcmp: how the beginning of |id| compares to the prefix, as far as both go. A shorter one comes first. */
static int compare(const struct ms_paid *paid, struct ms_bytes id)
{
    uint32_t bytes = prefix_bytes(id), shorter = bytes < paid->bytes ? bytes : paid->bytes;
    int order = shorter ? memcmp(id.data, paid->prefix, shorter) : 0;
    return order ? order : (bytes > paid->bytes) - (bytes < paid->bytes);
}

void ms_paid_add(struct ms_paid *paid, struct ms_bytes id)
{
    if (paid->users > 0 && compare(paid, id) == 0) {
        paid->users++;
        return;
    }
    paid->users = 1;
    paid->bytes = prefix_bytes(id);
    memcpy(paid->prefix, id.data, paid->bytes);
}

bool ms_paid_covers(const struct ms_paid *paid, struct ms_bytes id, uint64_t *alike)
{
    if (paid->users == 0)
        return false;
    int order = compare(paid, id);
    if (order != 0)
        return order < 0;
    return paid->bytes < MS_PAID_PREFIX || (*alike)++ < paid->users;
}
