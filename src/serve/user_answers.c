/* Answers about one user: all of it, its vectors alone, what retrieval by them would give. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "mindstream/record.h"
#include "serve/desk.h"
#include "serve/user_items.h"
#include "stream/kafka/live.h"
#include "stream/kafka/owner.h"
#include "view/json.h"
#include "view/recommend.h"
#include "view/text.h"

/* What a handler needs of a user. */
struct visit {
    struct ms_live_user live;
    struct ms_viewer *viewer;
};

/* Nobody here has the user. Where another instance has the partition that the user must be in, the client is sent there. */
static void redirect(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    char url[MS_OWNER_URL_BYTES];
    int32_t partition = ms_service_partition_of(desk->service, request->id);
    if (partition < 0 || ms_service_holds(desk->service, partition))
        return;
    ms_service_owner(desk->service, partition, url);
    if (!url[0] || strcmp(url, desk->config->http_advertise) == 0) {
        ms_reply_fail(
            reply, 404,
            "no partition of this instance has the user; it must be in partition %d, whose owner has not "
            "announced itself (http.advertise)",
            partition);
        return;
    }
    if (!ms_buffer_append(&reply->location, url, strlen(url)) ||
        !ms_buffer_append(&reply->location, request->target.data, request->target.size) ||
        !ms_buffer_append(&reply->location, "", 1)) {
        ms_buffer_free(&reply->location);
        ms_reply_fail(reply, 503, "no memory for the answer");
        return;
    }
    ms_reply_fail(reply, 307, "partition %d is at %s", partition, url);
}

/* Finds the user of the request and a viewer. False: the reply says why. */
static bool begin(struct ms_desk *desk, const struct ms_request *request, int32_t partition,
                  struct visit *visit, struct ms_reply *reply)
{
    struct ms_error error;
    *visit = (struct visit){.viewer = NULL};
    if (!desk->service) {
        ms_reply_fail(reply, 503, "the service starts: it opens the state and waits for the brokers");
        return false;
    }
    enum ms_status status = ms_service_find_user(desk->service, request->id, partition, &visit->live, &error);
    if (status == MS_OK)
        status = ms_viewers_take(&desk->viewers, ms_service_get_options(desk->service), &visit->viewer,
                                 &error);
    if (status != MS_OK) {
        free(visit->live.user);
        ms_reply_failed(reply, &error);
    }
    if (status == MS_NOT_FOUND)
        redirect(desk, request, reply);
    return status == MS_OK;
}

static void end(struct ms_desk *desk, struct visit *visit)
{
    ms_viewers_give(&desk->viewers, visit->viewer);
    free(visit->live.user);
}

/* The view of a user with all its partitions. */
static enum ms_status make_view(const struct visit *visit, struct ms_user_view **view, struct ms_error *error)
{
    enum ms_status status = ms_user_view_new(view, visit->viewer, visit->live.user, error);
    if (status != MS_OK)
        return status;
    static_assert(MS_LIVE_PARTITIONS == MS_VIEW_PARTITIONS, "the same list");
    memcpy((*view)->partitions, visit->live.partitions, sizeof visit->live.partitions);
    (*view)->partition_count = visit->live.partition_count;
    return MS_OK;
}

/* The view, with what is asked for beside it. */
static json_t *user_tree(const struct ms_desk *desk, const struct ms_user_view *view, bool vectors)
{
    json_t *root = ms_user_view_tree(view);
    if (root && (vectors || desk->titles))
        json_object_set_new(
            root, "items",
            ms_user_items_json(view, ms_service_get_options(desk->service)->model, desk->titles, vectors));
    return root;
}

void ms_answer_user(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct visit visit;
    struct ms_user_view *view = NULL;
    struct ms_error error;
    if (!begin(desk, request, (int32_t)request->numbers[0], &visit, reply))
        return;
    bool text = strstr(request->accept, "text/plain") != NULL;
    enum ms_status status = make_view(&visit, &view, &error);
    if (status == MS_OK && request->numbers[2])
        status = ms_user_view_recommend(view, visit.viewer, (size_t)request->numbers[2], &error);
    if (status == MS_OK && text)
        status = ms_user_view_text(view, (size_t)request->numbers[3], NULL, &reply->body, &error);
    else if (status == MS_OK)
        status = ms_view_json_text(user_tree(desk, view, request->numbers[1] != 0), &reply->body, &error);
    if (status == MS_OK && !text && !ms_buffer_append(&reply->body, "\n", 1))
        status = ms_fail(&error, MS_MEMORY, "no memory for the answer");
    reply->code = 200;
    reply->type = text ? MS_TYPE_TEXT : MS_TYPE_JSON;
    if (status == MS_CONFIG)
        ms_reply_fail(reply, 409, "%s", error.text);
    else if (status != MS_OK)
        ms_reply_failed(reply, &error);
    ms_user_view_destroy(view);
    end(desk, &visit);
}

