/* Which route, and its parameters. */
#include "serve/route.h"

#include <inttypes.h>
#include <string.h>

#include "event/event.h"
#include "state/key.h"

/* One part of a template, moved behind. */
static struct ms_bytes next_part(const char **path)
{
    const char *begin = *path + 1; /* behind its slash */
    size_t size = strcspn(begin, "/");
    *path = begin + size;
    return (struct ms_bytes){begin, size};
}

static bool matches(const char *path, const struct ms_target *target)
{
    size_t i = 0;
    for (; *path && i < target->segment_count; i++) {
        struct ms_bytes part = next_part(&path), is = target->segments[i];
        if (part.data[0] != '{' && (part.size != is.size || memcmp(part.data, is.data, is.size) != 0))
            return false;
    }
    return !*path && i == target->segment_count;
}

int ms_route_find(const struct ms_target *target)
{
    for (int i = 0; i < ms_route_count; i++) {
        if (matches(ms_routes[i].path, target))
            return i;
    }
    return -1;
}

static bool read_id(const struct ms_route *route, const struct ms_target *target, struct ms_bytes *id,
                    struct ms_reply *reply)
{
    const char *path = route->path;
    for (size_t i = 0; *path; i++) {
        if (next_part(&path).data[0] != '{')
            continue;
        const char *fault = ms_id_fault(target->segments[i], MS_MAX_USER_ID);
        if (fault) {
            ms_reply_fail(reply, 400, "the user id in the path is %s", fault);
            return false;
        }
        *id = target->segments[i];
    }
    return true;
}

/* A whole number without blanks; false where it is none, or does not fit. */
static bool parse_number(struct ms_bytes text, int64_t *number)
{
    if (text.size == 0 || text.size > 18)
        return false;
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *number = *number * 10 + (text.data[i] - '0');
    }
    return true;
}

static const struct ms_query_number *find_query(const struct ms_route *route, struct ms_bytes name,
                                                int *index)
{
    for (*index = 0; route->queries[*index].name; ++*index) {
        const char *is = route->queries[*index].name;
        if (strlen(is) == name.size && memcmp(is, name.data, name.size) == 0)
            return &route->queries[*index];
    }
    return NULL;
}

bool ms_route_read(const struct ms_route *route, const struct ms_target *target, struct ms_request *request,
                   struct ms_reply *reply)
{
    int index;
    for (index = 0; route->queries[index].name; index++)
        request->numbers[index] = route->queries[index].standard;
    for (size_t i = 0; i < target->query_count; i++) {
        const struct ms_query_pair *pair = &target->queries[i];
        const struct ms_query_number *query = find_query(route, pair->name, &index);
        int64_t number;
        if (!query) {
            ms_reply_fail(reply, 400, "there is no parameter %.*s here", (int)pair->name.size,
                          pair->name.data);
            return false;
        }
        if (!parse_number(pair->value, &number) || number < query->min || number > query->max) {
            ms_reply_fail(reply, 400, "%s=%.*s is not a whole number from %" PRId64 " to %" PRId64,
                          query->name, (int)pair->value.size, pair->value.data, query->min, query->max);
            return false;
        }
        request->numbers[index] = number;
    }
    return read_id(route, target, &request->id, reply);
}
