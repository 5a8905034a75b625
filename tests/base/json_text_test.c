/* JSON as text: what another parser reads back. */
#include "base_test.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/json.h"
#include "base/float_text.h"
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

/* As the C++ library prints them: all kinds of exponents, the edges of the two forms, and neighbours of powers. */
static void shortest_floats(void **state)
{
    static const float edges[] = {1.0f,          10.0f,           123456.0f, 8388608.0f, 16777216.0f, 3e7f,
                                  1e-5f,         9.9e-5f,         1e-4f,     0.001f,     1.5e-4f,     1e9f,
                                  3.4028235e38f, 1.17549435e-38f, 1e-45f,    -0.0f,      0.3f};
    char expected[MS_FLOAT_TEXT_MAX], found[MS_FLOAT_TEXT_MAX];
    (void)state;
    for (uint64_t step = 0; step < 300000; step++) {
        uint32_t bits = (uint32_t)step * 14321;
        float value;
        memcpy(&value, &bits, sizeof value);
        if (step < 3 * sizeof edges / sizeof *edges)
            value = nextafterf(edges[step / 3], step % 3 == 0   ? -1.0f
                                                : step % 3 == 1 ? edges[step / 3]
                                                                : 1.0f);
        if (!isfinite(value))
            continue;
        size_t size = ms_print_float(expected, value);
        assert_int_equal(ms_float_text(found, value), size);
        assert_memory_equal(found, expected, size);
    }
}

static void integers(void **state)
{
    struct ms_buffer out = {0};
    (void)state;
    assert_true(ms_json_text_integer(&out, 0) && ms_json_text_integer(&out, INT64_MIN) &&
                ms_json_text_integer(&out, INT64_MAX));
    text_is(&out, "0-92233720368547758089223372036854775807");
    ms_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(strings), cmocka_unit_test(controls_are_escaped),
                                       cmocka_unit_test(floats), cmocka_unit_test(shortest_floats),
                                       cmocka_unit_test(integers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
