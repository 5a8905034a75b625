/* Escape sequences that every terminal since the VT100 knows. */
#include "view/palette.h"

#include <math.h>

const struct ms_palette ms_ansi_palette = {
    .title = "\033[1m", .warning = "\033[33m", .bar = "\033[36m", .off = "\033[0m"};
const struct ms_palette ms_no_palette = {.title = "", .warning = "", .bar = "", .off = ""};

bool ms_bar(struct ms_buffer *out, double share, int characters)
{
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    int left = (int)lround(fmin(fmax(share, 0.0), 1.0) * characters * 8);
    bool good = true;
    for (int i = 0; good && i < characters; i++, left -= 8) {
        const char *one = eighths[left >= 8 ? 8 : left > 0 ? left : 0];
        good = ms_buffer_append(out, one, strlen(one));
    }
    return good;
}
