/* One formatted line, one write. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"error", "warn", "info", "debug"};
static atomic_int current_level = MS_LOG_INFO;
static atomic_uint lines;

void ms_log_set_level(enum ms_log_level level)
{
    atomic_store(&current_level, (int)level);
}

bool ms_log_enabled(enum ms_log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

unsigned ms_log_lines(void)
{
    return atomic_load_explicit(&lines, memory_order_relaxed);
}

bool ms_log_parse_level(const char *name, enum ms_log_level *level)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(names[i], name) == 0) {
            *level = (enum ms_log_level)i;
            return true;
        }
    }
    return false;
}

void ms_log(enum ms_log_level level, const char *event, const char *format, ...)
{
    if (!ms_log_enabled(level))
        return;
    char line[4096];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    used += (size_t)snprintf(line + used, sizeof line - used, ".%03ldZ %s %s ", now.tv_nsec / 1000000,
                             names[level], event);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    if (n > 0)
        used = used + (size_t)n < sizeof line - 2 ? used + (size_t)n : sizeof line - 2;
    for (size_t i = 0; i < used; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    }
    line[used++] = '\n';
    atomic_fetch_add_explicit(&lines, 1, memory_order_relaxed);
    for (size_t done = 0; done < used;) {
        ssize_t wrote = write(STDERR_FILENO, line + done, used - done);
        if (wrote <= 0)
            return;
        done += (size_t)wrote;
    }
}

bool ms_log_allow(struct ms_log_limit *limit, unsigned long long *suppressed)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (limit->last_s != 0 && now.tv_sec < limit->last_s + (limit->every_s ? limit->every_s : 1)) {
        limit->suppressed++;
        return false;
    }
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->last_s = now.tv_sec;
    return true;
}
