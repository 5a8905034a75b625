/* Bytes from outside and times as text. */
#include "view/escape.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"

/* Bytes of the character at |at| when it may be shown as it is, else 0. */
static size_t harmless_bytes(const char *at, const char *end)
{
    unsigned char c = (unsigned char)*at;
    if (c < 0x80)
        return c >= 0x20 && c != 0x7f && c != '\\';
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if ((size_t)(end - at) < n || !ms_utf8_valid(at, n))
        return 0;
    return c == 0xC2 && (unsigned char)at[1] < 0xA0 ? 0 : n; /* U+0080 to U+009F are control characters */
}

bool ms_escape(struct ms_buffer *out, struct ms_bytes bytes)
{
    const char *end = bytes.data + bytes.size;
    bool good = true;
    for (const char *at = bytes.data; good && at < end;) {
        size_t n = harmless_bytes(at, end);
        good = n ? ms_buffer_append(out, at, n)
                 : ms_buffer_printf(out, "\\x%02x", (unsigned)(unsigned char)*at);
        at += n ? n : 1;
    }
    return good;
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
