/* mindstream(8). */
#include "app/service_docs.h"

#include <stddef.h>

#include "app/exit_status.h"
#include "app/layout.h"
#include "app/option_table.h"
#include "mindstream/status.h"

struct row {
    const char *name, *text;
};

/* clang-format off */
static const struct row signals[] = {
    {"SIGTERM, SIGINT", "Commit what is folded, write the state, end with status 0; status 1 where the last commit fails or takes "
                        "longer than 20 seconds. A second one ends the process at once, with status 128 and its number. Nothing is "
                        "lost by that: the next start folds again what the state has not seen."},
    {"SIGHUP",          "Read the settings again (see RELOADING)."},
    {"SIGKILL",         "As a power cut: the next start settles the open transaction and folds again what the state on disk lacks, "
                        "without publishing it again."},
};

static const struct row files[] = {
    {"/etc/mindstream/mindstream.properties", "The settings: mindstream.properties(5). The package keeps changes over upgrades and "
                                              "removes the file with purge."},
    {"/etc/mindstream/environment",           "Optional: settings as environment variables, a line each, for secrets "
                                              "(MINDSTREAM_KAFKA_SASL_PASSWORD=...). May have mode 0600."},
    {"/var/lib/mindstream",                   "The state, of the user mindstream with mode 0700. One process at a time. Where it is "
                                              "lost, it is folded from the input topic again; the package removes it with purge."},
    {"/usr/share/doc/mindstream/examples",    "A sample of the settings, and settings for a broker of tools/kafka."},
    {"/usr/share/mindstream",                 "Dashboard and alerts, where they are part of the package."},
};

static const struct row manager[] = {
    {"READY=1",                "When every worker has an assignment and all of its partitions are open. systemctl start waits until "
                               "then, also while brokers are down or a topic is missing; systemctl start --no-block does not."},
    {"STATUS=",                "What it waits for, how many partitions are being opened or replayed, then the number of partitions, "
                               "the lag and the rate, every 2 seconds. systemctl status shows it."},
    {"WATCHDOG=1",             "Four times within WatchdogSec, and only when every worker's thread has gone on since the last. A "
                               "worker that hangs is not fed for: systemd ends the process with SIGABRT and starts it again. What "
                               "Kafka does not answer is given up before that."},
    {"RELOADING=1, STOPPING=1", "Around a reload, and when it was asked to end."},
};
/* clang-format on */

static void write_rows(FILE *out, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fputs(".TP\n.B ", out);
        ms_layout_roff(out, rows[i].name);
        fputc('\n', out);
        ms_layout_roff(out, rows[i].text);
        fputc('\n', out);
    }
}

#define WRITE_ROWS(out, rows) write_rows(out, rows, sizeof(rows) / sizeof(rows)[0])

static void write_exit_statuses(FILE *out)
{
    for (int i = 0; i < ms_exit_status_count; i++) {
        const struct ms_exit_status *row = &ms_exit_statuses[i];
        fprintf(out, ".TP\n.B %d\n", row->code);
        ms_layout_roff(out, row->meaning);
        fputs(". ", out);
        ms_layout_roff(out, row->then);
        const char *before = "\n.br\nAs the last log line names it: ";
        for (int status = 0; status < MS_STATUS_COUNT; status++) {
            if (status == MS_OK || ms_status_exit_code((enum ms_status)status) != row->code)
                continue;
            fprintf(out, "%s%s (", before, ms_status_name((enum ms_status)status));
            ms_layout_roff(out, ms_status_text((enum ms_status)status));
            fputc(')', out);
            before = ", ";
        }
        fputs(before[0] == ',' ? ".\n" : "\n", out);
    }
}

static void write_reloadable(FILE *out)
{
    for (size_t i = 0; i < ms_option_count; i++) {
        if (!ms_option_table[i].reloadable)
            continue;
        fputs(".TP\n.B ", out);
        ms_layout_roff(out, ms_option_table[i].key);
        fputc('\n', out);
        ms_layout_roff(out, ms_option_table[i].description);
        fputc('\n', out);
    }
}

static const char begin[] =
    ".\\\" Made by 'mindstream config --man-service'.\n"
    ".TH MINDSTREAM 8 \"\" \"mindstream " MINDSTREAM_VERSION "\" \"System administration\"\n"
    ".SH NAME\nmindstream.service \\- running mindstream as a service\n"
    ".SH SYNOPSIS\n.B systemctl enable \\-\\-now mindstream\n"
    ".SH DESCRIPTION\n"
    "The service is\n.B mindstream run \\-c /etc/mindstream/mindstream.properties\n"
    "under systemd, as the user mindstream. The package does not start it: it has no settings yet.\n"
    "Paths are those of the package; an installation by cmake has them below its prefix.\n"
    ".SH SETTING UP\n.IP 1. 4\n"
    "Fill in the settings: application.id, bootstrap.servers, input.topic, output.topic, model.dir.\n"
    ".IP 2. 4\nCheck them:\n.B mindstream config \\-c /etc/mindstream/mindstream.properties \\-\\-check\n"
    ".IP 3. 4\nMake the topics that do not exist yet:\n"
    ".B mindstream topics create \\-c /etc/mindstream/mindstream.properties\n"
    ".IP 4. 4\n.B systemctl enable \\-\\-now mindstream\n.PP\n"
    "An upgrade of the package restarts a service that runs, and leaves one alone that does not.\n"
    "Several instances on one machine each need settings with an instance.id and a state.dir of their own.\n";

static const char reloading[] =
    ".SH RELOADING\n"
    ".B systemctl reload mindstream\n"
    "sends SIGHUP. The settings are read again from file, environment and command line of the start. The log has a line\n"
    "setting_changed with the old and the new value of each setting that differs; one that needs a restart says so and stays\n"
    "as it was. Where the settings are bad, one line reload says why, and all of them stay as they were. Workers take changes\n"
    "over at their next commit. These can be changed so:\n";

static const char end[] =
    ".SH SEE ALSO\n.BR mindstream (1),\n.BR mindstream.properties (5),\n.BR systemctl (1),\n.BR systemd.service (5)\n";

void ms_service_man(FILE *out)
{
    fputs(begin, out);
    fputs(".SH SIGNALS\n", out);
    WRITE_ROWS(out, signals);
    fputs(reloading, out);
    write_reloadable(out);
    fputs(".SH EXIT STATUS\n", out);
    write_exit_statuses(out);
    fputs(".SH WHAT SYSTEMD IS TOLD\n", out);
    WRITE_ROWS(out, manager);
    fputs(".SH FILES\n", out);
    WRITE_ROWS(out, files);
    fputs(end, out);
}
