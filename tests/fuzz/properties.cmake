ms_fuzz(properties properties_fuzz.c LIBS ms_base)
