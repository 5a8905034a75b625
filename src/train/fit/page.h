/* The report of a training: one HTML file that asks for nothing outside of itself. */
#ifndef MS_TRAIN_FIT_PAGE_H
#define MS_TRAIN_FIT_PAGE_H

#include "train/fit/checkpoint.h"
#include "train/fit/look.h"

#define MS_FIT_PAGE_END ".report.html" /* the end of its name; before it, the model's */

/* Writes |path|, beside the one before it and then renamed. MS_IO, MS_MEMORY. */
enum ms_status ms_fit_page_write(const char *path, const struct ms_fit_course *course,
                                 const struct ms_fit_look *look, struct ms_error *error) MS_MUST_CHECK;

#endif
