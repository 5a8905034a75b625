/* Records of the output topic, in both formats and layouts. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/inspect/tail.h"
#include "mindstream/record.h"
#include "view/json.h"

#define SHOWN_FLOATS 4

struct output {
    enum ms_record_format format;
    bool by_interest;
    struct ms_decoded *decoded; /* NULL: a null value, or unreadable */
    struct ms_bytes user;
    int slot;            /* in layout interest, -1: the key has none */
    struct ms_error why; /* it is unreadable; "" where it is not */
};

static enum ms_status open_output(void **own, const struct ms_config *config, struct ms_error *error)
{
    struct output *output = calloc(1, sizeof *output);
    if (!output)
        return ms_fail(error, MS_MEMORY, "no memory for records");
    output->format = (enum ms_record_format)config->output_format;
    output->by_interest = config->output_layout == MS_LAYOUT_INTEREST;
    *own = output;
    return MS_OK;
}

static void close_output(void *own)
{
    struct output *output = own;
    if (output)
        ms_decoded_destroy(output->decoded);
    free(output);
}

/* "u42#1" is slot 1 of u42. */
static void read_key(struct output *output, struct ms_bytes key)
{
    size_t at = key.size;
    output->user = key;
    output->slot = -1;
    while (output->by_interest && at > 0 && key.data[at - 1] >= '0' && key.data[at - 1] <= '9')
        at--;
    if (at == 0 || at == key.size || key.size - at > 2 || key.data[at - 1] != '#')
        return;
    output->slot = 0;
    for (size_t i = at; i < key.size; i++)
        output->slot = 10 * output->slot + (key.data[i] - '0');
    output->user.size = at - 1;
}

static enum ms_status look(void *own, const struct ms_input *record, const char *wanted,
                           struct ms_bytes *user, struct ms_error *error)
{
    struct output *output = own;
    int slot;
    ms_decoded_destroy(output->decoded);
    output->decoded = NULL;
    output->why.text[0] = '\0';
    read_key(output, record->key);
    *user = output->user;
    if (!record->value.data || (wanted && !ms_tail_is(output->user, wanted)))
        return MS_OK;
    enum ms_status status = output->by_interest ? ms_decode_interest(&output->decoded, output->format,
                                                                     record->value, &slot, &output->why)
                                                : ms_decode_user(&output->decoded, output->format,
                                                                 record->value, &output->why);
    if (status == MS_MEMORY)
        return ms_fail(error, MS_MEMORY, "%s", output->why.text);
    if (status == MS_OK && output->by_interest)
        output->slot = slot;
    return MS_OK;
}

static bool put_vector(struct ms_buffer *out, const struct ms_interests *interests, int index, int slot)
{
    const float *vector = interests->vectors + (size_t)index * (size_t)interests->dim;
    bool good = ms_buffer_printf(out, "  %d: %.3g [", slot, (double)interests->weights[index]);
    for (int i = 0; good && i < interests->dim && i < SHOWN_FLOATS; i++)
        good = ms_buffer_printf(out, "%s%.4g", i ? " " : "", (double)vector[i]);
    return good && ms_buffer_printf(out, "%s]", interests->dim > SHOWN_FLOATS ? " ..." : "");
}

static bool text(void *own, const struct ms_input *record, struct ms_buffer *out)
{
    struct output *output = own;
    if (!ms_tail_bytes(out, record->key))
        return false;
    if (!record->value.data)
        return ms_buffer_printf(out, "  forgotten%s",
                                output->by_interest ? ", or an interest that is gone" : "");
    if (!output->decoded)
        return ms_buffer_printf(out, "  cannot be read: ") &&
               ms_tail_bytes(out, (struct ms_bytes){output->why.text, strlen(output->why.text)}) &&
               ms_buffer_printf(out, ": ") && ms_tail_quoted(out, record->value);
    const struct ms_record *found = ms_decoded_record(output->decoded);
    bool good = ms_buffer_printf(out, "  version %" PRIu64 "  ", found->version) &&
                ms_tail_bytes(out, found->model);
    if (good && !output->by_interest)
        good = ms_buffer_printf(out, "  %d interest%s", found->interests.count,
                                found->interests.count == 1 ? "" : "s");
    for (int i = 0; good && i < found->interests.count; i++)
        good = put_vector(out, &found->interests, i, output->by_interest ? output->slot : i);
    return good;
}

static json_t *interest_json(const struct ms_interests *interests, int index, int slot)
{
    json_t *vector = json_array();
    for (int i = 0; i < interests->dim; i++)
        json_array_append_new(
            vector,
            json_real((double)interests->vectors[(size_t)index * (size_t)interests->dim + (size_t)i]));
    return json_pack("{s:i, s:f, s:o}", "slot", slot, "weight", (double)interests->weights[index], "vector",
                     vector);
}

static void json(void *own, const struct ms_input *record, json_t *root)
{
    struct output *output = own;
    if (record->value.data && !output->decoded) {
        json_object_set_new(root, "key", ms_tail_json(record->key));
        json_object_set_new(root, "value_bytes", json_integer((json_int_t)record->value.size));
        json_object_set_new(root, "unreadable",
                            ms_tail_json((struct ms_bytes){output->why.text, strlen(output->why.text)}));
        return;
    }
    json_object_set_new(root, "user_id", ms_tail_json(output->user));
    if (output->slot >= 0)
        json_object_set_new(root, "slot", json_integer(output->slot));
    if (!record->value.data) {
        json_object_set_new(root, "forgotten", json_true());
        return;
    }
    const struct ms_record *found = ms_decoded_record(output->decoded);
    json_t *interests = json_array();
    for (int i = 0; i < found->interests.count; i++)
        json_array_append_new(interests,
                              interest_json(&found->interests, i, output->by_interest ? output->slot : i));
    json_object_set_new(root, "version", json_integer((json_int_t)found->version));
    json_object_set_new(root, "event_time", json_integer(found->event_time_ms));
    json_object_set_new(root, "model", ms_tail_json(found->model));
    json_object_set_new(root, "interests", interests);
}

const struct ms_tail_kind ms_tail_output = {.name = "output",
                                            .option = "output.topic",
                                            .topic = offsetof(struct ms_config, output_topic),
                                            .open = open_output,
                                            .close = close_output,
                                            .look = look,
                                            .text = text,
                                            .json = json};
