/* An answer on its way: status, type, body. */
#ifndef MS_SERVE_REPLY_H
#define MS_SERVE_REPLY_H

#include <jansson.h>

#include "base/buffer.h"
#include "mindstream/bytes.h"
#include "mindstream/status.h"

#define MS_TYPE_JSON     "application/json"
#define MS_TYPE_HTML     "text/html; charset=utf-8"
#define MS_TYPE_TEXT     "text/plain; charset=utf-8"
#define MS_TYPE_PROTOBUF "application/x-protobuf"

struct ms_reply {
    unsigned code;             /* of HTTP */
    const char *type;          /* of the body, static */
    struct ms_buffer body;     /* the caller of the handler frees it */
    struct ms_buffer location; /* of a redirect, with a NUL; freed as |body| */
    int retry_after_s;         /* 0: not told */
    bool follows;              /* the answer is the stream of the user's changes (followers.h) */
};

/* Makes it an error: {"error": TEXT, "status": CODE}. */
void ms_reply_fail(struct ms_reply *reply, unsigned code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from a failure: 404 where something is not found, 503 where memory ended or another try may help, else 500. */
void ms_reply_failed(struct ms_reply *reply, const struct ms_error *error);

/* Makes it 200 with |root| on one line, which is released. NULL: memory ended. */
void ms_reply_json(struct ms_reply *reply, json_t *root);

#endif
