/* The .properties grammar as java.util.Properties.load(Reader) has it (its LineReader, load0 and loadConvert), in UTF-8. */
#include "base/properties.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"

#define LINE_MAX_BYTES ((size_t)1 << 20) /* of a line with all that is joined to it */

enum line { LINE_READ, LINE_NONE, LINE_NO_ROOM };

struct reader {
    FILE *file;
    int ended; /* line ends read so far */
    int last;  /* the character before; '\n' at the start */
    struct ms_buffer line;
};

/* The next character; every way to end a line is '\n'. */
static int next_char(struct reader *reader)
{
    int c = getc(reader->file);
    if (c == '\r') {
        c = getc(reader->file);
        if (c != '\n' && c != EOF)
            ungetc(c, reader->file);
        c = '\n';
    }
    if (c == '\n')
        reader->ended++;
    if (c != EOF)
        reader->last = c;
    return c;
}

/* The number of the line that has been read last. */
static int line_number(const struct reader *reader)
{
    return reader->ended + (reader->last != '\n');
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static void skip_comment(struct reader *reader)
{
    int c;
    do
        c = next_char(reader);
    while (c != '\n' && c != EOF);
}

/* Reads one logical line: comments and empty lines left out, continuations joined, leading blanks of each cut. */
static enum line read_logical(struct reader *reader)
{
    struct ms_buffer *line = &reader->line;
    bool skip = true, joined = false, escaped = false;
    line->size = 0;
    for (;;) {
        int c = next_char(reader);
        if (c == EOF) {
            line->size -= escaped;
            return line->size ? LINE_READ : LINE_NONE;
        }
        if (skip && (is_blank(c) || (!joined && c == '\n')))
            continue;
        skip = joined = false;
        if (!line->size && (c == '#' || c == '!')) {
            skip_comment(reader);
            skip = true;
        } else if (c != '\n') {
            if (!ms_buffer_append(line, &(const char){(char)c}, 1))
                return LINE_NO_ROOM;
            escaped = c == '\\' && !escaped;
        } else if (!line->size) {
            skip = true;
        } else if (!escaped) {
            return LINE_READ;
        } else {
            line->size--;
            skip = joined = true;
            escaped = false;
        }
    }
}

/* ---- escapes ---- */

/* The UTF-16 unit of "\uXXXX" at |in|; false when that is not there. */
static bool read_unit(const char *in, const char *end, uint32_t *unit)
{
    uint32_t value = 0;
    if (end - in < 6 || in[0] != '\\' || in[1] != 'u')
        return false;
    for (int i = 2; i < 6; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *digit = memchr(digits, in[i], sizeof digits - 1);
        if (!digit)
            return false;
        value = value << 4 | (uint32_t)((digit - digits) & 15);
    }
    *unit = value;
    return true;
}

static char *put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *out++ = (char)((0xff00 >> (more + 1) & 0xff) | code >> (6 * more));
    while (more--)
        *out++ = (char)(0x80 | (code >> (6 * more) & 0x3f));
    return out;
}

/* Writes the character of the \u escape at *in, of two where it needs a pair, and moves *in behind it. What is wrong, or NULL. */
static const char *unescape_unit(const char **in, const char *end, char **out)
{
    uint32_t unit, low;
    if (!read_unit(*in, end, &unit))
        return "has \\u without four hexadecimal digits behind it";
    *in += 6;
    if (unit >= 0xd800 && unit < 0xdc00 && read_unit(*in, end, &low) && low >= 0xdc00 && low < 0xe000) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        *in += 6;
    }
    if (unit >= 0xd800 && unit < 0xe000)
        return "has half of a surrogate pair, which is no character";
    *out = put_utf8(*out, unit);
    return NULL;
}

/* Takes the escapes out of [text, end) in place and ends it with NUL, for which there must be room at |end|. What is wrong with it,
 * or NULL. */
static const char *unescape(char *text, const char *end)
{
    static const char letters[] = "tnrf", controls[] = "\t\n\r\f";
    char *out = text;
    const char *wrong = NULL;
    for (const char *in = text; in < end && !wrong;) {
        if (*in != '\\' || in + 1 == end) {
            *out++ = *in++;
        } else if (in[1] == 'u') {
            wrong = unescape_unit(&in, end, &out);
        } else {
            const char *letter = memchr(letters, in[1], sizeof letters - 1);
            *out++ = letter ? controls[letter - letters] : in[1];
            in += 2;
        }
    }
    if (!wrong && memchr(text, '\0', (size_t)(out - text)))
        return "has a NUL character, which no setting can hold";
    *out = '\0';
    return wrong;
}

/* Splits the line, which ends with a NUL of its own, and unescapes both parts. What is wrong with it, or NULL. */
static const char *split(struct ms_buffer *line, const char **key, const char **value)
{
    char *key_end = line->data, *end = line->data + line->size - 1;
    while (key_end < end && *key_end != '=' && *key_end != ':' && !is_blank(*key_end))
        key_end += *key_end == '\\' && key_end + 1 < end ? 2 : 1;
    char *start = key_end;
    while (start < end && is_blank(*start))
        start++;
    if (start < end && (*start == '=' || *start == ':'))
        start++;
    while (start < end && is_blank(*start))
        start++;
    const char *wrong = unescape(start, end);
    *key = line->data;
    *value = start;
    return wrong ? wrong : unescape(line->data, key_end);
}

/* ---- the file ---- */

/* Also from a pipe, so without seeking; glibc takes several characters back. */
static void skip_byte_order_mark(FILE *file)
{
    static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
    int c = EOF;
    size_t same = 0;
    while (same < sizeof mark && (c = getc(file)) == mark[same])
        same++;
    if (same == sizeof mark)
        return;
    if (c != EOF)
        ungetc(c, file);
    while (same)
        ungetc(mark[--same], file);
}

static enum ms_status read_lines(struct reader *reader, const char *path, ms_property_fn *fn, void *context,
                                 struct ms_error *error)
{
    for (;;) {
        char where[512];
        const char *key, *value;
        enum line read = read_logical(reader);
        snprintf(where, sizeof where, "%s:%d", path, line_number(reader));
        if (ferror(reader->file))
            return ms_fail(error, MS_CONFIG, "%s: %s", path, strerror(errno));
        if (read == LINE_NONE)
            return MS_OK;
        if (reader->line.size >= LINE_MAX_BYTES - 1)
            return ms_fail(error, MS_CONFIG, "%s: the line is longer than %zu bytes", where, LINE_MAX_BYTES);
        if (read == LINE_NO_ROOM || !ms_buffer_append(&reader->line, "", 1))
            return ms_fail(error, MS_MEMORY, "%s: no memory for the line", where);
        const char *wrong = split(&reader->line, &key, &value);
        if (wrong)
            return ms_fail(error, MS_CONFIG, "%s: the line %s", where, wrong);
        enum ms_status status = fn(context, key, value, where, error);
        if (status != MS_OK)
            return status;
    }
}

enum ms_status ms_properties_read(const char *path, ms_property_fn *fn, void *context, struct ms_error *error)
{
    struct reader reader = {.file = fopen(path, "r"), .last = '\n', .line = {.max = LINE_MAX_BYTES}};
    if (!reader.file)
        return ms_fail(error, MS_CONFIG, "%s: %s", path, strerror(errno));
    skip_byte_order_mark(reader.file);
    enum ms_status status = read_lines(&reader, path, fn, context, error);
    ms_buffer_free(&reader.line);
    fclose(reader.file);
    return status;
}
