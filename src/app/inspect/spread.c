/* Buckets, bars and labels. */
#include "app/inspect/spread.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAR_MOST   60
#define LABEL_MAX  48
#define COUNT_TEXT 22 /* of a count, its share and the blanks */

void ms_spread_double(struct ms_spread *spread, double first, double most)
{
    spread->buckets = 1;
    for (double bound = first; bound <= most && spread->buckets < MS_SPREAD_BOUNDS; bound *= 2)
        spread->bounds[spread->buckets++] = bound;
}

void ms_spread_even(struct ms_spread *spread, double first, double width, size_t buckets)
{
    assert(buckets <= MS_SPREAD_BOUNDS);
    for (size_t i = 0; i < buckets; i++)
        spread->bounds[i] = first + width * (double)i;
    spread->buckets = buckets;
}

void ms_spread_add(struct ms_spread *spread, double value)
{
    size_t bucket = spread->buckets - 1;
    while (bucket > 0 && value < spread->bounds[bucket])
        bucket--;
    spread->counts[bucket]++;
    spread->count++;
    spread->sum += value;
}

double ms_spread_quantile(const struct ms_spread *spread, double share)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < spread->buckets; i++) {
        seen += spread->counts[i];
        if (spread->count && (double)seen >= share * (double)spread->count)
            return spread->bounds[i + 1 < spread->buckets ? i + 1 : i];
    }
    return 0;
}

static void bound_text(char *text, size_t size, enum ms_spread_unit unit, double bound)
{
    static const char *const bytes[] = {"B", "KiB", "MiB", "GiB"};
    static const struct {
        double ms;
        const char *name;
    } times[] = {{86400e3, "d"}, {3600e3, "h"}, {60e3, "min"}, {1e3, "s"}};
    size_t i = 0;
    switch (unit) {
    case MS_SPREAD_WHOLE:
        snprintf(text, size, "%.0f", bound);
        break;
    case MS_SPREAD_NUMBER:
        snprintf(text, size, "%.1f", bound + 0.0); /* no -0.0 */
        break;
    case MS_SPREAD_BYTES:
        for (; bound >= 1024 && i < 3; i++)
            bound /= 1024;
        snprintf(text, size, "%.0f %s", bound, bytes[i]);
        break;
    case MS_SPREAD_MS:
        while (i < 3 && bound < times[i].ms)
            i++;
        snprintf(text, size, "%.0f %s", bound / times[i].ms, times[i].name);
        break;
    }
}

static void bucket_text(char text[LABEL_MAX], const struct ms_spread *spread, size_t bucket)
{
    char from[LABEL_MAX / 3], to[LABEL_MAX / 3];
    bool last = bucket + 1 == spread->buckets, whole = spread->unit == MS_SPREAD_WHOLE;
    double end = last ? 0 : spread->bounds[bucket + 1] - (whole ? 1 : 0);
    bound_text(from, sizeof from, spread->unit, spread->bounds[bucket]);
    bound_text(to, sizeof to, spread->unit, end);
    if (last)
        snprintf(text, LABEL_MAX, "%s%s", from, spread->unit == MS_SPREAD_NUMBER ? " and up" : " and more");
    else if (whole && end <= spread->bounds[bucket])
        snprintf(text, LABEL_MAX, "%s", from);
    else
        snprintf(text, LABEL_MAX, "%s to %s", from, to);
}

/* The buckets from the first to the last that have any. */
static void used(const struct ms_spread *spread, size_t *first, size_t *last)
{
    *first = spread->buckets;
    *last = 0;
    for (size_t i = 0; i < spread->buckets; i++) {
        if (spread->counts[i] && *first == spread->buckets)
            *first = i;
        if (spread->counts[i])
            *last = i;
    }
}

bool ms_spread_text(const struct ms_spread *spread, int columns, const struct ms_palette *palette,
                    struct ms_buffer *out)
{
    char label[LABEL_MAX];
    size_t first, last, width = 0;
    uint64_t most = 1;
    used(spread, &first, &last);
    bool good = ms_buffer_printf(out, "\n%s%s%s\n", palette->title, spread->title, palette->off);
    if (first == spread->buckets)
        return good && ms_buffer_printf(out, "  nobody\n");
    for (size_t i = first; i <= last; i++) {
        bucket_text(label, spread, i);
        width = strlen(label) > width ? strlen(label) : width;
        most = spread->counts[i] > most ? spread->counts[i] : most;
    }
    int room = columns - (int)width - COUNT_TEXT - 2, bar = room < 4 ? 4 : room > BAR_MOST ? BAR_MOST : room;
    for (size_t i = first; good && i <= last; i++) {
        bucket_text(label, spread, i);
        good = ms_buffer_printf(out, "  %*s %11llu %5.1f %%  %s", (int)width, label,
                                (unsigned long long)spread->counts[i],
                                100.0 * (double)spread->counts[i] / (double)spread->count, palette->bar) &&
               ms_bar(out, (double)spread->counts[i] / (double)most, bar);
        while (good && out->data[out->size - 1] == ' ') /* a bar is filled up with blanks */
            out->size--;
        good = good && ms_buffer_printf(out, "%s\n", palette->off);
    }
    return good;
}

json_t *ms_spread_json(const struct ms_spread *spread)
{
    json_t *buckets = json_array();
    for (size_t i = 0; i < spread->buckets; i++)
        json_array_append_new(
            buckets, json_pack("{s:f, s:o, s:I}", "from", spread->bounds[i], "to",
                               i + 1 < spread->buckets ? json_real(spread->bounds[i + 1]) : json_null(),
                               "count", (json_int_t)spread->counts[i]));
    return json_pack("{s:I, s:o, s:o}", "users", (json_int_t)spread->count, "mean",
                     spread->count ? json_real(spread->sum / (double)spread->count) : json_null(), "buckets",
                     buckets);
}
