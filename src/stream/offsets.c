/* The decision where a partition begins, and the metadata of committed offsets. */
#include "stream/offsets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of a note behind the first two, in the order in which they are written. */
enum { SLOTS, DECODE, PARTITIONS, BEGAN, NUMBERS };

static const struct {
    const char *word;
    int base;
    uint64_t max;
} numbers[NUMBERS] = {
    [SLOTS] = {" slots=", 10, UINT16_MAX},
    [DECODE] = {" decode=", 16, UINT64_MAX},
    [PARTITIONS] = {" partitions=", 10, INT32_MAX},
    [BEGAN] = {" began=", 10, MS_MAX_PARTITIONS},
};

size_t ms_offset_note_write(char text[MS_NOTE_BYTES], const struct ms_offset_note *note)
{
    const uint64_t values[NUMBERS] = {[SLOTS] = (uint64_t)note->slots,
                                      [DECODE] = note->decode_id,
                                      [PARTITIONS] = (uint64_t)note->partitions,
                                      [BEGAN] = (uint64_t)note->began};
    int size = snprintf(text, MS_NOTE_BYTES, "mindstream/1 origin=%" PRId64 " fold=%016" PRIx64, note->origin,
                        note->fold_id);
    for (int i = 0; i < NUMBERS; i++) {
        if (values[i])
            size += snprintf(text + size, MS_NOTE_BYTES - (size_t)size,
                             numbers[i].base == 16 ? "%s%016" PRIx64 : "%s%" PRIu64, numbers[i].word,
                             values[i]);
    }
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

/* Reads one more number, or passes over a word that it does not know. */
static bool read_more(const char **at, uint64_t values[NUMBERS])
{
    for (int i = 0; i < NUMBERS; i++) {
        if (read_word(at, numbers[i].word))
            return read_number(at, numbers[i].base, numbers[i].max, &values[i]);
    }
    *at += 1 + strcspn(*at + 1, " ");
    return true;
}

bool ms_offset_note_read(const void *metadata, size_t size, struct ms_offset_note *note)
{
    char text[256];
    const char *at = text;
    uint64_t origin, fold_id, values[NUMBERS] = {0};
    if (!metadata || size >= sizeof text || memchr(metadata, '\0', size))
        return false;
    memcpy(text, metadata, size);
    text[size] = '\0';
    if (!read_word(&at, "mindstream/1 origin=") || !read_number(&at, 10, INT64_MAX, &origin) ||
        !read_word(&at, " fold=") || !read_number(&at, 16, UINT64_MAX, &fold_id))
        return false;
    while (*at) {
        if (!read_more(&at, values))
            return false;
    }
    *note = (struct ms_offset_note){.origin = (int64_t)origin,
                                    .fold_id = fold_id,
                                    .decode_id = values[DECODE],
                                    .slots = (int)values[SLOTS],
                                    .partitions = (int)values[PARTITIONS],
                                    .began = (int)values[BEGAN]};
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

int ms_other_partitions(const struct ms_known *known)
{
    int had = known->ours ? known->note.partitions : 0;
    if (!had)
        had = known->row_partitions ? known->row_partitions : known->noted_partitions;
    return known->partitions && had != known->partitions ? had : 0;
}

/* Whether the note beside the offset does not tell how this process reads and folds from here on. */
static bool note_is_old(const struct ms_known *known, const struct ms_begin_rule *rule)
{
    return known->ours &&
           (known->note.decode_id != rule->decode_id || known->note.partitions != known->partitions);
}

enum ms_misfit ms_decide(const struct ms_known *known, const struct ms_begin_rule *rule,
                         struct ms_position *position, int64_t *gap_from)
{
    bool fresh = known->committed < 0 && !stored(known);
    int64_t start, gap = -1;
    if (ms_other_partitions(known) && !rule->accept_repartition)
        return MS_MISFIT_PARTITIONS;
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
                                     .partitions = known->partitions,
                                     .must_send = fresh || note_is_old(known, rule)};
    /* What [L, C) published came from another model or other settings: it is owed anew at C. */
    bool told = ms_position_replays(position) && known->ours;
    position->decoded_otherwise = told && known->note.decode_id && known->note.decode_id != rule->decode_id;
    position->republish = (told && known->note.fold_id != rule->fold_id) || position->decoded_otherwise;
    position->holes = ms_position_replays(position) ? position->replay_until - position->next : 0;
    position->shown_slots = position->republish ? known->note.slots : 0;
    *gap_from = gap;
    return MS_FITS;
}
