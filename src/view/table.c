/* Cells are kept as text until the widths are known. */
#include "view/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "view/escape.h"

/* Characters of UTF-8 text. */
static size_t count_characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
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

void ms_table_bytes(struct ms_table *table, struct ms_bytes bytes)
{
    size_t start = table->text.size;
    if (table->failed || !ms_escape(&table->text, bytes))
        table->failed = true;
    else
        end_cell(table, start);
}

/* Appends the row whose first cell is *cell, and moves *cell to the next row. Blanks are written only before
 * text. */
static bool append_row(const struct ms_table *table, const char **cell, size_t indent, struct ms_buffer *out)
{
    size_t blanks = indent;
    bool good = true;
    for (size_t c = 0; c < table->columns; c++) {
        size_t size = strlen(*cell), pad = table->width[c] - count_characters(*cell);
        blanks += table->right[c] ? pad : 0;
        if (size) {
            good = good && ms_buffer_printf(out, "%*s", (int)blanks, "") &&
                   ms_buffer_append(out, *cell, size);
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
        good = append_row(table, &cell, indent, out);
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
