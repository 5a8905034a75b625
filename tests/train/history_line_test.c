/* Lines of histories: what a good line gives, and in which words a bad one is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mindstream/record.h"
#include "model/model_writer.h"
#include "train/history_line.h"

#define DIM 2

static const char *const ids[] = {"a", "b", "7"};

struct fixture {
    struct ms_model *model;
    struct ms_history_options options;
    struct ms_history_line *reader;
    struct ms_buffer out;
};

/* A mind model of three items and two interests over a window of four; |more| goes into its configuration. */
static struct ms_model *make_model(const char *more)
{
    static const float items[3 * DIM] = {1, 0, 0, 1, 2, 1}, map[DIM * DIM] = {1, 0, 0, 1};
    const struct writer_tensor tensors[] = {{"item_embedding", items, 2, {3, DIM}, false},
                                            {"routing.bilinear", map, 2, {DIM, DIM}, false}};
    char config[600];
    struct ms_model *model = NULL;
    struct ms_error error;
    snprintf(config, sizeof config,
             "{\"format\":\"mindstream-model/1\",\"name\":\"m\",\"version\":\"1\",\"extractor\":\"mind\","
             "\"dim\":2,\"interests\":2,\"max_behaviors\":4%s}",
             more);
    char *dir = writer_temp_dir();
    writer_model(dir, config, ids, 3, tensors, 2);
    if (ms_model_load(&model, dir, &error) != MS_OK)
        fail_msg("%s", error.text);
    writer_remove(dir);
    free(dir);
    return model;
}

static struct fixture *open_fixture(const char *config, struct ms_history_options options)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct ms_error error;
    f->model = make_model(config);
    f->options = options;
    if (ms_history_line_new(&f->reader, f->model, &f->options, &error) != MS_OK)
        fail_msg("%s", error.text);
    return f;
}

static void close_fixture(struct fixture *f)
{
    ms_history_line_destroy(f->reader);
    ms_model_destroy(f->model);
    ms_buffer_free(&f->out);
    free(f);
}

static struct fixture *open_full(void)
{
    return open_fixture("", (struct ms_history_options){.incremental = false});
}

static struct fixture *open_fold(struct ms_decay decay)
{
    return open_fixture("", (struct ms_history_options){.incremental = true, .decay = decay});
}

/* The record that a line gives, without its newline, as a string. It holds until the next call. */
static const char *record_of(struct fixture *f, const char *line)
{
    struct ms_error error;
    f->out.size = 0;
    if (ms_history_line_extract(f->reader, line, strlen(line), &f->out, &error) != MS_OK)
        fail_msg("%s: %s", line, error.text);
    assert_true(f->out.size > 0 && f->out.data[f->out.size - 1] == '\n');
    f->out.data[f->out.size - 1] = '\0';
    return f->out.data;
}

static void check_begins(const char *text, const char *beginning)
{
    if (strncmp(text, beginning, strlen(beginning)) != 0)
        fail_msg("'%s' does not begin with '%s'", text, beginning);
}

static void check_refused(struct fixture *f, const char *line, const char *reason)
{
    struct ms_error error = {0};
    f->out.size = 0;
    assert_true(ms_buffer_append(&f->out, "before\n", 7));
    assert_int_equal(ms_history_line_extract(f->reader, line, strlen(line), &f->out, &error), MS_FORMAT);
    if (!strstr(error.text, reason))
        fail_msg("%s: '%s' does not say '%s'", line, error.text, reason);
    assert_int_equal(f->out.size, 7);
}

/* User ids and item ids may be numbers; unknown items count in the version; the time is the newest one. */
static void good_lines(void **state)
{
    (void)state;
    struct fixture *f = open_full();
    check_begins(
        record_of(f, "{\"user_id\":\"u\",\"items\":[\"a\",\"nowhere\",7],\"timestamps\":[5,9,3]}"),
        "{\"user_id\":\"u\",\"version\":3,\"event_time\":9,\"model\":\"m@1\",\"dim\":2,\"interests\":[{\"slot\":0,"
        "\"weight\":1.0,\"vector\":[");
    check_begins(
        record_of(f, " {\"items\": [], \"more\": {}, \"user_id\": -4} "),
        "{\"user_id\":\"-4\",\"version\":0,\"event_time\":0,\"model\":\"m@1\",\"dim\":2,\"interests\":[]}");
    check_begins(record_of(f, "{\"user_id\":18446744073709551615,\"items\":[\"gone\"],\"profile\":null}"),
                 "{\"user_id\":\"18446744073709551615\",\"version\":1,\"event_time\":0,");
    close_fixture(f);
}

