/* The metrics, one row each: what /metrics writes, what docs/metrics.md lists, and what queries of dashboards may name. */
#ifndef MS_SERVE_METRIC_H
#define MS_SERVE_METRIC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buckets.h"
#include "base/buffer.h"
#include "serve/observed.h"

enum ms_metric_type { MS_METRIC_COUNTER, MS_METRIC_GAUGE, MS_METRIC_HISTOGRAM, MS_METRIC_INFO };

struct ms_samples;

struct ms_metric {
    const char *name; /* as in a query; a counter's with _total, a histogram's without _bucket */
    enum ms_metric_type type;
    const char *unit; /* a base unit, the end of the name but for _total; "" where it has none */
    const char *help;
    const char *labels;             /* names, blank-separated; NULL where it has none */
    const struct ms_bounds *bounds; /* of a histogram */
    /* Writes the samples of the row, none where there is nothing to tell. */
    void (*read)(const struct ms_metric *metric, const struct ms_observed *observed,
                 struct ms_samples *samples);
    size_t at; /* for |read|: where in what it reads */
};

extern const struct ms_metric ms_metric_table[];
extern const size_t ms_metric_count;

enum ms_exposition {
    MS_EXPOSITION_TEXT, /* Prometheus text 0.0.4 */
    MS_EXPOSITION_OPEN, /* OpenMetrics 1.0 */
};

/* The value of Content-Type. */
const char *ms_exposition_type(enum ms_exposition exposition);
/* What a client takes that sent this Accept (NULL: none): OpenMetrics where it names it with a weight not below text/plain's. */
enum ms_exposition ms_exposition_accepted(const char *accept);

/* Appends all metrics. False without memory: |out| is as it was. */
bool ms_metrics_write(const struct ms_observed *observed, enum ms_exposition exposition,
                      struct ms_buffer *out);

/* Appends docs/metrics.md. False without memory. */
bool ms_metrics_document(struct ms_buffer *out);

/* Appends the samples of |count| rows. False without memory: |out| is as it was. */
bool ms_exposition_write(const struct ms_metric *rows, size_t count, const struct ms_observed *observed,
                         enum ms_exposition exposition, struct ms_buffer *out);

/* ---- for |read| ---- */

/* One sample with a value for each label of the row, in their order. */
void ms_sample(struct ms_samples *samples, const struct ms_metric *metric, double value,
               const char *const *label_values);
/* The samples of a histogram without labels. */
void ms_sample_histogram(struct ms_samples *samples, const struct ms_metric *metric,
                         const struct ms_buckets *buckets);

#endif
