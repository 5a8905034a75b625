/* Names of users in a note. */
#include "stream/withheld.h"

#include <string.h>

static const char hex[] = "0123456789abcdef";

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

size_t ms_withheld_bytes(struct ms_bytes id)
{
    size_t bytes = 1;
    for (size_t i = 0; i < id.size; i++)
        bytes += is_plain((unsigned char)id.data[i]) ? 1 : 3;
    return bytes;
}

size_t ms_withheld_write(char *text, struct ms_bytes id)
{
    char *at = text;
    for (size_t i = 0; i < id.size; i++) {
        unsigned char c = (unsigned char)id.data[i];
        if (is_plain(c)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    *at++ = ',';
    *at = '\0';
    return (size_t)(at - text);
}

static int digit(char c)
{
    const char *found = c ? strchr(hex, c) : NULL;
    return found ? (int)(found - hex) : -1;
}

bool ms_withheld_is(const char *text, size_t size)
{
    size_t letters = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == ',') {
            if (letters == 0)
                return false;
            letters = 0;
            continue;
        }
        letters++;
        if (text[i] == '%') {
            if (size - i < 3 || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0)
                return false;
            i += 2;
        } else if (!is_plain((unsigned char)text[i])) {
            return false;
        }
    }
    return size > 0 && letters == 0;
}

size_t ms_withheld_read(const char **text, char *id)
{
    size_t size = 0;
    const char *at = *text;
    while (*at != ',') {
        if (*at == '%') {
            id[size++] = (char)(digit(at[1]) << 4 | digit(at[2]));
            at += 3;
        } else {
            id[size++] = *at++;
        }
    }
    *text = at + 1;
    return size;
}
