/* Printing the option table. */
#include "app/option_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "app/layout.h"

static bool is_number(const struct ms_option *option)
{
    return option->type == MS_OPTION_INT || option->type == MS_OPTION_BYTES ||
           option->type == MS_OPTION_DURATION;
}

/* "1 to 10000 ms", "protobuf|json", or "" where any text is legal. */
static void write_legal(const struct ms_option *option, char *text, size_t size)
{
    text[0] = '\0';
    if (is_number(option))
        snprintf(text, size, "%" PRId64 " to %" PRId64 "%s%s%s", option->min, option->max,
                 ms_option_unit(option)[0] ? " " : "", ms_option_unit(option),
                 option->automatic ? ", or 0" : "");
    else if (option->type == MS_OPTION_BOOL)
        snprintf(text, size, "true|false");
    else if (option->values)
        snprintf(text, size, "%s", option->values);
}

/* The commands that need the option, with commas between them. */
static void print_needed(FILE *out, const char *before, const struct ms_option *option, const char *after)
{
    fputs(before, out);
    for (const char *at = option->required_for; *at; at++)
        fputs(*at == ' ' ? ", " : (const char[]){*at, '\0'}, out);
    fputs(after, out);
}

void ms_option_text_table(FILE *out, const struct ms_options *options)
{
    fprintf(out, "%-26s %-24s %-14s %-28s %s\n", "KEY", "VALUE", "DEFAULT", "LEGAL", "FROM");
    const char *group = "";
    for (size_t i = 0; i < ms_option_count; i++) {
        const struct ms_option *option = &ms_option_table[i];
        if (option->only)
            continue;
        if (strcmp(group, option->group) != 0)
            fprintf(out, "\n%s\n", group = option->group);
        char range[128];
        write_legal(option, range, sizeof range);
        struct ms_option_text text = ms_options_text(options, option);
        fprintf(out, "%-26s %-24s %-14s %-28s %s\n", option->key, text.value, option->standard, range,
                text.where);
        ms_layout_wrapped(out, "    ", option->description, MS_LAYOUT_WIDTH, 0);
    }
    struct ms_option_text text;
    for (size_t i = 0; ms_options_passthrough_text(options, i, &text); i++)
        fprintf(out, "%s%-26s %-24s %-14s %-28s %s\n", i ? "" : "\nPassed through to librdkafka\n", text.key,
                text.value, "", "", text.where);
}

void ms_option_text_sample(FILE *out)
{
    fputs(
        "# Settings of mindstream, each with its default. Made by 'mindstream config --sample'; "
        "mindstream.properties(5)\n"
        "# is the same as a man page. The environment (MINDSTREAM_COMMIT_INTERVAL_MS) and --set beat this "
        "file.\n"
        "# Keys with the prefix kafka., consumer. or producer. go on to librdkafka. With .file behind them they name a "
        "file\n"
        "# that holds the value: kafka.sasl.password.file=/etc/mindstream/password\n",
        out);
    const char *group = "";
    for (size_t i = 0; i < ms_option_count; i++) {
        const struct ms_option *option = &ms_option_table[i];
        if (option->only)
            continue;
        if (strcmp(group, option->group) != 0)
            fprintf(out, "\n\n# ---- %s ----\n", group = option->group);
        char range[128];
        write_legal(option, range, sizeof range);
        fputc('\n', out);
        ms_layout_wrapped(out, "# ", option->description, MS_LAYOUT_WIDTH, 0);
        if (range[0])
            fprintf(out, "# Legal: %s.\n", range);
        if (option->required_for)
            print_needed(out, "# Needed by: ", option, ".\n");
        if (option->reloadable)
            fputs("# Can be changed while it runs: SIGHUP.\n", out);
        fprintf(out, "#%s=%s\n", option->key, option->standard);
    }
}

static void man_option(FILE *out, const struct ms_option *option)
{
    char range[128];
    write_legal(option, range, sizeof range);
    fputs(".TP\n.B ", out);
    ms_layout_roff(out, option->key);
    fputc('\n', out);
    ms_layout_roff(out, option->description);
    fputs("\n.br\nDefault: ", out);
    if (option->standard[0]) {
        fputs("\\fB", out);
        ms_layout_roff(out, option->standard);
        fputs("\\fR.", out);
    } else {
        fputs("empty.", out);
    }
    if (range[0]) {
        fputs(" Legal: ", out);
        ms_layout_roff(out, range);
        fputc('.', out);
    }
    if (option->required_for)
        print_needed(out, " Needed by: ", option, ".");
    if (option->reloadable)
        fputs(" Can be changed while it runs, by SIGHUP.", out);
    fputc('\n', out);
}

