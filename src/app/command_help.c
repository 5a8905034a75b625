/* Help on the terminal and the man page. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "app/command_text.h"
#include "app/exit_status.h"
#include "app/layout.h"

#define LEFT_WIDTH  22 /* columns of an option and its placeholder */
#define LEFT_BYTES  96
#define USAGE_BYTES 256
#define FACTS_BYTES 512

void ms_command_names(const struct ms_command *group, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    const struct ms_command *const *last = group->commands;
    for (const struct ms_command *const *command = group->commands; *command; command++)
        last = (*command)->refused ? last : command;
    for (const struct ms_command *const *command = group->commands; used < size && command <= last;
         command++) {
        if (!(*command)->refused)
            used += (size_t)snprintf(text + used, size - used, "%s%s",
                                     !used             ? ""
                                     : command == last ? " or "
                                                       : ", ",
                                     (*command)->name);
    }
}

void ms_command_usage(const struct ms_command *command, const char *title, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "%s", title);
    bool more = false;
    if (command->commands) {
        snprintf(text + used, size - used, " COMMAND [OPTION]...");
        return;
    }
    for (const struct ms_argument *row = command->rows; used < size && row->kind != MS_ARGUMENT_END; row++) {
        if (row->positional)
            used += (size_t)snprintf(text + used, size - used, row->required ? " %s" : " [%s]", row->name);
        else if (row->required)
            used += (size_t)snprintf(text + used, size - used, " --%s %s", row->name, row->placeholder);
        else
            more = true;
    }
    if (used < size)
        snprintf(text + used, size - used, "%s%s%s", more ? " [OPTION]..." : "",
                 command->usage_end ? " " : "", command->usage_end ? command->usage_end : "");
}

/* "-c, --config FILE" or "ID". */
static void write_left(const struct ms_argument *row, char *text, size_t size)
{
    char letter[8] = "    ";
    if (row->letter)
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    if (row->positional)
        snprintf(text, size, "%s", row->name);
    else
        snprintf(text, size, "%s--%s%s%s", letter, row->name, ms_argument_has_value(row) ? " " : "",
                 ms_argument_has_value(row) ? row->placeholder : "");
}

static void add_fact(char *text, size_t size, const char *fact)
{
    size_t used = strlen(text);
    if (fact[0])
        snprintf(text + used, size - used, "%s%s", used ? "; " : "", fact);
}

/* "1 to 64; default 10": what is legal and what holds without the option. */
static void write_facts(const struct ms_argument *row, char *text, size_t size)
{
    char fact[FACTS_BYTES] = "";
    const char *standard = row->standard_text ? row->standard_text : row->standard;
    text[0] = '\0';
    if (row->kind == MS_ARGUMENT_INTEGER && row->max == INT64_MAX)
        snprintf(fact, sizeof fact, "at least %" PRId64, row->min);
    else if (row->kind == MS_ARGUMENT_INTEGER)
        snprintf(fact, sizeof fact, "%" PRId64 " to %" PRId64, row->min, row->max);
    else if (row->kind == MS_ARGUMENT_REAL)
        snprintf(fact, sizeof fact, row->min_excluded ? "above %g, at most %g" : "%g to %g", row->real_min,
                 row->real_max);
    else if (row->kind == MS_ARGUMENT_CHOICE)
        ms_argument_legal(row, fact, sizeof fact);
    add_fact(text, size, row->required && !row->positional ? "required" : "");
    add_fact(text, size, fact);
    snprintf(fact, sizeof fact, "default %s", standard ? standard : "");
    add_fact(text, size, standard && standard[0] ? fact : "");
    add_fact(text, size, row->repeatable ? "may be repeated" : "");
}

/* The help of a row with its facts in brackets. */
static void write_right(const struct ms_argument *row, char *text, size_t size)
{
    char facts[FACTS_BYTES];
    write_facts(row, facts, sizeof facts);
    snprintf(text, size, "%s%s%s%s", row->help, facts[0] ? " (" : "", facts, facts[0] ? ")" : "");
}

static const struct ms_argument help_row = {
    .name = "help", .letter = 'h', .kind = MS_ARGUMENT_FLAG, .help = "print this"};

static void print_row(FILE *out, const struct ms_argument *row)
{
    char left[LEFT_BYTES], right[2 * FACTS_BYTES];
    char indent[LEFT_WIDTH + 5];
    write_left(row, left, sizeof left);
    write_right(row, right, sizeof right);
    snprintf(indent, sizeof indent, "%*s", LEFT_WIDTH + 4, "");
    int width = fprintf(out, "  %-*s  ", LEFT_WIDTH, left);
    if (width > LEFT_WIDTH + 4)
        fputc('\n', out);
    ms_layout_wrapped(out, indent, right, MS_LAYOUT_WIDTH, width <= LEFT_WIDTH + 4);
}