/* Records of full routing are those of the extractor, and unknown items take no slot. */
static void full_routing(void **state)
{
    (void)state;
    struct fixture *f = open_full();
    char *known = strdup(record_of(f, "{\"user_id\":\"u\",\"items\":[\"a\",\"b\",\"7\",\"b\"]}"));
    const char *with_unknown = record_of(f,
                                         "{\"user_id\":\"u\",\"items\":[\"x\",\"a\",\"b\",\"y\",7,\"b\"]}");
    assert_string_equal(strstr(known, "\"interests\""), strstr(with_unknown, "\"interests\""));
    /* Initial logits decide which interest an item goes to. Those of an unknown item are not used. */
    char *logits = strdup(record_of(f, "{\"user_id\":\"u\",\"items\":[\"a\",\"b\",\"a\",\"b\"],"
                                       "\"initial_logits\":[[9,-9],[-9,9],[9,-9],[-9,9]]}"));
    const char *skipped = record_of(f, "{\"user_id\":\"u\",\"items\":[\"a\",\"x\",\"b\",\"a\",\"b\"],"
                                       "\"initial_logits\":[[9,-9],[5,5],[-9,9],[9,-9],[-9,9]]}");
    assert_string_equal(strstr(logits, "\"interests\""), strstr(skipped, "\"interests\""));
    const char *swapped = record_of(f, "{\"user_id\":\"u\",\"items\":[\"a\",\"b\",\"a\",\"b\"],"
                                       "\"initial_logits\":[[-9,9],[9,-9],[-9,9],[9,-9]]}");
    assert_string_not_equal(strstr(logits, "\"interests\""), strstr(swapped, "\"interests\""));
    free(known);
    free(logits);
    close_fixture(f);
}

