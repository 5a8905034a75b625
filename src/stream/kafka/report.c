/* A worker's partitions as others see them. */
#include "stream/kafka/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "stream/kafka/worker.h"
#include "stream/source.h"

void ms_report_init(struct ms_report *report)
{
    pthread_mutex_init(&report->lock, NULL);
}

void ms_report_destroy(struct ms_report *report)
{
    for (int kind = 0; kind < MS_CLIENT_KINDS; kind++) {
        if (report->statistics[kind])
            rd_kafka_mem_free(NULL, report->statistics[kind]);
    }
    free(report->rows);
    pthread_mutex_destroy(&report->lock);
}

/* ---- writing ---- */

static void fill_position(struct ms_worker *worker, const struct ms_partition *partition,
                          const struct ms_position *position, struct ms_partition_report *row)
{
    int64_t low, high;
    row->source = position->source;
    row->committed = position->committed;
    row->applied = position->flushed;
    row->next = position->next;
    row->replay_until = ms_position_replays(position) ? position->replay_until : 0;
    row->last_time_ms = position->time_ms;
    row->partitions = position->partitions;
    row->owes = ms_debt_is_open(&partition->debt);
    if (!rd_kafka_get_watermark_offsets(worker->consumer, ms_source_topic(position->source, worker->config),
                                        position->partition, &low, &high) &&
        high >= 0) {
        row->log_start = low;
        row->log_end = high;
    }
}

/* The rows of a partition: one for each open source, or one without offsets. False without memory. */
static bool add_rows(struct ms_worker *worker, const struct ms_opening *opening)
{
    struct ms_report *report = &worker->report;
    const struct ms_partition *partition = ms_positions_partition(ms_engine_positions(worker->session.engine),
                                                                  opening->partition);
    struct ms_partition_report row = {.worker = worker->number,
                                      .partition = opening->partition,
                                      .state = opening->state,
                                      .committed = -1,
                                      .applied = -1,
                                      .next = -1,
                                      .log_start = -1,
                                      .log_end = -1};
    if (opening->state == MS_PARTITION_WAITING)
        snprintf(row.reason, sizeof row.reason, "%s", opening->reason);
    if (!ms_array_reserve(&report->rows, &report->capacity, report->count + MS_SOURCES, sizeof *report->rows))
        return false;
    size_t before = report->count;
    for (int source = 0; partition && source < MS_SOURCES; source++) {
        if (!(partition->open & 1u << source))
            continue;
        report->rows[report->count] = row;
        fill_position(worker, partition, &partition->positions[source], &report->rows[report->count++]);
    }
    if (report->count == before)
        report->rows[report->count++] = row;
    return true;
}

static uint64_t lag_of(const struct ms_report *report)
{
    uint64_t lag = 0;
    for (size_t i = 0; i < report->count; i++) {
        const struct ms_partition_report *row = &report->rows[i];
        lag += row->next >= 0 && row->log_end > row->next ? (uint64_t)(row->log_end - row->next) : 0;
    }
    return lag;
}

void ms_report_write(struct ms_worker *worker)
{
    struct ms_report *report = &worker->report;
    pthread_mutex_lock(&report->lock);
    report->count = 0;
    bool room = true;
    for (size_t i = 0; room && i < worker->openings.count; i++)
        room = add_rows(worker, &worker->openings.list[i]);
    uint64_t lag = lag_of(report);
    pthread_mutex_unlock(&report->lock);
    ms_gauge(&worker->stats.lag, lag);
    ms_gauge(&worker->stats.partitions, worker->openings.count);
}

void ms_report_assigned(struct ms_worker *worker)
{
    ms_report_write(worker);
    pthread_mutex_lock(&worker->report.lock);
    worker->report.assigned = true;
    pthread_mutex_unlock(&worker->report.lock);
}

void ms_report_clear(struct ms_worker *worker)
{
    pthread_mutex_lock(&worker->report.lock);
    worker->report.count = 0;
    worker->report.assigned = false;
    pthread_mutex_unlock(&worker->report.lock);
    ms_gauge(&worker->stats.lag, 0);
    ms_gauge(&worker->stats.partitions, 0);
}

char *ms_report_statistics(struct ms_report *report, enum ms_client_kind kind, char *text)
{
    pthread_mutex_lock(&report->lock);
    char *before = report->statistics[kind];
    report->statistics[kind] = text;
    pthread_mutex_unlock(&report->lock);
    return before;
}

/* ---- reading ---- */

char *ms_report_copy_statistics(struct ms_report *report, enum ms_client_kind kind)
{
    pthread_mutex_lock(&report->lock);
    char *copy = report->statistics[kind] ? strdup(report->statistics[kind]) : NULL;
    pthread_mutex_unlock(&report->lock);
    return copy;
}

bool ms_report_copy(struct ms_report *report, struct ms_partition_report **rows, size_t *count)
{
    pthread_mutex_lock(&report->lock);
    struct ms_partition_report *bigger = realloc(*rows, (*count + report->count + 1) * sizeof **rows);
    if (bigger) {
        if (report->count)
            memcpy(bigger + *count, report->rows, report->count * sizeof *bigger);
        *rows = bigger;
        *count += report->count;
    }
    pthread_mutex_unlock(&report->lock);
    return bigger != NULL;
}
