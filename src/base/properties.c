/* The .properties grammar (java.util.Properties.load), UTF-8. */
#include "base/properties.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum line { LINE_READ, LINE_NONE, LINE_NO_MEMORY };

/* Reads one logical line (continuations joined, leading blanks of each cut) into *line. */
static enum line read_logical(FILE *file, char **line, size_t *capacity, char **scratch,
                              size_t *scratch_capacity, int *number)
{
    size_t used = 0;
    bool any = false;
    for (;;) {
        ssize_t n = getline(scratch, scratch_capacity, file);
        if (n < 0)
            break;
        ++*number;
        any = true;
        while (n > 0 && ((*scratch)[n - 1] == '\n' || (*scratch)[n - 1] == '\r'))
            (*scratch)[--n] = '\0';
        char *text = *scratch;
        while (*text == ' ' || *text == '\t' || *text == '\f')
            text++;
        size_t size = strlen(text);
        bool comment = used == 0 && (*text == '#' || *text == '!');
        size_t slashes = 0;
        while (!comment && slashes < size && text[size - 1 - slashes] == '\\')
            slashes++;
        bool more = slashes % 2 == 1;
        if (more)
            size--;
        if (used + size + 1 > *capacity) {
            size_t grown = (used + size + 1) * 2;
            char *bigger = realloc(*line, grown);
            if (!bigger)
                return LINE_NO_MEMORY;
            *line = bigger;
            *capacity = grown;
        }
        memcpy(*line + used, text, size);
        used += size;
        (*line)[used] = '\0';
        if (!more)
            return LINE_READ;
    }
    if (!feof(file) && !ferror(file))
        return LINE_NO_MEMORY; /* getline had none */
    return any ? LINE_READ : LINE_NONE;
}

/* Takes the escapes out of [from, to) in place and ends it with NUL. */
static void unescape(char *from, char *to)
{
    char *out = from;
    for (char *in = from; in < to; in++) {
        if (*in != '\\' || in + 1 == to) {
            *out++ = *in;
            continue;
        }
        in++;
        switch (*in) {
        case 't':
            *out++ = '\t';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 'r':
            *out++ = '\r';
            break;
        case 'f':
            *out++ = '\f';
            break;
        default:
            *out++ = *in;
        }
    }
    *out = '\0';
}

static void split(char *line, char **key, char **value)
{
    char *end = line;
    while (*end && *end != '=' && *end != ':' && !isspace((unsigned char)*end))
        end += *end == '\\' && end[1] ? 2 : 1;
    char *start = end;
    while (isspace((unsigned char)*start))
        start++;
    if (*start == '=' || *start == ':')
        start++;
    while (isspace((unsigned char)*start))
        start++;
    char *last = start + strlen(start);
    unescape(start, last);
    unescape(line, end);
    *key = line;
    *value = start;
    size_t size = strlen(start);
    while (size && (start[size - 1] == ' ' || start[size - 1] == '\t'))
        start[--size] = '\0';
}

enum ms_status ms_properties_read(const char *path, ms_property_fn *fn, void *context, struct ms_error *error)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return ms_fail(error, MS_CONFIG, "%s: %s", path, strerror(errno));
    char *line = NULL, *scratch = NULL;
    size_t capacity = 0, scratch_capacity = 0;
    int number = 0;
    enum ms_status status = MS_OK;
    while (status == MS_OK) {
        enum line read = read_logical(file, &line, &capacity, &scratch, &scratch_capacity, &number);
        if (read == LINE_NO_MEMORY)
            status = ms_fail(error, MS_MEMORY, "%s:%d: no memory for the line", path, number);
        if (read != LINE_READ)
            break;
        if (!line[0] || line[0] == '#' || line[0] == '!')
            continue;
        char where[512], *key, *value;
        snprintf(where, sizeof where, "%s:%d", path, number);
        split(line, &key, &value);
        status = fn(context, key, value, where, error);
    }
    if (status == MS_OK && ferror(file))
        status = ms_fail(error, MS_CONFIG, "%s: %s", path, strerror(errno));
    free(line);
    free(scratch);
    fclose(file);
    return status;
}
