/* Bytes from outside in a line, and in JSON. */
#include "app/inspect/tail.h"
#include "view/escape.h"
#include "view/json.h"

#define SHOWN_BYTES 200

bool ms_tail_is(struct ms_bytes user, const char *id)
{
    return user.data && user.size == strlen(id) && memcmp(user.data, id, user.size) == 0;
}

bool ms_tail_bytes(struct ms_buffer *out, struct ms_bytes bytes)
{
    bool cut = bytes.size > SHOWN_BYTES;
    return ms_escape(out, (struct ms_bytes){bytes.data, cut ? SHOWN_BYTES : bytes.size}) &&
           (!cut || ms_buffer_printf(out, "... (%zu bytes)", bytes.size));
}

bool ms_tail_quoted(struct ms_buffer *out, struct ms_bytes bytes)
{
    if (!bytes.data)
        return ms_buffer_append(out, "null", 4);
    return ms_buffer_append(out, "\"", 1) && ms_tail_bytes(out, bytes) && ms_buffer_append(out, "\"", 1);
}

json_t *ms_tail_json(struct ms_bytes bytes)
{
    return bytes.data ? ms_view_json_bytes(bytes) : json_null();
}
