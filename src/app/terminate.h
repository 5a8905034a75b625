/* What happens when a C++ exception of a library reaches C: there is nothing that could catch it. */
#ifndef MS_APP_TERMINATE_H
#define MS_APP_TERMINATE_H

#ifdef __cplusplus
extern "C" {
#endif

/* From here on, an exception that nobody catches ends the process with one line on stderr and the status of a failure
 * at run time, instead of an abort. It is as a kill: what is committed stays, and the next start goes on from there. */
void ms_terminate_with_status(void);

#ifdef __cplusplus
}
#endif

#endif
