/* Strings are copied in runs between the characters that need an escape. */
#include "base/json_text.h"

#include <math.h>
#include <string.h>

#include "base/float_text.h"
#include "base/json.h"

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static bool put_escape(struct ms_buffer *out, unsigned char c)
{
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof letters; i += 2) {
        if ((unsigned char)letters[i] == c)
            return ms_buffer_append(out, (const char[2]){'\\', letters[i + 1]}, 2);
    }
    return ms_buffer_printf(out, "\\u%04x", c);
}

bool ms_json_text_string(struct ms_buffer *out, struct ms_bytes bytes)
{
    if (!ms_buffer_reserve(out, bytes.size + 2))
        return false;
    out->data[out->size++] = '"';
    bool good = true;
    for (size_t at = 0; good && at < bytes.size;) {
        size_t run = at;
        while (run < bytes.size && !needs_escape((unsigned char)bytes.data[run]))
            run++;
        good = run == at || ms_buffer_append(out, bytes.data + at, run - at);
        if (good && run < bytes.size)
            good = put_escape(out, (unsigned char)bytes.data[run++]);
        at = run;
    }
    return good && ms_buffer_append(out, "\"", 1);
}

bool ms_json_text_integer(struct ms_buffer *out, int64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    return (value >= 0 || ms_buffer_append(out, "-", 1)) &&
           ms_buffer_append(out, digits + at, sizeof digits - at);
}

/* There is room at |at|. Returns where the text ends. */
static char *put_float(char *at, float value)
{
    if (isfinite(value))
        return at + ms_float_text(at, value);
    memcpy(at, "null", 4);
    return at + 4;
}

bool ms_json_text_float(struct ms_buffer *out, float value)
{
    return ms_json_text_numbers(out, &value, 1);
}

bool ms_json_text_numbers(struct ms_buffer *out, const float *values, size_t count)
{
    if (!ms_buffer_reserve(out, count * (MS_FLOAT_TEXT_MAX + 1)))
        return false;
    char *at = out->data + out->size;
    for (size_t i = 0; i < count; i++) {
        if (i)
            *at++ = ',';
        at = put_float(at, values[i]);
    }
    out->size = (size_t)(at - out->data);
    return true;
}

bool ms_json_text_floats(struct ms_buffer *out, const float *values, size_t count)
{
    return ms_buffer_append(out, "[", 1) && ms_json_text_numbers(out, values, count) &&
           ms_buffer_append(out, "]", 1);
}
