/* Strings are copied in runs between the characters that need an escape. */
#include "base/json_text.h"

#include <math.h>
#include <string.h>

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
    bool good = ms_buffer_append(out, "\"", 1);
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

bool ms_json_text_float(struct ms_buffer *out, float value)
{
    if (!isfinite(value))
        return ms_buffer_append(out, "null", 4);
    if (!ms_buffer_reserve(out, MS_FLOAT_TEXT_MAX))
        return false;
    out->size += ms_print_float(out->data + out->size, value);
    return true;
}

bool ms_json_text_floats(struct ms_buffer *out, const float *values, size_t count)
{
    bool good = ms_buffer_append(out, "[", 1);
    for (size_t i = 0; good && i < count; i++)
        good = (i == 0 || ms_buffer_append(out, ",", 1)) && ms_json_text_float(out, values[i]);
    return good && ms_buffer_append(out, "]", 1);
}
