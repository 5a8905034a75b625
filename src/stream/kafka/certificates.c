/* A look at the files by stat: renewal tools write a new file and rename it, or exchange a link before it. */
#include "stream/kafka/certificates.h"

#include <string.h>

#include "base/log.h"
#include "stream/kafka/check.h"

static bool is_file_key(const char *key)
{
    static const char *const keys[] = {"ssl.ca.location", "ssl.certificate.location", "ssl.key.location",
                                       "ssl.keystore.location", "ssl.crl.location"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i]) == 0)
            return true;
    }
    return false;
}

/* A file that is not there is all zeros. */
static struct stat look(const char *path)
{
    struct stat info = {0};
    if (stat(path, &info) != 0)
        memset(&info, 0, sizeof info);
    return info;
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void ms_certificates_note(struct ms_certificates *certificates, const struct ms_config *config)
{
    *certificates = (struct ms_certificates){.config = config};
    for (size_t i = 0; i < config->passthrough_count; i++) {
        const struct ms_passthrough *pass = &config->passthrough[i];
        if (!is_file_key(pass->key) || certificates->count == MS_CERTIFICATE_FILES_MAX)
            continue;
        struct ms_certificate_file *file = &certificates->files[certificates->count++];
        file->path = pass->value;
        file->used = file->seen = look(pass->value);
    }
}

bool ms_certificates_renewed(struct ms_certificates *certificates, double now_s)
{
    bool changed = false, rests = true;
    struct ms_error error;
    if (!certificates->count || now_s - certificates->looked_s < MS_CERTIFICATES_LOOK_S)
        return false;
    certificates->looked_s = now_s;
    for (int i = 0; i < certificates->count; i++) {
        struct ms_certificate_file *file = &certificates->files[i];
        struct stat now = look(file->path);
        changed |= !same(&now, &file->used);
        rests &= same(&now, &file->seen);
        file->seen = now;
    }
    certificates->told &= rests;
    if (!changed || !rests || certificates->told)
        return false;
    if (ms_kafka_check_clients(certificates->config, &error) != MS_OK) {
        ms_log(MS_LOG_WARN, "certificates",
               "changed, but clients cannot be made of them yet; those that run go on: error=\"%s\"",
               error.text);
        certificates->told = true;
        return false;
    }
    for (int i = 0; i < certificates->count; i++)
        certificates->files[i].used = certificates->files[i].seen;
    return true;
}
