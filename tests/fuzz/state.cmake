ms_fuzz(state state_fuzz.c LIBS ms_user)
