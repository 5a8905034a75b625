/* The page at /: files of the binary. */
#include "serve/desk.h"
#include "serve/page_files.h"

static void answer_file(const struct ms_embedded *file, const char *type, struct ms_reply *reply)
{
    reply->code = 200;
    reply->type = type;
    if (!ms_buffer_append(&reply->body, file->bytes, file->size))
        ms_reply_fail(reply, 503, "no memory for the page");
}

void ms_answer_page(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    (void)desk, (void)request;
    answer_file(&ms_file_index_html, MS_TYPE_HTML, reply);
}

void ms_answer_page_style(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    (void)desk, (void)request;
    answer_file(&ms_file_page_css, "text/css; charset=utf-8", reply);
}

void ms_answer_page_script(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    (void)desk, (void)request;
    answer_file(&ms_file_page_js, "text/javascript; charset=utf-8", reply);
}
