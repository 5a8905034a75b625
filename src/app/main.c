/* The table of subcommands and the way into them. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"

/* What jemalloc is told (it looks for this name): the users of a large state lie in huge pages, which halves
 * the cost of finding them, and memory is kept for half a minute before it goes back. MALLOC_CONF overrides
 * it. */
extern const char *malloc_conf;
const char *malloc_conf =
    "thp:always,metadata_thp:always,dirty_decay_ms:30000,muzzy_decay_ms:30000,background_thread:false";

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct command commands[] = {
    {"run", ms_cmd_run, "read clicks from Kafka, keep users' interests up to date, publish them"},
    {"inspect", ms_cmd_inspect, "show the state of a user, live or stopped"},
    {"model", ms_cmd_model, "check or describe a model directory"},
    {"extract", ms_cmd_extract, "histories in, interests out, without Kafka or a database"},
    {"evaluate", ms_cmd_evaluate, "what the vectors would have recalled on a click log"},
    {"generate", ms_cmd_generate, "write a synthetic click log and the model that fits it"},
    {"bench", ms_cmd_bench, "time the routing kernels"},
    {"demo", ms_cmd_demo, "the whole path on an embedded broker, in a minute"},
    {"config", ms_cmd_config, "print and check the settings"},
    {NULL, NULL, NULL},
};

static const struct command *find(const char *name)
{
    const struct command *command = commands;
    while (command->name && strcmp(command->name, name) != 0)
        command++;
    return command->name ? command : NULL;
}

static void print_help(FILE *out)
{
    fputs("mindstream keeps users' interest vectors up to date with their clicks.\n\n"
          "Usage: mindstream COMMAND [OPTION]...\n\nCommands:\n",
          out);
    for (const struct command *command = commands; command->name; command++)
        fprintf(out, "  %-10s %s\n", command->name, command->help);
    fputs("\n'mindstream help COMMAND' tells more of one, 'mindstream --version' the version.\n"
          "Exit status: 0 done, 1 failed at run time, 2 bad usage or configuration.\n",
          out);
}

static int unknown(const char *name)
{
    const char *what = name[0] == '-' ? "option" : "command";
    fprintf(stderr, "mindstream: unknown %s '%s'; 'mindstream --help' lists the commands\n", what, name);
    return 2;
}

/* help, and help COMMAND, which is COMMAND --help. */
static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stdout);
        return 0;
    }
    const struct command *command = find(argv[1]);
    if (!command)
        return unknown(argv[1]);
    char option[] = "--help";
    char *arguments[] = {argv[1], option, NULL};
    return command->run(2, arguments);
}

/* Output that could not be written must not end with success: `mindstream ... > /dev/full`. */
static int flushed(int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    perror("mindstream: standard output");
    return exit_code ? exit_code : 1;
}

int main(int argc, char **argv)
{
    /* A reader that goes away is an error of the write, not the end of a process that holds a transaction. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return flushed(help(argc - 1, argv + 1));
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("mindstream " MINDSTREAM_VERSION);
        return flushed(0);
    }
    const struct command *command = find(name);
    return command ? flushed(command->run(argc - 1, argv + 1)) : unknown(name);
}
