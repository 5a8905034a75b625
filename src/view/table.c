/* Cells are kept as text until the widths are known. */
#include "view/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "view/escape.h"

#define WARNS '\x01' /* before the text of a cell: no text from outside has it, because that is escaped */

/* Characters of UTF-8 text. */
static size_t count_characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80 && *text != WARNS;
    return n;
}

/* Ends the cell that begins at |start|. */
static void end_cell(struct ms_table *table, size_t start)
{
    if (!ms_buffer_append(&table->text, "", 1)) {
        table->failed = true;
        return;
    }
    size_t width = count_characters(table->text.data + start), column = table->cells % table->columns;
    if (table->width[column] < width)
        table->width[column] = width;
    table->cells++;
}

void ms_table_column(struct ms_table *table, const char *title, bool right)
{
    assert(table->columns < MS_TABLE_MAX_COLUMNS && (table->failed || table->cells == table->columns));
    table->right[table->columns++] = right;
    ms_table_raw(table, title);
}

void ms_table_cell(struct ms_table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ms_table_raw(table, text);
}

void ms_table_raw(struct ms_table *table, const char *text)
{
    size_t start = table->text.size;
    if (table->failed || !ms_buffer_append(&table->text, text, strlen(text)))
        table->failed = true;
    else
        end_cell(table, start);
}

void ms_table_warning(struct ms_table *table, const char *text)
{
    size_t start = table->text.size;
    if (table->failed || !ms_buffer_append(&table->text, (const char[]){WARNS}, 1) ||
        !ms_buffer_append(&table->text, text, strlen(text)))
        table->failed = true;
    else
        end_cell(table, start);
}

void ms_table_bytes(struct ms_table *table, struct ms_bytes bytes)
{
    size_t start = table->text.size;
    if (table->failed || !ms_escape(&table->text, bytes))
        table->failed = true;
    else
        end_cell(table, start);
}

static bool append_text(struct ms_buffer *out, const char *text)
{
    return ms_buffer_append(out, text, strlen(text));
}

/* Bytes of the characters of a bar that |text| begins with: U+2588 to U+258F. */
static size_t bar_bytes(const char *text)
{
    size_t n = 0;
    while (strncmp(text + n, "\xe2\x96", 2) == 0 && ((unsigned char)text[n + 2] & 0xF8) == 0x88)
        n += 3;
    return n;
}

static bool append_bars(const struct ms_palette *palette, const char *cell, struct ms_buffer *out)
{
    bool good = true;
    while (good && *cell) {
        size_t bar = bar_bytes(cell), plain = bar ? 0 : 1;
        while (!bar && cell[plain] && bar_bytes(cell + plain) == 0)
            plain++;
        good = bar ? append_text(out, palette->bar) && ms_buffer_append(out, cell, bar) &&
                         append_text(out, palette->off)
                   : ms_buffer_append(out, cell, plain);
        cell += bar ? bar : plain;
    }
    return good;
}

static bool append_cell(const struct ms_table *table, const char *cell, bool title, struct ms_buffer *out)
{
    const struct ms_palette *palette = table->palette ? table->palette : &ms_no_palette;
    bool warns = *cell == WARNS;
    if (!title && !warns)
        return append_bars(palette, cell, out);
    return append_text(out, title ? palette->title : palette->warning) && append_text(out, cell + warns) &&
           append_text(out, palette->off);
}

/* Appends the row whose first cell is *cell, and moves *cell to the next row. Blanks are written only before
 * text. */
static bool append_row(const struct ms_table *table, const char **cell, size_t indent, bool title,
                       struct ms_buffer *out)
{
    size_t blanks = indent;
    bool good = true;
    for (size_t c = 0; c < table->columns; c++) {
        size_t size = strlen(*cell), pad = table->width[c] - count_characters(*cell);
        blanks += table->right[c] ? pad : 0;
        if (size) {
            good = good && ms_buffer_printf(out, "%*s", (int)blanks, "") &&
                   append_cell(table, *cell, title, out);
            blanks = 0;
        }
        blanks += (table->right[c] ? 0 : pad) + 2;
        *cell += size + 1;
    }
    return good && ms_buffer_append(out, "\n", 1);
}

enum ms_status ms_table_text(const struct ms_table *table, size_t indent, struct ms_buffer *out,
                             struct ms_error *error)
{
    const char *cell = table->text.data;
    size_t start = out->size;
    bool good = !table->failed;
    for (size_t at = 0; good && at < table->cells; at += table->columns)
        good = append_row(table, &cell, indent, at == 0, out);
    if (good)
        return MS_OK;
    out->size = start;
    return ms_fail(error, MS_MEMORY, "no memory for a table of %zu cells", table->cells);
}

void ms_table_free(struct ms_table *table)
{
    ms_buffer_free(&table->text);
    *table = (struct ms_table){0};
}
