/* Header, columns, cells. */
#include "train/sheet.h"

#include <inttypes.h>
#include <string.h>

#include "event/time.h"
#include "mindstream/model.h"

#define SHOWN_MAX        64  /* bytes of a cell that an error shows */
#define HEADER_SHOWN_MAX 200 /* bytes of a header that an error shows */

static const char separators[] = "\t;,|";

/* ---- records ---- */

/* Joins the lines of the record that begins with |line|, and splits it. */
static enum ms_status split_record(struct ms_sheet *sheet, struct ms_bytes line, size_t *count,
                                   enum ms_passed *fault, struct ms_error *error)
{
    struct ms_buffer *record = &sheet->record;
    struct ms_csv_style style = sheet->style;
    char *data = (char *)(uintptr_t)line.data; /* lines give bytes that may be changed */
    size_t size = line.size;
    bool open = false;
    if (style.quotes != MS_CSV_PLAIN && !(size && memchr(data, '"', size)))
        style.quotes = MS_CSV_PLAIN; /* nothing to look for */
    else
        open = ms_csv_crosses(line, &style, false);
    record->size = 0;
    record->max = MS_RECORD_MAX_BYTES + 1;
    *fault = MS_PASSED_COUNT;
    while (open) {
        if (line.size >= MS_RECORD_MAX_BYTES - record->size)
            return ms_fail(error, MS_EVENT, "the record is longer than %zu bytes: does a quoted cell end?",
                           MS_RECORD_MAX_BYTES);
        if (!ms_buffer_append(record, line.data, line.size) || !ms_buffer_append(record, "\n", 1))
            return ms_fail(error, MS_MEMORY, "no memory for a record of %zu bytes", record->size + line.size);
        enum ms_status status = ms_lines_next(sheet->lines, &line, error);
        if (status != MS_OK)
            return status;
        if (!line.data)
            break;
        open = ms_csv_crosses(line, &style, open);
        if (!open && !ms_buffer_append(record, line.data, line.size))
            return ms_fail(error, MS_MEMORY, "no memory for a record of %zu bytes", record->size + line.size);
    }
    if (record->size) {
        data = record->data;
        size = record->size;
    }
    const char *reason = ms_csv_split(data, size, &style, sheet->cells, MS_CSV_MAX_CELLS, count);
    *fault = MS_PASSED_SHAPE;
    return reason ? ms_fail(error, MS_EVENT, "column %zu: %s", *count, reason) : MS_OK;
}

/* ---- the header ---- */

/* How often |separator| stands outside of quotes. */
static size_t count_of(struct ms_bytes line, char separator, bool quotes)
{
    size_t count = 0;
    bool open = false;
    for (size_t i = 0; i < line.size; i++) {
        open ^= quotes && line.data[i] == '"';
        count += !open && line.data[i] == separator;
    }
    return count;
}

/* What separates the cells of the first record: that which gives |names| cells (0: not known), else a tab where there is one, else
 * what is there most often, a comma first. */
static char find_separator(struct ms_bytes line, bool quotes, size_t names)
{
    char most = ',';
    size_t most_count = count_of(line, ',', quotes);
    for (const char *at = separators; names && *at; at++)
        if (count_of(line, *at, quotes) + 1 == names)
            return *at;
    for (const char *at = separators; *at; at++) {
        size_t count = count_of(line, *at, quotes);
        if (*at == '\t' && count)
            return *at;
        if (count > most_count) {
            most = *at;
            most_count = count;
        }
    }
    return most;
}

/* A first line of "sep=;", as spreadsheets write it. */
static bool is_separator_line(struct ms_bytes line, char *separator)
{
    if (line.size >= 2 && line.data[0] == '"' && line.data[line.size - 1] == '"')
        line = (struct ms_bytes){line.data + 1, line.size - 2};
    if (line.size != 5 || (memcmp(line.data, "sep=", 4) != 0 && memcmp(line.data, "SEP=", 4) != 0))
        return false;
    *separator = line.data[4];
    return true;
}

static bool is_text(struct ms_bytes cell, const char *text)
{
    return cell.size == strlen(text) && memcmp(cell.data, text, cell.size) == 0;
}

