/* The decision where a partition begins, and the metadata of committed offsets. */
#include "stream/offsets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t ms_offset_note_write(char text[MS_NOTE_BYTES], const struct ms_offset_note *note)
{
    int size = snprintf(text, MS_NOTE_BYTES, "mindstream/1 origin=%" PRId64 " fold=%016" PRIx64 " slots=%d",
                        note->origin, note->fold_id, note->slots);
    if (note->began > 0)
        size += snprintf(text + size, MS_NOTE_BYTES - (size_t)size, " began=%d", note->began);
    return (size_t)size;
}

/* A number of the given base up to a blank or the end. strtoull alone would take signs and blanks. */
static bool read_number(const char **at, int base, uint64_t max, uint64_t *value)
{
    const char *digits = base == 16 ? "0123456789abcdef" : "0123456789";
    size_t n = strspn(*at, digits);
    if (n == 0 || n > (base == 16 ? 16u : 19u) || ((*at)[n] != ' ' && (*at)[n] != '\0'))
        return false;
    uint64_t found = strtoull(*at, NULL, base);
    *at += n;
    *value = found;
    return found <= max;
}

static bool read_word(const char **at, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*at, word, n) != 0)
        return false;
    *at += n;
    return true;
}

bool ms_offset_note_read(const void *metadata, size_t size, struct ms_offset_note *note)
{
    char text[256];
    const char *at = text;
    uint64_t origin, fold_id, slots = 0, began = 0;
    if (!metadata || size >= sizeof text || memchr(metadata, '\0', size))
        return false;
    memcpy(text, metadata, size);
    text[size] = '\0';
    if (!read_word(&at, "mindstream/1 origin=") || !read_number(&at, 10, INT64_MAX, &origin) ||
        !read_word(&at, " fold=") || !read_number(&at, 16, UINT64_MAX, &fold_id))
        return false;
    if (read_word(&at, " slots=") && !read_number(&at, 10, UINT16_MAX, &slots))
        return false;
    if (read_word(&at, " began=") && !read_number(&at, 10, MS_MAX_PARTITIONS, &began))
        return false;
    *note = (struct ms_offset_note){
        .origin = (int64_t)origin, .fold_id = fold_id, .slots = (int)slots, .began = (int)began};
    return true;
}

static bool stored(const struct ms_known *known)
{
    return known->row.applied >= 0;
}

/* Whether C and L fit together and lie within the log's end, and the log can give what is missing. */
static enum ms_misfit check(const struct ms_known *known, const struct ms_begin_rule *rule, int64_t start)
{
    if (stored(known) && known->row.applied > known->high)
        return MS_MISFIT_BEYOND_END;
    if (stored(known) && known->committed < 0)
        return MS_MISFIT_NO_COMMIT;
    if (stored(known) && known->committed < known->row.applied)
        return MS_MISFIT_BEHIND;
    if (known->committed > known->high)
        return MS_MISFIT_BEYOND_END;
    if (start > known->committed)
        return MS_MISFIT_ORIGIN;
    if (!stored(known) && known->holed && start < known->committed && !rule->accept_holes)
        return MS_MISFIT_HOLES;
    return MS_FITS;
}

enum ms_misfit ms_decide(const struct ms_known *known, const struct ms_begin_rule *rule,
                         struct ms_position *position, int64_t *gap_from)
{
    bool fresh = known->committed < 0 && !stored(known);
    int64_t start, gap = -1;
    if (fresh)
        start = rule->start_latest && known->partition < known->began ? known->high : known->low;
    else if (stored(known))
        start = known->row.applied;
    else
        start = known->ours ? known->note.origin : known->committed;
    enum ms_misfit misfit = fresh ? MS_FITS : check(known, rule, start);
    if (misfit != MS_FITS)
        return misfit;
    if (start < known->low) {
        if (!rule->accept_gap)
            return stored(known) ? MS_MISFIT_GAP_STATE : MS_MISFIT_GAP_ORIGIN;
        gap = start;
        start = known->low;
    }
    *position = (struct ms_position){.source = known->source,
                                     .partition = known->partition,
                                     .wait_until = known->high,
                                     .committed = known->committed,
                                     .next = start,
                                     .replay_until = fresh ? start : known->committed,
                                     .origin = stored(known) ? known->row.origin : start,
                                     .flushed = stored(known) ? known->row.applied : -1,
                                     .began = fresh         ? known->began
                                              : known->ours ? known->note.began
                                                            : 0,
                                     .holed = known->holed,
                                     .must_send = fresh};
    /* What [L, C) published came from another model or other settings: it is owed anew at C. */
    position->republish = ms_position_replays(position) && known->ours &&
                          known->note.fold_id != rule->fold_id;
    position->holes = ms_position_replays(position) ? position->replay_until - position->next : 0;
    position->shown_slots = position->republish ? known->note.slots : 0;
    *gap_from = gap;
    return MS_FITS;
}
