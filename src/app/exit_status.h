/* The exit statuses of the binary, one row each. Help and man pages come from here. */
#ifndef MS_APP_EXIT_STATUS_H
#define MS_APP_EXIT_STATUS_H

struct ms_exit_status {
    int code;
    const char *meaning; /* a few words, for lists */
    const char *then;    /* what follows for who runs the service, in sentences */
};

extern const struct ms_exit_status ms_exit_statuses[];
extern const int ms_exit_status_count;

#endif
