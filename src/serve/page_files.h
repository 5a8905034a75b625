/* The files of the page, as they are in the binary: src/serve/page/ made into arrays when it is built. */
#ifndef MS_SERVE_PAGE_FILES_H
#define MS_SERVE_PAGE_FILES_H

#include "base/embedded.h"

extern const struct ms_embedded ms_file_index_html, ms_file_page_css, ms_file_page_js;

#endif