/* ---- the vectors alone ---- */

static bool wants_protobuf(const char *accept)
{
    return strstr(accept, MS_TYPE_PROTOBUF) || strstr(accept, "application/protobuf") ||
           strstr(accept, "application/vnd.google.protobuf");
}

/* Appends the user's output record, as the output topic would have it. */
static enum ms_status put_record(struct ms_desk *desk, struct visit *visit, enum ms_record_format format,
                                 struct ms_buffer *out, struct ms_error *error)
{
    const char *model = ms_model_config(ms_service_get_options(desk->service)->model)->id;
    struct ms_encoder *encoder = NULL;
    struct ms_fold_context *context = NULL;
    bool refolded;
    enum ms_status status = ms_viewer_fold(visit->viewer, &visit->live.user, &context, &refolded, error);
    if (status == MS_OK)
        status = ms_encoder_new(&encoder, format, error);
    if (status == MS_OK) {
        const struct ms_user *user = visit->live.user;
        const struct ms_record record = {.user_id = ms_user_id(user),
                                         .version = user->version,
                                         .event_time_ms = user->last_time_ms,
                                         .model = {model, strlen(model)},
                                         .interests = ms_user_interests(context, user)};
        struct ms_bytes value = ms_encode_user(encoder, &record);
        if (!value.data || !ms_buffer_append(out, value.data, value.size))
            status = ms_fail(error, MS_MEMORY, "no memory for a record");
    }
    ms_encoder_destroy(encoder);
    return status;
}

void ms_answer_interests(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct visit visit;
    struct ms_error error;
    bool protobuf = wants_protobuf(request->accept);
    if (!begin(desk, request, (int32_t)request->numbers[0], &visit, reply))
        return;
    enum ms_status status = put_record(desk, &visit, protobuf ? MS_RECORD_PROTOBUF : MS_RECORD_JSON,
                                       &reply->body, &error);
    reply->code = 200;
    reply->type = protobuf ? MS_TYPE_PROTOBUF : MS_TYPE_JSON;
    if (status == MS_OK && !protobuf && !ms_buffer_append(&reply->body, "\n", 1))
        status = ms_fail(&error, MS_MEMORY, "no memory for the answer");
    if (status != MS_OK)
        ms_reply_failed(reply, &error);
    end(desk, &visit);
}

/* ---- recommendations ---- */

static json_t *recommended_json(const struct ms_desk *desk, const struct ms_user_view *view)
{
    json_t *list = json_array();
    for (size_t i = 0; i < view->recommended_count; i++) {
        const struct ms_view_recommendation *item = &view->recommended[i];
        json_array_append_new(list, json_pack("{s:o, s:f, s:i, s:b}", "item", ms_view_json_bytes(item->item),
                                              "score", item->score, "slot", item->slot, "in_history",
                                              item->in_history));
    }
    json_t *root = json_pack("{s:o, s:i, s:I, s:s, s:o}", "user_id", ms_view_json_bytes(view->id),
                             "partition", (int)view->partition, "version", (json_int_t)view->version, "model",
                             view->model, "recommended", list);
    if (root && desk->titles)
        json_object_set_new(root, "items", ms_user_items_json(view, NULL, desk->titles, false));
    return root;
}

void ms_answer_recommend(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct visit visit;
    struct ms_user_view *view = NULL;
    struct ms_error error;
    if (!begin(desk, request, (int32_t)request->numbers[1], &visit, reply))
        return;
    enum ms_status status = make_view(&visit, &view, &error);
    if (status == MS_OK)
        status = ms_user_view_recommend(view, visit.viewer, (size_t)request->numbers[0], &error);
    if (status == MS_OK)
        ms_reply_json(reply, recommended_json(desk, view));
    else if (status == MS_CONFIG)
        ms_reply_fail(reply, 409, "%s", error.text);
    else
        ms_reply_failed(reply, &error);
    ms_user_view_destroy(view);
    end(desk, &visit);
}

/* ---- its changes ---- */

void ms_answer_live(struct ms_desk *desk, const struct ms_request *request, struct ms_reply *reply)
{
    struct visit visit;
    if (!begin(desk, request, (int32_t)request->numbers[0], &visit, reply))
        return;
    end(desk, &visit);
    reply->code = 200;
    reply->follows = true;
}
