/* Parsing by the table. */
#include "app/arguments.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/nearest.h"

#define OPTION_MAX_BYTES 64 /* of "--name" in messages */
#define LEGAL_MAX_BYTES  256

/* One parse. |at| is the next word, |letters| what is left of a word of joined letters. */
struct parser {
    const struct ms_argument *rows;
    const char *title;
    char *const *words;
    int count, at;
    void *arguments;
    bool given[MS_ARGUMENTS_MAX];
    struct ms_error *error;
};

static const struct ms_argument help_row = {.name = "help", .letter = 'h', .kind = MS_ARGUMENT_FLAG};

bool ms_argument_has_value(const struct ms_argument *row)
{
    return row->kind != MS_ARGUMENT_FLAG && row->kind != MS_ARGUMENT_PICK;
}

static const struct ms_argument *find_letter(const struct ms_argument *rows, char letter)
{
    for (const struct ms_argument *row = rows; row->kind != MS_ARGUMENT_END; row++) {
        if (!row->positional && row->letter == letter)
            return row;
    }
    return letter == help_row.letter ? &help_row : NULL;
}

static const struct ms_argument *find_name(const struct ms_argument *rows, const char *name, size_t size)
{
    for (const struct ms_argument *row = rows; row->kind != MS_ARGUMENT_END; row++) {
        if (!row->positional && strlen(row->name) == size && memcmp(row->name, name, size) == 0)
            return row;
    }
    return size == strlen(help_row.name) && memcmp(name, help_row.name, size) == 0 ? &help_row : NULL;
}

const struct ms_argument *ms_argument_find(const struct ms_argument *rows, const char *word)
{
    if (word[0] != '-' || !word[1])
        return NULL;
    if (word[1] == '-')
        return find_name(rows, word + 2, strcspn(word + 2, "="));
    return word[2] ? NULL : find_letter(rows, word[1]);
}

/* ---- what is legal ---- */

bool ms_argument_value_at(const struct ms_argument *row, int i, const char **value, size_t *size)
{
    const char *at = row->values;
    for (; at && i > 0; i--) {
        at = strchr(at, '|');
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return false;
    *value = at;
    *size = strcspn(at, "|");
    return true;
}

/* "json or csv", "a, b or c". */
static void choices_text(const struct ms_argument *row, char *text, size_t size)
{
    const char *value, *next;
    size_t used = 0, bytes, next_bytes;
    for (int i = 0; used < size && ms_argument_value_at(row, i, &value, &bytes); i++) {
        bool last = !ms_argument_value_at(row, i + 1, &next, &next_bytes);
        used += (size_t)snprintf(text + used, size - used, "%s%.*s",
                                 !i     ? ""
                                 : last ? " or "
                                        : ", ",
                                 (int)bytes, value);
    }
}

void ms_argument_legal(const struct ms_argument *row, char *text, size_t size)
{
    static const char *const kinds[] = {
        [MS_ARGUMENT_STRING] = "a value",        [MS_ARGUMENT_FILE] = "a file",
        [MS_ARGUMENT_DIRECTORY] = "a directory", [MS_ARGUMENT_LIST] = "a list",
        [MS_ARGUMENT_KEY_VALUE] = "KEY=VALUE",
    };
    if (row->kind == MS_ARGUMENT_INTEGER)
        snprintf(text, size, "a whole number from %" PRId64 " to %" PRId64, row->min, row->max);
    else if (row->kind == MS_ARGUMENT_REAL && row->min_excluded)
        snprintf(text, size, "a number above %g, at most %g", row->real_min, row->real_max);
    else if (row->kind == MS_ARGUMENT_REAL)
        snprintf(text, size, "a number from %g to %g", row->real_min, row->real_max);
    else if (row->kind == MS_ARGUMENT_CHOICE)
        choices_text(row, text, size);
    else
        snprintf(text, size, "%s", ms_argument_has_value(row) ? kinds[row->kind] : "no value");
}

/* ---- one value ---- */

static bool parse_integer(const struct ms_argument *row, const char *text, int64_t *number)
{
    const char *digits = row->min < 0 && text[0] == '-' ? text + 1 : text;
    char *end;
    if (!digits[0] || strspn(digits, "0123456789") != strlen(digits))
        return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || value < row->min || value > row->max)
        return false;
    *number = value;
    return true;
}

static bool parse_real(const struct ms_argument *row, const char *text, double *number)
{
    char *end;
    if (!text[0] || strspn(text, "0123456789.eE-+") != strlen(text))
        return false;
    double value = strtod(text, &end);
    if (*end || !(value >= row->real_min && value <= row->real_max))
        return false;
    if (row->min_excluded && value <= row->real_min)
        return false;
    *number = value;
    return true;
}

