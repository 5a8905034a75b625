/* A template, with what is to be shown as JSON in it. */
#include "train/fit/page.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "train/fit/page_file.h"

#define PLACE "@DATA@"

/* ,"KEY":VALUE; null where it is not finite. */
static bool put_number(struct ms_buffer *out, const char *key, double value)
{
    char text[400];
    size_t bytes = isfinite(value) ? ms_print_double(text, sizeof text, value) : 0;
    return ms_buffer_printf(out, ",\"%s\":%.*s", key, bytes ? (int)bytes : 4, bytes ? text : "null");
}

static bool put_pass(struct ms_buffer *out, const struct ms_fit_pass *pass)
{
    bool good = ms_buffer_printf(out, "{\"pass\":%" PRIu64 ",\"targets\":%" PRIu64, pass->number,
                                 pass->targets) &&
                put_number(out, "loss", pass->loss) && put_number(out, "recall20", pass->at_20) &&
                put_number(out, "recall50", pass->at_50) && put_number(out, "error50", pass->error_50) &&
                put_number(out, "rate", pass->rate) && ms_buffer_printf(out, ",\"decays\":[");
    for (size_t j = 0; good && j < MS_FIT_PASS_DECAYS && pass->decays[j] > 0.0; j++)
        good = ms_buffer_printf(out, "%s%.4f", j ? "," : "", pass->decays[j]);
    return good && ms_buffer_printf(out, "]}");
}

static bool put_passes(struct ms_buffer *out, const struct ms_fit_course *course)
{
    bool good = ms_buffer_printf(out, ",\"passes\":[");
    for (size_t i = 0; good && i < course->pass_count; i++)
        good = (i == 0 || ms_buffer_append(out, ",\n", 2)) && put_pass(out, &course->passes[i]);
    return good && ms_buffer_append(out, "]", 1);
}

static bool put_rivals(struct ms_buffer *out, const struct ms_fit_look *look)
{
    static const char *const names[MS_FIT_RIVALS] = {"this model, as it is served", "the last item alone",
                                                     "the most clicked items"};
    bool good = ms_buffer_printf(out, ",\"rivals\":[");
    for (int i = 0; good && i < MS_FIT_RIVALS; i++) {
        struct ms_metric at_20 = ms_recall(&look->ranks[i], 20), at_50 = ms_recall(&look->ranks[i], 50);
        good = ms_buffer_printf(out, "%s{\"name\":\"%s\"", i ? ",\n" : "", names[i]) &&
               put_number(out, "recall20", at_20.value) && put_number(out, "recall50", at_50.value) &&
               put_number(out, "error50", at_50.standard_error) &&
               put_number(out, "ndcg20", ms_ndcg(&look->ranks[i], 20).value) &&
               put_number(out, "ndcg50", ms_ndcg(&look->ranks[i], 50).value) && ms_buffer_append(out, "}", 1);
    }
    return good && ms_buffer_append(out, "]", 1);
}

static bool put_entropy(struct ms_buffer *out, const struct ms_fit_look *look)
{
    bool good = ms_buffer_printf(out, ",\"entropy\":[");
    for (int i = 0; good && i < MS_FIT_LOOK_BINS; i++)
        good = ms_buffer_printf(out, "%s%" PRIu64, i ? "," : "", look->entropy[i]);
    return good && ms_buffer_append(out, "]", 1);
}

static bool put_data(struct ms_buffer *out, const struct ms_fit_course *course,
                     const struct ms_fit_look *look)
{
    return ms_buffer_printf(out, "{\"model\":") &&
           ms_buffer_append(out, look->model.data, look->model.size) &&
           ms_buffer_printf(out, ",\"training\":") &&
           ms_buffer_append(out, look->training.data, look->training.size) &&
           ms_buffer_printf(out, ",\"best\":%zu,\"targets\":%" PRIu64, course->result.best_epoch,
                            look->targets) &&
           put_passes(out, course) && put_rivals(out, look) && put_entropy(out, look) &&
           ms_buffer_printf(out, ",\n\"users\":") &&
           ms_buffer_append(out, look->sample.data, look->sample.size) && ms_buffer_append(out, "}", 1);
}

/* In a script of HTML no text may end it. */
static bool put_escaped(struct ms_buffer *out, const struct ms_buffer *json)
{
    bool good = true;
    for (size_t at = 0; good && at < json->size;) {
        const char *next = memchr(json->data + at, '<', json->size - at);
        size_t size = next ? (size_t)(next - json->data) - at : json->size - at;
        good = ms_buffer_append(out, json->data + at, size) && (!next || ms_buffer_append(out, "\\u003c", 6));
        at += size + (next != NULL);
    }
    return good;
}

static bool make_page(struct ms_buffer *page, const struct ms_fit_course *course,
                      const struct ms_fit_look *look)
{
    struct ms_buffer data = {0};
    const char *template = (const char *)ms_file_report_html.bytes;
    const char *place = memmem(template, ms_file_report_html.size, PLACE, strlen(PLACE));
    size_t before = place ? (size_t)(place - template) : ms_file_report_html.size;
    size_t behind = before + (place ? strlen(PLACE) : 0);
    bool good = put_data(&data, course, look) && ms_buffer_append(page, template, before) &&
                put_escaped(page, &data) &&
                ms_buffer_append(page, template + behind, ms_file_report_html.size - behind);
    ms_buffer_free(&data);
    return good;
}

static enum ms_status write_file(const char *path, const struct ms_buffer *page, struct ms_error *error)
{
    char made[PATH_MAX + 8];
    snprintf(made, sizeof made, "%s.new", path);
    FILE *file = fopen(made, "we");
    if (!file)
        return ms_fail(error, MS_IO, "%s: %s", made, strerror(errno));
    bool good = fwrite(page->data, 1, page->size, file) == page->size;
    good = fclose(file) == 0 && good && rename(made, path) == 0;
    if (good)
        return MS_OK;
    enum ms_status status = ms_fail(error, MS_IO, "%s: %s", made, strerror(errno));
    unlink(made);
    return status;
}

enum ms_status ms_fit_page_write(const char *path, const struct ms_fit_course *course,
                                 const struct ms_fit_look *look, struct ms_error *error)
{
    struct ms_buffer page = {0};
    enum ms_status status = make_page(&page, course, look)
                                ? write_file(path, &page, error)
                                : ms_fail(error, MS_MEMORY, "%s: no memory for the report", path);
    ms_buffer_free(&page);
    return status;
}
