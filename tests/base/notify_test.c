/* What the service manager hears, by path and by abstract name, and what is no manager. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/notify.h"

/* A manager that listens at |name|; '@' opens an abstract one. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0 && strlen(name) < sizeof address.sun_path);
    memcpy(address.sun_path, name, strlen(name));
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    unlink(name);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    return fd;
}

static void check_heard(const char *name)
{
    char text[256] = "";
    int fd = listen_at(name);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_true(ms_notify("STATUS=%d partitions\nREADY=1", 4));
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 27);
    assert_string_equal(text, "STATUS=4 partitions\nREADY=1");
    close(fd);
    assert_false(ms_notify("READY=1")); /* it has gone */
}

static void test_heard(void **state)
{
    char name[64];
    (void)state;
    snprintf(name, sizeof name, "/tmp/ms-notify-%ld", (long)getpid());
    check_heard(name);
    unlink(name);
    snprintf(name, sizeof name, "@ms-notify-%ld", (long)getpid());
    check_heard(name);
}

static void test_no_manager(void **state)
{
    char long_name[200], long_text[2000];
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_false(ms_notify("READY=1"));
    memset(long_name, 'a', sizeof long_name);
    long_name[0] = '/';
    long_name[sizeof long_name - 1] = '\0';
    for (const char *const *name = (const char *const[]){"", "/", "relative", long_name, NULL}; *name;
         name++) {
        setenv("NOTIFY_SOCKET", *name, 1);
        assert_false(ms_notify("READY=1"));
    }
    memset(long_text, 'a', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    snprintf(long_name, sizeof long_name, "@ms-notify-%ld", (long)getpid());
    int fd = listen_at(long_name);
    setenv("NOTIFY_SOCKET", long_name, 1);
    assert_false(ms_notify("STATUS=%s", long_text)); /* half a message could say something else */
    close(fd);
}

static void test_watchdog(void **state)
{
    char pid[32];
    (void)state;
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(ms_notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "180000000", 1);
    assert_int_equal(ms_notify_watchdog_ms(), 180000);
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(ms_notify_watchdog_ms(), 180000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(ms_notify_watchdog_ms(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heard), cmocka_unit_test(test_no_manager),
                                       cmocka_unit_test(test_watchdog)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
