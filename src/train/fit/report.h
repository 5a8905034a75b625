/* What is seen of a training while it runs: a line that rewrites itself on a terminal, a plain line for each pass elsewhere, and
 * JSON lines in a file. */
#ifndef MS_TRAIN_FIT_REPORT_H
#define MS_TRAIN_FIT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mindstream/status.h"
#include "train/fit/judge.h"

struct ms_fit_report {
    FILE *log; /* NULL: none */
    const char *log_path;
    bool terminal;
    double started_s, printed_s, trained_s; /* seconds in steps, without judging */
    uint64_t trained;                       /* targets in these */
};

/* Where it is. */
struct ms_fit_state {
    size_t epoch, epochs; /* from 1; at most */
    double share;         /* of the pass, 0 to 1 */
    uint64_t targets;     /* so far, of all passes */
    uint64_t all_targets; /* at most, of all passes */
    double loss;          /* mean of the pass so far */
    double minutes;       /* that may be used; 0: no limit */
    struct ms_fit_recall recall, best;
    const float *decays; /* [interests], in (0, 1) */
    size_t interests;
    double rate;
    bool better;
};

/* Opens the log; |path| NULL for none. MS_IO. */
enum ms_status ms_fit_report_open(struct ms_fit_report *report, const char *path,
                                  struct ms_error *error) MS_MUST_CHECK;
/* MS_IO where the log could not be written. Legal on one that was not opened. */
enum ms_status ms_fit_report_close(struct ms_fit_report *report, struct ms_error *error) MS_MUST_CHECK;

/* A step is done: on a terminal at most ten lines a second. */
void ms_fit_report_step(struct ms_fit_report *report, const struct ms_fit_state *state);
/* A pass is done and judged. */
void ms_fit_report_epoch(struct ms_fit_report *report, const struct ms_fit_state *state);
/* A line of its own, printf-formatted. */
void ms_fit_report_say(struct ms_fit_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
