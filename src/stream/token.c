/* Tokens: a JWT (RFC 7519), bare or within JSON. Its signature is the broker's to check. */
#include "stream/token.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/time.h"

#define LIFE_MAX_S ((int64_t)10 * 366 * 86400) /* more is no life of a token */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char *duplicate(const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void ms_token_free(struct ms_token *token)
{
    wipe(&token->value);
    wipe(&token->principal);
    for (size_t i = 0; i < 2 * token->extension_count; i++)
        wipe(&token->extensions[i]);
    *token = (struct ms_token){0};
}

/* ---- base64url, as the parts of a JWT are written ---- */

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Decodes into |out|, which has room for |size| bytes; false when it is no base64url without padding. */
static bool decode(const char *text, size_t size, char *out, size_t *out_size)
{
    uint32_t bits = 0;
    int have = 0;
    *out_size = 0;
    for (size_t i = 0; i < size; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*out_size)++] = (char)(bits >> have & 0xff);
        }
    }
    return size % 4 != 1;
}

/* ---- the parts of an object ---- */

struct parse {
    struct ms_token token;
    int64_t now_ms;
    const char *wrong; /* the first thing that is; a static text */
    bool no_memory;
};

static void fail(struct parse *parse, const char *wrong)
{
    if (!parse->wrong)
        parse->wrong = wrong;
}

static bool member(struct ms_json_value object, const char *name, struct ms_json_value *value)
{
    return ms_json_member(object, name, strlen(name), value) && ms_json_type(*value) != MS_JSON_NULL;
}

/* The text of a string that holds no NUL; NULL where it is none, which is then wrong. */
static char *take_text(struct parse *parse, struct ms_json_value value, const char *wrong)
{
    size_t size;
    if (ms_json_type(value) != MS_JSON_STRING) {
        fail(parse, wrong);
        return NULL;
    }
    const char *text = ms_json_string(value, &size);
    if (memchr(text, '\0', size)) {
        fail(parse, wrong);
        return NULL;
    }
    char *copy = duplicate(text, size);
    parse->no_memory |= !copy;
    return copy;
}

/* A time, as an event has it. */
static void take_expiry(struct parse *parse, struct ms_json_value value)
{
    static const char wrong[] = "has an expiry that is no time (a number since 1970, or ISO 8601)";
    size_t size;
    const char *reason = wrong;
    enum ms_json_type type = ms_json_type(value);
    if (type == MS_JSON_INTEGER)
        reason = ms_time_from_integer(ms_json_integer(value), &parse->token.expires_ms);
    else if (type == MS_JSON_DOUBLE)
        reason = ms_time_from_double(ms_json_double(value), &parse->token.expires_ms);
    else if (type == MS_JSON_STRING) {
        const char *text = ms_json_string(value, &size);
        reason = ms_time_from_text(text, size, &parse->token.expires_ms);
    }
    if (reason)
        fail(parse, wrong);
}

static void take_life(struct parse *parse, struct ms_json_value value)
{
    enum ms_json_type type = ms_json_type(value);
    double life_s = type == MS_JSON_INTEGER  ? (double)ms_json_integer(value)
                    : type == MS_JSON_DOUBLE ? ms_json_double(value)
                                             : -1;
    if (!(life_s > 0 && life_s <= (double)LIFE_MAX_S))
        fail(parse, "has an expires_in that is no number of seconds of up to ten years");
    else
        parse->token.expires_ms = parse->now_ms + (int64_t)(life_s * 1000);
}

static bool is_letters(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return size && !text[size];
}

/* RFC 7628, 3.1: what a value may have. */
static bool is_value(const char *text)
{
    for (; *text; text++) {
        if (!((*text >= 0x20 && *text <= 0x7e) || is_space(*text)))
            return false;
    }
    return true;
}

static void take_extensions(struct parse *parse, struct ms_json_value value)
{
    static const char wrong[] = "has extensions that are no object of at most 16 texts, named by letters";
    struct ms_json_field fields[MS_TOKEN_EXTENSIONS_MAX];
    struct ms_token *token = &parse->token;
    size_t count = ms_json_fields(value, fields, MS_TOKEN_EXTENSIONS_MAX);
    if (ms_json_type(value) != MS_JSON_OBJECT || count > MS_TOKEN_EXTENSIONS_MAX) {
        fail(parse, wrong);
        return;
    }
    for (size_t i = 0; i < count && !parse->wrong && !parse->no_memory; i++) {
        char *name = duplicate(fields[i].name, fields[i].name_bytes);
        char *text = name ? take_text(parse, fields[i].value, wrong) : NULL;
        if (name && text) {
            token->extensions[2 * token->extension_count] = name;
            token->extensions[2 * token->extension_count++ + 1] = text;
            if (!is_letters(name) || strlen(name) != fields[i].name_bytes || strcmp(name, "auth") == 0 ||
                !is_value(text))
                fail(parse, wrong);
            continue;
        }
        parse->no_memory |= !name;
        free(name);
    }
}

