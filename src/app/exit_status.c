/* The table of exit statuses. enum ms_status (mindstream/status.h) says which of them a failure has. */
#include "app/exit_status.h"

const struct ms_exit_status ms_exit_statuses[] = {
    {0, "done",
     "The command has done what it was asked for; the service was asked to stop, and has committed and written "
     "its state."},
    {1, "failed at run time",
     "It may pass: a broker that is away, a full disk, another process that uses the state. systemd "
     "starts the service again."},
    {2, "bad usage or configuration",
     "An argument or a setting is wrong or missing; the message names it, and what is legal. "
     "systemd does not start the service again."},
    {3, "a person has to mend something first",
     "Offsets that do not fit the log, a state that is damaged or of a newer version, a right that the brokers refuse. The "
     "message has the command that mends it, where there is one. systemd does not start the service again: a member that "
     "joins and ends in a circle holds partitions that others could serve."},
};

const int ms_exit_status_count = sizeof ms_exit_statuses / sizeof ms_exit_statuses[0];
