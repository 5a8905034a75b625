/* spec.json: defaults, every key, and everything that must be refused with its name. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "interest/mind/mind.h"

#define HEAD_7(extractor)                                                                                    \
    "{\"format\":\"mindstream-model/1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"" extractor         \
    "\",\"dim\":8,"                                                                                          \
    "\"interests\":4,\"max_behaviors\":50"
#define MIND HEAD_7("mind")

static enum ms_status read_text(struct ms_model_spec *spec, struct ms_arena *arena, const char *text,
                                struct ms_error *error)
{
    return ms_model_spec_read(spec, ms_model_kinds, arena, "config.json", text, strlen(text), error);
}

static const struct ms_routing *routing_of(const struct ms_model_spec *spec)
{
    return (const void *)spec->options;
}

static void refused(const char *text, const char *expected)
{
    struct ms_model_spec spec;
    struct ms_arena arena = {0};
    struct ms_error error = {0};
    memset(&spec, 0x55, sizeof spec);
    assert_int_equal(read_text(&spec, &arena, text, &error), MS_MODEL);
    if (strncmp(error.text, "config.json: ", 13) != 0 || !strstr(error.text, expected))
        fail_msg("%s\n gives: %s\n wanted: %s", text, error.text, expected);
    for (size_t i = 0; i < sizeof spec; i++)
        assert_int_equal(((unsigned char *)&spec)[i], 0x55);
    ms_arena_free(&arena);
}

static void defaults(void **state)
{
    (void)state;
    struct ms_model_spec spec;
    struct ms_arena arena = {0};
    struct ms_error error;
    assert_int_equal(read_text(&spec, &arena, MIND "}", &error), MS_OK);
    assert_string_equal(spec.config.id, "n@v");
    assert_string_equal(spec.config.extractor_name, "mind");
    assert_int_equal(spec.config.dim, 8);
    assert_int_equal(spec.config.interests, 4);
    assert_int_equal(spec.config.max_behaviors, 50);
    assert_int_equal(spec.interest_count, MS_COUNT_LOG2_FLOOR);
    assert_int_equal(routing_of(&spec)->iterations, 3);
    assert_int_equal(routing_of(&spec)->softmax, MS_SOFTMAX_INTERESTS);
    assert_false(routing_of(&spec)->padded_softmax);
    assert_true(routing_of(&spec)->softmax_scale == 1.0f && routing_of(&spec)->agreement_scale == 1.0f);
    assert_int_equal(routing_of(&spec)->initial_logits, MS_LOGITS_ITEM_NORMAL);
    assert_true(routing_of(&spec)->seed == 0 && routing_of(&spec)->stddev == 1.0);
    assert_int_equal(routing_of(&spec)->update, MS_UPDATE_ACCUMULATE);
    assert_int_equal(routing_of(&spec)->agreement_interest, MS_AGREEMENT_SQUASHED);
    assert_false(routing_of(&spec)->agreement_item_unit);
    assert_int_equal(routing_of(&spec)->bilinear, MS_BILINEAR_SHARED);
    assert_true(routing_of(&spec)->squash_every && routing_of(&spec)->squash_power == 1.0f &&
                routing_of(&spec)->squash_scale == 1.0f);
    assert_int_equal(spec.head_layers, 0);
    assert_false(spec.normalize);
    assert_int_equal(read_text(&spec, &arena, HEAD_7("comirec-dr") "}", &error), MS_OK);
    assert_string_equal(spec.config.extractor_name, "comirec-dr");
    assert_int_equal(routing_of(&spec)->bilinear, MS_BILINEAR_PER_POSITION);
    assert_int_equal(routing_of(&spec)->initial_logits, MS_LOGITS_ZEROS);
    assert_int_equal(spec.interest_count, MS_COUNT_FIXED);
    assert_int_equal(read_text(&spec, &arena, HEAD_7("comirec-sa") "}", &error), MS_OK);
    assert_int_equal(spec.interest_count, MS_COUNT_FIXED);
    assert_int_equal(read_text(&spec, &arena, HEAD_7("sine") "}", &error), MS_OK);
    assert_int_equal(spec.interest_count, MS_COUNT_FIXED);
    ms_arena_free(&arena);
}

static void every_key(void **state)
{
    (void)state;
    struct ms_model_spec spec;
    struct ms_arena arena = {0};
    struct ms_error error;
    const char *text = MIND
        ",\"interest_count\":\"ln-floor\",\"routing\":{\"iterations\":5,\"softmax\":\"behaviors-then-"
        "interests\","
        "\"padded_softmax\":true,\"softmax_scale\":20.0,\"initial_logits\":\"table\",\"seed\":"
        "9223372036854775807,"
        "\"stddev\":0.5,\"update\":\"probability\",\"agreement_interest\":\"raw\",\"agreement_item\":"
        "\"unit\","
        "\"agreement_scale\":2,\"bilinear\":\"none\",\"squash\":{\"when\":\"last\",\"power\":0.5,\"scale\":3}"
        "},"
        "\"head\":[{\"activation\":\"relu\"},{\"activation\":\"linear\"}],\"normalize\":true,"
        "\"attention\":{\"positions\":\"from-newest\"}}";
    assert_int_equal(read_text(&spec, &arena, text, &error), MS_OK);
    assert_int_equal(spec.interest_count, MS_COUNT_LN_FLOOR);
    assert_int_equal(routing_of(&spec)->iterations, 5);
    assert_int_equal(routing_of(&spec)->softmax, MS_SOFTMAX_BEHAVIORS_THEN_INTERESTS);
    assert_true(routing_of(&spec)->padded_softmax && routing_of(&spec)->softmax_scale == 20.0f);
    assert_int_equal(routing_of(&spec)->initial_logits, MS_LOGITS_TABLE);
    assert_true(routing_of(&spec)->seed == INT64_MAX && routing_of(&spec)->stddev == 0.5);
    assert_int_equal(routing_of(&spec)->update, MS_UPDATE_PROBABILITY);
    assert_int_equal(routing_of(&spec)->agreement_interest, MS_AGREEMENT_RAW);
    assert_true(routing_of(&spec)->agreement_item_unit && routing_of(&spec)->agreement_scale == 2.0f);
    assert_int_equal(routing_of(&spec)->bilinear, MS_BILINEAR_NONE);
    assert_false(routing_of(&spec)->squash_every);
    assert_true(routing_of(&spec)->squash_power == 0.5f && routing_of(&spec)->squash_scale == 3.0f);
    assert_int_equal(spec.head_layers, 2);
    assert_int_equal(spec.head_activation[0], MS_ACTIVATION_RELU);
    assert_int_equal(spec.head_activation[1], MS_ACTIVATION_LINEAR);
    assert_true(spec.normalize);
    ms_arena_free(&arena);
}

/* Each name of each enumeration is read as the enum value of that name. */
static void names(void **state)
{
    static const struct {
        const char *key, *name;
        size_t offset;
        unsigned value;
    } rows[] = {
#define ROW(key, name, field, value) {key, name, offsetof(struct ms_routing, field), value}
        ROW("softmax", "interests", softmax, MS_SOFTMAX_INTERESTS),
        ROW("softmax", "behaviors", softmax, MS_SOFTMAX_BEHAVIORS),
        ROW("initial_logits", "zeros", initial_logits, MS_LOGITS_ZEROS),
        ROW("initial_logits", "item-normal", initial_logits, MS_LOGITS_ITEM_NORMAL),
        ROW("update", "accumulate", update, MS_UPDATE_ACCUMULATE),
        ROW("update", "replace", update, MS_UPDATE_REPLACE),
        ROW("agreement_interest", "squashed", agreement_interest, MS_AGREEMENT_SQUASHED),
        ROW("agreement_interest", "unit", agreement_interest, MS_AGREEMENT_UNIT),
        ROW("bilinear", "shared", bilinear, MS_BILINEAR_SHARED),
        ROW("bilinear", "per-interest", bilinear, MS_BILINEAR_PER_INTEREST),
        ROW("bilinear", "per-position", bilinear, MS_BILINEAR_PER_POSITION),
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ms_model_spec spec;
        struct ms_arena arena = {0};
        char text[512];
        unsigned value;
        snprintf(text, sizeof text, MIND ",\"routing\":{\"%s\":\"%s\"}}", rows[i].key, rows[i].name);
        assert_int_equal(read_text(&spec, &arena, text, NULL), MS_OK);
        memcpy(&value, spec.options + rows[i].offset, sizeof value);
        assert_int_equal(value, rows[i].value);
        ms_arena_free(&arena);
    }
}

