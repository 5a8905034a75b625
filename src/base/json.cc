/* simdjson and std::to_chars behind C functions. Compiled without exceptions and run-time types. */
#include "base/json.h"

#include <cassert>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>
#include <simdjson.h>

namespace dom = simdjson::dom;

#define REGISTRY_HEADER_BYTES ((size_t)5) /* a zero byte, then the schema's id in four bytes */

struct ms_json {
    dom::parser parser;
    char *text = nullptr; /* capacity + SIMDJSON_PADDING bytes */
    size_t capacity = 0;
};

static_assert(sizeof(dom::element) <= sizeof(struct ms_json_value), "an element is a document and an index");
static_assert(std::is_trivially_copyable<dom::element>::value, "an element is copied as bytes");

static dom::element element_of(struct ms_json_value value)
{
    dom::element element;
    memcpy(static_cast<void *>(&element), &value, sizeof element);
    return element;
}

static struct ms_json_value value_of(const dom::element &element)
{
    struct ms_json_value value = {};
    memcpy(&value, &element, sizeof element);
    return value;
}

extern "C" const char ms_json_no_memory[] = "memory ran out";

extern "C" struct ms_json *ms_json_new(void)
{
    return new (std::nothrow) struct ms_json;
}

extern "C" void ms_json_destroy(struct ms_json *json)
{
    if (json)
        free(json->text);
    delete json;
}

/* Room for |size| bytes, in powers of two so that documents that grow byte by byte do not allocate each time.
 * A document that has room is read without another allocation. */
