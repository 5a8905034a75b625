/* Reading values from files, and telling which values should have come from one. */
#include "app/secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define SUFFIX ".file"

/* Whether the key behind its prefix is one of librdkafka's (2.11 and newer) that ends so itself. */
static bool is_own_file(const char *key)
{
    static const char *const own[] = {"sasl.oauthbearer.assertion.file",
                                      "sasl.oauthbearer.assertion.jwt.template.file",
                                      "sasl.oauthbearer.assertion.private.key.file"};
    const char *dot = strchr(key, '.');
    for (size_t i = 0; dot && i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(dot + 1, own[i]) == 0)
            return true;
    }
    return false;
}

bool ms_secret_from_file(const char *key, char *base, size_t size)
{
    size_t suffix = strlen(SUFFIX), length = strlen(key);
    if (length <= suffix || length - suffix >= size || strcmp(key + length - suffix, SUFFIX) != 0 ||
        is_own_file(key))
        return false;
    memcpy(base, key, length - suffix);
    base[length - suffix] = '\0';
    return true;
}

/* What is wrong with the |size| bytes of a file, or NULL. */
static const char *find_fault(const char *text, size_t size)
{
    if (size > MS_SECRET_MAX_BYTES)
        return "is longer than 1 MiB";
    if (memchr(text, '\0', size))
        return "has a NUL character, which no setting can hold";
    return size ? NULL : "is empty";
}

static size_t without_line_end(const char *text, size_t size)
{
    size -= size && text[size - 1] == '\n';
    size -= size && text[size - 1] == '\r';
    return size;
}

enum ms_status ms_secret_read(char **value, const char *path, const char *key, const char *where,
                              struct ms_error *error)
{
    char *text = malloc(MS_SECRET_MAX_BYTES + 2);
    if (!text)
        return ms_fail(error, MS_MEMORY, "out of memory while settings were read");
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, MS_SECRET_MAX_BYTES + 1, file) : 0;
    const char *fault = !file || ferror(file) ? strerror(errno) : NULL;
    if (file)
        fclose(file);
    if (!fault) {
        size = without_line_end(text, size);
        fault = find_fault(text, size);
    }
    text[size] = '\0';
    char *copy = fault ? NULL : strdup(text);
    explicit_bzero(text, size);
    free(text);
    if (fault)
        return ms_fail(error, MS_CONFIG, "%s: the file that %s names: %s", where, key, fault);
    if (!copy)
        return ms_fail(error, MS_MEMORY, "out of memory while settings were read");
    *value = copy;
    return MS_OK;
}

bool ms_secret_is_open(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & S_IROTH);
}

bool ms_secret_is_named(const char *key)
{
    static const char *const parts[] = {
        "passw",  "passphrase", "secret",      "token",   "credential",         "jaas",
        "apikey", "api.key",    "ssl.key.pem", "ssl_key", "oauthbearer.config", "private.key.pem"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcasestr(key, parts[i]) && !strcasestr(key, "endpoint"))
            return true;
    }
    return false;
}
