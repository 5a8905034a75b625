/* The bash completion script, and the commands as JSON. */
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "app/command_text.h"

#define USAGE_BYTES 256

/* Calls |visit| for the group and all commands below it that can be run. */
typedef void command_visit(void *context, const struct ms_command *command, const char *title);

static void walk_commands(const struct ms_command *command, const char *title, command_visit *visit,
                          void *context)
{
    visit(context, command, title);
    for (const struct ms_command *const *one = command->commands; one && *one; one++) {
        char name[MS_COMMAND_TITLE_BYTES];
        if ((*one)->refused)
            continue;
        snprintf(name, sizeof name, "%s %s", title, (*one)->name);
        walk_commands(*one, name, visit, context);
    }
}

/* ---- bash ---- */

static const char completion_begin[] =
    "# bash completion of mindstream. Made by 'mindstream config --completion'.\n"
    "_mindstream() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=mindstream words= paths= i\n"
    "    local settings='";

static const char completion_command[] = "'\n"
                                         "    # bash cuts --option=value into three words.\n"
                                         "    if [[ $word == = ]]; then\n"
                                         "        word=\n"
                                         "    elif [[ $before == = && COMP_CWORD -ge 2 ]]; then\n"
                                         "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
                                         "    fi\n"
                                         "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                                         "        case \"$command ${COMP_WORDS[i]}\" in\n";

static const char completion_middle[] = "            command+=\" ${COMP_WORDS[i]}\" ;;\n"
                                        "        esac\n"
                                        "    done\n"
                                        "    case \"$command $before\" in\n";

static const char completion_end[] = "    esac\n"
                                     "    [[ -n $paths ]] && compopt -o filenames 2>/dev/null\n"
                                     "    mapfile -t COMPREPLY < <(\n"
                                     "        [[ -z $paths ]] || compgen \"$paths\" -- \"$word\"\n"
                                     "        [[ -z $words ]] || compgen -W \"$words\" -- \"$word\"\n"
                                     "    )\n"
                                     "}\n"
                                     "complete -F _mindstream mindstream\n";

/* The first pattern of a case opens it, the others follow '|'. */
struct titles {
    FILE *out;
    bool any;
};

static void write_title(void *context, const struct ms_command *command, const char *title)
{
    struct titles *titles = context;
    (void)command;
    if (!strchr(title, ' '))
        return; /* the binary itself */
    fprintf(titles->out, "%s'%s'", titles->any ? " | \\\n            " : "        ", title);
    titles->any = true;
}

static void write_choices(FILE *out, const struct ms_argument *row)
{
    const char *value;
    size_t size;
    for (int i = 0; ms_argument_value_at(row, i, &value, &size); i++)
        fprintf(out, "%s%.*s", i ? " " : "", (int)size, value);
}

/* What may follow an option: nothing is offered for numbers and free texts. */
static void write_value_case(void *context, const struct ms_command *command, const char *title)
{
    FILE *out = context;
    for (const struct ms_argument *row = command->rows; row && row->kind != MS_ARGUMENT_END; row++) {
        if (row->positional || row->hidden || !ms_argument_has_value(row))
            continue;
        fprintf(out, "    '%s --%s'", title, row->name);
        if (row->letter)
            fprintf(out, " | '%s -%c'", title, row->letter);
        fputs(")", out);
        if (row->kind == MS_ARGUMENT_FILE)
            fputs(" paths=-f", out);
        else if (row->kind == MS_ARGUMENT_DIRECTORY)
            fputs(" paths=-d", out);
        else if (row->kind == MS_ARGUMENT_KEY_VALUE)
            fputs(" words=$settings && compopt -o nospace 2>/dev/null", out);
        else if (row->kind == MS_ARGUMENT_CHOICE) {
            fputs(" words='", out);
            write_choices(out, row);
            fputc('\'', out);
        }
        fputs(" ;;\n", out);
    }
}

