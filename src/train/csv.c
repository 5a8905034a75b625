/* Splitting records. */
#include "train/csv.h"

#include <stdint.h>
#include <string.h>

/* A quote stands at the edges of quoted cells and doubled within them, never elsewhere: so inside means odd. */
bool ms_csv_crosses(struct ms_bytes line, const struct ms_csv_style *style, bool open)
{
    const char *at = line.data, *end = line.data + line.size;
    if (style->quotes == MS_CSV_PLAIN)
        return false;
    while (at < end) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (!quote && (!open || style->quotes == MS_CSV_DOUBLED))
            break;
        if (open && style->quotes == MS_CSV_BACKSLASH) {
            const char *escape = memchr(at, '\\', (size_t)((quote ? quote : end) - at));
            if (escape) {
                at = escape + 2;
                continue;
            }
            if (!quote)
                break;
        }
        open = !open;
        at = quote + 1;
    }
    return open;
}

/* Reads a quoted cell whose first quote is at |at|; returns where it stopped, behind the last quote, or NULL. */
static char *quoted(char *at, const char *end, bool backslash, struct ms_bytes *cell)
{
    char *to = ++at;
    cell->data = to;
    for (; at < end; at++) {
        if (*at == '"' && (backslash || at + 1 == end || at[1] != '"')) {
            cell->size = (size_t)(to - cell->data);
            return at + 1;
        }
        if (*at == (backslash ? '\\' : '"') && at + 1 < end)
            at++;
        *to++ = *at;
    }
    return NULL;
}

/* ="text" with quotes doubled in it, as a whole cell. */
static void unwrap_formula(struct ms_bytes *cell)
{
    if (cell->size < 3 || cell->data[0] != '=' || cell->data[1] != '"' || cell->data[cell->size - 1] != '"')
        return;
    char *at = (char *)(uintptr_t)cell->data + 1;
    struct ms_bytes inner;
    if (quoted(at, cell->data + cell->size, false, &inner) == cell->data + cell->size)
        *cell = inner;
}

/* A cell without quotes around it; NULL where a quote stands in it. */
static char *bare(char *at, char *end, const struct ms_csv_style *style, struct ms_bytes *cell)
{
    char *stop = at < end ? memchr(at, style->separator, (size_t)(end - at)) : NULL;
    stop = stop ? stop : end;
    *cell = (struct ms_bytes){at, (size_t)(stop - at)};
    if (style->quotes == MS_CSV_PLAIN || !cell->size || !memchr(at, '"', cell->size))
        return stop;
    unwrap_formula(cell);
    return cell->data == at ? NULL : stop;
}

static const char *split_cell(char **at, char *end, const struct ms_csv_style *style,
                              struct ms_csv_cell *cell)
{
    cell->quoted = *at < end && **at == '"' && style->quotes != MS_CSV_PLAIN;
    if (!cell->quoted) {
        *at = bare(*at, end, style, &cell->text);
        return *at ? NULL
                   : "a quote stands in a cell that does not begin with one (--quotes none takes quotes as they are)";
    }
    *at = quoted(*at, end, style->quotes == MS_CSV_BACKSLASH, &cell->text);
    if (!*at)
        return "a quoted cell does not end";
    if (*at < end && **at != style->separator)
        return style->quotes == MS_CSV_BACKSLASH
                   ? "text follows the end of a quoted cell"
                   : "text follows the end of a quoted cell: a quote in it is doubled, or needs --quotes backslash or "
                     "--quotes none";
    unwrap_formula(&cell->text);
    return NULL;
}

const char *ms_csv_split(char *record, size_t size, const struct ms_csv_style *style,
                         struct ms_csv_cell *cells, size_t max, size_t *count)
{
    char *at = record, *end = record + size;
    for (size_t n = 0;;) {
        struct ms_csv_cell cell;
        const char *reason = split_cell(&at, end, style, &cell);
        if (n < max)
            cells[n] = cell;
        n++;
        if (!reason && n > MS_CSV_MAX_CELLS)
            reason = "too many cells";
        if (reason || at == end) {
            *count = n;
            return reason;
        }
        at++; /* the separator */
        if (style->blank_follows && at < end && *at == ' ')
            at++;
    }
}
