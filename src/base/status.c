/* The status table, and filling an error. */
#include "mindstream/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum ms_action action;
    int exit_code;
    const char *text;
} table[MS_STATUS_COUNT] = {
#define MS_STATUS_ROW(code, action, exit_code, text)                                                         \
    [MS_##code] = {#code, MS_ACTION_##action, exit_code, text},
    MS_STATUS_MAP(MS_STATUS_ROW)
#undef MS_STATUS_ROW
};

enum ms_status ms_fail(struct ms_error *error, enum ms_status status, const char *format, ...)
{
    assert(status != MS_OK && status < MS_STATUS_COUNT);
    if (error) {
        va_list args;
        va_start(args, format);
        error->status = status;
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return status;
}

enum ms_status ms_fail_in(struct ms_error *error, enum ms_status status, const char *format, ...)
{
    if (error) {
        char context[sizeof error->text];
        va_list args;
        va_start(args, format);
        int used = vsnprintf(context, sizeof context, format, args);
        va_end(args);
        if (used > 0 && (size_t)used < sizeof context - 2)
            snprintf(context + used, sizeof context - (size_t)used, ": %.*s",
                     (int)(sizeof context - (size_t)used - 3), error->text);
        memcpy(error->text, context, sizeof error->text);
        error->status = status;
    }
    return status;
}

const char *ms_status_name(enum ms_status status)
{
    return table[status].name;
}

const char *ms_status_text(enum ms_status status)
{
    return table[status].text;
}

enum ms_action ms_status_action(enum ms_status status)
{
    return table[status].action;
}

int ms_status_exit_code(enum ms_status status)
{
    return table[status].exit_code;
}
