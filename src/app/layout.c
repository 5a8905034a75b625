/* Wrapping and roff. */
#include "app/layout.h"

#include <stdbool.h>
#include <string.h>

void ms_layout_wrapped(FILE *out, const char *prefix, const char *text, size_t width, int in_line)
{
    size_t room = width - strlen(prefix);
    while (*text) {
        size_t size = strlen(text);
        if (size > room) {
            for (size = room; size > 0 && text[size] != ' '; size--)
                ;
            size = size ? size : strcspn(text, " ");
        }
        fprintf(out, "%s%.*s\n", in_line ? "" : prefix, (int)size, text);
        in_line = 0;
        text += size + (text[size] == ' ');
    }
}

/* |size| bytes of text: a dot or quote at a line's start and backslashes mean something else in roff. */
static void write_roff(FILE *out, const char *text, size_t size)
{
    if (size && (text[0] == '.' || text[0] == '\''))
        fputs("\\&", out);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == '-')
            fputs("\\-", out);
        else
            fputc(text[i], out);
    }
}

void ms_layout_roff(FILE *out, const char *text)
{
    write_roff(out, text, strlen(text));
}

void ms_layout_roff_lines(FILE *out, const char *text)
{
    bool kept = false;
    while (*text) {
        size_t size = strcspn(text, "\n");
        if (size && (text[0] == ' ') != kept) {
            kept = !kept;
            fputs(kept ? ".nf\n" : ".fi\n", out);
        }
        if (size)
            write_roff(out, text, size);
        else
            fputs(kept ? "" : ".PP", out);
        fputc('\n', out);
        text += size + (text[size] == '\n');
    }
    if (kept)
        fputs(".fi\n", out);
}
