/* Errors and JSON. */
#include "serve/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "view/json.h"

#define TEXT_BYTES 2048

void ms_reply_fail(struct ms_reply *reply, unsigned code, const char *format, ...)
{
    char text[TEXT_BYTES];
    struct ms_error error;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_t *root = json_pack("{s:o, s:i}", "error", ms_view_json_bytes((struct ms_bytes){text, strlen(text)}),
                             "status", (int)code);
    reply->code = code;
    reply->type = MS_TYPE_JSON;
    reply->body.size = 0;
    if (code == 503 || code == 429)
        reply->retry_after_s = 1;
    if (ms_view_json_text(root, &reply->body, &error) == MS_OK)
        (void)ms_buffer_append(&reply->body, "\n", 1);
}

void ms_reply_failed(struct ms_reply *reply, const struct ms_error *error)
{
    unsigned code = error->status == MS_NOT_FOUND                                   ? 404
                    : error->status == MS_MEMORY || error->status == MS_KAFKA_RETRY ? 503
                                                                                    : 500;
    ms_reply_fail(reply, code, "%s", error->text);
}

void ms_reply_json(struct ms_reply *reply, json_t *root)
{
    struct ms_error error;
    reply->code = 200;
    reply->type = MS_TYPE_JSON;
    reply->body.size = 0;
    if (ms_view_json_text(root, &reply->body, &error) != MS_OK || !ms_buffer_append(&reply->body, "\n", 1))
        ms_reply_fail(reply, 503, "no memory for the answer");
}
