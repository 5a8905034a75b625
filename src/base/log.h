/* Log lines: one line each, to stderr, "time level event key=value ...". Process-wide are the level
 * and the number of lines. */
#ifndef MS_BASE_LOG_H
#define MS_BASE_LOG_H

#include <stdbool.h>

enum ms_log_level { MS_LOG_ERROR, MS_LOG_WARN, MS_LOG_INFO, MS_LOG_DEBUG };

/* Writes a line when |level| is on. |event| is a short fixed word; |format| makes the key=value part (values
 * that may hold blanks are quoted by the caller, with \"%s\"). Control characters are replaced. Any thread.
 */
void ms_log(enum ms_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void ms_log_set_level(enum ms_log_level level);
bool ms_log_enabled(enum ms_log_level level);
/* "error", "warn", "info", "debug"; false when |name| is none of them. */
bool ms_log_parse_level(const char *name, enum ms_log_level *level);

/* How many lines were written so far: what draws on a terminal begins anew below them. Any thread. */
unsigned ms_log_lines(void);

/* For lines that bad input could repeat without end: at most one line in |every_s| for each limiter (0: each second). */
struct ms_log_limit {
    int every_s;
    long long last_s;
    unsigned long long suppressed;
};
/* Whether a line may be written now; *suppressed is how many were held back since the last. One thread a
 * limiter. */
bool ms_log_allow(struct ms_log_limit *limit, unsigned long long *suppressed);

#endif
