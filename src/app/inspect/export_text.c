/* What is written of one user. */
#include "app/inspect/export_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json_text.h"
#include "user/restore.h"
#include "view/escape.h"

#define PUT(out, literal) ms_buffer_append(out, literal, sizeof(literal) - 1)

static enum ms_status no_memory(struct ms_error *error)
{
    return ms_fail(error, MS_MEMORY, "no memory for the text of a user");
}

/* ---- JSON lines ---- */

/* ,"name":number */
static bool put_number(struct ms_buffer *out, const char *name, int64_t number)
{
    return ms_buffer_append(out, name, strlen(name)) && ms_json_text_integer(out, number);
}

static bool put_time(struct ms_buffer *out, const char *name, int64_t time_ms)
{
    return time_ms == INT64_MIN ? ms_buffer_append(out, name, strlen(name)) && PUT(out, "null")
                                : put_number(out, name, time_ms);
}

static bool put_behaviors(struct ms_buffer *out, const struct ms_user *user)
{
    const struct ms_behavior *behaviors = ms_user_behaviors(user);
    bool good = PUT(out, ",\"behaviors\":[");
    for (uint32_t i = 0; good && i < user->count; i++) {
        good = (i == 0 || PUT(out, ",")) && PUT(out, "{\"item\":") &&
               ms_json_text_string(out, ms_behavior_item(user, &behaviors[i])) &&
               put_number(out, ",\"time\":", behaviors[i].time_ms) && PUT(out, ",\"type\":") &&
               ms_json_text_string(out, ms_behavior_type(user, &behaviors[i])) && PUT(out, "}");
    }
    return good && PUT(out, "]");
}

/* "arrived": the place of each behavior in the order of arrival, where that is not the order of their times. */
static bool put_arrival(struct ms_exporter *exporter, const struct ms_user *user, struct ms_buffer *out)
{
    if (!ms_array_reserve(&exporter->places, &exporter->places_capacity, user->count,
                          sizeof *exporter->places))
        return false;
    if (user->count == 0 || ms_user_arrival_places(user, exporter->places))
        return true;
    bool good = PUT(out, ",\"arrived\":[");
    for (uint32_t i = 0; good && i < user->count; i++)
        good = (i == 0 || PUT(out, ",")) && ms_json_text_integer(out, exporter->places[i]);
    return good && PUT(out, "]");
}

static bool put_fold_id(struct ms_buffer *out, uint64_t fold_id)
{
    static const char digits[] = "0123456789abcdef";
    char text[16];
    for (int i = 0; i < 16; i++)
        text[i] = digits[fold_id >> (60 - 4 * i) & 15];
    return PUT(out, ",\"fold_id\":\"") && ms_buffer_append(out, text, sizeof text) && PUT(out, "\"");
}

static bool put_counters(struct ms_buffer *out, const struct ms_user *user)
{
    return put_number(out, ",\"partition\":", user->partition) &&
           put_number(out, ",\"version\":", (int64_t)user->version) &&
           put_time(out, ",\"event_time\":", user->last_time_ms) &&
           put_number(out, ",\"own_offset\":", user->own_offset) &&
           put_number(out, ",\"profile_offset\":", user->profile_offset) && put_fold_id(out, user->fold_id) &&
           put_number(out, ",\"slots\":", user->slots) &&
           put_number(out, ",\"slots_max\":", user->slots_max) &&
           put_number(out, ",\"events_folded\":", (int64_t)user->events_folded) &&
           put_time(out, ",\"sums_time\":", user->sums_time_ms) &&
           (user->owed == 0 || put_number(out, ",\"owed\":", (int64_t)user->owed));
}

/* What is stored. The sums are those of the row: a user that was stored without them has null. */
static bool put_stored(struct ms_exporter *exporter, const struct ms_user *user, struct ms_buffer *out)
{
    bool good = PUT(out, "{\"user_id\":") && ms_json_text_string(out, ms_user_id(user)) &&
                put_counters(out, user);
    if (good && user->profile_bytes)
        good = PUT(out, ",\"profile\":") && ms_json_text_string(out, ms_user_profile(user));
    return good && put_behaviors(out, user) && put_arrival(exporter, user, out) && PUT(out, ",\"sums\":") &&
           (user->sums_left_out ? PUT(out, "null")
                                : ms_json_text_floats(out, ms_user_sums(user), user->floats));
}

