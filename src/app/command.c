/* Finding and running a command. */
#include "app/command.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/command_text.h"
#include "app/nearest.h"

/* The way to a command: its full name and the words that are left for it. */
struct call {
    const struct ms_command *root;
    const struct ms_command *command;
    char title[MS_COMMAND_TITLE_BYTES];
    int count;
    char **words;
};

static const struct ms_command *find_command(const struct ms_command *group, const char *name)
{
    for (const struct ms_command *const *command = group->commands; *command; command++) {
        if (strcmp((*command)->name, name) == 0)
            return *command;
    }
    return NULL;
}

/* How much of a word that fits nowhere a message shows: nothing behind a '=', where a secret may stand. */
static int shown_bytes(const char *word)
{
    return (int)strcspn(word, "=");
}

static enum ms_status fail_unknown_command(const struct call *call, const char *name, struct ms_error *error)
{
    struct ms_nearest nearest = ms_nearest_start(name);
    for (const struct ms_command *const *command = call->command->commands; *command; command++) {
        if (!(*command)->refused)
            ms_nearest_try(&nearest, (*command)->name);
    }
    if (nearest.best)
        return ms_fail(error, MS_USAGE, "unknown command '%s' (did you mean %s?)", name, nearest.best);
    return ms_fail(error, MS_USAGE, "unknown command '%.*s'; '%s --help' lists the commands",
                   shown_bytes(name), name, call->title);
}

/* The option of any command of the group. */
static const struct ms_argument *find_option(const struct ms_command *group, const char *word)
{
    const struct ms_argument *row = NULL;
    for (const struct ms_command *const *command = group->commands; *command && !row; command++)
        row = (*command)->rows ? ms_argument_find((*command)->rows, word) : NULL;
    return row;
}

/* What the words before a command's name hold. */
struct before_name {
    int name;            /* index of the word that names the command; -1: there is none */
    bool help;           /* -h or --help */
    const char *unknown; /* the first option that no command of the group has; NULL: none */
};

/* Options and their values may come before the name (mindstream inspect --json users). */
static struct before_name find_name(const struct call *call)
{
    struct before_name found = {.name = -1};
    for (int i = 0; i < call->count; i++) {
        const char *word = call->words[i];
        if (word[0] != '-') {
            found.name = i;
            break;
        }
        const struct ms_argument *row = find_option(call->command, word);
        found.help = found.help || strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0;
        if (!row && !found.unknown)
            found.unknown = word;
        if (row && ms_argument_has_value(row) && !strchr(word, '='))
            i++;
    }
    return found;
}

/* No word names a command: an unknown option is to blame when there is one. */
static enum ms_status fail_missing(const struct call *call, const char *unknown, struct ms_error *error)
{
    char names[MS_COMMAND_TITLE_BYTES];
    if (unknown)
        return ms_fail(error, MS_USAGE, "unknown option %.*s; see '%s --help'", shown_bytes(unknown), unknown,
                       call->title);
    ms_command_names(call->command, names, sizeof names);
    return ms_fail(error, MS_USAGE, "%s is missing; see '%s --help'", names, call->title);
}

/* Puts the word |at| away; those before it move up. */
static void remove_word(struct call *call, int at)
{
    memmove(call->words + 1, call->words, (size_t)at * sizeof *call->words);
    call->words++;
    call->count--;
}

static void extend_title(struct call *call, const char *name)
{
    size_t used = strlen(call->title);
    snprintf(call->title + used, sizeof call->title - used, " %s", name);
}

/* Goes down the groups to the command that runs. *help is set when the help of the group is asked for. */
static enum ms_status find_called(struct call *call, bool *help, struct ms_error *error)
{
    while (call->command->commands) {
        struct before_name before = find_name(call);
        *help = before.name < 0 && before.help;
        if (before.name < 0)
            return *help ? MS_OK : fail_missing(call, before.unknown, error);
        const struct ms_command *found = find_command(call->command, call->words[before.name]);
        if (!found)
            return fail_unknown_command(call, call->words[before.name], error);
        remove_word(call, before.name);
        if (found->refused)
            return ms_fail(error, MS_USAGE, "%s", found->refused);
        call->command = found;
        extend_title(call, found->name);
    }
    return MS_OK;
}

static enum ms_status run_called(const struct call *call, struct ms_error *error)
{
    bool help = false;
    void *arguments = calloc(1, call->command->arguments_bytes ? call->command->arguments_bytes : 1);
    if (!arguments)
        return ms_fail(error, MS_MEMORY, "no memory for the arguments");
    enum ms_status status = ms_arguments_parse(call->command->rows, call->title, call->count, call->words,
                                               arguments, &help, error);
    if (status == MS_OK && help)
        ms_command_help(stdout, call->command, call->title);
    else if (status == MS_OK && call->command->run)
        status = call->command->run(arguments, error);
    else if (status == MS_OK)
        status = call->command->run_with_root(call->root, arguments, error);
    free(arguments);
    return status;
}

/* help NAME...: NAME may have commands of its own. */
static enum ms_status print_help(struct call *call, struct ms_error *error)
{
    while (call->count > 0 && call->command->commands) {
        const struct ms_command *found = find_command(call->command, call->words[0]);
        if (!found)
            return fail_unknown_command(call, call->words[0], error);
        if (found->refused)
            return ms_fail(error, MS_USAGE, "%s", found->refused);
        call->command = found;
        extend_title(call, found->name);
        call->words++;
        call->count--;
    }
    ms_command_help(stdout, call->command, call->title);
    return MS_OK;
}

/* Output that could not be written must not end with success: `mindstream ... > /dev/full`. */
static int flushed(int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    perror("mindstream: standard output");
    return exit_code ? exit_code : 1;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int ms_command_main(const struct ms_command *root, int argc, char **argv)
{
    struct call call = {.root = root, .command = root, .count = argc - 1, .words = argv + 1};
    struct ms_error error = {0};
    enum ms_status status;
    bool asked_help = false;
    snprintf(call.title, sizeof call.title, "%s", root->name);
    if (argc < 2) {
        ms_command_help(stderr, root, root->name);
        return 2;
    }
    const char *first = argv[1];
    if (is_one_of(first, "--version", "-V")) {
        puts("mindstream " MINDSTREAM_VERSION);
        return flushed(0);
    }
    if (strcmp(first, "help") == 0 || is_one_of(first, "--help", "-h")) {
        call.words++;
        call.count--;
        status = print_help(&call, &error);
    } else if (first[0] == '-') {
        status = ms_fail(&error, MS_USAGE, "unknown option %.*s; '%s --help' lists the commands",
                         shown_bytes(first), first, root->name);
    } else {
        status = find_called(&call, &asked_help, &error);
        if (status == MS_OK && asked_help)
            ms_command_help(stdout, call.command, call.title);
        else if (status == MS_OK)
            status = run_called(&call, &error);
    }
    if (status != MS_OK && error.text[0])
        fprintf(stderr, "%s: %s\n", call.title, error.text);
    return flushed(ms_status_exit_code(status));
}