static const char man_begin[] =
    ".\\\" Made by 'mindstream config --man'.\n"
    ".TH MINDSTREAM.PROPERTIES 5 \"\" \"mindstream " MINDSTREAM_VERSION "\" \"File formats\"\n"
    ".SH NAME\nmindstream.properties \\- settings of mindstream\n"
    ".SH DESCRIPTION\n"
    "A file of lines KEY=VALUE, read as java.util.Properties reads them, in UTF-8: # or ! begins a comment, a backslash at\n"
    "the end of a line joins the next, and \\et, \\en, \\er, \\ef and \\euXXXX are characters. A backslash is written twice.\n"
    "Blanks at the end of a line belong to the value; behind numbers, names and lists they are dropped.\n"
    "The file is given with\n.BR \"mindstream run \\-c FILE\" .\n"
    "Settings also come from the environment, where commit.interval.ms is MINDSTREAM_COMMIT_INTERVAL_MS, and "
    "from\n"
    ".BR \"\\-\\-set KEY=VALUE\" ;\nthe environment beats the file, and\n.B \\-\\-set\nbeats both.\n"
    ".PP\nBytes may be written with k, M or G (1024), times with ms, s, m, h or d.\n"
    ".PP\nKeys with the prefix\n.BR consumer. ,\n.B producer.\nor\n.B kafka.\n"
    "(both) go on to librdkafka without the prefix. Those that the guarantees of the service rest on are "
    "refused.\n"
    "With .file behind such a key its value is the content of a file, less the line end: kafka.sasl.password.file.\n"
    "A secret is best given this way, in a file with mode 0600, or as MINDSTREAM_KAFKA_SASL_PASSWORD.\n"
    "No error and no log shows a value that goes on to librdkafka. A secret on the command line, or in a file that\n"
    "every user can read, is warned of.\n";

static const char man_end[] = ".SH SEE ALSO\n.BR mindstream (1),\n.BR mindstream (8)\n";

void ms_option_text_man(FILE *out)
{
    fputs(man_begin, out);
    const char *group = "";
    for (size_t i = 0; i < ms_option_count; i++) {
        const struct ms_option *option = &ms_option_table[i];
        if (option->only)
            continue;
        if (strcmp(group, option->group) != 0)
            fprintf(out, ".SH \"%s\"\n", group = option->group);
        man_option(out, option);
    }
    fputs(".SH \"KEYS OF COMING VERSIONS\"\nThese are known and can only have the value shown:\n.PP\n.nf\n",
          out);
    for (size_t i = 0; i < ms_option_count; i++) {
        if (!ms_option_table[i].only)
            continue;
        ms_layout_roff(out, ms_option_table[i].key);
        fputc('=', out);
        ms_layout_roff(out, ms_option_table[i].only);
        fputc('\n', out);
    }
    fputs(".fi\n", out);
    fputs(man_end, out);
}

/* JSON is UTF-8, settings are any bytes: a value that is not UTF-8 shows as "?". */
static json_t *text_of(const char *text)
{
    json_t *json = json_string(text);
    return json ? json : json_string("?");
}

static json_t *option_json(const struct ms_options *options, const struct ms_option *option)
{
    struct ms_option_text text = ms_options_text(options, option);
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s?, s:b, s:b, s:b, s:b, s:s}", "key", option->key, "group",
        option->group, "type", ms_option_type_name(option), "unit", ms_option_unit(option), "value",
        text_of(text.value), "where", text_of(text.where), "default", option->standard, "required_for",
        option->required_for, "automatic", (int)option->automatic, "reloadable", (int)option->reloadable,
        "secret", (int)option->secret, "supported", option->only == NULL, "description", option->description);
    if (row && is_number(option) && !option->only) {
        json_object_set_new(row, "min", json_integer(option->min));
        json_object_set_new(row, "max", json_integer(option->max));
    }
    const char *value;
    size_t size;
    json_t *values = row && ms_option_value_at(option, 0, &value, &size) ? json_array() : NULL;
    for (int i = 0; values && ms_option_value_at(option, i, &value, &size); i++)
        json_array_append_new(values, json_stringn(value, size));
    if (values)
        json_object_set_new(row, "values", values);
    return row;
}

enum ms_status ms_option_text_json(FILE *out, const struct ms_options *options, struct ms_error *error)
{
    json_t *rows = json_array(), *passed = json_array();
    bool good = rows && passed;
    for (size_t i = 0; good && i < ms_option_count; i++)
        good = json_array_append_new(rows, option_json(options, &ms_option_table[i])) == 0;
    struct ms_option_text text;
    for (size_t i = 0; good && ms_options_passthrough_text(options, i, &text); i++)
        good = json_array_append_new(passed, json_pack("{s:o, s:o, s:o}", "key", text_of(text.key), "value",
                                                       text_of(text.value), "where", text_of(text.where))) ==
               0;
    json_t *root = good ? json_pack("{s:O, s:O}", "options", rows, "passthrough", passed) : NULL;
    good = root && json_dumpf(root, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;
    json_decref(root);
    json_decref(rows);
    json_decref(passed);
    return good ? MS_OK : ms_fail(error, MS_IO, "the settings could not be written as JSON");
}