/* Whether a header's cell names the column |wanted|. Blanks around a name do not count, nor does the type that RecBole writes
 * behind it: "user_id:token". */
static bool names_column(struct ms_bytes cell, const char *wanted)
{
    static const char *const types[] = {"", ":token", ":float", ":token_seq", ":float_seq"};
    size_t bytes = strlen(wanted);
    if (is_text(cell, wanted))
        return true;
    cell = ms_bytes_trim(cell);
    if (cell.size < bytes || memcmp(cell.data, wanted, bytes) != 0)
        return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (is_text((struct ms_bytes){cell.data + bytes, cell.size - bytes}, types[i]))
            return true;
    return false;
}

/* The header's names, for an error. */
static void show_header(const struct ms_sheet *sheet, char shown[HEADER_SHOWN_MAX + 8])
{
    size_t used = 0;
    for (size_t i = 0; i < sheet->columns; i++) {
        struct ms_bytes cell = sheet->cells[i].text;
        if (used + cell.size + 2 > HEADER_SHOWN_MAX) {
            memcpy(shown + used, "...", 3);
            used += 3;
            break;
        }
        memcpy(shown + used, cell.data, cell.size);
        used += cell.size;
        if (i + 1 < sheet->columns) {
            memcpy(shown + used, ", ", 2);
            used += 2;
        }
    }
    shown[used] = '\0';
}

/* The number of the column |name|; |columns| where it is not there and not needed. */
static enum ms_status find_column(const struct ms_sheet *sheet, const char *option, const char *name,
                                  bool needed, size_t *column, struct ms_error *error)
{
    const char *header = sheet->options->columns ? "--columns" : "the header";
    size_t found = sheet->columns;
    char shown[HEADER_SHOWN_MAX + 8];
    for (size_t i = 0; i < sheet->columns; i++) {
        if (!names_column(sheet->cells[i].text, name))
            continue;
        if (found < sheet->columns)
            return ms_fail(error, MS_FORMAT, "%s has column '%s' twice", header, name);
        found = i;
    }
    *column = found;
    if (found < sheet->columns || !needed)
        return MS_OK;
    show_header(sheet, shown);
    if (sheet->columns == 1 && !sheet->options->columns)
        return ms_fail(
            error, MS_USAGE,
            "the header has no column '%s', it is one cell: %s; name what separates cells with --separator, or "
            "the column with %s",
            name, shown, option);
    return ms_fail(
        error, MS_USAGE, "%s has no column '%s', but %s; name it with %s%s", header, name, shown, option,
        sheet->options->columns ? "" : ", or name all columns with --columns where the file has no header");
}

static const char *type_name(const struct ms_events_options *options)
{
    bool filters = options->types && *options->types;
    return options->type ? options->type : filters ? "event_type" : "";
}

/* Finds the columns in a header that is split into |columns| cells. */
static enum ms_status find_columns(struct ms_sheet *sheet, struct ms_error *error)
{
    const struct ms_events_options *options = sheet->options;
    const char *time = options->time ? options->time : "timestamp", *type = type_name(options);
    enum ms_status status;
    sheet->time = sheet->type = sheet->columns;
    if ((status = find_column(sheet, "--user", options->user ? options->user : "user_id", true, &sheet->user,
                              error)) ||
        (status = find_column(sheet, "--item", options->item ? options->item : "item_id", true, &sheet->item,
                              error)) ||
        (*time && (status = find_column(sheet, "--time", time, options->time, &sheet->time, error))) ||
        (*type &&
         (status = find_column(sheet, "--type", type, !options->type_if_there, &sheet->type, error))))
        return status;
    return MS_OK;
}

/* "a, b, c": a blank behind every separator is no part of the names, nor of the cells below them. */
static void find_blanks(struct ms_sheet *sheet)
{
    bool all = sheet->columns > 1;
    for (size_t i = 1; i < sheet->columns; i++)
        all = all && sheet->cells[i].text.size && sheet->cells[i].text.data[0] == ' ' &&
              !sheet->cells[i].quoted;
    sheet->style.blank_follows = all;
    for (size_t i = 1; all && i < sheet->columns; i++)
        sheet->cells[i].text = (struct ms_bytes){sheet->cells[i].text.data + 1,
                                                 sheet->cells[i].text.size - 1};
}

