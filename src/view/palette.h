/* Colours of text for people. Few: titles, warnings, bars. */
#ifndef MS_VIEW_PALETTE_H
#define MS_VIEW_PALETTE_H

#include <stdbool.h>

#include "base/buffer.h"

/* What is written before a text of a kind, and behind it. */
struct ms_palette {
    const char *title, *warning, *bar, *off;
};

extern const struct ms_palette ms_ansi_palette; /* of a terminal */
extern const struct ms_palette ms_no_palette;   /* all empty */

/* A share from 0 to 1 as a bar of |characters|, in eighths of one; blanks fill it up. False when memory ended. Pure. */
bool ms_bar(struct ms_buffer *out, double share, int characters);

#endif
