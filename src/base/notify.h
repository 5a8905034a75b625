/* Tells the service manager how the service is: the protocol of sd_notify(3), which is one datagram a message. Without a
 * manager (NOTIFY_SOCKET is not set) nothing happens. */
#ifndef MS_BASE_NOTIFY_H
#define MS_BASE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Sends lines KEY=VALUE, as printf. False when there is no manager, or it does not take the message: there is nothing
 * to be done about it. Never blocks. Any thread. */
bool ms_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Within how many ms the manager wants to hear WATCHDOG=1 from this process; 0: it does not. */
int64_t ms_notify_watchdog_ms(void);

#endif
