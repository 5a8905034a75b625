/* A temporary directory that goes away with the process, however the process ends.
 *
 * A child process makes and keeps it, and removes it when the process has closed its end of a pair of sockets. The
 * kernel closes that also for a process that is killed or aborts. The child ignores the signals of a terminal and of an
 * orderly end, and holds no other file open. */
#ifndef MS_BASE_SCRATCH_H
#define MS_BASE_SCRATCH_H

#include <limits.h>
#include <sys/types.h>

#include "mindstream/status.h"

struct ms_scratch {
    char path[PATH_MAX]; /* "" where there is none */
    void (*remove)(const char *path);
    pid_t keeper; /* 0: none could be started, so a killed process leaves the directory */
    int socket;
};

/* Makes the directory PREFIX NAME-XXXXXX (mode 0700). |remove| takes it away; in the child when it can, so it may use
 * what a child of a process with one thread may use. ms_scratch_remove_all removes all that is in it. */
enum ms_status ms_scratch_make(struct ms_scratch *scratch, const char *prefix, const char *name,
                               void (*remove)(const char *path), struct ms_error *error) MS_MUST_CHECK;
/* The same in TMPDIR, or /tmp. */
enum ms_status ms_scratch_make_in_tmp(struct ms_scratch *scratch, const char *name,
                                      void (*remove)(const char *path), struct ms_error *error) MS_MUST_CHECK;

/* Has the directory removed, and waits for it. Nothing where there is none (zeroed). One that the caller has renamed
 * stays. */
void ms_scratch_remove(struct ms_scratch *scratch);

/* Removes a directory and all that is in it; links are not followed. */
void ms_scratch_remove_all(const char *path);

#endif
