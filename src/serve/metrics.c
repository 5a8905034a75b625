/* The table of metrics as a whole: written, and as a page. */
#include "serve/metric.h"

static const char head[] =
    "# Metrics\n\n"
    "`/metrics` of the HTTP server ([http.md](http.md)) writes them, as Prometheus text 0.0.4 or, where the `Accept` header\n"
    "asks for it, as OpenMetrics 1.0. This page is made by `mindstream config --metrics` from the table in\n"
    "`src/serve/metric_table.c`.\n\n"
    "All names begin with `mindstream_`. Units are seconds and bytes. Counters begin with 0 at each start. No user and no\n"
    "item is ever a label. While the service waits for its brokers at the start, only those of the process and of the HTTP server\n"
    "are there.\n\n"
    "| metric | type | labels | what |\n|---|---|---|---|\n";

bool ms_metrics_write(const struct ms_observed *observed, enum ms_exposition exposition,
                      struct ms_buffer *out)
{
    return ms_exposition_write(ms_metric_table, ms_metric_count, observed, exposition, out);
}

bool ms_metrics_document(struct ms_buffer *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "gauge"};
    bool done = ms_buffer_append(out, head, sizeof head - 1);
    for (size_t i = 0; i < ms_metric_count; i++) {
        const struct ms_metric *metric = &ms_metric_table[i];
        done = done && ms_buffer_printf(out, "| `%s` | %s | %s | %s |\n", metric->name, types[metric->type],
                                        metric->labels ? metric->labels : "", metric->help);
    }
    done = done && ms_buffer_printf(out, "\nBuckets of the histograms, upper ends:\n\n");
    for (size_t i = 0; i < ms_metric_count; i++) {
        const struct ms_metric *metric = &ms_metric_table[i];
        if (metric->type != MS_METRIC_HISTOGRAM)
            continue;
        done = done && ms_buffer_printf(out, "- `%s`:", metric->name);
        for (size_t b = 0; b < metric->bounds->count; b++)
            done = done && ms_buffer_printf(out, " %g", metric->bounds->at[b]);
        done = done && ms_buffer_printf(out, "\n");
    }
    return done;
}
