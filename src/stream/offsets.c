/* The decision where a partition begins, and the metadata of committed offsets. */
#include "stream/offsets.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of a note behind the first two, in the order in which they are written. */
enum { SLOTS, DECODE, PARTITIONS, BEGAN, BEFORE, DEBT, SHOWN, OWED, OTHERWISE, UPTO, MARK, NUMBERS };

static const struct {
    const char *word;
    int base;
    uint64_t max;
} numbers[NUMBERS] = {
    [SLOTS] = {" slots=", 10, UINT16_MAX},
    [DECODE] = {" decode=", 16, UINT64_MAX},
    [PARTITIONS] = {" partitions=", 10, INT32_MAX},
    [BEGAN] = {" began=", 10, MS_MAX_PARTITIONS},
    [BEFORE] = {" before=", 10, 1},
    [DEBT] = {" debt=", 10, INT64_MAX},
    [SHOWN] = {" shown=", 10, UINT16_MAX},
    [OWED] = {" owed=", 10, INT64_MAX},
    [OTHERWISE] = {" otherwise=", 10, 1},
    [UPTO] = {" upto=", 10, INT64_MAX},
    [MARK] = {" mark=", 16, UINT64_MAX},
};

/* Appends to a note; MS_NOTE_BYTES is room enough for all of it. */
static void append(char text[MS_NOTE_BYTES], size_t *size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char text[MS_NOTE_BYTES], size_t *size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *size += (size_t)vsnprintf(text + *size, MS_NOTE_BYTES - *size, format, args);
    va_end(args);
    assert(*size < MS_NOTE_BYTES);
}

/* " paid=N:HEX": how many users, whose ids begin with which bytes. */
static void append_paid(char text[MS_NOTE_BYTES], size_t *size, const struct ms_paid *paid)
{
    append(text, size, " paid=%" PRIu64 ":", paid->users);
    for (uint32_t i = 0; i < paid->bytes; i++)
        append(text, size, "%02x", (unsigned char)paid->prefix[i]);
}

size_t ms_offset_note_write(char text[MS_NOTE_BYTES], const struct ms_offset_note *note)
{
    const uint64_t values[NUMBERS] = {[SLOTS] = (uint64_t)note->slots,
                                      [DECODE] = note->decode_id,
                                      [PARTITIONS] = (uint64_t)note->partitions,
                                      [BEGAN] = (uint64_t)note->began,
                                      [BEFORE] = note->before,
                                      [DEBT] = note->debt.number,
                                      [SHOWN] = (uint64_t)note->debt.shown_slots,
                                      [OWED] = note->debt.open ? (uint64_t)note->debt.from : 0,
                                      [OTHERWISE] = note->decoded_otherwise,
                                      [UPTO] = (uint64_t)note->mark.upto,
                                      [MARK] = note->mark.digest};
    size_t size = 0;
    append(text, &size, "mindstream/1 origin=%" PRId64 " fold=%016" PRIx64, note->origin, note->fold_id);
    for (int i = 0; i < NUMBERS; i++) {
        if (values[i])
            append(text, &size, numbers[i].base == 16 ? "%s%016" PRIx64 : "%s%" PRIu64, numbers[i].word,
                   values[i]);
    }
    if (note->debt.open)
        append_paid(text, &size, &note->debt.paid);
    if (note->withheld[0])
        append(text, &size, " withheld=%s", note->withheld);
    return size;
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

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "N:HEX" */
static bool read_paid(const char **at, struct ms_paid *paid)
{
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 19 || (*at)[digits] != ':')
        return false;
    paid->users = strtoull(*at, NULL, 10);
    *at += digits + 1;
    for (paid->bytes = 0; paid->bytes < MS_PAID_PREFIX && hex_digit(**at) >= 0; paid->bytes++) {
        int high = hex_digit((*at)[0]), low = hex_digit((*at)[1]);
        if (low < 0)
            return false;
        paid->prefix[paid->bytes] = (char)(high << 4 | low);
        *at += 2;
    }
    return **at == ' ' || **at == '\0';
}

/* "ID,ID," */
static bool read_withheld(const char **at, char withheld[MS_WITHHELD_BYTES])
{
    size_t size = strcspn(*at, " ");
    if (size >= MS_WITHHELD_BYTES || !ms_withheld_is(*at, size))
        return false;
    memcpy(withheld, *at, size);
    withheld[size] = '\0';
    *at += size;
    return true;
}

