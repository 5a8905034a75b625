/* Compiling and following field paths. */
#include "event/path.h"

#include <stdlib.h>
#include <string.h>

/* A list while it is compiled. */
struct parser {
    const char *option;
    const char *text; /* the whole list */
    const char *at;   /* the next character */
    char *names;      /* where the next unescaped name goes */
    struct ms_path_step *step;
    struct ms_error *error;
};

static enum ms_status fail_at(const struct parser *parser, const char *expected)
{
    return ms_fail(parser->error, MS_CONFIG, "%s: \"%s\" does not parse at character %zu: expected %s",
                   parser->option, parser->text, (size_t)(parser->at - parser->text) + 1, expected);
}

static void skip_blanks(struct parser *parser)
{
    parser->at += strspn(parser->at, " \t");
}

static enum ms_status parse_name(struct parser *parser)
{
    char *start = parser->names, *to = start, *end = start; /* of the name without trailing blanks */
    for (; *parser->at && !strchr(".[],", *parser->at); parser->at++) {
        bool escaped = *parser->at == '\\';
        if (escaped && !*++parser->at)
            return fail_at(parser, "a character after the backslash");
        *to++ = *parser->at;
        if (escaped || (*parser->at != ' ' && *parser->at != '\t'))
            end = to;
    }
    if (*parser->at && *parser->at != ',')
        end = to;
    if (end == start)
        return fail_at(parser, "a name");
    *parser->step++ = (struct ms_path_step){.key = start, .key_bytes = (size_t)(end - start)};
    parser->names = to;
    return MS_OK;
}

static enum ms_status parse_index(struct parser *parser)
{
    size_t index = 0;
    const char *digits = ++parser->at;
    for (; *parser->at >= '0' && *parser->at <= '9'; parser->at++) {
        index = index * 10 + (size_t)(*parser->at - '0');
        if (index > MS_PATH_INDEX)
            return fail_at(parser, "an index of at most 999999999");
    }
    if (parser->at == digits)
        return fail_at(parser, "a number");
    if (*parser->at != ']')
        return fail_at(parser, "a ']'");
    parser->at++;
    *parser->step++ = (struct ms_path_step){.index = index};
    return MS_OK;
}

/* One path, up to the comma or the end. */
static enum ms_status parse_path(struct parser *parser, struct ms_path *path)
{
    const struct ms_path_step *first = parser->step;
    skip_blanks(parser);
    path->text = parser->at;
    enum ms_status status = parse_name(parser);
    while (!status && *parser->at && *parser->at != ',') {
        if (parser->step - first >= MS_PATH_STEPS)
            return fail_at(parser, "at most 32 names and indexes");
        if (*parser->at == '[') {
            status = parse_index(parser);
            if (!status && *parser->at != '.' && *parser->at != '[')
                skip_blanks(parser);
        } else if (*parser->at == '.') {
            parser->at++;
            status = parse_name(parser);
        } else {
            return fail_at(parser, "a '.', a '[' or a ','");
        }
    }
    path->text_bytes = (size_t)(parser->at - path->text);
    while (path->text_bytes && strchr(" \t", path->text[path->text_bytes - 1]))
        path->text_bytes--;
    path->steps = first;
    path->step_count = (size_t)(parser->step - first);
    return status;
}

static enum ms_status parse_list(struct parser *parser, struct ms_paths *paths)
{
    skip_blanks(parser);
    if (!*parser->at)
        return MS_OK;
    for (;;) {
        if (paths->count == MS_PATHS_MAX)
            return fail_at(parser, "at most 32 paths");
        enum ms_status status = parse_path(parser, &paths->paths[paths->count]);
        if (status)
            return status;
        paths->count++;
        if (!*parser->at)
            return MS_OK;
        parser->at++; /* the comma */
    }
}

enum ms_status ms_paths_parse(struct ms_paths *paths, const char *option, const char *text,
                              struct ms_error *error)
{
    size_t bytes = strlen(text);
    if (bytes > MS_PATH_TEXT_MAX)
        return ms_fail(error, MS_CONFIG, "%s is %zu bytes long, at most %d are taken", option, bytes,
                       MS_PATH_TEXT_MAX);
    if (!ms_utf8_valid(text, bytes)) /* nothing in a JSON document would ever match it */
        return ms_fail(error, MS_CONFIG, "%s is not UTF-8", option);
    /* Every step and path takes at least one character of the list (an empty list has none). */
    struct ms_paths made = {.paths = calloc(MS_PATHS_MAX, sizeof *made.paths),
                            .steps = calloc(bytes + 1, sizeof *made.steps),
                            .memory = malloc(2 * (bytes + 1))};
    enum ms_status status;
    if (made.paths && made.steps && made.memory) {
        memcpy(made.memory, text, bytes + 1);
        struct parser parser = {option, made.memory, made.memory, made.memory + bytes + 1, made.steps, error};
        status = parse_list(&parser, &made);
    } else {
        status = ms_fail(error, MS_MEMORY, "no memory for the paths of %s", option);
    }
    if (status)
        ms_paths_free(&made);
    else
        *paths = made;
    return status;
}

void ms_paths_free(struct ms_paths *paths)
{
    free(paths->paths);
    free(paths->steps);
    free(paths->memory);
    *paths = (struct ms_paths){0};
}

static bool follow(const struct ms_path *path, struct ms_json_value *value)
{
    for (size_t i = 0; i < path->step_count; i++) {
        const struct ms_path_step *step = &path->steps[i];
        if (!(step->key ? ms_json_member(*value, step->key, step->key_bytes, value)
                        : ms_json_element(*value, step->index, value)))
            return false;
    }
    return ms_json_type(*value) != MS_JSON_NULL;
}

const struct ms_path *ms_paths_find(const struct ms_paths *paths, struct ms_json_value root,
                                    struct ms_json_value *value)
{
    const struct ms_path *empty = NULL;
    for (size_t i = 0; i < paths->count; i++) {
        struct ms_json_value at = root;
        if (!follow(&paths->paths[i], &at))
            continue;
        bool last_choice = paths->count == 1 || !ms_json_empty(at);
        if (last_choice || !empty)
            *value = at;
        if (last_choice)
            return &paths->paths[i];
        if (!empty)
            empty = &paths->paths[i];
    }
    return empty;
}
