ms_fuzz(events events_fuzz.c LIBS ms_train)
