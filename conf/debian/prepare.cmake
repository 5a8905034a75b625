# Brings the staged files of both packages into the shape that Debian's policy asks for. Run by cpack.
set(stage ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
foreach(package mindstream libmindstream-dev)
  set(doc ${stage}/${package}/usr/share/doc/${package})
  file(MAKE_DIRECTORY ${doc})
  file(COPY ${CMAKE_CURRENT_LIST_DIR}/changelog ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION ${doc})
  file(GLOB pages ${stage}/${package}/usr/share/man/man*/*[0-9])
  execute_process(COMMAND gzip -9nf ${doc}/changelog ${pages} COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB archives ${stage}/${package}/usr/lib/*/*.a)
  foreach(archive ${archives}) # what CMake strips are programs and shared libraries
    execute_process(COMMAND strip --strip-debug --enable-deterministic-archives ${archive} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
endforeach()