static void unknown_keys(void **state)
{
    (void)state;
    refused(MIND ",\"interest\":4}",
            "unknown key \"interest\" (known there: format, name, version, extractor, dim, ");
    refused(MIND ",\"interest\":4}", "interest_count, routing, attention, sine, ");
    refused(MIND ",\"interest\":4}", ", profile, normalize, head, event_weights, training)");
    refused(MIND ",\"routing\":{\"iteration\":3}}",
            "unknown key \"routing.iteration\" (known there: iterations, softmax, ");
    refused(MIND ",\"routing\":{\"squash\":{\"eps\":1}}}",
            "unknown key \"routing.squash.eps\" (known there: when, power, scale)");
    refused(MIND ",\"routing.seed\":1}", "unknown key \"routing.seed\"");
    refused(MIND ",\"\":1}", "unknown key \"\"");
    refused(MIND ",\"head\":[{\"activation\":\"relu\",\"units\":3}]}", "unknown key \"head[0].units\"");
    refused(MIND ",\"attention\":{\"heads\":3}}", "unknown key \"attention.heads\" (known there: positions)");
}

static void wrong_types_and_ranges(void **state)
{
    (void)state;
    refused("[]", "not a JSON object");
    refused("{}", "the key \"format\" is missing");
    refused("{\"format\":\"mindstream-model/1\",\"name\":\"n\"}", "the key \"version\" is missing");
    refused("{\"format\":\"mindstream-model/"
            "2\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"x\",\"dim\":1,\"interests\":1,"
            "\"max_behaviors\":1,\"novel\":1}",
            "format is \"mindstream-model/2\", allowed is \"mindstream-model/1\"");
    refused(HEAD_7("gru") "}", "extractor is \"gru\", allowed is mind, comirec-dr, comirec-sa, sine");
    refused(MIND ",\"dim\":8}", "duplicate object key");
    refused(MIND, "line 1, column");
    refused(MIND "} x", "end of file expected");
    refused(MIND ",\"interest_count\":\"log3\"}",
            "interest_count is \"log3\", allowed is fixed, log2-floor, log2-ceil, "
            "log2-plus-one-floor, ln-floor");
    refused(MIND ",\"interest_count\":4}", "interest_count is 4, allowed is fixed");
    refused(MIND ",\"routing\":[]}", "routing is [], allowed is an object");
    refused(MIND ",\"routing\":{\"squash\":\"every\"}}", "routing.squash is \"every\", allowed is an object");
    refused(MIND ",\"routing\":{\"iterations\":0}}",
            "routing.iterations is 0, allowed is a whole number from 1 to 100");
    refused(MIND ",\"routing\":{\"iterations\":3.0}}",
            "routing.iterations is 3.0, allowed is a whole number");
    refused(MIND ",\"routing\":{\"iterations\":\"3\"}}",
            "routing.iterations is \"3\", allowed is a whole number");
    refused(MIND ",\"routing\":{\"seed\":-1}}", "routing.seed is -1, allowed is a whole number from 0");
    refused(MIND ",\"routing\":{\"seed\":9223372036854775808}}", "too big");
    refused(MIND ",\"routing\":{\"stddev\":-0.5}}",
            "routing.stddev is -0.5, allowed is a number from 0 to 1e+06");
    refused(MIND ",\"routing\":{\"stddev\":1e999}}", "overflow");
    refused(MIND ",\"routing\":{\"stddev\":NaN}}", "line 1");
    refused(MIND ",\"routing\":{\"softmax_scale\":true}}",
            "routing.softmax_scale is true, allowed is a number");
    refused(MIND ",\"routing\":{\"padded_softmax\":1}}",
            "routing.padded_softmax is 1, allowed is true or false");
    refused(MIND ",\"routing\":{\"agreement_item\":\"squashed\"}}", "allowed is raw, unit");
    refused(MIND ",\"routing\":{\"squash\":{\"when\":\"first\"}}}",
            "routing.squash.when is \"first\", allowed is last, every");
    refused(MIND ",\"head\":{}}", "head is {}, allowed is a list of at most 8 layers");
    refused(MIND ",\"head\":[{},{}]}", "head[0] is {}, allowed is an object with \"activation\"");
    refused(MIND ",\"head\":[{\"activation\":\"relu\"},{\"activation\":\"tanh\"}]}",
            "head[1].activation is \"tanh\", allowed is linear, relu");
    refused(MIND ",\"head\":[1,2,3,4,5,6,7,8,9]}", "allowed is a list of at most 8 layers");
    refused(MIND ",\"normalize\":null}", "normalize is null, allowed is true or false");
}

