/* One request of HTTP/1.0: the answer ends with the connection. */
#include "serve/ask.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/listen.h"

#define ANSWER_MAX_BYTES ((size_t)256 << 20)

bool ms_ask_escape(struct ms_buffer *path, struct ms_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        bool plain = isalnum(c) || (c && strchr("-._~", c));
        if (!ms_buffer_printf(path, plain ? "%c" : "%%%02X", c))
            return false;
    }
    return true;
}

static bool send_all(int fd, const struct ms_buffer *request)
{
    for (size_t sent = 0; sent < request->size;) {
        ssize_t n = send(fd, request->data + sent, request->size - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

static bool receive_all(int fd, struct ms_buffer *answer)
{
    for (;;) {
        if (!ms_buffer_reserve(answer, 65536))
            return false;
        ssize_t n = recv(fd, answer->data + answer->size, 65536, 0);
        if (n <= 0)
            return n == 0;
        answer->size += (size_t)n;
    }
}

/* The status of a whole answer, with its body; 0 where it is none. */
static int take_answer(const struct ms_buffer *answer, struct ms_buffer *body)
{
    static const char begins[] = "HTTP/1.", length_is[] = "\r\nContent-Length: ";
    const char *end = answer->size ? memmem(answer->data, answer->size, "\r\n\r\n", 4) : NULL;
    if (!end || answer->size < 12 || memcmp(answer->data, begins, sizeof begins - 1) != 0)
        return 0;
    size_t head = (size_t)(end - answer->data) + 4;
    const char *length = memmem(answer->data, head, length_is, sizeof length_is - 1);
    if (length && strtoull(length + sizeof length_is - 1, NULL, 10) != answer->size - head)
        return 0; /* cut */
    return ms_buffer_append(body, answer->data + head, answer->size - head) ? atoi(answer->data + 9) : 0;
}

int ms_ask(const char *state_dir, const char *path, const char *accept, struct ms_buffer *body)
{
    struct ms_buffer request = {0}, answer = {.max = ANSWER_MAX_BYTES};
    const struct timeval wait = {.tv_sec = MS_ASK_WAIT_S};
    int status = 0, fd = ms_connect_local(state_dir);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (ms_buffer_printf(&request, "GET %s HTTP/1.0\r\nHost: localhost\r\nAccept: %s\r\n\r\n", path,
                         accept ? accept : "*/*") &&
        send_all(fd, &request) && receive_all(fd, &answer))
        status = take_answer(&answer, body);
    close(fd);
    ms_buffer_free(&request);
    ms_buffer_free(&answer);
    return status;
}
