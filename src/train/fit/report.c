/* Progress of a training, on stderr and as JSON lines. */
#include "train/fit/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/progress.h"

#define DECAYS_SHOWN 8

enum ms_status ms_fit_report_open(struct ms_fit_report *report, const char *path, struct ms_error *error)
{
    *report = (struct ms_fit_report){
        .log_path = path, .terminal = isatty(STDERR_FILENO) == 1, .started_s = ms_monotonic_s()};
    if (!path)
        return MS_OK;
    report->log = fopen(path, "we");
    return report->log ? MS_OK : ms_fail(error, MS_IO, "%s: %s", path, strerror(errno));
}

enum ms_status ms_fit_report_close(struct ms_fit_report *report, struct ms_error *error)
{
    if (!report->log)
        return MS_OK;
    bool failed = ferror(report->log) != 0;
    failed = fclose(report->log) != 0 || failed;
    report->log = NULL;
    return failed
               ? ms_fail(error, MS_IO, "%s: it could not be written: %s", report->log_path, strerror(errno))
               : MS_OK;
}

static double rate_of(const struct ms_fit_report *report)
{
    return report->trained_s > 0 ? (double)report->trained / report->trained_s : 0.0;
}

static void print_decays(FILE *out, const struct ms_fit_state *state)
{
    if (state->interests)
        fputs(", decays", out);
    for (size_t j = 0; j < state->interests && j < DECAYS_SHOWN; j++)
        fprintf(out, " %.2f", (double)state->decays[j]);
    if (state->interests > DECAYS_SHOWN)
        fputs(" ..", out);
}

/* Seconds until the last pass, or the end of the time that is given. It may end sooner. */
static double left_s(const struct ms_fit_report *report, const struct ms_fit_state *state)
{
    double elapsed = ms_monotonic_s() - report->started_s;
    double left = report->trained
                      ? elapsed / (double)report->trained * (double)(state->all_targets - state->targets)
                      : 0;
    if (state->minutes > 0 && state->minutes * 60 - elapsed < left)
        left = state->minutes * 60 - elapsed;
    return left > 0 ? left : 0;
}

void ms_fit_report_step(struct ms_fit_report *report, const struct ms_fit_state *state)
{
    double now_s = ms_monotonic_s();
    if (!report->terminal || now_s - report->printed_s < 0.1)
        return;
    report->printed_s = now_s;
    fprintf(stderr, "\r\033[Kpass %zu, %.0f %%: %.0f targets/s, loss %.3f", state->epoch, 100 * state->share,
            rate_of(report), state->loss);
    if (state->best.targets)
        fprintf(stderr, ", recall@50 %.4f, best %.4f", state->recall.at_50, state->best.at_50);
    print_decays(stderr, state);
    fprintf(stderr, ", at most %.0f s left", left_s(report, state));
    fflush(stderr);
}

static void log_epoch(struct ms_fit_report *report, const struct ms_fit_state *state)
{
    fprintf(report->log,
            "{\"pass\": %zu, \"targets\": %" PRIu64
            ", \"seconds\": %.3f, \"targets_per_s\": %.0f, \"loss\": %.6f, "
            "\"recall@20\": %.6f, \"recall@50\": %.6f, \"stderr@50\": %.6f, \"judged\": %" PRIu64
            ", \"better\": %s, \"learning_rate\": %.3g, \"decays\": [",
            state->epoch, state->targets, report->trained_s, rate_of(report), state->loss,
            state->recall.at_20, state->recall.at_50, state->recall.error_50, state->recall.targets,
            state->better ? "true" : "false", state->rate);
    for (size_t j = 0; j < state->interests; j++)
        fprintf(report->log, "%s%.6f", j ? ", " : "", (double)state->decays[j]);
    fputs("]}\n", report->log);
    fflush(report->log);
}

void ms_fit_report_epoch(struct ms_fit_report *report, const struct ms_fit_state *state)
{
    fprintf(stderr,
            "%spass %zu: %" PRIu64 " targets, %.1f s, %.0f/s, loss %.4f, recall@20 %.4f, recall@50 %.4f%s",
            report->terminal ? "\r\033[K" : "", state->epoch, state->targets, report->trained_s,
            rate_of(report), state->loss, state->recall.at_20, state->recall.at_50,
            state->better ? " (best)" : "");
    print_decays(stderr, state);
    fputc('\n', stderr);
    if (report->log)
        log_epoch(report, state);
}

void ms_fit_report_say(struct ms_fit_report *report, const char *format, ...)
{
    va_list arguments;
    if (report->terminal)
        fputs("\r\033[K", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}