/* The required numbers at both ends of their ranges, and one step beyond. */
static void required_ranges(void **state)
{
    static const struct {
        long long dim, interests, behaviors;
        const char *refusal;
    } rows[] = {
        {1, 1, 1, NULL},
        {MS_MAX_DIM, MS_MAX_INTERESTS, MS_MAX_BEHAVIORS, NULL},
        {0, 1, 1, "dim is 0, allowed is a whole number from 1 to 4096"},
        {MS_MAX_DIM + 1, 1, 1, "dim is 4097"},
        {1, 0, 1, "interests is 0, allowed is a whole number from 1 to 64"},
        {1, MS_MAX_INTERESTS + 1, 1, "interests is 65"},
        {1, 1, 0, "max_behaviors is 0, allowed is a whole number from 1 to 100000"},
        {1, 1, MS_MAX_BEHAVIORS + 1, "max_behaviors is 100001"},
        {1, 1, 4294967297, "max_behaviors is 4294967297"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"format\":\"mindstream-model/"
                 "1\",\"name\":\"n\",\"version\":\"v\",\"extractor\":\"mind\",\"dim\":%lld,"
                 "\"interests\":%lld,\"max_behaviors\":%lld}",
                 rows[i].dim, rows[i].interests, rows[i].behaviors);
        if (rows[i].refusal) {
            refused(text, rows[i].refusal);
        } else {
            struct ms_model_spec spec;
            struct ms_arena arena = {0};
            assert_int_equal(read_text(&spec, &arena, text, NULL), MS_OK);
            ms_arena_free(&arena);
        }
    }
}

