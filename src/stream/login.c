/* The command, and what it printed last. */
#include "stream/login.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "base/progress.h"

#define COMMAND_MS 10000 /* that the command may take */
#define AGAIN_S    2     /* a failure is not looked for again within */

struct ms_login {
    struct ms_words words;
    pthread_mutex_t lock; /* of what follows; held while the command runs */
    struct ms_token token;
    int64_t fetched_ms; /* by the clock that its end is told in */
    double failed_s;    /* by the monotonic clock; 0: it worked */
    struct ms_error failure;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum ms_status ms_login_new(struct ms_login **login, const char *command, struct ms_error *error)
{
    struct ms_login *made = calloc(1, sizeof *made);
    if (!made)
        return ms_fail(error, MS_MEMORY, "no memory for a command");
    enum ms_status status = ms_words_split(&made->words, command, error);
    if (status != MS_OK) {
        ms_words_free(&made->words);
        free(made);
        return status;
    }
    pthread_mutex_init(&made->lock, NULL);
    *login = made;
    return MS_OK;
}

void ms_login_destroy(struct ms_login *login)
{
    if (!login)
        return;
    pthread_mutex_destroy(&login->lock);
    ms_token_free(&login->token);
    ms_words_free(&login->words);
    free(login);
}

enum ms_status ms_login_check(const struct ms_login *login, struct ms_error *error)
{
    struct stat info;
    const char *program = login->words.words[0];
    const char *wrong = stat(program, &info) != 0    ? strerror(errno)
                        : !S_ISREG(info.st_mode)     ? "is no file"
                        : access(program, X_OK) != 0 ? strerror(errno)
                        : (info.st_mode & S_IWOTH)   ? "every user of this machine can write it"
                                                     : NULL;
    return wrong ? ms_fail(error, MS_CONFIG, "%s: %s", program, wrong) : MS_OK;
}

static enum ms_status fetch(struct ms_login *login, struct ms_error *error)
{
    struct ms_buffer out = {.max = MS_TOKEN_MAX_BYTES};
    struct ms_token token;
    double began_s = ms_monotonic_s();
    int64_t began_ms = now_ms();
    enum ms_status status = ms_child_run(&login->words, COMMAND_MS, &out, error);
    if (status == MS_OK) {
        status = ms_token_parse(&token, out.data, out.size, began_ms, error);
        if (status != MS_OK)
            ms_fail_in(error, status, "%s", login->words.words[0]);
    }
    if (out.data)
        explicit_bzero(out.data, out.size);
    ms_buffer_free(&out);
    login->failed_s = status == MS_OK ? 0 : ms_monotonic_s();
    if (status != MS_OK) {
        login->failure = *error;
        ms_log(MS_LOG_WARN, "token", "error=\"%s\"", error->text);
        return status;
    }
    ms_token_free(&login->token);
    login->token = token;
    login->fetched_ms = began_ms;
    ms_log(MS_LOG_DEBUG, "token", "fetched_ms=%.0f lives_s=%.0f", (ms_monotonic_s() - began_s) * 1e3,
           (double)(token.expires_ms - began_ms) / 1e3);
    return MS_OK;
}

enum ms_status ms_login_token(struct ms_login *login, struct ms_token *token, struct ms_error *error)
{
    struct ms_error why = {0};
    enum ms_status status = MS_OK;
    pthread_mutex_lock(&login->lock);
    int64_t life_ms = login->token.expires_ms - login->fetched_ms;
    if (login->failed_s > 0 && ms_monotonic_s() - login->failed_s < AGAIN_S) {
        why = login->failure;
        status = why.status;
    } else if (!login->token.value || now_ms() - login->fetched_ms >= life_ms / 2) {
        status = fetch(login, &why);
    }
    if (status == MS_OK)
        status = ms_token_copy(token, &login->token, &why);
    pthread_mutex_unlock(&login->lock);
    if (status != MS_OK && error)
        *error = why;
    return status;
}
