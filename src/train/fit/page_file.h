/* The template of the report, as it is in the binary. */
#ifndef MS_TRAIN_FIT_PAGE_FILE_H
#define MS_TRAIN_FIT_PAGE_FILE_H

#include "base/embedded.h"

extern const struct ms_embedded ms_file_report_html;

#endif
