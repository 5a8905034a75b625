/* Cells are kept as text until the widths are known. */
#include "app/table.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

/* Characters of UTF-8 text; wide ones count as one. */
static size_t characters(const char *text)
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
    size_t width = characters(table->text.data + start), column = table->cells % table->columns;
    if (table->width[column] < width)
        table->width[column] = width;
    table->cells++;
}

void ms_table_column(struct ms_table *table, const char *title, bool right)
{
    assert(table->columns < MS_TABLE_MAX_COLUMNS && table->cells == table->columns);
    size_t start = table->text.size;
    table->right[table->columns++] = right;
    if (!ms_buffer_append(&table->text, title, strlen(title)))
        table->failed = true;
    else
        end_cell(table, start);
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

static void print_row(const struct ms_table *table, const char **cell, FILE *out, int indent)
{
    int blanks = indent; /* printed only before more text: none at the end of a line */
    for (size_t c = 0; c < table->columns; c++) {
        int pad = (int)(table->width[c] - characters(*cell));
        blanks += table->right[c] ? pad : 0;
        if (**cell) {
            fprintf(out, "%*s%s", blanks, "", *cell);
            blanks = 0;
        }
        blanks += (table->right[c] ? 0 : pad) + 2;
        *cell += strlen(*cell) + 1;
    }
    fputc('\n', out);
}

enum ms_status ms_table_print(struct ms_table *table, FILE *out, int indent, struct ms_error *error)
{
    enum ms_status status = table->failed ? ms_fail(error, MS_MEMORY, "no memory for a table of %zu cells",
                                                    table->cells)
                                          : MS_OK;
    const char *cell = table->text.data;
    for (size_t at = 0; status == MS_OK && at < table->cells; at += table->columns)
        print_row(table, &cell, out, indent);
    ms_table_free(table);
    return status;
}

void ms_table_free(struct ms_table *table)
{
    ms_buffer_free(&table->text);
    *table = (struct ms_table){0};
}

/* ---- texts from outside ---- */

/* Bytes of the character at |at| when it may be shown as it is, else 0. */
static size_t harmless(const char *at, const char *end)
{
    unsigned char c = (unsigned char)*at;
    if (c < 0x80)
        return c >= 0x20 && c != 0x7f && c != '\\';
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if ((size_t)(end - at) < n || !ms_utf8_valid(at, n))
        return 0;
    return c == 0xC2 && (unsigned char)at[1] < 0xA0 ? 0 : n; /* U+0080 to U+009F are controls too */
}

bool ms_escape(struct ms_buffer *out, struct ms_bytes bytes)
{
    const char *end = bytes.data + bytes.size;
    bool good = true;
    for (const char *at = bytes.data; good && at < end;) {
        size_t n = harmless(at, end);
        good = n ? ms_buffer_append(out, at, n)
                 : ms_buffer_printf(out, "\\x%02x", (unsigned)(unsigned char)*at);
        at += n ? n : 1;
    }
    return good;
}

void ms_escape_print(FILE *out, struct ms_bytes bytes)
{
    struct ms_buffer text = {0};
    if (ms_escape(&text, bytes))
        fwrite(text.data, 1, text.size, out);
    ms_buffer_free(&text);
}

void ms_time_text(char text[MS_TIME_TEXT_BYTES], int64_t time_ms)
{
    int64_t second = time_ms / 1000 - (time_ms % 1000 < 0);
    time_t seconds = (time_t)second;
    struct tm parts;
    if (time_ms == INT64_MIN || !gmtime_r(&seconds, &parts)) {
        snprintf(text, MS_TIME_TEXT_BYTES, "-");
        return;
    }
    snprintf(text, MS_TIME_TEXT_BYTES, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d.%03dZ",
             (int64_t)parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
             parts.tm_sec, (int)(time_ms - second * 1000));
}