/* The names that --columns gives; the record with the names is kept in |record|. */
static enum ms_status split_names(struct ms_sheet *sheet, struct ms_error *error)
{
    static const struct ms_csv_style commas = {',', MS_CSV_DOUBLED, false};
    const char *names = sheet->options->columns;
    sheet->record.size = 0;
    if (!ms_buffer_append(&sheet->record, names, strlen(names)))
        return ms_fail(error, MS_MEMORY, "no memory for the columns");
    const char *reason = ms_csv_split(sheet->record.data, sheet->record.size, &commas, sheet->cells,
                                      MS_CSV_MAX_CELLS, &sheet->columns);
    return reason ? ms_fail(error, MS_USAGE, "--columns: %s", reason) : MS_OK;
}

static enum ms_status read_header(struct ms_sheet *sheet, struct ms_bytes line, bool *placed,
                                  struct ms_error *error)
{
    enum ms_passed fault;
    if (memchr(line.data, '\r', line.size) && !memchr(line.data, '"', line.size))
        return ms_fail(error, MS_FORMAT, "lines end in a carriage return alone; tr '\\r' '\\n' mends that");
    if (line.size && *line.data == '#') /* numpy writes its header as a comment */
        line = ms_bytes_trim((struct ms_bytes){line.data + 1, line.size - 1});
    enum ms_status status = split_record(sheet, line, &sheet->columns, &fault, error);
    *placed = status != MS_OK && status != MS_EVENT && status != MS_MEMORY;
    if (status == MS_EVENT)
        return ms_fail_in(error, MS_FORMAT, "the header");
    if (status != MS_OK)
        return status;
    find_blanks(sheet);
    return find_columns(sheet, error);
}

enum ms_status ms_sheet_begin(struct ms_sheet *sheet, const struct ms_events_options *options,
                              struct ms_lines *lines, const struct ms_decoder *decoder, bool *placed,
                              struct ms_error *error)
{
    struct ms_bytes line;
    enum ms_status status;
    char separator = 0;
    sheet->options = options;
    sheet->lines = lines;
    sheet->decoder = decoder;
    sheet->ahead = (struct ms_bytes){NULL, 0};
    sheet->style = (struct ms_csv_style){.quotes = options->quotes};
    *placed = true;
    do {
        status = ms_lines_next(lines, &line, error);
    } while (status == MS_OK && line.data &&
             (ms_bytes_trim(line).size == 0 || (!separator && is_separator_line(line, &separator))));
    if (status != MS_OK)
        return status;
    *placed = false;
    sheet->line = lines->number;
    if (!line.data)
        return ms_fail(error, MS_FORMAT, "there is no header");
    if (options->columns && (status = split_names(sheet, error)))
        return status;
    bool quotes = options->quotes != MS_CSV_PLAIN;
    separator = options->separator ? options->separator : separator;
    sheet->style.separator = separator ? separator
                                       : find_separator(line, quotes, options->columns ? sheet->columns : 0);
    if (!options->columns)
        return read_header(sheet, line, placed, error);
    sheet->ahead = line;
    return find_columns(sheet, error);
}

/* ---- cells ---- */

/* What exports write where a database has no value. */
static bool stands_for_nothing(struct ms_bytes cell)
{
    static const char *const words[] = {"\\N", "NULL", "null", "NaN", "nan", "None", "NaT"};
    for (size_t i = 0; cell.size >= 2 && cell.size <= 4 && i < sizeof words / sizeof *words; i++)
        if (is_text(cell, words[i]))
            return true;
    return false;
}

static enum ms_status read_id(const struct ms_sheet *sheet, const char *role, size_t column,
                              struct ms_bytes *id, struct ms_error *error)
{
    const struct ms_csv_cell *cell = &sheet->cells[column];
    if (!cell->quoted && stands_for_nothing(cell->text))
        return ms_fail(error, MS_EVENT, "%s: column %zu is %.*s, which stands for no value", role, column + 1,
                       (int)cell->text.size, cell->text.data);
    const char *fault = ms_id_fault(cell->text, ms_events_id_max(sheet->options));
    if (fault)
        return ms_fail(error, MS_EVENT, "%s: column %zu is %s", role, column + 1, fault);
    *id = cell->text;
    return MS_OK;
}

