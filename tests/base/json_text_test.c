/* JSON as text: what another parser reads back. */
#include "base_test.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/json.h"
#include "base/json_text.h"

static void reads_back(struct ms_bytes bytes)
{
    struct ms_buffer out = {0};
    struct ms_json *json = ms_json_new();
    struct ms_json_value root;
    size_t size;
    assert_non_null(json);
    assert_true(ms_json_text_string(&out, bytes));
    assert_null(ms_json_read(json, out.data, out.size, &root));
    assert_int_equal(ms_json_type(root), MS_JSON_STRING);
    const char *text = ms_json_string(root, &size);
    assert_int_equal(size, bytes.size);
    assert_memory_equal(text, bytes.data, size);
    ms_json_destroy(json);
    ms_buffer_free(&out);
}

static void strings(void **state)
{
    char every[128];
    (void)state;
    for (int i = 0; i < 128; i++)
        every[i] = (char)i;
    reads_back((struct ms_bytes){every, sizeof every});
    reads_back((struct ms_bytes){"", 0});
    reads_back((struct ms_bytes){"ü \xf0\x9f\x98\x80", 7});
}

static void text_is(const struct ms_buffer *out, const char *text)
{
    assert_int_equal(out->size, strlen(text));
    assert_memory_equal(out->data, text, out->size);
}

static void controls_are_escaped(void **state)
{
    struct ms_buffer out = {0};
    (void)state;
    assert_true(ms_json_text_string(&out, (struct ms_bytes){"a\"\\\n\t\x01\x7f", 7}));
    text_is(&out, "\"a\\\"\\\\\\n\\t\\u0001\\u007f\"");
    ms_buffer_free(&out);
}

static void floats(void **state)
{
    struct ms_buffer out = {0};
    const float values[] = {0.0f, -1.5f, 0.1f, INFINITY, NAN};
    (void)state;
    assert_true(ms_json_text_floats(&out, values, 5));
    text_is(&out, "[0.0,-1.5,0.1,null,null]");
    out.size = 0;
    assert_true(ms_json_text_floats(&out, NULL, 0));
    text_is(&out, "[]");
    ms_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(strings), cmocka_unit_test(controls_are_escaped),
                                       cmocka_unit_test(floats)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
