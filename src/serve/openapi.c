/* /openapi.json: the table of routes, with the schemas of schemas.json. */
#include <string.h>

#include "serve/desk.h"
#include "serve/openapi.h"

extern const char ms_schemas_text[]; /* made of schemas.json */

static json_t *reference(const char *schema)
{
    char text[80];
    snprintf(text, sizeof text, "#/components/schemas/%s", schema);
    return json_pack("{s:s}", "$ref", text);
}

static json_t *content_of(const struct ms_route *route)
{
    json_t *content = json_object();
    for (const char *at = route->types; *at;) {
        char type[64];
        size_t size = strcspn(at, " ");
        snprintf(type, sizeof type, "%.*s", (int)size, at);
        bool json = strcmp(type, MS_TYPE_JSON) == 0 && route->schema;
        json_object_set_new(content, type,
                            json ? json_pack("{s:o}", "schema", reference(route->schema)) : json_object());
        at += size + strspn(at + size, " ");
    }
    return content;
}

/* Statuses that any route may answer, and when. */
static const struct {
    const char *status, *when;
} common[] = {{"400", "A percent code or a parameter that is wrong."},
              {"401", "The token is missing or wrong."},
              {"403", "The Host header has a foreign name, and there is no token."},
              {"405", "Another method than GET and HEAD."},
              {"413", "A body."},
              {"414", "More than 8 KiB of path and query."},
              {"429", "Too many requests of this client."}};

static json_t *failure(const char *when)
{
    return json_pack("{s:s, s:{s:{s:o}}}", "description", when, "content", MS_TYPE_JSON, "schema",
                     reference("Error"));
}

static json_t *responses_of(const struct ms_route *route)
{
    json_t *responses = json_object();
    json_object_set_new(responses, "200",
                        json_pack("{s:s, s:o}", "description", "The answer.", "content", content_of(route)));
    for (const char *at = route->statuses; *at;) {
        char status[8];
        size_t size = strcspn(at, " ");
        snprintf(status, sizeof status, "%.*s", (int)size, at);
        bool whole = route->open && route->schema; /* its 503 is an answer, no error */
        json_object_set_new(
            responses, status,
            whole ? json_pack("{s:s, s:o}", "description", "Not so.", "content", content_of(route))
                  : failure(strcmp(status, "404") == 0   ? "No partition of this instance has the user."
                            : strcmp(status, "503") == 0 ? "Not now: Retry-After says when to try again."
                            : strcmp(status, "307") == 0 ? "Another instance has the user: see Location."
                                                         : "The request does not fit the service."));
        at += size + strspn(at + size, " ");
    }
    for (size_t i = 0; i < sizeof common / sizeof *common; i++) {
        bool need = !(route->open && strcmp(common[i].status, "401") == 0);
        if (need && !json_object_get(responses, common[i].status))
            json_object_set_new(responses, common[i].status, failure(common[i].when));
    }
    return responses;
}

static json_t *parameters_of(const struct ms_route *route)
{
    json_t *parameters = json_array();
    if (strstr(route->path, "{id}"))
        json_array_append_new(parameters, json_pack("{s:s, s:s, s:b, s:s, s:{s:s}}", "name", "id", "in",
                                                    "path", "required", 1, "description",
                                                    "The user, percent-encoded; a slash in it is %2F.",
                                                    "schema", "type", "string"));
    for (const struct ms_query_number *query = route->queries; query->name; query++) {
        json_t *schema = json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)query->min,
                                   "maximum", (json_int_t)query->max);
        if (query->standard >= query->min)
            json_object_set_new(schema, "default", json_integer(query->standard));
        json_array_append_new(parameters, json_pack("{s:s, s:s, s:s, s:o}", "name", query->name, "in",
                                                    "query", "description", query->help, "schema", schema));
    }
    return parameters;
}

json_t *ms_openapi(const struct ms_route *routes, int count)
{
    json_t *paths = json_object(), *schemas = json_loads(ms_schemas_text, 0, NULL);
    for (int i = 0; i < count; i++) {
        const struct ms_route *route = &routes[i];
        json_t *operation = json_pack("{s:s, s:s, s:o, s:o}", "operationId", route->name, "summary",
                                      route->summary, "parameters", parameters_of(route), "responses",
                                      responses_of(route));
        if (route->open) /* none of the schemes */
            json_object_set_new(operation, "security", json_array());
        json_object_set_new(paths, route->path, json_pack("{s:o}", "get", operation));
    }
    return json_pack("{s:s, s:{s:s, s:s}, s:[{s:[]}], s:o, s:{s:{s:{s:s, s:s}}, s:o}}", "openapi", "3.1.0",
                     "info", "title", "mindstream", "version", MINDSTREAM_VERSION, "security", "token",
                     "paths", paths, "components", "securitySchemes", "token", "type", "http", "scheme",
                     "bearer", "schemas", schemas);
}

void ms_answer_openapi(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    (void)request;
    ms_reply_json(reply, ms_openapi(desk->routes, desk->route_count));
}
