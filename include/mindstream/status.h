/* One status for every function that can fail, and the error text that goes with it.
 *
 * A function that can fail returns enum ms_status and takes a `struct ms_error *`, which it fills where the
 * failure happens, with the values at hand; callers hand it up unchanged and print it once. Passing NULL is
 * legal. */
#ifndef MINDSTREAM_STATUS_H
#define MINDSTREAM_STATUS_H

#include "mindstream/api.h"

MS_API_BEGIN

/* What a caller does about a failure (after librdkafka's fatal / retriable / txn-requires-abort). */
enum ms_action {
    MS_ACTION_NONE,       /* nothing failed */
    MS_ACTION_STOP,       /* end with an error */
    MS_ACTION_RETRY,      /* the same call may work later */
    MS_ACTION_ABORT,      /* abort the transaction, drop the overlay, fold again */
    MS_ACTION_SKIP_EVENT, /* this event is bad: dead-letter it and go on */
};

/* X(code, action, exit code, text). Exit code 3: only a person can mend it, so starting again is of no use. */
#define MS_STATUS_MAP(X)                                                                                     \
    X(OK, NONE, 0, "done")                                                                                   \
    X(USAGE, STOP, 2, "bad usage")                                                                           \
    X(CONFIG, STOP, 2, "bad configuration")                                                                  \
    X(IO, STOP, 1, "input or output failed")                                                                 \
    X(MEMORY, STOP, 1, "out of memory")                                                                      \
    X(FORMAT, STOP, 1, "bad file format")                                                                    \
    X(MODEL, STOP, 1, "bad model")                                                                           \
    X(STATE, STOP, 3, "bad state")                                                                           \
    X(STATE_BUSY, STOP, 1, "the state directory is in use")                                                  \
    X(STATE_NEWER, STOP, 3, "the state was written by a newer version")                                      \
    X(EVENT, SKIP_EVENT, 1, "bad event")                                                                     \
    X(KAFKA, STOP, 1, "Kafka error")                                                                         \
    X(KAFKA_RETRY, RETRY, 1, "Kafka is not ready")                                                           \
    X(KAFKA_ABORT, ABORT, 1, "the transaction must be aborted")                                              \
    X(OFFSETS, STOP, 3, "offsets do not fit the log")                                                        \
    X(NOT_FOUND, STOP, 1, "not found")                                                                       \
    X(KAFKA_REFUSED, STOP, 3, "Kafka refuses it")

enum ms_status {
#define MS_STATUS_ENUM(code, action, exit_code, text) MS_##code,
    MS_STATUS_MAP(MS_STATUS_ENUM)
#undef MS_STATUS_ENUM
        MS_STATUS_COUNT
};

struct ms_error {
    enum ms_status status;
    char text[1024];
};

#define MS_MUST_CHECK __attribute__((warn_unused_result))

/* Fills *error (when not NULL) with the status and a printf-formatted text, and returns the status. Any
 * thread. */
enum ms_status ms_fail(struct ms_error *error, enum ms_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of an error that is already set, gives it |status|, and returns that. */
enum ms_status ms_fail_in(struct ms_error *error, enum ms_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The code's name ("MODEL"), its general text, what to do about it, and the process's exit code for it. */
const char *ms_status_name(enum ms_status status);
const char *ms_status_text(enum ms_status status);
enum ms_action ms_status_action(enum ms_status status);
int ms_status_exit_code(enum ms_status status);

MS_API_END

#endif
