/* A child process at the other end of a pair of sockets. */
#include "base/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *ftw)
{
    (void)found, (void)type, (void)ftw;
    return remove(path);
}

void ms_scratch_remove_all(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Has the child do its work, and waits for its end. */
static void end_keeper(struct ms_scratch *scratch)
{
    close(scratch->socket);
    while (scratch->keeper && waitpid(scratch->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    scratch->keeper = 0;
}

/* What the child tells the process. */
struct answer {
    int failure; /* errno, 0: made */
    char path[PATH_MAX];
};

static void make(char path[PATH_MAX], struct answer *answer)
{
    answer->failure = mkdtemp(path) ? 0 : errno;
    memcpy(answer->path, path, PATH_MAX);
}

/* The child. It makes the directory itself, so that there is no moment in which nobody keeps it. What it has of the
 * process's files would stay open, and locked, with it. */
static _Noreturn void keep(struct ms_scratch *scratch, int end)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
    struct answer answer;
    char byte;
    ssize_t got;
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    setsid();
    dup2(end, STDIN_FILENO);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    prctl(PR_SET_NAME, "mindstream-tidy");
    make(scratch->path, &answer);
    got = send(STDIN_FILENO, &answer, sizeof answer, 0);
    while (got > 0 || (got < 0 && errno == EINTR))
        got = read(STDIN_FILENO, &byte, 1);
    if (!answer.failure)
        scratch->remove(answer.path);
    _exit(0);
}

/* Starts the child and waits for its answer. False where none can be had. */
static bool start_keeper(struct ms_scratch *scratch, struct answer *answer)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        keep(scratch, ends[0]);
    }
    close(ends[0]);
    ssize_t got;
    do
        got = child > 0 ? recv(ends[1], answer, sizeof *answer, 0) : 0;
    while (got < 0 && errno == EINTR);
    bool answered = got == sizeof *answer;
    scratch->keeper = child > 0 ? child : 0;
    scratch->socket = ends[1];
    if (!answered || answer->failure)
        end_keeper(scratch);
    return answered;
}

enum ms_status ms_scratch_make(struct ms_scratch *scratch, const char *prefix, const char *name,
                               void (*remove)(const char *path), struct ms_error *error)
{
    struct answer answer;
    *scratch = (struct ms_scratch){.remove = remove};
    if ((size_t)snprintf(scratch->path, sizeof scratch->path, "%s%s-XXXXXX", prefix, name) >=
        sizeof scratch->path) {
        scratch->path[0] = '\0';
        return ms_fail(error, MS_IO, "%.200s...: the name is too long", prefix);
    }
    if (!start_keeper(scratch, &answer))
        make(scratch->path, &answer);
    memcpy(scratch->path, answer.path, sizeof scratch->path);
    if (answer.failure) {
        scratch->path[0] = '\0';
        return ms_fail(error, MS_IO, "%s%s-XXXXXX: cannot make a temporary directory: %s", prefix, name,
                       strerror(answer.failure));
    }
    return MS_OK;
}

enum ms_status ms_scratch_make_in_tmp(struct ms_scratch *scratch, const char *name,
                                      void (*remove)(const char *path), struct ms_error *error)
{
    const char *parent = getenv("TMPDIR");
    return ms_scratch_make(scratch, parent && *parent ? parent : "/tmp", name, remove, error);
}

void ms_scratch_remove(struct ms_scratch *scratch)
{
    if (!scratch->path[0])
        return;
    if (scratch->keeper)
        end_keeper(scratch);
    else
        scratch->remove(scratch->path);
    scratch->path[0] = '\0';
}
