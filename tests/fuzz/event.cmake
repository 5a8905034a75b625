ms_fuzz(event event_fuzz.c LIBS ms_event PkgConfig::JANSSON)
