ms_fuzz(model model_fuzz.c LIBS ms_interest)