/* The fold with decay 0.5 forgets; by time it forgets as the timestamps say. */
static void incremental_fold(void **state)
{
    (void)state;
    static const char line[] =
        "{\"user_id\":\"u\",\"items\":[\"a\",\"a\",\"b\"],\"timestamps\":[0,1000,1000]}";
    struct fixture *slow = open_fold((struct ms_decay){.count = 1, .per_event = {1}});
    struct fixture *fast = open_fold((struct ms_decay){.count = 1, .per_event = {0.5}});
    struct fixture *by_time = open_fold((struct ms_decay){.count = 1, .half_life_ms = {1000}});
    assert_string_not_equal(record_of(slow, line), record_of(fast, line));
    /* Without time between the events nothing is forgotten. */
    static const char at_once[] = "{\"user_id\":\"u\",\"items\":[\"a\",\"a\",\"b\"],\"timestamps\":[5,5,5]}";
    assert_string_equal(record_of(slow, at_once), record_of(by_time, at_once));
    assert_string_not_equal(record_of(slow, line), record_of(by_time, line));
    /* Twice the same line: nothing stays from the line before. */
    char *once = strdup(record_of(fast, line));
    assert_string_equal(record_of(fast, line), once);
    check_refused(by_time, "{\"user_id\":\"u\",\"items\":[\"a\"]}",
                  "timestamps is missing, and a half-life needs it");
    check_refused(fast, "{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[[1,2]]}",
                  "initial_logits is for full routing only");
    free(once);
    close_fixture(slow);
    close_fixture(fast);
    close_fixture(by_time);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } cases[] = {
        {"", "not JSON"},
        {"{\"user_id\":\"u\",\"items\":[]", "not JSON"},
        {"[1]", "not a JSON object"},
        {"{\"items\":[]}", "user_id is missing"},
        {"{\"user_id\":1.5,\"items\":[]}", "user_id is neither a string nor an integer"},
        {"{\"user_id\":\"\",\"items\":[]}", "user_id has 0 bytes, expected 1 to 32768"},
        {"{\"user_id\":\"u\"}", "items is missing"},
        {"{\"user_id\":\"u\",\"items\":{}}", "items is not an array"},
        {"{\"user_id\":\"u\",\"items\":[\"a\",null]}", "items[1] is neither a string nor an integer"},
        {"{\"user_id\":\"u\",\"items\":[],\"timestamps\":1}", "timestamps is not an array"},
        {"{\"user_id\":\"u\",\"items\":[1],\"timestamps\":[]}", "timestamps has 0 elements, but items has 1"},
        {"{\"user_id\":\"u\",\"items\":[1],\"timestamps\":[-1]}",
         "timestamps[0] is not an integer of milliseconds"},
        {"{\"user_id\":\"u\",\"items\":[1],\"timestamps\":[1.0]}",
         "timestamps[0] is not an integer of milliseconds"},
        {"{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":{}}", "initial_logits is not an array"},
        {"{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[]}",
         "initial_logits has 0 rows, expected 1"},
        {"{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[[1,2],[1,2]]}", "has 2 rows, expected 1"},
        {"{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[1]}", "initial_logits[0] is not an array"},
        {"{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[[1]]}",
         "initial_logits[0] has 1 numbers, expected K=2"},
        {"{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[[1,\"2\"]]}",
         "initial_logits[0][1] is not a number"},
        {"{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[[1,1e39]]}",
         "initial_logits[0][1] is not a number"},
        {"{\"user_id\":\"u\",\"items\":[],\"profile\":[]}", "profile is not an object"},
    };
    struct fixture *f = open_full();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_refused(f, cases[i].line, cases[i].reason);
    record_of(f, "{\"user_id\":\"u\",\"items\":[\"a\"]}"); /* the reader goes on */
    close_fixture(f);
}

static void longest_user_id(void **state)
{
    (void)state;
    struct fixture *f = open_full();
    for (int more = 0; more < 2; more++) {
        size_t size = (size_t)MS_MAX_ITEM_ID + (size_t)more;
        char *line = malloc(size + 40);
        strcpy(line, "{\"items\":[],\"user_id\":\"");
        memset(line + strlen(line), 'u', size);
        strcpy(line + 23 + size, "\"}");
        if (more)
            check_refused(f, line, "user_id has 32769 bytes");
        else
            check_begins(record_of(f, line), "{\"user_id\":\"uuuu");
        free(line);
    }
    close_fixture(f);
}

/* With padded slots the logits may have rows for these, up to the window. */
static void padded_rows(void **state)
{
    (void)state;
    struct fixture *f = open_fixture(",\"routing\":{\"softmax\":\"behaviors\",\"padded_softmax\":true}",
                                     (struct ms_history_options){.incremental = false});
    record_of(f, "{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[[1,2],[3,4],[5,6],[7,8]]}");
    check_refused(f,
                  "{\"user_id\":\"u\",\"items\":[\"a\"],\"initial_logits\":[[1,2],[1,2],[1,2],[1,2],[1,2]]}",
                  "initial_logits has 5 rows, expected 1 (or more, up to max_behaviors)");
    close_fixture(f);
}

static void model_that_cannot_be_folded(void **state)
{
    (void)state;
    struct ms_model *model = make_model(",\"routing\":{\"softmax\":\"behaviors\"}");
    const struct ms_history_options options = {.incremental = true,
                                               .decay = {.count = 1, .per_event = {0.9}}};
    struct ms_history_line *reader = NULL;
    struct ms_error error;
    assert_int_equal(ms_history_line_new(&reader, model, &options, &error), MS_CONFIG);
    assert_null(reader);
    ms_history_line_destroy(NULL);
    ms_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),
        cmocka_unit_test(full_routing),
        cmocka_unit_test(incremental_fold),
        cmocka_unit_test(refused),
        cmocka_unit_test(longest_user_id),
        cmocka_unit_test(padded_rows),
        cmocka_unit_test(model_that_cannot_be_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
