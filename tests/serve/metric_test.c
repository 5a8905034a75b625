/* The table of metrics keeps its rules, and both formats come out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "serve/metric.h"
#include "stream/dead_letter.h"

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), tail = strlen(end);
    return size >= tail && strcmp(text + size - tail, end) == 0;
}

/* Prometheus's conventions: a prefix, base units, counters with _total. */
static void names_follow_the_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < ms_metric_count; i++) {
        const struct ms_metric *metric = &ms_metric_table[i];
        bool counter = metric->type == MS_METRIC_COUNTER;
        size_t stem = strlen(metric->name) - (counter ? strlen("_total") : 0);
        size_t unit = strlen(metric->unit);
        assert_int_equal(strncmp(metric->name, "mindstream_", 11), 0);
        assert_int_equal(strspn(metric->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(metric->name));
        assert_int_equal(ends_with(metric->name, "_total"), counter);
        assert_int_equal(ends_with(metric->name, "_info"), metric->type == MS_METRIC_INFO);
        assert_true(unit == 0 || strncmp(metric->name + stem - unit, metric->unit, unit) == 0);
        assert_true(unit == 0 || strcmp(metric->unit, "seconds") == 0 || strcmp(metric->unit, "bytes") == 0);
        assert_int_equal(metric->bounds != NULL, metric->type == MS_METRIC_HISTOGRAM);
        assert_true(ends_with(metric->help, "."));
        assert_non_null((const void *)(size_t)(metric->read != NULL));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(metric->name, ms_metric_table[j].name);
    }
}

/* A label with a value for each user or item would grow without end. */
static void no_user_is_a_label(void **state)
{
    (void)state;
    for (size_t i = 0; i < ms_metric_count; i++) {
        const char *labels = ms_metric_table[i].labels;
        assert_true(!labels || (!strstr(labels, "user") && !strstr(labels, "item")));
    }
}

static struct ms_observed *sample(void)
{
    static struct ms_observed observed;
    static struct ms_traffic traffic;
    static struct ms_service_options options;
    static struct ms_partition_report partition = {.state = MS_PARTITION_LIVE,
                                                   .partition = 7,
                                                   .committed = 10,
                                                   .applied = 5,
                                                   .next = 10,
                                                   .log_start = 0,
                                                   .log_end = 25,
                                                   .last_time_ms = 99000,
                                                   .partitions = 8};
    static struct ms_config config = {.input_topic = "a\"b\\c\nd", .profile_topic = ""};
    memset(&observed, 0, sizeof observed);
    options.config = &config;
    observed.now_s = 100;
    observed.traffic = &traffic;
    observed.options = &options;
    observed.partitions = &partition;
    observed.partition_count = 1;
    ms_buckets_add(&observed.total.commit_seconds, &ms_bounds_duration, 0.002, 3);
    ms_buckets_add(&observed.total.commit_seconds, &ms_bounds_duration, 99, 1);
    return &observed;
}

/* Without a model: rows that look at it are left out. */
static bool write_text(const struct ms_observed *observed, enum ms_exposition exposition,
                       struct ms_buffer *out)
{
    bool done = ms_metrics_write(observed, exposition, out) && ms_buffer_append(out, "", 1);
    return done;
}

static void text_of_the_start(void **state)
{
    struct ms_buffer out = {0};
    struct ms_traffic traffic = {.limited = 3};
    struct ms_observed observed = {.traffic = &traffic};
    (void)state;
    if (!write_text(&observed, MS_EXPOSITION_TEXT, &out)) {
        ms_buffer_free(&out);
        return;
    }
    assert_non_null(strstr(out.data, "# TYPE mindstream_build_info gauge\nmindstream_build_info{version=\""));
    assert_non_null(strstr(out.data, "# TYPE mindstream_http_requests_limited_total counter\n"
                                     "mindstream_http_requests_limited_total 3\n"));
    assert_non_null(strstr(out.data, "\nmindstream_ready 0\n"));
    assert_null(strstr(out.data, "mindstream_events_read_total"));
    assert_null(strstr(out.data, "# EOF"));
    ms_buffer_free(&out);
}

