/* mindstream inspect: what the state directory holds, while a service runs on it or not. */
#include "app/commands.h"
#include "app/inspect/shared.h"

static const struct ms_command *const commands[] = {
    &ms_inspect_user,   &ms_inspect_users,  &ms_inspect_partitions, &ms_inspect_stats, &ms_inspect_diff,
    &ms_inspect_export, &ms_inspect_import, &ms_inspect_verify,     &ms_inspect_tail,  NULL,
};

const struct ms_command ms_command_inspect = {
    .name = "inspect",
    .summary = "show the state of a user, live or stopped",
    .description =
        "Shows what a state directory holds. Works beside a running service (as of its last flush, state.flush.interval.ms\n"
        "ago at most while events come) and on the state of one that is stopped; changes nothing. With --json each prints\n"
        "one JSON object, whose keys are in its help.\n",
    .commands = commands,
    .examples =
        "mindstream inspect user u42 -c /etc/mindstream/mindstream.properties\n"
        "mindstream inspect user u42 --state-dir /var/lib/mindstream --model /srv/models/tmall --json | jq .interests\n"
        "mindstream inspect users --state-dir /var/lib/mindstream --limit 0 | wc -l\n",
    .exit_status = ms_inspect_exit_status,
};
