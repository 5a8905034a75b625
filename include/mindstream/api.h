/* What is between MS_API_BEGIN and MS_API_END is C, also for a C++ compiler, and is exported by libmindstream. The
 * library is built with hidden visibility: everything else stays inside. */
#ifndef MINDSTREAM_API_H
#define MINDSTREAM_API_H

#ifdef __cplusplus
#define MS_API_BEGIN                                                                                         \
    _Pragma("GCC visibility push(default)") extern "C"                                                       \
    {
#define MS_API_END                                                                                           \
    }                                                                                                        \
    _Pragma("GCC visibility pop")
#else
#define MS_API_BEGIN _Pragma("GCC visibility push(default)")
#define MS_API_END   _Pragma("GCC visibility pop")
#endif

#endif
