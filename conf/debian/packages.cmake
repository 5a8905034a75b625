# What cpack makes of the installation: mindstream_VERSION_ARCH.deb (component service) and libmindstream-dev_VERSION_ARCH.deb
# (component development). tools/check-package builds both and takes them through their life.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mindstream)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL service packaging development)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "mindstream maintainers <maintainers@users.noreply.github.com>")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(debian ${CMAKE_CURRENT_LIST_DIR})

# The package has files that `cmake --install` leaves to the administrator: its settings lie in /etc.
set(CPACK_COMPONENT_SERVICE_GROUP mindstream)
set(CPACK_COMPONENT_PACKAGING_GROUP mindstream)
set(CPACK_COMPONENT_DEVELOPMENT_GROUP libmindstream-dev)

set(CPACK_DEBIAN_MINDSTREAM_PACKAGE_NAME mindstream)
set(CPACK_DEBIAN_MINDSTREAM_PACKAGE_SECTION net)
# Of the variants of OpenBLAS the one without threads: mindstream has its own.
set(CPACK_DEBIAN_MINDSTREAM_PACKAGE_DEPENDS "adduser, libopenblas0-serial | libopenblas0")
set(CPACK_DEBIAN_MINDSTREAM_PACKAGE_CONTROL_EXTRA
  ${debian}/conffiles ${debian}/postinst ${debian}/prerm ${debian}/postrm)
set(CPACK_DEBIAN_MINDSTREAM_DESCRIPTION "interest vectors of users, kept up to date with their clicks
mindstream reads click events from Kafka, appends each to its user's
behavior sequence in RocksDB, derives the user's interest vectors by
capsule routing, and publishes them to an output topic, exactly once.

The service is not started before it is configured: see mindstream(8).")

set(CPACK_DEBIAN_LIBMINDSTREAM-DEV_PACKAGE_NAME libmindstream-dev)
set(CPACK_DEBIAN_LIBMINDSTREAM-DEV_PACKAGE_SECTION libdevel)
# What mindstream.pc requires; the compiler finds the shared libraries' own names there, too.
set(CPACK_DEBIAN_LIBMINDSTREAM-DEV_PACKAGE_DEPENDS
  "libjansson-dev, libopenblas-serial-dev | libopenblas-dev, libprotobuf-c-dev, libsimdjson-dev, libxxhash-dev")
set(CPACK_DEBIAN_LIBMINDSTREAM-DEV_PACKAGE_CONTROL_EXTRA ${debian}/triggers ${CMAKE_CURRENT_BINARY_DIR}/debian/shlibs)
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/debian/shlibs
  CONTENT "libmindstream @PROJECT_VERSION_MAJOR@ libmindstream-dev (>= @PROJECT_VERSION@)\n" @ONLY)
set(CPACK_DEBIAN_LIBMINDSTREAM-DEV_DESCRIPTION "interest vectors by capsule routing, as a library
Headers, shared and static library of libmindstream: load a model of
mindstream, extract interest vectors from behaviors, decode the records
that mindstream publishes; and the .proto of these records.")

# Runs on the staged files of each package, before they are packed.
set(CPACK_PRE_BUILD_SCRIPTS ${debian}/prepare.cmake)

# The settings: the sample with the one value that the package decides.
file(READ ${CMAKE_CURRENT_LIST_DIR}/../mindstream.properties.sample sample)
string(REPLACE "\n#state.dir=\n" "\nstate.dir=/var/lib/mindstream\n" settings "${sample}")
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/debian/mindstream.properties CONTENT "${settings}" @ONLY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS conf/mindstream.properties.sample)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/debian/mindstream.properties DESTINATION /etc/mindstream
  COMPONENT packaging EXCLUDE_FROM_ALL)

include(CPack)
