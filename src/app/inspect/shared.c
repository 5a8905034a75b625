/* Opening and printing. */
#include "app/inspect/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "view/json.h"

const char ms_inspect_exit_status[] =
    "0 shown, 1 no such user or the state cannot be read, 2 bad usage or settings, 3 a damaged or newer state";

const struct ms_palette *ms_inspect_palette(const struct ms_inspect_arguments *arguments)
{
    enum { AUTO, ALWAYS };
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool suits = isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal &&
                 strcmp(terminal, "dumb") != 0;
    bool colored = arguments->color == ALWAYS || (arguments->color == AUTO && suits);
    return colored && !arguments->json ? &ms_ansi_palette : &ms_no_palette;
}

void ms_inspect_print(struct ms_buffer *text)
{
    if (text->size)
        fwrite(text->data, 1, text->size, stdout);
    ms_buffer_free(text);
}

enum ms_status ms_inspect_print_json(json_t *root, struct ms_error *error)
{
    struct ms_buffer text = {0};
    enum ms_status status = ms_view_json_text(root, &text, error);
    ms_inspect_print(&text);
    if (status == MS_OK)
        fputc('\n', stdout);
    return status;
}

enum ms_status ms_inspect_print_table(struct ms_table *table, struct ms_error *error)
{
    struct ms_buffer text = {0};
    enum ms_status status = ms_table_text(table, 0, &text, error);
    ms_inspect_print(&text);
    ms_table_free(table);
    return status;
}

enum ms_status ms_inspect_with_config(struct ms_inspect_arguments *arguments, ms_inspect_show *show,
                                      struct ms_error *error)
{
    struct ms_options *options = NULL;
    arguments->sources.environment = environ;
    enum ms_status status = ms_options_load(&options, &arguments->sources, error);
    if (status == MS_OK)
        status = show(arguments, ms_options_config(options), error);
    ms_options_destroy(options);
    return status;
}
