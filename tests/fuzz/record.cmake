ms_fuzz(record record_fuzz.c LIBS ms_record)