static void samples_of_a_row(void **state)
{
    struct ms_buffer out = {0};
    struct ms_observed *observed = sample();
    (void)state;
    observed->options = NULL; /* the model's row would ask it */
    observed->partition_count = 0;
    struct ms_traffic traffic = {.routes[0] = "metrics", .requests[0][2] = 5};
    observed->traffic = &traffic;
    if (write_text(observed, MS_EXPOSITION_OPEN, &out)) {
        assert_non_null(strstr(out.data, "# TYPE mindstream_build info\nmindstream_build_info{"));
        assert_non_null(strstr(out.data,
                               "# TYPE mindstream_http_requests counter\n"
                               "mindstream_http_requests_total{route=\"metrics\",status=\"2xx\"} 5\n"));
        assert_non_null(strstr(out.data, "# UNIT mindstream_process_cpu_seconds seconds\n"));
        assert_true(ends_with(out.data, "# EOF\n"));
    }
    ms_buffer_free(&out);
}

static void accepted_formats(void **state)
{
    static const struct {
        const char *accept;
        enum ms_exposition exposition;
    } cases[] = {
        {NULL, MS_EXPOSITION_TEXT},
        {"", MS_EXPOSITION_TEXT},
        {"*/*", MS_EXPOSITION_TEXT},
        {"application/openmetrics-text", MS_EXPOSITION_OPEN},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         MS_EXPOSITION_OPEN},
        {"text/plain, application/openmetrics-text;q=0.3", MS_EXPOSITION_TEXT},
        {"application/openmetrics-text; q=0", MS_EXPOSITION_TEXT},
        {"application/openmetrics-textual", MS_EXPOSITION_TEXT},
        {",,;;q=,", MS_EXPOSITION_TEXT}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ms_exposition_accepted(cases[i].accept), cases[i].exposition);
}

static void buckets_count_up(void **state)
{
    const struct ms_observed *observed = sample();
    const struct ms_buckets *buckets = &observed->total.commit_seconds;
    struct ms_buckets sum = {0};
    (void)state;
    assert_int_equal(buckets->counts[4], 3); /* up to 2.5 ms */
    assert_int_equal(buckets->counts[ms_bounds_duration.count], 1);
    ms_buckets_merge(&sum, buckets);
    ms_buckets_merge(&sum, buckets);
    assert_int_equal(sum.counts[4], 6);
    assert_true(sum.sum > 198 && sum.sum < 198.1);
}

/* Readiness names what is missing. */
static void readiness(void **state)
{
    struct ms_observed *observed = sample();
    struct ms_worker_report worker = {.phase = MS_WORKER_TURNING, .assigned = true};
    char reason[200];
    (void)state;
    observed->workers = &worker;
    observed->worker_count = 1;
    assert_true(ms_observed_ready(observed, reason, sizeof reason));
    observed->partitions->state = MS_PARTITION_REPLAYING;
    observed->partitions->replay_until = 12;
    assert_false(ms_observed_ready(observed, reason, sizeof reason));
    assert_non_null(strstr(reason, "partition 7: replaying (2 of its events left)"));
    assert_false(ms_observed_ready(observed, reason, 8)); /* cut, not overrun */
    observed->partitions->state = MS_PARTITION_LIVE;
    observed->partitions->replay_until = 0;
    worker.assigned = false;
    assert_false(ms_observed_ready(observed, reason, sizeof reason));
    assert_string_equal(reason, "worker 0 waits for its partitions");
}

static void kinds_of_faults(void **state)
{
    (void)state;
    assert_int_equal(ms_bad_kind("user: \"user_id\" is a list, expected"), MS_BAD_user);
    assert_int_equal(ms_bad_kind("user: the record key is empty (input.key.format=long)"), MS_BAD_key);
    assert_int_equal(ms_bad_kind("time: \"t\" is 5: before"), MS_BAD_time);
    assert_int_equal(ms_bad_kind("the value is not JSON: ends early"), MS_BAD_json);
    assert_int_equal(ms_bad_kind("the profile is not a JSON object"), MS_BAD_profile);
    assert_int_equal(ms_bad_kind("something new"), MS_BAD_other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_rules),
        cmocka_unit_test(no_user_is_a_label),
        cmocka_unit_test(text_of_the_start),
        cmocka_unit_test(samples_of_a_row),
        cmocka_unit_test(accepted_formats),
        cmocka_unit_test(buckets_count_up),
        cmocka_unit_test(readiness),
        cmocka_unit_test(kinds_of_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
