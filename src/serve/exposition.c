/* Metrics as text: Prometheus 0.0.4 and OpenMetrics 1.0. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/metric.h"

struct ms_samples {
    struct ms_buffer *out;
    enum ms_exposition exposition;
    const struct ms_metric *told; /* whose head is written */
    bool failed;
};

const char *ms_exposition_type(enum ms_exposition exposition)
{
    return exposition == MS_EXPOSITION_OPEN ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                            : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- content negotiation ---- */

/* The weight of a media range's parameters: of "...;q=0.5", 1 where it has none. */
static double weight_of(const char *range, size_t size)
{
    for (const char *at = range; at + 2 < range + size; at++) {
        if ((at[0] == ';' || at[0] == ' ') && (at[1] == 'q' || at[1] == 'Q') && at[2] == '=')
            return strtod(at + 3, NULL); /* ends at the first character that is no number */
    }
    return 1;
}

/* The greatest weight that a list of media ranges gives to |type|; -1 where it does not name it. */
static double accepted_weight(const char *accept, const char *type)
{
    double best = -1;
    for (const char *at = accept; *at;) {
        at += strspn(at, " ,\t");
        size_t size = strcspn(at, ","), name = strcspn(at, ",; \t");
        if (name == strlen(type) && strncasecmp(at, type, name) == 0) {
            double weight = weight_of(at, size);
            best = weight > best ? weight : best;
        }
        at += size;
    }
    return best;
}

enum ms_exposition ms_exposition_accepted(const char *accept)
{
    double open = accept ? accepted_weight(accept, "application/openmetrics-text") : -1;
    return open > 0 && open >= accepted_weight(accept, "text/plain") ? MS_EXPOSITION_OPEN
                                                                     : MS_EXPOSITION_TEXT;
}

/* ---- text ---- */

static void put(struct ms_samples *samples, const char *text, size_t size)
{
    samples->failed |= !ms_buffer_append(samples->out, text, size);
}

static void put_text(struct ms_samples *samples, const char *text)
{
    put(samples, text, strlen(text));
}

/* Backslashes, newlines and, where |quotes|, quotation marks are escaped. */
static void put_escaped(struct ms_samples *samples, const char *text, bool quotes)
{
    for (; *text; text++) {
        if (*text == '\\' || (quotes && *text == '"'))
            put(samples, "\\", 1);
        if (*text == '\n')
            put_text(samples, "\\n");
        else
            put(samples, text, 1);
    }
}

/* The shortest text of 15 or 17 digits that reads as the same number. */
static void put_number(struct ms_samples *samples, double value)
{
    char text[40];
    if (isnan(value) || isinf(value)) {
        put_text(samples, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) < value || strtod(text, NULL) > value)
        snprintf(text, sizeof text, "%.17g", value);
    put_text(samples, text);
}

static const char *type_name(const struct ms_metric *metric, enum ms_exposition exposition)
{
    static const char *const names[] = {"counter", "gauge", "histogram", "info"};
    return metric->type == MS_METRIC_INFO && exposition == MS_EXPOSITION_TEXT ? "gauge" : names[metric->type];
}

/* OpenMetrics names a family without the end that its type gives to its samples. */
static size_t family_length(const struct ms_metric *metric, enum ms_exposition exposition)
{
    size_t size = strlen(metric->name);
    if (exposition == MS_EXPOSITION_OPEN && metric->type == MS_METRIC_COUNTER)
        size -= strlen("_total");
    if (exposition == MS_EXPOSITION_OPEN && metric->type == MS_METRIC_INFO)
        size -= strlen("_info");
    return size;
}

static void put_head(struct ms_samples *samples, const struct ms_metric *metric)
{
    int family = (int)family_length(metric, samples->exposition);
    samples->failed |= !ms_buffer_printf(samples->out, "# HELP %.*s ", family, metric->name);
    put_escaped(samples, metric->help, samples->exposition == MS_EXPOSITION_OPEN);
    samples->failed |= !ms_buffer_printf(samples->out, "\n# TYPE %.*s %s\n", family, metric->name,
                                         type_name(metric, samples->exposition));
    if (samples->exposition == MS_EXPOSITION_OPEN && metric->unit[0])
        samples->failed |= !ms_buffer_printf(samples->out, "# UNIT %.*s %s\n", family, metric->name,
                                             metric->unit);
    samples->told = metric;
}

/* Labels of the row with their values, then one of a bucket where |le| is not NULL. */
static void put_labels(struct ms_samples *samples, const struct ms_metric *metric,
                       const char *const *label_values, const double *le)
{
    const char *separator = "{";
    for (const char *at = metric->labels ? metric->labels : ""; *at;) {
        size_t size = strcspn(at, " ");
        samples->failed |= !ms_buffer_printf(samples->out, "%s%.*s=\"", separator, (int)size, at);
        put_escaped(samples, *label_values++, true);
        put_text(samples, "\"");
        separator = ",";
        at += size + strspn(at + size, " ");
    }
    if (le) {
        samples->failed |= !ms_buffer_printf(samples->out, "%sle=\"", separator);
        put_number(samples, *le);
        put_text(samples, "\"");
        separator = ",";
    }
    if (separator[0] == ',')
        put_text(samples, "}");
}

static void put_sample(struct ms_samples *samples, const struct ms_metric *metric, const char *suffix,
                       const char *const *label_values, const double *le, double value)
{
    if (samples->told != metric)
        put_head(samples, metric);
    put_text(samples, metric->name);
    put_text(samples, suffix);
    put_labels(samples, metric, label_values, le);
    put(samples, " ", 1);
    put_number(samples, value);
    put(samples, "\n", 1);
}

void ms_sample(struct ms_samples *samples, const struct ms_metric *metric, double value,
               const char *const *label_values)
{
    put_sample(samples, metric, "", label_values, NULL, value);
}

void ms_sample_histogram(struct ms_samples *samples, const struct ms_metric *metric,
                         const struct ms_buckets *buckets)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= metric->bounds->count; i++) {
        double le = i < metric->bounds->count ? metric->bounds->at[i] : HUGE_VAL;
        count += atomic_load_explicit(&buckets->counts[i], memory_order_relaxed);
        put_sample(samples, metric, "_bucket", NULL, &le, (double)count);
    }
    put_sample(samples, metric, "_sum", NULL, NULL,
               atomic_load_explicit(&buckets->sum, memory_order_relaxed));
    put_sample(samples, metric, "_count", NULL, NULL, (double)count);
}

bool ms_exposition_write(const struct ms_metric *rows, size_t count, const struct ms_observed *observed,
                         enum ms_exposition exposition, struct ms_buffer *out)
{
    size_t before = out->size;
    struct ms_samples samples = {.out = out, .exposition = exposition};
    for (size_t i = 0; i < count; i++)
        rows[i].read(&rows[i], observed, &samples);
    if (exposition == MS_EXPOSITION_OPEN)
        put_text(&samples, "# EOF\n");
    if (samples.failed)
        out->size = before;
    return !samples.failed;
}