/* An event may have an empty type. */
static enum ms_status read_type(const struct ms_sheet *sheet, struct ms_bytes *type, struct ms_error *error)
{
    *type = sheet->type < sheet->columns ? sheet->cells[sheet->type].text : (struct ms_bytes){"", 0};
    const char *fault = type->size ? ms_id_fault(*type, MS_TYPE_MAX_BYTES) : NULL;
    return fault ? ms_fail(error, MS_EVENT, "type: column %zu is %s", sheet->type + 1, fault) : MS_OK;
}

static enum ms_status read_time(const struct ms_sheet *sheet, int64_t *time_ms, enum ms_passed *fault,
                                struct ms_error *error)
{
    struct ms_bytes cell = ms_bytes_trim(sheet->cells[sheet->time].text);
    *fault = MS_PASSED_UNTIMED;
    if (!cell.size || stands_for_nothing(cell))
        return ms_fail(error, MS_EVENT,
                       "time: column %zu is %s; --skip untimed goes on and counts such events",
                       sheet->time + 1, cell.size ? "no value" : "empty");
    const char *reason = ms_time_from_text(cell.data, cell.size, time_ms);
    *fault = MS_PASSED_TIME;
    if (!reason)
        return MS_OK;
    return ms_fail(error, MS_EVENT, "time: column %zu is '%.*s': %s", sheet->time + 1,
                   (int)(cell.size < SHOWN_MAX ? cell.size : SHOWN_MAX), cell.data, reason);
}

/* The event of a record that is split into as many cells as there are columns. */
static enum ms_status read_cells(const struct ms_sheet *sheet, struct ms_event *event, enum ms_passed *fault,
                                 struct ms_error *error)
{
    const struct ms_events_options *options = sheet->options;
    enum ms_status status;
    *fault = MS_PASSED_HEADER;
    if (names_column(sheet->cells[sheet->user].text, options->user ? options->user : "user_id") &&
        names_column(sheet->cells[sheet->item].text, options->item ? options->item : "item_id"))
        return MS_EVENT;
    *fault = MS_PASSED_USER;
    if ((status = read_id(sheet, "user", sheet->user, &event->user, error)))
        return status;
    *fault = MS_PASSED_SHAPE;
    if ((status = read_type(sheet, &event->type, error)))
        return status;
    *fault = MS_PASSED_TYPE;
    if (sheet->type < sheet->columns && !ms_decoder_accepts(sheet->decoder, event->type))
        return MS_EVENT;
    *fault = MS_PASSED_ITEM;
    if ((status = read_id(sheet, "item", sheet->item, &event->item, error)))
        return status;
    event->time_ms = 0;
    return sheet->time < sheet->columns ? read_time(sheet, &event->time_ms, fault, error) : MS_OK;
}

enum ms_status ms_sheet_next(struct ms_sheet *sheet, struct ms_event *event, enum ms_passed *fault,
                             struct ms_error *error)
{
    struct ms_bytes line = sheet->ahead;
    size_t count;
    enum ms_status status = line.data ? MS_OK : ms_lines_next(sheet->lines, &line, error);
    sheet->ahead = (struct ms_bytes){NULL, 0};
    if (status != MS_OK)
        return status;
    sheet->line = sheet->lines->number;
    if (!line.data) {
        *event = (struct ms_event){0};
        return MS_OK;
    }
    *fault = MS_PASSED_BLANK;
    if (!line.size || ((*line.data == ' ' || *line.data == '\t') && !ms_bytes_trim(line).size))
        return MS_EVENT;
    if ((status = split_record(sheet, line, &count, fault, error)))
        return status;
    if (count != sheet->columns)
        return ms_fail(error, MS_EVENT, "%zu cells, %s %zu", count,
                       sheet->options->columns ? "--columns names" : "the header has", sheet->columns);
    return read_cells(sheet, event, fault, error);
}

void ms_sheet_free(struct ms_sheet *sheet)
{
    ms_buffer_free(&sheet->record);
}
