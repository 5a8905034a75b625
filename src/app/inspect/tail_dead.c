/* Records of the dead-letter topic: what they were, and the headers that say why they are there. */
#include "app/inspect/tail.h"
#include "stream/kafka/topic_reader.h"
#include "view/json.h"

static enum ms_status look(void *own, const struct ms_input *record, const char *wanted,
                           struct ms_bytes *user, struct ms_error *error)
{
    (void)own, (void)wanted, (void)error;
    *user = record->key;
    return MS_OK;
}

static struct ms_bytes name_of(const struct ms_header *header)
{
    return (struct ms_bytes){header->name, strlen(header->name)};
}

static bool text(void *own, const struct ms_input *record, struct ms_buffer *out)
{
    struct ms_headers headers = ms_topic_reader_headers(record);
    bool good = ms_buffer_printf(out, "key ") && ms_tail_quoted(out, record->key);
    (void)own;
    for (size_t i = 0; good && i < headers.count; i++) {
        struct ms_header header;
        headers.get(headers.context, i, &header);
        good = ms_buffer_printf(out, "  ") && ms_tail_bytes(out, name_of(&header)) &&
               ms_buffer_printf(out, "=") && ms_tail_quoted(out, header.value);
    }
    return good && ms_buffer_printf(out, "  value ") && ms_tail_quoted(out, record->value);
}

static void json(void *own, const struct ms_input *record, json_t *root)
{
    struct ms_headers headers = ms_topic_reader_headers(record);
    json_t *list = json_array();
    (void)own;
    for (size_t i = 0; i < headers.count; i++) {
        struct ms_header header;
        headers.get(headers.context, i, &header);
        json_array_append_new(list, json_pack("{s:o, s:o}", "name", ms_tail_json(name_of(&header)), "value",
                                              ms_tail_json(header.value)));
    }
    json_object_set_new(root, "key", ms_tail_json(record->key));
    json_object_set_new(root, "value", ms_tail_json(record->value));
    json_object_set_new(root, "headers", list);
}

const struct ms_tail_kind ms_tail_dead = {.name = "dead",
                                          .option = "dead.letter.topic",
                                          .topic = offsetof(struct ms_config, dead_letter_topic),
                                          .look = look,
                                          .text = text,
                                          .json = json};