static void accepted(const char *text)
{
    struct ms_model_spec spec;
    struct ms_arena arena = {0};
    struct ms_error error;
    if (read_text(&spec, &arena, text, &error) != MS_OK)
        fail_msg("%s: %s", text, error.text);
    ms_arena_free(&arena);
}

/* The last value that is allowed, and the first that is not. */
static void optional_ranges(void **state)
{
    (void)state;
    accepted(MIND ",\"routing\":{\"iterations\":1}}");
    accepted(MIND ",\"routing\":{\"iterations\":100}}");
    refused(MIND ",\"routing\":{\"iterations\":101}}", "routing.iterations is 101");
    accepted(MIND ",\"routing\":{\"stddev\":0}}");
    accepted(MIND ",\"routing\":{\"stddev\":1e6}}");
    refused(MIND ",\"routing\":{\"stddev\":1000001}}", "routing.stddev is");
    accepted(MIND ",\"routing\":{\"seed\":0}}");
}

static void longest_name(void **state)
{
    char text[1024], name[256];
    (void)state;
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    snprintf(text, sizeof text,
             "{\"format\":\"mindstream-model/1\",\"name\":\"%s\",\"version\":\"v\",\"extractor\":\"mind\","
             "\"dim\":1,\"interests\":1,\"max_behaviors\":1}",
             name);
    accepted(text);
}

static void bad_names(void **state)
{
    char text[1024], name[300];
    (void)state;
    memset(name, 'n', sizeof name);
    name[256] = '\0';
    static const char format[] =
        "{\"format\":\"mindstream-model/1\",\"name\":\"%s\",\"version\":\"v\",\"extractor\":\"mind\","
        "\"dim\":1,\"interests\":1,\"max_behaviors\":1}";
    const char *const names[] = {"", "a\\nb", name};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(text, sizeof text, format, names[i]);
        refused(text, "allowed is a string of 1 to 255 bytes without control characters");
    }
}

static void printed_keys(void **state)
{
    (void)state;
    struct ms_model_spec spec;
    struct ms_arena arena = {0};
    char value[600];
    const char *key;
    int values = 0;
    assert_int_equal(read_text(&spec, &arena,
                               HEAD_7("comirec-sa") ",\"attention\":{\"positions\":\"from-newest\"}}", NULL),
                     MS_OK);
    for (size_t i = 0; (key = ms_model_spec_key(&spec, i, value, sizeof value)); i++) {
        if (strncmp(key, "routing.", 8) == 0)
            assert_string_equal(value, "");
        if (strcmp(key, "attention.positions") == 0)
            assert_string_equal(value, "from-newest");
        values += value[0] != '\0';
    }
    assert_int_equal(values, 11);
    ms_arena_free(&arena);
}

/* Some editors write a byte order mark. */
static void byte_order_mark(void **state)
{
    struct ms_model_spec spec;
    struct ms_arena arena = {0};
    struct ms_error error = {0};
    (void)state;
    assert_int_equal(read_text(&spec, &arena, "\xef\xbb\xbf" MIND "}", &error), MS_OK);
    assert_int_equal(spec.config.dim, 8);
    ms_arena_free(&arena);
    refused("\xef\xbb" MIND "}", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_order_mark), cmocka_unit_test(defaults),
        cmocka_unit_test(every_key),       cmocka_unit_test(names),
        cmocka_unit_test(unknown_keys),    cmocka_unit_test(wrong_types_and_ranges),
        cmocka_unit_test(required_ranges), cmocka_unit_test(optional_ranges),
        cmocka_unit_test(longest_name),    cmocka_unit_test(bad_names),
        cmocka_unit_test(printed_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
