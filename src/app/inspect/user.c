/* mindstream inspect user. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/inspect/shared.h"
#include "app/inspector.h"
#include "serve/ask.h"
#include "view/json.h"
#include "view/recommend.h"
#include "view/text.h"

/* Says where the answer comes from: as the last key of the JSON, or as a last line. */
static bool add_source(struct ms_buffer *text, bool json, bool live)
{
    if (!json)
        return ms_buffer_printf(text, "\n%s\n",
                                live ? "(from the running service, as of its last commit)"
                                     : "(from the state on disk, as of the last flush)");
    while (text->size && (text->data[text->size - 1] == '\n' || text->data[text->size - 1] == '}'))
        if (text->data[--text->size] == '}')
            break;
    return ms_buffer_printf(text, ",\"source\":\"%s\"}\n", live ? "service" : "state");
}

/* The message of an answer that is an error. */
static enum ms_status refused(int code, const struct ms_buffer *body, struct ms_error *error)
{
    json_t *root = json_loadb(body->data, body->size, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "error"));
    enum ms_status status = ms_fail(error, code == 404 ? MS_NOT_FOUND : MS_CONFIG, "%s",
                                    text ? text : "no answer");
    json_decref(root);
    return status;
}

/* Asks the service that runs on the state. *asked tells that it has answered; what it shows is in |text| then. Where it does not
 * answer, or cannot now, the state on disk is shown: as ever. */
static enum ms_status ask(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                          size_t limit, struct ms_buffer *text, bool *asked, struct ms_error *error)
{
    struct ms_buffer path = {0};
    *asked = false;
    if (arguments->at || arguments->sources.model_dir || !config->state_dir[0])
        return MS_OK; /* it does not know those */
    bool room = ms_buffer_printf(&path, "/v1/users/") &&
                ms_ask_escape(&path, (struct ms_bytes){arguments->id, strlen(arguments->id)}) &&
                ms_buffer_printf(&path, "?recommend=%" PRId64 "&limit=%zu", arguments->recommend, limit) &&
                (arguments->partition < 0 ||
                 ms_buffer_printf(&path, "&partition=%" PRId64, arguments->partition));
    int code = room ? ms_ask(config->state_dir, path.data,
                             arguments->json ? "application/json" : "text/plain", text)
                    : 0;
    ms_buffer_free(&path);
    *asked = code == 200 || code == 404 || code == 409;
    if (code == 200)
        return MS_OK;
    enum ms_status status = *asked ? refused(code, text, error) : MS_OK;
    text->size = 0;
    return status;
}

static enum ms_status show(const struct ms_inspect_arguments *arguments, const struct ms_config *config,
                           struct ms_error *error)
{
    bool asked;
    struct ms_inspector *inspector = NULL;
    struct ms_user_view *view = NULL;
    struct ms_buffer text = {0};
    struct ms_bytes id = {arguments->id, strlen(arguments->id)};
    struct ms_moment moment;
    struct ms_inspected inspected = {.partition = (int32_t)arguments->partition,
                                     .moment = arguments->at ? &moment : NULL,
                                     .recommend = (size_t)arguments->recommend};
    size_t limit = arguments->history ? 0 : (size_t)arguments->limit;
    if (id.size > MS_MAX_USER_ID)
        return ms_fail(error, MS_USAGE, "ID is longer than %d bytes", MS_MAX_USER_ID);
    enum ms_status status = arguments->at ? ms_moment_parse(&moment, arguments->at, error) : MS_OK;
    if (status == MS_OK)
        status = ask(arguments, config, limit, &text, &asked, error);
    if (status == MS_OK && !asked)
        status = ms_inspector_new(&inspector, config, error);
    if (status == MS_OK && !asked)
        status = ms_inspector_view(inspector, id, &inspected, &view, error);
    if (status == MS_OK && !asked && arguments->json)
        status = ms_user_view_json(view, &text, error);
    else if (status == MS_OK && !asked)
        status = ms_user_view_text(view, limit, ms_inspect_palette(arguments), &text, error);
    if (status == MS_OK && !add_source(&text, arguments->json, asked))
        status = ms_fail(error, MS_MEMORY, "no memory for the user");
    ms_inspect_print(&text);
    ms_user_view_destroy(view);
    ms_inspector_destroy(inspector);
    return status;
}

