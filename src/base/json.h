/* JSON: reading a document strictly (simdjson) and printing floats (std::to_chars), with functions for C. The implementation
 * is the only C++ of the project. It throws no exception to the caller. A warm reader does not allocate. */
#ifndef MS_BASE_JSON_H
#define MS_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MS_JSON_MAX_BYTES ((size_t)64 << 20) /* longest document that is read */

/* A reader: the parser and a padded copy of the text. One thread each. */
struct ms_json;

/* A value inside the document that a reader read last; holds until its next ms_json_read. */
struct ms_json_value {
    uint64_t opaque[2];
};

enum ms_json_type {
    MS_JSON_NULL,
    MS_JSON_BOOL,
    MS_JSON_INTEGER, /* fits int64_t */
    MS_JSON_UINT64,  /* an integer beyond INT64_MAX that fits uint64_t */
    MS_JSON_DOUBLE,
    MS_JSON_STRING,
    MS_JSON_ARRAY,
    MS_JSON_OBJECT,
};

/* NULL when memory ended. Destroying NULL is legal. */
struct ms_json *ms_json_new(void);
void ms_json_destroy(struct ms_json *json);
/* Makes room: documents of up to |size| bytes are read without another allocation. False when memory ended. */
bool ms_json_reserve(struct ms_json *json, size_t size);

#define MS_JSON_DIGITS_MAX 24 /* a 64-bit integer in digits */

/* Reads one whole document of |size| bytes as RFC 8259 defines it. A byte order mark before it is passed over, and so is the
 * header of a schema registry (a zero byte and four bytes of schema id): no document begins with these. Bytes after the document, text that is not UTF-8 and half
 * a surrogate pair are errors; nothing is repaired. Returns NULL and sets *root, or a static text with the reason
 * (ms_json_no_memory when memory ended and the document may be good). An integer beyond 64 bits is not an error: it becomes
 * an MS_JSON_STRING of its digits, because no digit may be lost. A fraction or an exponent beyond the range of a double is an
 * error. */
extern const char ms_json_no_memory[];
const char *ms_json_read(struct ms_json *json, const char *text, size_t size, struct ms_json_value *root);

enum ms_json_type ms_json_type(struct ms_json_value value);

/* The member |key| of an object (the first, when the key is there twice), or the element |index| of an array.
 * False when there is none, also when |value| is no object (no array). */
bool ms_json_member(struct ms_json_value value, const char *key, size_t key_bytes,
                    struct ms_json_value *member);
bool ms_json_element(struct ms_json_value value, size_t index, struct ms_json_value *element);

/* Writes the first |max| elements of an array and returns how many it has (0 where |value| is no array). One
 * pass, where ms_json_element counts from the start each time. */
size_t ms_json_elements(struct ms_json_value value, struct ms_json_value *elements, size_t max);

/* The same for the members of an object, with their names, in the document's order. A name that is there twice comes twice. */
struct ms_json_field {
    const char *name; /* unescaped UTF-8; may hold NUL bytes */
    size_t name_bytes;
    struct ms_json_value value;
};
size_t ms_json_fields(struct ms_json_value value, struct ms_json_field *fields, size_t max);

/* The content of a value whose type was asked before. A string is unescaped UTF-8, may hold NUL bytes, and
 * belongs to the reader. */
const char *ms_json_string(struct ms_json_value value, size_t *bytes);
int64_t ms_json_integer(struct ms_json_value value);
uint64_t ms_json_uint64(struct ms_json_value value);
double ms_json_double(struct ms_json_value value);
bool ms_json_bool(struct ms_json_value value);

/* A value as an id: the content of a string, or the digits of a whole number, which go to |digits|. A whole number written as a
 * double (34.0, 1e3) is taken below 2^53, where a double holds every integer. Returns NULL when it is nothing of that. */
const char *ms_json_id(struct ms_json_value value, char digits[MS_JSON_DIGITS_MAX], size_t *bytes);

/* Whether it is the string "". */
bool ms_json_empty(struct ms_json_value value);

bool ms_utf8_valid(const char *text, size_t bytes);

#define MS_FLOAT_TEXT_MAX 17 /* most bytes that ms_print_float writes */

/* Prints a finite float with the fewest digits that read back as the same float, always with a '.' or an
 * exponent. Returns the bytes written (no NUL). */
size_t ms_print_float(char *at, float value);

/* Prints a finite double in plain notation (no exponent) with the fewest digits that read back as the same
 * double. Returns the bytes written (no NUL), 0 when |room| is too small. */
size_t ms_print_double(char *at, size_t room, double value);

#ifdef __cplusplus
}
#endif
#endif
