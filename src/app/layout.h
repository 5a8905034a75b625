/* Text in lines for terminals, and in roff for man pages. */
#ifndef MS_APP_LAYOUT_H
#define MS_APP_LAYOUT_H

#include <stddef.h>
#include <stdio.h>

#define MS_LAYOUT_WIDTH 100 /* columns of what is wrapped */

/* Writes |text| in lines of at most |width| columns that begin with |prefix|, broken at blanks. Of the first line the
 * prefix is left out where |in_line| says that the cursor is already there. */
void ms_layout_wrapped(FILE *out, const char *prefix, const char *text, size_t width, int in_line);

/* Writes one line of text in roff, without the newline. */
void ms_layout_roff(FILE *out, const char *text);

/* Writes lines as roff: an empty line begins a paragraph, lines that begin with a blank keep their layout. */
void ms_layout_roff_lines(FILE *out, const char *text);

#endif