static enum ms_status run(void *context, struct ms_error *error)
{
    return ms_inspect_with_config(context, show, error);
}

static const struct ms_argument rows[] = {
    {.name = "ID",
     .kind = MS_ARGUMENT_STRING,
     .positional = true,
     .required = true,
     .not_empty = true,
     .help = "the user; behind -- when it begins with a dash",
     MS_INSPECT_AT(id)},
    MS_INSPECT_STATE_ROWS,
    {.name = "partition",
     .kind = MS_ARGUMENT_INTEGER,
     .max = MS_MAX_PARTITIONS - 1,
     .absent = -1,
     .placeholder = "P",
     .help = "the user of that id in this partition",
     MS_INSPECT_AT(partition)},
    {.name = "limit",
     .kind = MS_ARGUMENT_INTEGER,
     .max = INT32_MAX,
     .standard = "30",
     .placeholder = "N",
     .help = "the newest N behaviors, 0 for all; not with --json",
     MS_INSPECT_AT(limit)},
    {.name = "history",
     .kind = MS_ARGUMENT_FLAG,
     .help = "all kept behaviors; as --limit 0",
     MS_INSPECT_AT(history)},
    {.name = "recommend",
     .kind = MS_ARGUMENT_INTEGER,
     .min = 1,
     .max = MS_RECOMMEND_MAX,
     .placeholder = "N",
     .help = "the N items of largest inner product with an interest, those in the history marked",
     MS_INSPECT_AT(recommend)},
    {.name = "at",
     .kind = MS_ARGUMENT_STRING,
     .not_empty = true,
     .placeholder = "VERSION|TIME",
     .help =
         "the user after its first VERSION events, or after those up to TIME (ISO 8601), folded again from the kept "
         "behaviors; refused where those do not tell",
     MS_INSPECT_AT(at)},
    {0},
};

const struct ms_command ms_inspect_user = {
    .name = "user",
    .summary = "one user: counters, interests with their nearest items, kept behaviors",
    .description =
        "Shows one user: counters, interests with their nearest items, kept behaviors with their coupling to each\n"
        "interest. With routing.mode=incremental the coupling is that of full routing over the kept window. State that was\n"
        "folded under another model or other settings is folded again, in a copy. Beside a running service it asks that, over\n"
        "http.sock in the state directory, and shows the user as of the last commit. Where none answers, and with --at or\n"
        "--model, it reads the state on disk, as of the last flush. It says which, and changes nothing.\n",
    .rows = rows,
    .notes = MS_INSPECT_JSON_RULES
    "  user_id, partition, partitions [all that have such a user], version, event_time, own_offset, kept,\n"
    "  slots (K'u), slots_max, fold_id, profile (its text as it came), model, behaviors [{item, time, type}];\n"
    "  with a model also routing_mode, refolded, model_fold_id, dim, window, coupling_by,\n"
    "  interests [{slot, weight, norm, vector [dim], nearest [{item, score}] or null}], and in each behavior\n"
    "  known (to the model) and coupling [by interest] (null: not in the window); with --recommend\n"
    "  recommended [{item, score, slot, in_history}]; with --at as_of (true); always source: service,\n"
    "  or state (on disk).\n",
    .examples =
        "mindstream inspect user u42 -c /etc/mindstream/mindstream.properties\n"
        "mindstream inspect user u42 --state-dir /var/lib/mindstream --model /srv/models/tmall --json | jq .interests\n"
        "mindstream inspect user u42 -c FILE --recommend 20 --at 2026-11-20T12:00:00Z\n",
    .exit_status = ms_inspect_exit_status,
    .arguments_bytes = sizeof(struct ms_inspect_arguments),
    .run = run,
};