static void print_rows(FILE *out, const struct ms_argument *rows)
{
    const char *group = NULL;
    for (const struct ms_argument *row = rows; row->kind != MS_ARGUMENT_END; row++) {
        if (row->positional && row == rows)
            fputs("\nArguments:\n", out);
        else if (!row->positional && (row->group || !group)) {
            group = row->group ? row->group : "Options";
            fprintf(out, "\n%s:\n", group);
        }
        if (!row->hidden)
            print_row(out, row);
    }
    if (!group)
        fputs("\nOptions:\n", out);
    print_row(out, &help_row);
}

/* Lines of text, each behind two blanks. */
static void print_indented(FILE *out, const char *text)
{
    while (*text) {
        size_t size = strcspn(text, "\n");
        fprintf(out, "  %.*s\n", (int)size, text);
        text += size + (text[size] == '\n');
    }
}

void ms_command_help(FILE *out, const struct ms_command *command, const char *title)
{
    char usage[USAGE_BYTES];
    ms_command_usage(command, title, usage, sizeof usage);
    fprintf(out, "Usage: %s\n\n%s", usage, command->description);
    if (command->rows)
        print_rows(out, command->rows);
    if (command->commands)
        fputs("\nCommands:\n", out);
    for (const struct ms_command *const *one = command->commands; one && *one; one++) {
        if (!(*one)->refused)
            fprintf(out, "  %-10s %s\n", (*one)->name, (*one)->summary);
    }
    if (command->notes)
        fprintf(out, "\n%s", command->notes);
    if (command->examples) {
        fputs("\nExamples:\n", out);
        print_indented(out, command->examples);
    }
    if (command->exit_status)
        fprintf(out, "\nExit status: %s.\n", command->exit_status);
}

/* ---- the man page ---- */

static const char man_begin[] =
    ".\\\" Made by 'mindstream config --man-commands'.\n"
    ".TH MINDSTREAM 1 \"\" \"mindstream " MINDSTREAM_VERSION "\" \"User commands\"\n"
    ".SH NAME\nmindstream \\- keep users' interest vectors up to date with their clicks\n"
    ".SH SYNOPSIS\n.B mindstream\n.I COMMAND\n.RI [ OPTION ]...\n.br\n"
    ".B mindstream help\n.I COMMAND\n"
    ".SH DESCRIPTION\n";

static const char man_end[] =
    ".SH ENVIRONMENT\n.TP\n.B MINDSTREAM_*\nSettings: commit.interval.ms is MINDSTREAM_COMMIT_INTERVAL_MS.\n"
    ".SH SEE ALSO\n.BR mindstream.properties (5),\n.BR mindstream (8)\n";

static void man_exit_statuses(FILE *out)
{
    fputs(".SH EXIT STATUS\n", out);
    for (int i = 0; i < ms_exit_status_count; i++) {
        fprintf(out, ".TP\n.B %d\n", ms_exit_statuses[i].code);
        ms_layout_roff(out, ms_exit_statuses[i].meaning);
        fputs(".\n", out);
    }
}

static void man_row(FILE *out, const struct ms_argument *row)
{
    char left[LEFT_BYTES], right[2 * FACTS_BYTES];
    write_left(row, left, sizeof left);
    write_right(row, right, sizeof right);
    fputs(".TP\n.B ", out);
    ms_layout_roff(out, left + strspn(left, " "));
    fputc('\n', out);
    ms_layout_roff(out, right);
    fputc('\n', out);
}

static void man_command(FILE *out, const struct ms_command *command, const char *title)
{
    char usage[USAGE_BYTES];
    fprintf(out, ".SS %s\n.B ", title + strcspn(title, " ") + 1);
    ms_command_usage(command, title, usage, sizeof usage);
    ms_layout_roff(out, usage);
    fputs("\n.PP\n", out);
    ms_layout_roff_lines(out, command->description);
    for (const struct ms_argument *row = command->rows; row->kind != MS_ARGUMENT_END; row++) {
        if (!row->hidden)
            man_row(out, row);
    }
    if (command->notes) {
        fputs(".PP\n", out);
        ms_layout_roff_lines(out, command->notes);
    }
    fputs(".PP\nExamples:\n.PP\n.nf\n.RS\n", out);
    ms_layout_roff_lines(out, command->examples);
    fputs(".RE\n.fi\n", out);
    if (command->exit_status) {
        fputs(".PP\nExit status: ", out);
        ms_layout_roff(out, command->exit_status);
        fputs(".\n", out);
    }
}

/* The command and those below it, in their order. */
static void man_commands(FILE *out, const struct ms_command *group, const char *title)
{
    for (const struct ms_command *const *one = group->commands; *one; one++) {
        char name[MS_COMMAND_TITLE_BYTES];
        if ((*one)->refused)
            continue;
        snprintf(name, sizeof name, "%s %s", title, (*one)->name);
        if ((*one)->commands)
            man_commands(out, *one, name);
        else
            man_command(out, *one, name);
    }
}

void ms_command_man(FILE *out, const struct ms_command *root)
{
    fputs(man_begin, out);
    ms_layout_roff_lines(out, root->description);
    fputs(".SH COMMANDS\nEach has\n.BR \\-h ,\n.BR \\-\\-help .\n", out);
    man_commands(out, root, root->name);
    man_exit_statuses(out);
    fputs(man_end, out);
}