/* What may stand where no option waits for its value. */
static void write_words_case(void *context, const struct ms_command *command, const char *title)
{
    FILE *out = context;
    const char *paths = "";
    fprintf(out, "        '%s') words='", title);
    for (const struct ms_command *const *one = command->commands; one && *one; one++) {
        if (!(*one)->refused)
            fprintf(out, "%s ", (*one)->name);
    }
    for (const struct ms_argument *row = command->rows; row && row->kind != MS_ARGUMENT_END; row++) {
        if (row->positional && row->kind == MS_ARGUMENT_DIRECTORY)
            paths = "; [[ $word == -* ]] || paths=-d";
        if (!row->positional && !row->hidden)
            fprintf(out, "--%s ", row->name);
    }
    fprintf(out, "--help%s'%s ;;\n", strchr(title, ' ') ? "" : " --version help", paths);
}

void ms_command_completion(FILE *out, const struct ms_command *root, const char *const *keys)
{
    struct titles titles = {.out = out};
    fputs(completion_begin, out);
    for (const char *const *key = keys; *key; key++)
        fprintf(out, "%s%s=", key == keys ? "" : " ", *key);
    fputs(completion_command, out);
    walk_commands(root, root->name, write_title, &titles);
    fputs(")\n", out);
    fputs(completion_middle, out);
    walk_commands(root, root->name, write_value_case, out);
    fputs("    *)\n        case $command in\n", out);
    walk_commands(root, root->name, write_words_case, out);
    fputs("        esac\n        ;;\n", out);
    fputs(completion_end, out);
}

/* ---- JSON ---- */

static const char *const kind_names[] = {
    [MS_ARGUMENT_FLAG] = "flag",           [MS_ARGUMENT_PICK] = "flag",
    [MS_ARGUMENT_STRING] = "string",       [MS_ARGUMENT_FILE] = "file",
    [MS_ARGUMENT_DIRECTORY] = "directory", [MS_ARGUMENT_INTEGER] = "integer",
    [MS_ARGUMENT_REAL] = "real",           [MS_ARGUMENT_CHOICE] = "choice",
    [MS_ARGUMENT_LIST] = "list",           [MS_ARGUMENT_KEY_VALUE] = "key=value",
};

static json_t *argument_json(const struct ms_argument *row)
{
    char letter[] = {row->letter, '\0'};
    const char *value;
    size_t size;
    json_t *json = json_pack("{s:s, s:s*, s:s, s:s*, s:s*, s:b, s:b, s:b, s:b, s:s*}", "name", row->name,
                             "letter", row->letter ? letter : NULL, "kind", kind_names[row->kind], "default",
                             row->standard, "placeholder", row->placeholder, "positional",
                             (int)row->positional, "required", (int)row->required, "repeatable",
                             (int)row->repeatable, "hidden", (int)row->hidden, "help", row->help);
    if (row->kind == MS_ARGUMENT_INTEGER) {
        json_object_set_new(json, "min", json_integer(row->min));
        json_object_set_new(json, "max", json_integer(row->max));
    } else if (row->kind == MS_ARGUMENT_REAL) {
        json_object_set_new(json, "min", json_real(row->real_min));
        json_object_set_new(json, "max", json_real(row->real_max));
    } else if (row->kind == MS_ARGUMENT_CHOICE) {
        json_t *values = json_array();
        for (int i = 0; ms_argument_value_at(row, i, &value, &size); i++)
            json_array_append_new(values, json_stringn(value, size));
        json_object_set_new(json, "values", values);
    }
    return json;
}

static void append_command(void *context, const struct ms_command *command, const char *title)
{
    char usage[USAGE_BYTES];
    json_t *rows = json_array();
    if (command->commands) {
        json_decref(rows);
        return;
    }
    ms_command_usage(command, title, usage, sizeof usage);
    for (const struct ms_argument *row = command->rows; row->kind != MS_ARGUMENT_END; row++)
        json_array_append_new(rows, argument_json(row));
    json_array_append_new(context, json_pack("{s:s, s:s, s:s, s:o}", "command", title, "summary",
                                             command->summary, "usage", usage, "arguments", rows));
}

enum ms_status ms_command_json(FILE *out, const struct ms_command *root, struct ms_error *error)
{
    json_t *list = json_array();
    walk_commands(root, root->name, append_command, list);
    json_t *json = json_pack("{s:o}", "commands", list);
    bool good = json && json_dumpf(json, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;
    json_decref(json);
    return good ? MS_OK : ms_fail(error, MS_IO, "the commands could not be written as JSON");
}
