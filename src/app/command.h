/* A command of the binary, and the way from argv to it. */
#ifndef MS_APP_COMMAND_H
#define MS_APP_COMMAND_H

#include <stddef.h>

#include "app/arguments.h"

/* Either it has commands of its own (mindstream inspect user) or it runs. Texts are laid out by hand; help prints
 * them as they are. */
struct ms_command {
    const char *name;
    const char *summary;            /* one line, for lists */
    const char *description;        /* what it does, in help and man page */
    const struct ms_argument *rows; /* up to MS_ARGUMENT_END; NULL: it has commands of its own */
    const char *usage_end;          /* behind the rows in the usage line: "< FILE"; NULL: nothing */
    const char *notes;              /* in help, behind the options; NULL: none */
    const char *examples;           /* a line each */
    const char *exit_status;        /* "0 done, 1 ..." */
    const char *refused;            /* why it cannot be run in this version; it is in no list then */
    const struct ms_command *const *commands; /* its own, closed by NULL */
    size_t arguments_bytes;                   /* of the struct that the rows fill */
    /* Does the work. |arguments| may be changed and lives until the end. A failure is printed when the error has a
     * text, with the command's name before it. */
    enum ms_status (*run)(void *arguments, struct ms_error *error);
    /* As run, where that is NULL: for a command that prints what all commands are. |root| is ms_command_main's. */
    enum ms_status (*run_with_root)(const struct ms_command *root, void *arguments, struct ms_error *error);
};

/* Finds the command that |argv| names below |root|, parses and runs it. "help NAME...", -h and --help print help,
 * --version and -V the version. Returns the exit code of the process: 0 done, else that of the status
 * (mindstream/status.h). */
int ms_command_main(const struct ms_command *root, int argc, char **argv);

#endif