static bool reserve(struct ms_json *json, size_t size)
{
    if (size <= json->capacity)
        return true;
    size_t capacity = 4096;
    while (capacity < size)
        capacity *= 2;
    char *text = static_cast<char *>(malloc(capacity + simdjson::SIMDJSON_PADDING));
    if (!text)
        return false;
    free(json->text);
    json->text = text;
    json->capacity = 0; /* until the parser has its room too */
    if (json->parser.allocate(capacity) || json->parser.doc.allocate(capacity))
        return false;
    json->capacity = capacity;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether [at, end) starts with an integer of 19 digits or more that stands where a value may stand (an
 * object's keys may not be quoted into existence); *after is where it ends. */
static bool long_integer(const char *at, const char *end, const char **after)
{
    const char *digits = at + (*at == '-');
    const char *c = digits;
    while (c < end && *c >= '0' && *c <= '9')
        c++;
    *after = c > at ? c : at + 1;
    if (c - digits < 19 || *digits == '0')
        return false;
    if (c < end && !is_space(*c) && *c != ',' && *c != ']' && *c != '}')
        return false;
    while (c < end && is_space(*c))
        c++;
    return c == end || *c != ':';
}

/* Copies the text and puts quotes around integers that no 64-bit number holds. Returns the new size. */
static size_t quote_long_integers(char *out, const char *text, size_t size)
{
    char *to = out;
    bool in_string = false;
    for (const char *at = text, *end = text + size; at < end;) {
        if (in_string) {
            in_string = *at != '"';
            if (*at == '\\' && at + 1 < end)
                *to++ = *at++;
            *to++ = *at++;
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            const char *after;
            bool quote = long_integer(at, end, &after);
            if (quote)
                *to++ = '"';
            memcpy(to, at, static_cast<size_t>(after - at));
            to += after - at;
            at = after;
            if (quote)
                *to++ = '"';
        } else {
            in_string = *at == '"';
            *to++ = *at++;
        }
    }
    return static_cast<size_t>(to - out);
}

static simdjson::error_code parse(struct ms_json *json, size_t size, dom::element *root)
{
    memset(json->text + size, ' ', simdjson::SIMDJSON_PADDING);
    return json->parser.parse(json->text, size, false).get(*root);
}

/* Integers that are too long gain two quotes: 20 characters and one before the next, so a tenth more is enough. */
static size_t quoted_size(size_t size)
{
    return size + size / 8 + 4;
}

extern "C" bool ms_json_reserve(struct ms_json *json, size_t size)
{
    return reserve(json, quoted_size(size));
}

/* Where the document begins: behind the header of a schema registry and a byte order mark. */
static size_t document_start(const char *text, size_t size)
{
    size_t start = 0;
    if (text[0] == '\0' && size > REGISTRY_HEADER_BYTES)
        start = REGISTRY_HEADER_BYTES;
    if (size - start >= 3 && memcmp(text + start, "\xef\xbb\xbf", 3) == 0)
        start += 3;
    return start;
}

extern "C" const char *ms_json_read(struct ms_json *json, const char *text, size_t size,
                                    struct ms_json_value *root)
{
    if (size == 0)
        return "it is empty";
    if (size > MS_JSON_MAX_BYTES)
        return "it is longer than 64 MiB";
    if (!reserve(json, size))
        return ms_json_no_memory;
    dom::element element;
    size_t start = text[0] == '\0' || text[0] == '\xef' ? document_start(text, size) : 0;
    const char *document = text + start;
    size -= start;
    memcpy(json->text, document, size);
    simdjson::error_code code = parse(json, size, &element);
    if (code == simdjson::NUMBER_ERROR) {
        if (!reserve(json, quoted_size(size)))
            return ms_json_no_memory;
        code = parse(json, quote_long_integers(json->text, document, size), &element);
    }
    if (code == simdjson::MEMALLOC)
        return ms_json_no_memory;
    if (code && text[0] == '\0' && start)
        return "it begins with the header of a schema registry, and what follows is not JSON (Avro, Protobuf?)";
    if (code)
        return simdjson::error_message(code);
    *root = value_of(element);
    return nullptr;
}

extern "C" enum ms_json_type ms_json_type(struct ms_json_value value)
{
    switch (element_of(value).type()) {
    case dom::element_type::ARRAY:
        return MS_JSON_ARRAY;
    case dom::element_type::OBJECT:
        return MS_JSON_OBJECT;
    case dom::element_type::INT64:
        return MS_JSON_INTEGER;
    case dom::element_type::UINT64:
        return MS_JSON_UINT64;
    case dom::element_type::DOUBLE:
        return MS_JSON_DOUBLE;
    case dom::element_type::STRING:
        return MS_JSON_STRING;
    case dom::element_type::BOOL:
        return MS_JSON_BOOL;
    case dom::element_type::NULL_VALUE:
        break;
    }
    return MS_JSON_NULL;
}

extern "C" bool ms_json_member(struct ms_json_value value, const char *key, size_t key_bytes,
                               struct ms_json_value *member)
{
    dom::object object;
    dom::element found;
    if (element_of(value).get(object) || object.at_key(std::string_view(key, key_bytes)).get(found))
        return false;
    *member = value_of(found);
    return true;
}

extern "C" bool ms_json_element(struct ms_json_value value, size_t index, struct ms_json_value *element)
{
    dom::array array;
    dom::element found;
    if (element_of(value).get(array) || array.at(index).get(found))
        return false;
    *element = value_of(found);
    return true;
}

extern "C" size_t ms_json_elements(struct ms_json_value value, struct ms_json_value *elements, size_t max)
{
    dom::array array;
    size_t count = 0;
    if (element_of(value).get(array))
        return 0;
    for (dom::element element : array) {
        if (count < max)
            elements[count] = value_of(element);
        count++;
    }
    return count;
}

extern "C" size_t ms_json_fields(struct ms_json_value value, struct ms_json_field *fields, size_t max)
{
    dom::object object;
    size_t count = 0;
    if (element_of(value).get(object))
        return 0;
    for (dom::key_value_pair field : object) {
        if (count < max)
            fields[count] = {field.key.data(), field.key.size(), value_of(field.value)};
        count++;
    }
    return count;
}

extern "C" const char *ms_json_string(struct ms_json_value value, size_t *bytes)
{
    std::string_view text;
    simdjson::error_code code = element_of(value).get(text);
    assert(!code);
    (void)code;
    *bytes = text.size();
    return text.data();
}

/* The type was checked, so asking cannot fail. */
template <typename T> static T content(struct ms_json_value value)
{
    T out{};
    simdjson::error_code code = element_of(value).get(out);
    assert(!code);
    (void)code;
    return out;
}

extern "C" int64_t ms_json_integer(struct ms_json_value value)
{
    return content<int64_t>(value);
}

extern "C" uint64_t ms_json_uint64(struct ms_json_value value)
{
    return content<uint64_t>(value);
}

extern "C" double ms_json_double(struct ms_json_value value)
{
    return content<double>(value);
}

extern "C" bool ms_json_bool(struct ms_json_value value)
{
    return content<bool>(value);
}

template <typename T> static const char *print_digits(char *digits, T number, size_t *bytes)
{
    *bytes = static_cast<size_t>(std::to_chars(digits, digits + MS_JSON_DIGITS_MAX, number).ptr - digits);
    return digits;
}

extern "C" const char *ms_json_id(struct ms_json_value value, char digits[MS_JSON_DIGITS_MAX], size_t *bytes)
{
    constexpr double exact = 9007199254740992.0; /* 2^53 */
    dom::element element = element_of(value);
    switch (element.type()) {
    case dom::element_type::STRING:
        return ms_json_string(value, bytes);
    case dom::element_type::INT64:
        return print_digits(digits, ms_json_integer(value), bytes);
    case dom::element_type::UINT64:
        return print_digits(digits, ms_json_uint64(value), bytes);
    case dom::element_type::DOUBLE: {
        double number = ms_json_double(value);
        if (!(number > -exact && number < exact) ||
            static_cast<double>(static_cast<int64_t>(number)) != number)
            return nullptr;
        return print_digits(digits, static_cast<int64_t>(number), bytes);
    }
    case dom::element_type::BOOL:
    case dom::element_type::NULL_VALUE:
    case dom::element_type::ARRAY:
    case dom::element_type::OBJECT:
        break;
    }
    return nullptr;
}

extern "C" bool ms_json_empty(struct ms_json_value value)
{
    std::string_view text;
    return !element_of(value).get(text) && text.empty();
}

extern "C" bool ms_utf8_valid(const char *text, size_t bytes)
{
    return simdjson::validate_utf8(text, bytes);
}

extern "C" size_t ms_print_float(char *at, float value)
{
    std::to_chars_result end = std::to_chars(at, at + MS_FLOAT_TEXT_MAX - 2, value);
    assert(end.ec == std::errc());
    size_t bytes = static_cast<size_t>(end.ptr - at);
    for (size_t i = 0; i < bytes; i++)
        if (at[i] == '.' || at[i] == 'e')
            return bytes;
    at[bytes] = '.';
    at[bytes + 1] = '0';
    return bytes + 2;
}

extern "C" size_t ms_print_double(char *at, size_t room, double value)
{
    std::to_chars_result end = std::to_chars(at, at + room, value, std::chars_format::fixed);
    return end.ec == std::errc() ? static_cast<size_t>(end.ptr - at) : 0;
}