static bool put_interests(const struct ms_interests *interests, struct ms_buffer *out)
{
    bool good = PUT(out, ",\"interests\":[");
    for (int k = 0; good && k < interests->count; k++)
        good = (k == 0 || PUT(out, ",")) && put_number(out, "{\"slot\":", k) && PUT(out, ",\"weight\":") &&
               ms_json_text_float(out, interests->weights[k]) && PUT(out, ",\"vector\":") &&
               ms_json_text_floats(out, interests->vectors + (size_t)k * (size_t)interests->dim,
                                   (size_t)interests->dim) &&
               PUT(out, "}");
    return good && PUT(out, "]");
}

/* ---- CSV ---- */

/* A field in quotes where it needs them (RFC 4180). */
static bool put_field(struct ms_buffer *out, struct ms_bytes bytes)
{
    bool quoted = bytes.size == 0;
    for (size_t i = 0; !quoted && i < bytes.size; i++)
        quoted = strchr(",\"\r\n", bytes.data[i]) != NULL;
    if (!quoted)
        return ms_buffer_append(out, bytes.data, bytes.size);
    bool good = PUT(out, "\"");
    for (size_t i = 0; good && i < bytes.size; i++)
        good = (bytes.data[i] != '"' || PUT(out, "\"")) && ms_buffer_append(out, bytes.data + i, 1);
    return good && PUT(out, "\"");
}

bool ms_export_titles(struct ms_buffer *out, int dim)
{
    bool good = PUT(out, "user_id,partition,version,event_time,slot,weight");
    for (int i = 0; good && i < dim; i++)
        good = put_number(out, ",v", i);
    return good && PUT(out, "\n");
}

/* The columns that all rows of a user have. */
static bool put_columns_of_user(struct ms_buffer *out, const struct ms_user *user)
{
    return put_field(out, ms_user_id(user)) && put_number(out, ",", user->partition) &&
           put_number(out, ",", (int64_t)user->version) && put_number(out, ",", user->last_time_ms);
}

static bool put_csv(const struct ms_user *user, const struct ms_interests *interests, struct ms_buffer *out)
{
    bool good = true;
    size_t dim = (size_t)interests->dim;
    for (int k = 0; good && k < interests->count; k++) {
        good = put_columns_of_user(out, user) && put_number(out, ",", k) && PUT(out, ",") &&
               ms_json_text_float(out, interests->weights[k]) && PUT(out, ",") &&
               ms_json_text_numbers(out, interests->vectors + (size_t)k * dim, dim) && PUT(out, "\n");
    }
    return good;
}

/* ---- npy ---- */

static bool put_npy(const struct ms_user *user, const struct ms_interests *interests,
                    struct ms_export_text *out)
{
    size_t bytes = (size_t)interests->count * (size_t)interests->dim * sizeof(float);
    bool good = bytes == 0 || ms_buffer_append(&out->text, interests->vectors, bytes);
    for (int k = 0; good && k < interests->count; k++)
        good = ms_escape(&out->ids, ms_user_id(user)) && put_number(&out->ids, "#", k) &&
               PUT(&out->ids, "\n");
    out->rows += (uint64_t)interests->count;
    return good;
}

/* ---- a user ---- */

enum ms_status ms_export_user(struct ms_exporter *exporter, struct ms_user **user, struct ms_export_text *out,
                              struct ms_error *error)
{
    struct ms_interests interests = {0};
    if (exporter->format == MS_EXPORT_JSONL && !put_stored(exporter, *user, &out->text))
        return no_memory(error);
    if (exporter->viewer) {
        struct ms_fold_context *context;
        bool refolded;
        enum ms_status status = ms_viewer_fold(exporter->viewer, user, &context, &refolded, error);
        if (status != MS_OK)
            return status;
        interests = ms_user_interests(context, *user);
    }
    bool good = false;
    switch (exporter->format) {
    case MS_EXPORT_JSONL:
        good = (!exporter->viewer || put_interests(&interests, &out->text)) && PUT(&out->text, "}\n");
        break;
    case MS_EXPORT_CSV:
        good = put_csv(*user, &interests, &out->text);
        break;
    case MS_EXPORT_NPY:
        good = put_npy(*user, &interests, out);
        break;
    }
    return good ? MS_OK : no_memory(error);
}

void ms_exporter_free(struct ms_exporter *exporter)
{
    ms_viewer_destroy(exporter->viewer);
    free(exporter->places);
    *exporter = (struct ms_exporter){0};
}