static bool parse_choice(const struct ms_argument *row, const char *text, int *index)
{
    const char *value;
    size_t size;
    for (int i = 0; ms_argument_value_at(row, i, &value, &size); i++) {
        if (strlen(text) == size && memcmp(text, value, size) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

/* Whether a text fits a row whose field is a string. */
static bool is_legal_string(const struct ms_argument *row, const char *text)
{
    if (row->kind == MS_ARGUMENT_KEY_VALUE)
        return text[0] != '=' && strchr(text, '=');
    if (row->kind == MS_ARGUMENT_FILE || row->kind == MS_ARGUMENT_DIRECTORY || row->not_empty)
        return text[0] != '\0';
    return true;
}

/* Where the next value of the row goes; NULL where no more fit. Counts it. */
static void *next_field(const struct ms_argument *row, void *arguments)
{
    char *base = arguments;
    if (!row->repeatable)
        return base + row->offset;
    size_t *count = (size_t *)(void *)(base + row->count_offset);
    if (*count == (size_t)row->max)
        return NULL;
    return base + row->offset + sizeof(const char *) * (*count)++;
}

/* Puts a legal value into its field; false when it is not legal. */
static bool store_value(const struct ms_argument *row, const char *text, void *field)
{
    switch (row->kind) {
    case MS_ARGUMENT_FLAG:
        *(bool *)field = true;
        return true;
    case MS_ARGUMENT_PICK:
        *(int *)field = row->pick;
        return true;
    case MS_ARGUMENT_INTEGER:
        return parse_integer(row, text, field);
    case MS_ARGUMENT_REAL:
        return parse_real(row, text, field);
    case MS_ARGUMENT_CHOICE:
        return parse_choice(row, text, field);
    case MS_ARGUMENT_STRING:
    case MS_ARGUMENT_FILE:
    case MS_ARGUMENT_DIRECTORY:
    case MS_ARGUMENT_LIST:
    case MS_ARGUMENT_KEY_VALUE:
        if (!is_legal_string(row, text))
            return false;
        *(const char **)field = text;
        return true;
    case MS_ARGUMENT_END:
        break;
    }
    return false;
}

/* |option| is the row as it was written: "-c", "--config", or "ID". */
static enum ms_status set_value(struct parser *p, const struct ms_argument *row, const char *option,
                                const char *text)
{
    char legal[LEGAL_MAX_BYTES];
    bool *given = &p->given[row - p->rows];
    if (row->once && *given)
        return ms_fail(p->error, MS_USAGE, "%s is given twice (%s and %s)", option,
                       *(const char **)(void *)((char *)p->arguments + row->offset), text);
    void *field = next_field(row, p->arguments);
    if (!field)
        return ms_fail(p->error, MS_USAGE, "more than %" PRId64 " %s", row->max, option);
    if (row->check && row->check(option, text, p->error) != MS_OK)
        return MS_USAGE;
    if (!store_value(row, text, field)) {
        ms_argument_legal(row, legal, sizeof legal);
        if (row->kind == MS_ARGUMENT_KEY_VALUE) /* the word may be a secret */
            return ms_fail(p->error, MS_USAGE, "%s: %s is needed", option, legal);
        return ms_fail(p->error, MS_USAGE, "%s %s: %s is needed", option, text[0] ? text : "''", legal);
    }
    *given = true;
    return MS_OK;
}

/* ---- words ---- */

/* The nearest option to |name|, which has no dashes; NULL: none is near. */
static const char *nearest_option(const struct ms_argument *rows, const char *name)
{
    struct ms_nearest nearest = ms_nearest_start(name);
    for (const struct ms_argument *row = rows; row->kind != MS_ARGUMENT_END; row++) {
        if (!row->positional && !row->hidden)
            ms_nearest_try(&nearest, row->name);
    }
    ms_nearest_try(&nearest, help_row.name);
    return nearest.best;
}

/* How much of a word that fits nowhere a message shows: nothing behind a '=', where a secret may stand. */
static int shown_bytes(const char *word)
{
    size_t size = strcspn(word, "=");
    return (int)(size < OPTION_MAX_BYTES ? size : OPTION_MAX_BYTES);
}

/* |option| is what is unknown ("--mdoe"), |word| the whole word when it is more than that ("-xyz"). */
static enum ms_status fail_unknown_option(struct parser *p, const char *option, const char *word)
{
    char name[OPTION_MAX_BYTES], in[OPTION_MAX_BYTES + 8] = "";
    const char *text = word ? word + 1 : option + 2;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    const char *nearest = nearest_option(p->rows, name);
    if (word && word[2])
        snprintf(in, sizeof in, " in %.*s", shown_bytes(word), word);
    if (nearest)
        return ms_fail(p->error, MS_USAGE, "unknown option %.*s%s (did you mean --%s?)", OPTION_MAX_BYTES,
                       option, in, nearest);
    return ms_fail(p->error, MS_USAGE, "unknown option %.*s%s; '%s --help' lists the options",
                   OPTION_MAX_BYTES, option, in, p->title);
}

/* The word after an option that needs a value. */
static enum ms_status take_next_word(struct parser *p, const struct ms_argument *row, const char *option,
                                     const char **value)
{
    char legal[LEGAL_MAX_BYTES];
    if (p->at < p->count) {
        *value = p->words[p->at++];
        return MS_OK;
    }
    ms_argument_legal(row, legal, sizeof legal);
    return ms_fail(p->error, MS_USAGE, "%s needs %s", option, legal);
}

static enum ms_status parse_long(struct parser *p, const char *word, bool *help)
{
    size_t size = strcspn(word, "=");
    const struct ms_argument *row = find_name(p->rows, word + 2, size - 2);
    char option[OPTION_MAX_BYTES];
    const char *value = word[size] ? word + size + 1 : NULL;
    snprintf(option, sizeof option, "%.*s", (int)(size < sizeof option ? size : sizeof option - 1), word);
    if (!row)
        return fail_unknown_option(p, option, NULL);
    if (!ms_argument_has_value(row) && value)
        return ms_fail(p->error, MS_USAGE, "%s takes no value, but got '%s'", option, value);
    *help = row == &help_row;
    if (*help)
        return MS_OK;
    if (ms_argument_has_value(row) && !value && take_next_word(p, row, option, &value) != MS_OK)
        return MS_USAGE;
    return set_value(p, row, option, value);
}

/* "-c FILE", "-cFILE", "-ab". */
static enum ms_status parse_letters(struct parser *p, const char *word, bool *help)
{
    for (const char *letter = word + 1; *letter; letter++) {
        const char option[] = {'-', *letter, '\0'};
        const struct ms_argument *row = find_letter(p->rows, *letter);
        const char *value = NULL;
        if (!row)
            return fail_unknown_option(p, option, word);
        *help = row == &help_row;
        if (*help)
            return MS_OK;
        bool has_value = ms_argument_has_value(row);
        if (has_value && letter[1])
            value = letter + 1;
        else if (has_value && take_next_word(p, row, option, &value) != MS_OK)
            return MS_USAGE;
        if (set_value(p, row, option, value) != MS_OK)
            return MS_USAGE;
        if (has_value)
            break;
    }
    return MS_OK;
}

static enum ms_status parse_positional(struct parser *p, const char *word)
{
    bool any = false;
    for (const struct ms_argument *row = p->rows; row->kind != MS_ARGUMENT_END; row++) {
        any = any || row->positional;
        if (row->positional && (row->repeatable || !p->given[row - p->rows]))
            return set_value(p, row, row->name, word);
    }
    return ms_fail(p->error, MS_USAGE, "%s '%.*s'; see '%s --help'",
                   any ? "one argument too many:" : "unexpected argument", shown_bytes(word), word, p->title);
}

static enum ms_status parse_words(struct parser *p, bool *help)
{
    enum ms_status status = MS_OK;
    bool ended = false; /* by "--" */
    while (status == MS_OK && !*help && p->at < p->count) {
        const char *word = p->words[p->at++];
        if (ended || word[0] != '-' || !word[1])
            status = parse_positional(p, word);
        else if (strcmp(word, "--") == 0)
            ended = true;
        else if (word[1] == '-')
            status = parse_long(p, word, help);
        else
            status = parse_letters(p, word, help);
    }
    return status;
}

/* ---- the whole ---- */

static enum ms_status set_defaults(struct parser *p)
{
    for (const struct ms_argument *row = p->rows; row->kind != MS_ARGUMENT_END; row++) {
        assert(row - p->rows < MS_ARGUMENTS_MAX);
        if (row->absent)
            *(int64_t *)(void *)((char *)p->arguments + row->offset) = row->absent;
        if (!row->standard)
            continue;
        enum ms_status status = set_value(p, row, row->name, row->standard);
        if (status != MS_OK)
            return ms_fail_in(p->error, status, "the default of %s", row->name);
        p->given[row - p->rows] = false;
    }
    return MS_OK;
}

static enum ms_status check_required(const struct parser *p)
{
    for (const struct ms_argument *row = p->rows; row->kind != MS_ARGUMENT_END; row++) {
        const char *dashes = row->positional ? "" : "--", *blank = row->positional ? "" : " ";
        if (row->required && !p->given[row - p->rows])
            return ms_fail(p->error, MS_USAGE, "%s%s%s%s is missing; see '%s --help'", dashes, row->name,
                           blank, row->positional ? "" : row->placeholder, p->title);
    }
    return MS_OK;
}

enum ms_status ms_arguments_parse(const struct ms_argument *rows, const char *title, int count,
                                  char *const *words, void *arguments, bool *help, struct ms_error *error)
{
    struct parser p = {
        .rows = rows, .title = title, .words = words, .count = count, .arguments = arguments, .error = error};
    *help = false;
    enum ms_status status = set_defaults(&p);
    if (status == MS_OK)
        status = parse_words(&p, help);
    return status == MS_OK && !*help ? check_required(&p) : status;
}
