/* The table of commands. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/terminate.h"

/* What jemalloc is told (it looks for this name): the users of a large state lie in huge pages, which halves
 * the cost of finding them, and memory is kept for half a minute before it goes back. MALLOC_CONF overrides
 * it. */
extern const char *malloc_conf;
const char *malloc_conf =
    "thp:always,metadata_thp:always,dirty_decay_ms:30000,muzzy_decay_ms:30000,background_thread:false";

static const struct ms_command *const commands[] = {
    &ms_command_run,
    &ms_command_replay,
    &ms_command_inspect,
    &ms_command_model,
    &ms_command_topics,
    &ms_command_extract,
    &ms_command_train,
    &ms_command_evaluate,
    &ms_command_generate,
    &ms_command_bench,
    &ms_command_demo,
    &ms_command_config,
    NULL,
};

static const struct ms_command root = {
    .name = "mindstream",
    .summary = "keep users' interest vectors up to date with their clicks",
    .description =
        "mindstream keeps users' interest vectors up to date with their clicks: 'mindstream run' reads click events\n"
        "from a Kafka topic, appends each to its user's behavior sequence in a local database, brings the user's\n"
        "vectors up to date by capsule routing, and publishes them to an output topic, exactly once. The other\n"
        "commands work on the same models, states and logs.\n",
    .commands = commands,
    .notes = "'mindstream help COMMAND' tells more of one, 'mindstream --version' the version.\n",
    .exit_status =
        "0 done, 1 failed at run time, 2 bad usage or configuration, 3 a person has to mend something first",
};

/* Opens descriptors 0 to 2 on /dev/null where they are closed. The next file that is opened would take their place
 * otherwise, and get the log's lines. False when that fails. */
static bool fill_standard_descriptors(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int main(int argc, char **argv)
{
    if (!fill_standard_descriptors())
        return 1;
    ms_terminate_with_status();
    /* A reader that goes away is an error of the write, not the end of a process that holds a transaction. */
    signal(SIGPIPE, SIG_IGN);
    return ms_command_main(&root, argc, argv);
}
