/* A child by posix_spawn, two pipes, one deadline. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/progress.h"

#define ERROR_LINE_BYTES 200 /* of the child's error output: more is read and dropped */

extern char **environ;

/* ---- words ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Moves the word at *in to *out and ends it. What is wrong with it, or NULL. */
static const char *take_word(const char **in, char **out)
{
    char quote = '\0';
    for (; **in && (quote || !is_blank(**in)); (*in)++) {
        if (quote ? **in == quote : **in == '\'' || **in == '"')
            quote = quote ? '\0' : **in;
        else
            *(*out)++ = **in;
    }
    *(*out)++ = '\0';
    return quote ? "has a quote without its end" : NULL;
}

enum ms_status ms_words_split(struct ms_words *words, const char *command, struct ms_error *error)
{
    const char *in = command, *wrong = NULL;
    *words = (struct ms_words){.text = malloc(2 * strlen(command) + 2)};
    char *out = words->text;
    if (!out)
        return ms_fail(error, MS_MEMORY, "no memory for a command");
    for (;;) {
        while (is_blank(*in))
            in++;
        if (!*in || wrong)
            break;
        if (words->count == MS_CHILD_WORDS_MAX) {
            wrong = "has more than 64 words";
            break;
        }
        words->words[words->count++] = out;
        wrong = take_word(&in, &out);
    }
    words->words[words->count] = NULL;
    if (!wrong && (!words->count || words->words[0][0] != '/'))
        wrong = "does not begin with the absolute path of a program";
    return wrong ? ms_fail(error, MS_CONFIG, "the command %s", wrong) : MS_OK;
}

void ms_words_free(struct ms_words *words)
{
    free(words->text);
    *words = (struct ms_words){0};
}

/* ---- running ---- */

struct child {
    pid_t pid;
    int out, err; /* the ends that are read, -1: closed */
    char line[ERROR_LINE_BYTES + 1];
    size_t line_bytes;
    bool line_ended;
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* 0 or an errno. */
static int spawn(struct child *child, const struct ms_words *words, int out, int err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, standard;
    sigemptyset(&none);
    sigemptyset(&standard);
    sigaddset(&standard, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    int code = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (!code)
        code = posix_spawn_file_actions_adddup2(&files, out, 1);
    if (!code)
        code = posix_spawn_file_actions_adddup2(&files, err, 2);
    if (!code)
        code = posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&how, 0); /* one of its own */
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &standard);
    if (!code)
        code = posix_spawn(&child->pid, words->words[0], &files, &how, words->words, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

static enum ms_status start(struct child *child, const struct ms_words *words, struct ms_error *error)
{
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    int code = pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) ? errno : 0;
    if (!code)
        code = spawn(child, words, out[1], err[1]);
    close_end(&out[1]);
    close_end(&err[1]);
    if (code) {
        close_end(&out[0]);
        close_end(&err[0]);
        return ms_fail(error, MS_IO, "%s cannot be run: %s", words->words[0], strerror(code));
    }
    child->out = out[0];
    child->err = err[0];
    return MS_OK;
}

/* Keeps the first line that is not empty. */
static void keep_line(struct child *child, const char *data, size_t size)
{
    for (size_t i = 0; i < size && !child->line_ended; i++) {
        if (data[i] == '\n' || data[i] == '\r' || child->line_bytes == ERROR_LINE_BYTES)
            child->line_ended = child->line_bytes > 0;
        else
            child->line[child->line_bytes++] = data[i];
    }
}

/* Reads what is there; closes *fd at its end. False: it is too much. */
static bool drain(struct child *child, int *fd, struct ms_buffer *out)
{
    char data[4096];
    ssize_t got = read(*fd, data, sizeof data);
    if (got < 0 && errno == EINTR)
        return true;
    if (got <= 0) {
        close_end(fd);
        return true;
    }
    if (out) {
        bool fits = ms_buffer_append(out, data, (size_t)got);
        explicit_bzero(data, sizeof data);
        return fits;
    }
    keep_line(child, data, (size_t)got);
    return true;
}

/* Reads both pipes to their ends. Why it was given up, or NULL. */
static const char *read_all(struct child *child, double until_s, struct ms_buffer *out)
{
    while (child->out >= 0 || child->err >= 0) {
        struct pollfd fds[] = {{.fd = child->out, .events = POLLIN}, {.fd = child->err, .events = POLLIN}};
        double left_s = until_s - ms_monotonic_s();
        if (left_s <= 0)
            return "did not end in time";
        if (poll(fds, 2, (int)(left_s * 1000) + 1) < 0 && errno != EINTR)
            return "could not be waited for";
        if (child->out >= 0 && fds[0].revents && !drain(child, &child->out, out))
            return "printed too much";
        if (child->err >= 0 && fds[1].revents)
            drain(child, &child->err, NULL);
    }
    return NULL;
}

/* Waits for its end until |until_s|; false: it has not ended. */
static bool reap(const struct child *child, double until_s, int *how)
{
    for (;;) {
        pid_t got = waitpid(child->pid, how, WNOHANG);
        if (got == child->pid || (got < 0 && errno != EINTR))
            return true;
        if (ms_monotonic_s() >= until_s)
            return false;
        usleep(2000);
    }
}

static enum ms_status failed(const struct child *child, const char *program, int how, struct ms_error *error)
{
    const char *line = ms_utf8_valid(child->line, child->line_bytes) ? child->line : "(not UTF-8)";
    const char *said = child->line_bytes ? line : "it said nothing on its error output";
    if (WIFSIGNALED(how))
        return ms_fail(error, MS_IO, "%s was killed by signal %d: %s", program, WTERMSIG(how), said);
    return ms_fail(error, MS_IO, "%s ended with status %d: %s", program, WEXITSTATUS(how), said);
}

enum ms_status ms_child_run(const struct ms_words *words, int64_t most_ms, struct ms_buffer *out,
                            struct ms_error *error)
{
    struct child child = {.out = -1, .err = -1};
    double until_s = ms_monotonic_s() + (double)most_ms / 1e3;
    int how = 0;
    enum ms_status status = start(&child, words, error);
    if (status != MS_OK)
        return status;
    const char *gave_up = read_all(&child, until_s, out);
    if (!gave_up && !reap(&child, until_s, &how))
        gave_up = "did not end in time";
    close_end(&child.out);
    close_end(&child.err);
    if (gave_up) {
        kill(-child.pid, SIGKILL);
        while (waitpid(child.pid, &how, 0) < 0 && errno == EINTR)
            continue;
        return ms_fail(error, MS_IO, "%s %s (%lld ms and %zu bytes are allowed) and was killed",
                       words->words[0], gave_up, (long long)most_ms, out->max);
    }
    return WIFEXITED(how) && WEXITSTATUS(how) == 0 ? MS_OK : failed(&child, words->words[0], how, error);
}
