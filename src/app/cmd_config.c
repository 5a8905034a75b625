/* mindstream config: the settings, as they are or as documentation. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/option_text.h"
#include "app/options.h"

static const char help[] = "Usage: mindstream config [OPTION]...\n\n"
                           "Prints every setting with its value, default, legal values and where the value "
                           "comes from.\n\n" MS_OPTIONS_HELP
                           "  --check            only check: one line and exit status 2 when something is "
                           "wrong or missing for 'run'\n"
                           "  --json             the same as JSON\n"
                           "  --sample           a sample .properties file\n"
                           "  --man              the man page of the .properties file\n"
                           "  -h, --help         this text\n\n"
                           "Examples:\n"
                           "  mindstream config --sample > mindstream.properties\n"
                           "  mindstream config -c mindstream.properties --check\n";

enum form { TABLE, CHECK, JSON, SAMPLE, MAN };

static bool parse_form(const char *argument, enum form *form)
{
    static const char *const names[] = {
        [CHECK] = "--check", [JSON] = "--json", [SAMPLE] = "--sample", [MAN] = "--man"};
    for (int i = CHECK; i <= MAN; i++) {
        if (strcmp(argument, names[i]) == 0) {
            *form = (enum form)i;
            return true;
        }
    }
    return false;
}

static enum ms_status print(enum form form, const struct ms_options_sources *sources, struct ms_error *error)
{
    if (form == SAMPLE || form == MAN) {
        form == SAMPLE ? ms_option_text_sample(stdout) : ms_option_text_man(stdout);
        return MS_OK;
    }
    struct ms_options *options = NULL;
    enum ms_status status = ms_options_load(&options, sources, error);
    if (status == MS_OK && form == CHECK)
        status = ms_options_require(options, "run", error);
    if (status == MS_OK && form == CHECK)
        puts("the settings are good");
    if (status == MS_OK && form == TABLE)
        ms_option_text_table(stdout, options);
    if (status == MS_OK && form == JSON)
        status = ms_option_text_json(stdout, options, error);
    ms_options_destroy(options);
    return status;
}

int ms_cmd_config(int argc, char **argv)
{
    struct ms_options_sources sources = {.environment = environ};
    struct ms_error error = {0};
    enum ms_status status = MS_OK;
    enum form form = TABLE;
    for (int at = 1; status == MS_OK && at < argc;) {
        bool taken = false;
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
        status = ms_options_argument(&sources, argc, argv, &at, &taken, &error);
        if (status == MS_OK && !taken && !parse_form(argv[at++], &form))
            status = ms_fail(&error, MS_USAGE, "unknown argument '%s'; see 'mindstream config --help'",
                             argv[at - 1]);
    }
    if (status == MS_OK)
        status = print(form, &sources, &error);
    if (status != MS_OK)
        fprintf(stderr, "mindstream config: %s\n", error.text);
    return ms_status_exit_code(status);
}
