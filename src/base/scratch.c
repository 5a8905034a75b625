/* A child process at the other end of a pipe. */
#include "base/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

/* The child. What it has of the process's files would stay open, and locked, with it. */
static _Noreturn void keep(const struct ms_scratch *scratch, int end)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
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
    do
        got = read(STDIN_FILENO, &byte, 1);
    while (got > 0 || (got < 0 && errno == EINTR));
    scratch->remove(scratch->path);
    _exit(0);
}

static void start_keeper(struct ms_scratch *scratch)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        keep(scratch, ends[0]);
    }
    close(ends[0]);
    if (child < 0)
        close(ends[1]);
    else
        scratch->pipe = ends[1];
    scratch->keeper = child > 0 ? child : 0;
}

enum ms_status ms_scratch_make(struct ms_scratch *scratch, const char *prefix,
                               void (*remove)(const char *path), struct ms_error *error)
{
    *scratch = (struct ms_scratch){.remove = remove};
    if ((size_t)snprintf(scratch->path, sizeof scratch->path, "%s-XXXXXX", prefix) >= sizeof scratch->path) {
        scratch->path[0] = '\0';
        return ms_fail(error, MS_IO, "%.200s...: the name is too long", prefix);
    }
    if (!mkdtemp(scratch->path)) {
        scratch->path[0] = '\0';
        return ms_fail(error, MS_IO, "%s-XXXXXX: cannot make a temporary directory: %s", prefix,
                       strerror(errno));
    }
    start_keeper(scratch);
    return MS_OK;
}

enum ms_status ms_scratch_make_in_tmp(struct ms_scratch *scratch, const char *name,
                                      void (*remove)(const char *path), struct ms_error *error)
{
    const char *parent = getenv("TMPDIR");
    char prefix[PATH_MAX];
    if ((size_t)snprintf(prefix, sizeof prefix, "%s/%s", parent && *parent ? parent : "/tmp", name) >=
        sizeof prefix)
        return ms_fail(error, MS_IO, "TMPDIR is longer than %zu bytes", sizeof prefix);
    return ms_scratch_make(scratch, prefix, remove, error);
}

void ms_scratch_remove(struct ms_scratch *scratch)
{
    if (!scratch->path[0])
        return;
    if (scratch->keeper) {
        close(scratch->pipe);
        while (waitpid(scratch->keeper, NULL, 0) < 0 && errno == EINTR)
            ;
    } else {
        scratch->remove(scratch->path);
    }
    scratch->path[0] = '\0';
}
