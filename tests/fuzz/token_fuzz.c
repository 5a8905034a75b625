/* Any bytes as the output of a command that fetches a token, and as such a command. What is taken must keep the contract of token.h, and no
 * error may show the output. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/json.h"
#include "stream/token.h"

#define NOW_MS INT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_token(const struct ms_token *token)
{
    assert(token->value[0] && token->principal && token->expires_ms > NOW_MS);
    for (const char *at = token->value; *at; at++)
        assert(*at > 0x20 && *at < 0x7f);
    assert(token->extension_count <= MS_TOKEN_EXTENSIONS_MAX);
    for (size_t i = 0; i < 2 * token->extension_count; i++)
        assert(token->extensions[i]);
}

static void split_words(const uint8_t *data, size_t size)
{
    struct ms_words words;
    struct ms_error error;
    char *text = malloc(size + 1);
    assert(text);
    memcpy(text, data, size);
    text[size] = '\0';
    if (ms_words_split(&words, text, &error) == MS_OK) {
        assert(words.count >= 1 && words.count <= MS_CHILD_WORDS_MAX && words.words[0][0] == '/');
        assert(!words.words[words.count]);
        size_t bytes = 0;
        for (size_t i = 0; i < words.count; i++)
            bytes += strlen(words.words[i]);
        assert(bytes <= strlen(text));
    }
    ms_words_free(&words);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_token token, copy;
    struct ms_error error = {0};
    split_words(data, size);
    enum ms_status status = ms_token_parse(&token, (const char *)data, size, NOW_MS, &error);
    assert(status == MS_OK || (status == MS_FORMAT && strncmp(error.text, "the output ", 11) == 0));
    if (status == MS_FORMAT)
        assert(ms_utf8_valid(error.text, strlen(error.text)) && strlen(error.text) < 130);
    if (status != MS_OK)
        return 0;
    check_token(&token);
    assert(ms_token_copy(&copy, &token, &error) == MS_OK);
    assert(strcmp(copy.value, token.value) == 0 && copy.expires_ms == token.expires_ms);
    ms_token_free(&copy);
    ms_token_free(&token);
    return 0;
}