/* ---- a JWT's claims ---- */

/* Takes expiry and principal from the claims where they are not known. A token that is no JWT has none. */
static void take_claims(struct parse *parse, struct ms_json *json)
{
    struct ms_json_value claims, value;
    size_t size;
    const char *begin = strchr(parse->token.value, '.'), *end = begin ? strchr(begin + 1, '.') : NULL;
    char *text = end ? malloc((size_t)(end - begin)) : NULL;
    if (!text) {
        parse->no_memory |= end != NULL;
        return;
    }
    const char *wrong = NULL;
    bool good = decode(begin + 1, (size_t)(end - begin - 1), text, &size) &&
                !(wrong = ms_json_read(json, text, size, &claims));
    parse->no_memory |= wrong == ms_json_no_memory;
    if (good && !parse->token.expires_ms && member(claims, "exp", &value))
        take_expiry(parse, value);
    if (good && !parse->token.principal && member(claims, "sub", &value))
        parse->token.principal = take_text(parse, value, "has a claim sub that is no text");
    explicit_bzero(text, (size_t)(end - begin));
    free(text);
}

/* ---- the output ---- */

static void take_object(struct parse *parse, struct ms_json *json, const char *text, size_t size)
{
    struct ms_json_value root, value;
    const char *reason = ms_json_read(json, text, size, &root);
    if (reason) {
        parse->no_memory = reason == ms_json_no_memory;
        fail(parse, "begins like JSON, but is none");
        return;
    }
    if (member(root, "token", &value) || member(root, "access_token", &value))
        parse->token.value = take_text(parse, value, "has a token that is no text");
    else
        fail(parse, "has neither token nor access_token");
    if (member(root, "expiry", &value))
        take_expiry(parse, value);
    else if (member(root, "expires_in", &value))
        take_life(parse, value);
    if (member(root, "principal", &value))
        parse->token.principal = take_text(parse, value, "has a principal that is no text");
    if (member(root, "extensions", &value))
        take_extensions(parse, value);
}

static void check(struct parse *parse)
{
    struct ms_token *token = &parse->token;
    if (!token->value[0])
        fail(parse, "has an empty token");
    for (const char *at = token->value; *at; at++) {
        if (*at < 0x21 || *at > 0x7e)
            fail(parse,
                 "is neither JSON nor one token: a blank or a character that no token has stands in it");
    }
    if (!token->expires_ms)
        fail(parse,
             "does not say when the token ends: expiry, expires_in or the claim exp of a JWT is needed");
    else if (token->expires_ms <= parse->now_ms)
        fail(parse, "has a token that has already expired");
    if (!token->principal && !parse->wrong) {
        token->principal = duplicate("unknown", 7);
        parse->no_memory |= !token->principal;
    }
}

enum ms_status ms_token_parse(struct ms_token *token, const char *text, size_t size, int64_t now_ms,
                              struct ms_error *error)
{
    struct parse parse = {.now_ms = now_ms};
    struct ms_json *json = ms_json_new();
    if (!json)
        return ms_fail(error, MS_MEMORY, "no memory for a token");
    while (size && is_space(text[size - 1]))
        size--;
    while (size && is_space(*text))
        text++, size--;
    if (!size)
        fail(&parse, "is empty");
    else if (size > MS_TOKEN_MAX_BYTES)
        fail(&parse, "is longer than 64 KiB");
    else if (*text == '{')
        take_object(&parse, json, text, size);
    else if (memchr(text, '\0', size))
        fail(&parse, "has a NUL character");
    else
        parse.no_memory = !(parse.token.value = duplicate(text, size));
    if (parse.token.value && !parse.wrong)
        take_claims(&parse, json);
    if (parse.token.value && !parse.wrong && !parse.no_memory)
        check(&parse);
    ms_json_destroy(json);
    if (!parse.wrong && !parse.no_memory) {
        *token = parse.token;
        return MS_OK;
    }
    ms_token_free(&parse.token);
    return parse.no_memory ? ms_fail(error, MS_MEMORY, "no memory for a token")
                           : ms_fail(error, MS_FORMAT, "the output %s", parse.wrong);
}

enum ms_status ms_token_copy(struct ms_token *copy, const struct ms_token *token, struct ms_error *error)
{
    struct ms_token made = {.value = duplicate(token->value, strlen(token->value)),
                            .principal = duplicate(token->principal, strlen(token->principal)),
                            .extension_count = token->extension_count,
                            .expires_ms = token->expires_ms};
    bool good = made.value && made.principal;
    for (size_t i = 0; i < 2 * token->extension_count; i++) {
        made.extensions[i] = duplicate(token->extensions[i], strlen(token->extensions[i]));
        good &= made.extensions[i] != NULL;
    }
    if (!good) {
        ms_token_free(&made);
        return ms_fail(error, MS_MEMORY, "no memory for a token");
    }
    *copy = made;
    return MS_OK;
}
