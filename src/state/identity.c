/* Reading, checking and writing the identity of a state directory. */
#include "state/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/properties.h"
#include "state/sealed.h"

static char *path_of(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static enum ms_status read_line(void *context, const char *key, const char *value, const char *where,
                                struct ms_error *error)
{
    struct ms_identity *identity = context;
    if (strcmp(key, "format") == 0)
        identity->format = atoi(value);
    else if (strcmp(key, "application.id") == 0)
        snprintf(identity->application_id, MS_IDENTITY_BYTES, "%s", value);
    else if (strcmp(key, "input.topic") == 0)
        snprintf(identity->input_topic, MS_IDENTITY_BYTES, "%s", value);
    else if (strcmp(key, "instance.id") == 0)
        snprintf(identity->instance_id, MS_IDENTITY_BYTES, "%s", value);
    else if (strcmp(key, "workers") == 0)
        identity->workers = atoi(value);
    else if (strcmp(key, "check") == 0)
        return MS_OK; /* the seal, which ms_sealed_read has compared */
    else if (identity->format <= MS_STATE_FORMAT)
        return ms_fail(error, MS_STATE, "%s: unknown key %s", where, key);
    return MS_OK;
}

enum ms_status ms_identity_read(struct ms_identity *identity, const char *dir, bool *found, bool *sealed,
                                struct ms_error *error)
{
    struct ms_identity read = {0};
    struct ms_buffer text = {0};
    struct ms_error cause = {0};
    char *path = path_of(dir, "identity");
    if (!path)
        return ms_fail(error, MS_MEMORY, "no memory");
    bool exists = false, whole = false;
    enum ms_status status = ms_sealed_read(dir, "identity", &text, &exists, &whole, error);
    ms_buffer_free(&text);
    if (status == MS_OK && exists)
        status = ms_properties_read(path, read_line, &read, &cause);
    if (status != MS_OK && cause.text[0])
        status = ms_fail(error, status == MS_CONFIG ? MS_STATE : status, "%s", cause.text);
    if (status == MS_OK && exists && read.format > MS_STATE_FORMAT)
        status = ms_fail(error, MS_STATE_NEWER,
                         "%s: the state was written by a newer version (format %d, this program knows %d)",
                         dir, read.format, MS_STATE_FORMAT);
    if (status == MS_OK && exists && read.format < 1)
        status = ms_fail(error, MS_STATE, "%s: no format in it", path);
    free(path);
    if (status == MS_OK) {
        *identity = read;
        *found = exists;
        *sealed = whole;
    }
    return status;
}

/* One line, escaped as .properties files have it. */
static bool put_line(struct ms_buffer *text, const char *key, const char *value)
{
    bool good = ms_buffer_printf(text, "%s=", key);
    for (const char *at = value; *at; at++) {
        if (*at == '\n' || *at == '\r' || *at == '\t' || *at == '\f')
            good = good && ms_buffer_printf(text, "\\%c",
                                            *at == '\n'   ? 'n'
                                            : *at == '\r' ? 'r'
                                            : *at == '\t' ? 't'
                                                          : 'f');
        else
            good = good &&
                   ms_buffer_printf(text, *at == '\\' || (*at == ' ' && at == value) ? "\\%c" : "%c", *at);
    }
    return good && ms_buffer_append(text, "\n", 1);
}

enum ms_status ms_identity_write(const struct ms_identity *identity, const char *dir, struct ms_error *error)
{
    struct ms_buffer text = {0};
    bool good = ms_buffer_printf(&text, "format=%d\nworkers=%d\n", MS_STATE_FORMAT, identity->workers) &&
                put_line(&text, "application.id", identity->application_id) &&
                put_line(&text, "input.topic", identity->input_topic) &&
                put_line(&text, "instance.id", identity->instance_id);
    enum ms_status status = good ? ms_sealed_write(dir, "identity", &text, error)
                                 : ms_fail(error, MS_MEMORY, "no memory for an identity");
    ms_buffer_free(&text);
    return status;
}

/* Takes the wanted name where there is none; names that differ are refused. */
static enum ms_status settle_name(char have[MS_IDENTITY_BYTES], const char *want, const char *key,
                                  const char *dir, struct ms_error *error)
{
    if (have[0] && want[0] && strcmp(have, want) != 0)
        return ms_fail(error, MS_STATE, "%s: the state belongs to %s %s, not %s: give another state.dir", dir,
                       key, have, want);
    if (!have[0] && (size_t)snprintf(have, MS_IDENTITY_BYTES, "%s", want) >= MS_IDENTITY_BYTES)
        return ms_fail(error, MS_CONFIG, "%s is longer than %d bytes", key, MS_IDENTITY_BYTES - 1);
    return MS_OK;
}

enum ms_status ms_identity_settle(struct ms_identity *identity, const char *dir, const char *application_id,
                                  const char *input_topic, const char *instance_id, struct ms_error *error)
{
    struct ms_identity settled;
    bool found, sealed;
    enum ms_status status = ms_identity_read(&settled, dir, &found, &sealed, error);
    if (status == MS_OK)
        status = settle_name(settled.application_id, application_id, "application.id", dir, error);
    if (status == MS_OK)
        status = settle_name(settled.input_topic, input_topic, "input.topic", dir, error);
    if (status != MS_OK)
        return status;
    if (instance_id[0])
        snprintf(settled.instance_id, MS_IDENTITY_BYTES, "%s", instance_id);
    if (!settled.instance_id[0]) {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            return ms_fail(error, MS_IO, "no random bytes: %s", strerror(errno));
        snprintf(settled.instance_id, MS_IDENTITY_BYTES, "%012" PRIx64, random >> 16);
    }
    status = ms_identity_write(&settled, dir, error);
    if (status == MS_OK)
        *identity = settled;
    return status;
}
