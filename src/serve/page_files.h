/* The files of the page, as they are in the binary: src/serve/page/ made into arrays when it is built. */
#ifndef MS_SERVE_PAGE_FILES_H
#define MS_SERVE_PAGE_FILES_H

#include <stddef.h>

struct ms_page_file {
    const unsigned char *bytes;
    size_t size;
};

extern const struct ms_page_file ms_page_index_html, ms_page_page_css, ms_page_page_js;

#endif