/* Reads one more number, or passes over a word that it does not know. */
static bool read_more(const char **at, uint64_t values[NUMBERS], struct ms_debt_note *debt,
                      char withheld[MS_WITHHELD_BYTES])
{
    for (int i = 0; i < NUMBERS; i++) {
        if (read_word(at, numbers[i].word))
            return read_number(at, numbers[i].base, numbers[i].max, &values[i]);
    }
    if (read_word(at, " paid=")) {
        debt->open = true;
        return read_paid(at, &debt->paid);
    }
    if (read_word(at, " withheld="))
        return read_withheld(at, withheld);
    *at += 1 + strcspn(*at + 1, " ");
    return true;
}

bool ms_offset_note_read(const void *metadata, size_t size, struct ms_offset_note *note)
{
    char text[MS_NOTE_BYTES + 256], withheld[MS_WITHHELD_BYTES] = "";
    const char *at = text;
    uint64_t origin, fold_id, values[NUMBERS] = {0};
    struct ms_debt_note debt = {.number = 0};
    if (!metadata || size >= sizeof text || memchr(metadata, '\0', size))
        return false;
    memcpy(text, metadata, size);
    text[size] = '\0';
    if (!read_word(&at, "mindstream/1 origin=") || !read_number(&at, 10, INT64_MAX, &origin) ||
        !read_word(&at, " fold=") || !read_number(&at, 16, UINT64_MAX, &fold_id))
        return false;
    while (*at) {
        if (!read_more(&at, values, &debt, withheld))
            return false;
    }
    debt.number = values[DEBT];
    debt.shown_slots = (int)values[SHOWN];
    debt.from = (int64_t)values[OWED];
    if (debt.open ? debt.number == 0 : debt.shown_slots > 0 || debt.from > 0)
        return false;
    *note = (struct ms_offset_note){.origin = (int64_t)origin,
                                    .mark = {(int64_t)values[UPTO], values[MARK]},
                                    .fold_id = fold_id,
                                    .decode_id = values[DECODE],
                                    .slots = (int)values[SLOTS],
                                    .partitions = (int)values[PARTITIONS],
                                    .began = (int)values[BEGAN],
                                    .before = values[BEFORE] > 0,
                                    .decoded_otherwise = values[OTHERWISE] > 0,
                                    .debt = debt};
    memcpy(note->withheld, withheld, sizeof withheld);
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
    if (!stored(known) && known->ours && known->note.before && !rule->accept_gap)
        return MS_MISFIT_BEFORE;
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

/* Whether C is known and no record was read from |start| on: nothing of that has to be folded again. Control records
 * and what was aborted may be there, and the log may have lost them. */
static bool nothing_from(const struct ms_known *known, int64_t start)
{
    return known->committed > start && known->ours && known->note.mark.upto > 0 &&
           known->note.mark.upto <= start;
}

enum ms_misfit ms_decide(const struct ms_known *known, const struct ms_begin_rule *rule,
                         struct ms_position *position, int64_t *gap_from)
{
    bool fresh = known->committed < 0 && !stored(known);
    int64_t start, gap = -1;
    if (known->anew)
        return MS_MISFIT_ANEW;
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
    if (nothing_from(known, start))
        start = known->committed;
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
                                     .origin = stored(known) && known->row.origin < start ? known->row.origin
                                                                                          : start,
                                     .withheld = known->ours ? known->note.withheld : NULL,
                                     .mark = known->ours ? known->note.mark : (struct ms_landmark){0},
                                     .anchor = known->mark,
                                     .flushed = stored(known) ? known->row.applied : -1,
                                     .began = fresh         ? known->began
                                              : known->ours ? known->note.began
                                                            : 0,
                                     .before = known->ours && known->note.before,
                                     .holed = known->holed,
                                     .partitions = known->partitions,
                                     .must_send = fresh || note_is_old(known, rule)};
    /* What [L, C) published came from another model or other settings: it is owed anew at C. */
    bool other_decode = known->note.decode_id && known->note.decode_id != rule->decode_id;
    position->decoded_otherwise = known->ours && (other_decode || known->note.decoded_otherwise);
    position->republish = ms_position_replays(position) && known->ours &&
                          (other_decode || known->note.fold_id != rule->fold_id);
    position->holes = ms_position_replays(position) ? position->replay_until - position->next : 0;
    position->shown_slots = position->republish ? known->note.slots : 0;
    if (known->ours)
        position->debt_note = known->note.debt;
    *gap_from = gap;
    return MS_FITS;
}
